"""A family of densities of the user's own, as one more kind of numeric block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jointprob.jit.compile import loop_of, numba_for, scalar
from jointprob.jit.states import OwnDensities

Floats = NDArray[np.float64]


class Loops(NamedTuple):
    """The functions of a family, each over all rows and states."""

    log_pdf: Any
    estimate: Any
    draw: Any
    cdf: Any


@dataclass(frozen=True, eq=False)
class Family:
    """Densities of one numeric column, by functions that numba compiles (extra ``jit``).

    `jointprob.JEPADensity` gives the column a block of its own: a mixture of the family's members,
    whose weights depend on the other columns through the tree.

    Parameters
    ----------
    log_pdf : callable
        ``log_pdf(x, parameters) -> float``: log density of one number in nats; ``-inf`` where it
        is 0. An ``@njit`` function, or a plain one that numba can compile, of a float and an array
        float64 (n_parameters,). It sees x rounded to float32.
    estimate : callable
        ``estimate(x, weight, parameters) -> None`` writes the parameters of most likelihood (or
        those that a prior makes of it) into ``parameters``, which holds the last ones, zeros at
        first. x, weight : float64 (n,); no x is missing, the weights are in rows.
    n_parameters : int
    draw : callable, optional
        ``draw(parameters, u) -> float``: a number by one uniform in (0, 1). Without it, `sample`
        raises ValueError.
    cdf : callable, optional
        ``cdf(x, parameters) -> float``: P(X <= x). Without it, so do intervals of the column.

    Notes
    -----
    Rows are divided into subsets by the ranks of the column. The M-step comes once an epoch of EM,
    from every row's responsibilities, to which as many rows of the whole column are added as the
    plan's shrinkage says: a state of few rows leans on all of them. So a family needs no prior of
    its own, but it must allow for every value that rows of the fit hold.

    Models with a family pickle if its functions do. `save` refuses them, as files hold no code; so
    do `fine_tune`, `partial_fit` and `to_onnx`. Means, quantiles and modes of the column are not
    to be had, draws and the other columns' are.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob import JEPADensity
    >>> from jointprob.jit import Family
    >>> def log_pdf(x, parameters):
    ...     return np.log(parameters[0]) - parameters[0] * x if x >= 0 else -np.inf
    >>> def estimate(x, weight, parameters):
    ...     parameters[0] = weight.sum() / (weight * x).sum()
    >>> family = Family(log_pdf, estimate, n_parameters=1)
    >>> wait = np.random.default_rng(0).exponential(3.0, 400)
    >>> model = JEPADensity(families={"wait": family}, n_trees=1, n_subsets=2, random_state=0)
    >>> round(model.fit({"wait": wait}).score({"wait": wait}), 1)
    -2.2
    """

    log_pdf: Callable[[float, Floats], float]
    estimate: Callable[[Floats, Floats, Floats], None]
    n_parameters: int
    draw: Callable[[Floats, float], float] | None = None
    cdf: Callable[[float, Floats], float] | None = None

    def __post_init__(self) -> None:
        n = self.n_parameters
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"n_parameters is {n!r}; allowed are whole numbers from 1")

    def __getstate__(self) -> dict[str, Any]:
        """Machine code stays in its process."""
        return {name: value for name, value in self.__dict__.items() if name != "loops"}

    @cached_property
    def loops(self) -> Loops:
        """The functions compiled.

        Raises
        ------
        ImportError
            Without numba.
        TypeError
            If numba cannot compile one of them, naming it.
        """
        numba = numba_for("a family of densities")
        return Loops(
            _log_pdfs(self.log_pdf, numba),
            _estimates(self.estimate, numba),
            self.draw and _draws(self.draw, numba),
            self.cdf and _cdfs(self.cdf, numba),
        )

    def densities(self, name: str | int, column: int, n_states: int) -> OwnDensities:
        """Members of the family for the states of a block, parameters all 0.

        Parameters
        ----------
        name : str or int
            Of the table's column.
        column : int
            Of z.
        n_states : int
        """
        parameters = np.zeros((n_states, self.n_parameters))
        return OwnDensities(self, name, np.array([column], np.int64), parameters)


def _log_pdfs(function: Any, numba: Any) -> Any:
    log_pdf, t = scalar(function, numba), numba.types

    def loop(z: Any, rows: Any, parameters: Any, out: Any) -> None:
        for i in range(len(rows)):
            x = float(z[rows[i], 0])
            for s in range(len(parameters)):
                out[i, s] = 0.0 if np.isnan(x) else log_pdf(x, parameters[s])

    matrix = t.float64[:, ::1]
    signature = t.void(t.float32[:, ::1], t.int64[::1], matrix, matrix)
    return loop_of(loop, signature, numba, "log_pdf(x, parameters)")


def _estimates(function: Any, numba: Any) -> Any:
    estimate, t = scalar(function, numba), numba.types

    def loop(x: Any, weight: Any, parameters: Any) -> None:
        for s in range(len(parameters)):
            estimate(x, weight[s], parameters[s])

    matrix = t.float64[:, ::1]
    signature = t.void(t.float64[::1], matrix, matrix)
    return loop_of(loop, signature, numba, "estimate(x, weight, parameters)")


def _draws(function: Any, numba: Any) -> Any:
    draw, t = scalar(function, numba), numba.types

    def loop(parameters: Any, state: Any, u: Any, out: Any) -> None:
        for i in range(len(state)):
            out[i] = draw(parameters[state[i]], u[i])

    row = t.float64[::1]
    signature = t.void(t.float64[:, ::1], t.int32[::1], row, row)
    return loop_of(loop, signature, numba, "draw(parameters, u)")


def _cdfs(function: Any, numba: Any) -> Any:
    cdf, t = scalar(function, numba), numba.types

    def loop(x: float, parameters: Any, out: Any) -> None:
        for s in range(len(parameters)):
            out[s] = cdf(x, parameters[s])

    signature = t.void(t.float64, t.float64[:, ::1], t.float64[::1])
    return loop_of(loop, signature, numba, "cdf(x, parameters)")
