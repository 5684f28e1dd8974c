"""Several means of a number, stacked: non-negative weights of least squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

PRIOR_ROWS = 2.0  # that speak for equal weights of the means
LEAST_GAIN = 0.004  # of the squared error, relative: a mean that is worth less is left out


def fit_stack(
    members: Sequence[NDArray[np.floating[Any]]], number: NDArray[Any], weight: NDArray[Any]
) -> Floats:
    """Weights of least squared error on rows that no member was fitted on (Breiman 1996).

    Members are left out, the least useful first, while that costs less than 0.4 % of the error:
    what is not asked costs no time.

    Parameters
    ----------
    members : sequence of float (n_rows,)
    number, weight : float (n_rows,)

    Returns
    -------
    float64 (n_members,)
    """
    rows = np.stack([*members, number], axis=1).astype(np.float64)
    moments = (rows * np.asarray(weight, np.float64)[:, None]).T @ rows
    kept = list(range(len(members)))
    best, error = _fit(moments, kept)
    while len(kept) > 1:
        fewer = [[m for m in kept if m != out] for out in kept]
        fits = [_fit(moments, subset) for subset in fewer]
        least = int(np.argmin([fit[1] for fit in fits]))
        if fits[least][1] > error * (1 + LEAST_GAIN):
            break
        kept, best = fewer[least], fits[least][0]
    weights = np.zeros(len(members))
    weights[kept] = best
    return weights


def _fit(moments: Floats, kept: list[int]) -> tuple[Floats, float]:
    """Weights of some members and their squared error, from the products of all columns."""
    n = len(kept)
    # A few rows that speak for equal weights: members are much alike.
    square = moments[np.ix_(kept, kept)] + PRIOR_ROWS * np.eye(n)
    product = moments[kept, -1] + PRIOR_ROWS / n
    factor = np.linalg.cholesky(square)
    found, _ = nnls(factor.T, np.linalg.solve(factor, product))
    own = moments[np.ix_(kept, kept)]
    return found, float(found @ own @ found - 2 * found @ moments[kept, -1] + moments[-1, -1])
