"""Several class distributions pooled log-linearly: weights, and so one temperature, are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

Floats = NDArray[np.float64]

PRIOR_ROWS = 2.0  # rows that speak for equal weights
LEAST_GAIN = 0.002  # of the log loss, relative: a member that is worth less is left out
MOST_WEIGHT = 20.0


@dataclass(frozen=True)
class Pool:
    """p(c | x) proportional to p(c) times the product of (p_m(c | x) / p(c))^w_m over members m.

    Log-linear pooling (Genest & Zidek 1986, doi:10.1214/ss/1177013825) of what each member adds to
    the prior; the sum of the weights is an inverse temperature. A row of which nothing is known
    gets the prior. A member whose weight is 0 need not be asked.

    Parameters
    ----------
    log_prior : float64 (n_classes,)
    weights : float64 (n_members,)
    loss : float
        Log loss of the rows it was fitted on, nats.
    """

    log_prior: Floats
    weights: Floats
    loss: float

    def log_proba(self, members: Sequence[NDArray[np.floating[Any]] | None]) -> Floats:
        """Log probabilities, (n_rows, n_classes).

        Parameters
        ----------
        members : sequence of float (n_rows, n_classes) or None
            Log probabilities by each member, up to a constant a row; None where the weight is 0.
        """
        total = self.log_prior
        for weight, member in zip(self.weights, members, strict=True):
            if member is not None and weight > 0:
                total = total + weight * (member - self.log_prior)
        return np.asarray(log_softmax(total, axis=1))


def fit_pool(
    members: Sequence[NDArray[np.floating[Any]]],
    log_prior: Floats,
    label: NDArray[np.integer[Any]],
    weight: Floats,
) -> Pool:
    """Weights of least log loss on rows that no member was fitted on.

    Members are left out, the least useful first, while that costs less than 0.2 % of the loss:
    what is not asked costs no time.
    """
    log_prior = np.asarray(log_prior, np.float64)
    logs = np.stack([m - log_prior for m in members], axis=2)
    kept = list(range(len(members)))
    best = _fit(logs, log_prior, kept, label, weight)
    while len(kept) > 1:
        fewer = [[m for m in kept if m != out] for out in kept]
        fits = [_fit(logs, log_prior, subset, label, weight) for subset in fewer]
        least = int(np.argmin([fit.loss for fit in fits]))
        if fits[least].loss > best.loss * (1 + LEAST_GAIN):
            break
        kept, best = fewer[least], fits[least]
    return best


def _fit(
    logs: Floats,
    log_prior: Floats,
    kept: list[int],
    label: NDArray[np.integer[Any]],
    weight: Floats,
) -> Pool:
    """Weights of the members kept; those of the others are 0. The loss is convex in them."""
    n_members = logs.shape[2]
    chosen = logs[:, :, kept]
    own = chosen[np.arange(len(label)), label]
    share = weight / weight.sum()
    ridge = PRIOR_ROWS / weight.sum()

    def loss(w: Floats) -> tuple[float, Floats]:
        log_p = log_softmax(log_prior + chosen @ w, axis=1)
        value = -share @ log_p[np.arange(len(label)), label]
        mean = np.einsum("nc,ncm->nm", np.exp(log_p), chosen)
        off = w - 1 / len(kept)
        return float(value + ridge * off @ off), share @ (mean - own) + 2 * ridge * off

    start = np.full(len(kept), 1 / len(kept))
    bounds = [(0.0, MOST_WEIGHT)] * len(kept)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = np.zeros(n_members)
    weights[kept] = found.x
    return Pool(log_prior, weights, float(found.fun))
