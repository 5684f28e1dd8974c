"""What passes over the same rows are worth beside new rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples  # it has no public name

from jointprob.data.growth import log_losses
from jointprob.data.law import fit_law
from jointprob.data.rows import take_rows

Floats = NDArray[np.float64]

LEAST_ROWS = 80
BATCH_ROWS = 64
MOST = 1e4  # R* beyond which repeats are as good as new


@dataclass(frozen=True, eq=False, repr=False)
class Repetition:
    """Held-out loss against passes over the same rows.

    Attributes
    ----------
    passes : int64 (n_passes,)
        1, 2, ...
    losses : float64 (n_passes,)
        Held-out loss after each.
    n_unique : int
        U, rows of a pass.
    half_value : float
        R*: repeats beyond it add little.
    """

    passes: NDArray[np.int64]
    losses: Floats
    n_unique: int
    half_value: float

    @property
    def overfits_after(self) -> int | None:
        """The pass of least loss, where later ones are worse; None where none is."""
        best = int(np.argmin(self.losses))
        return int(self.passes[best]) if best < len(self.losses) - 1 else None

    def effective_rows(self, n_passes: float) -> float:
        """D' = U + U R* (1 - exp(-R / R*)) for R = n_passes - 1 repeats."""
        if not n_passes >= 1:
            raise ValueError(f"n_passes is {n_passes!r}; allowed are numbers from 1")
        return float(self.n_unique * _value(n_passes - 1.0, self.half_value))

    def __repr__(self) -> str:
        return f"Repetition({self.n_unique} rows, R* {self.half_value:.3g})"


def repetition(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    n_passes: int = 16,
    random_state: Any = None,
) -> Repetition:
    """Held-out loss by passes over the same rows, and how many new rows these are worth.

    Parameters
    ----------
    estimator : density, classifier or regressor with `partial_fit`
        Cloned, never fitted itself. Its loss is -`score_samples`, log loss or squared error.
    X : frame, array or dict
        At least 80 rows: a quarter is held out, an eighth of the rest is passed over.
    y : (n_rows,), optional
    n_passes : int
        At least 3.
    random_state : None, int, RandomState

    Returns
    -------
    Repetition

    Raises
    ------
    TypeError
        If the estimator has no `partial_fit`.
    ValueError
        Fewer rows or passes.

    Notes
    -----
    D' = U + U R* (1 - exp(-R / R*)) of Muennighoff et al. (2023, arXiv:2305.16264; their R* for
    language models is 15.39). The law of the loss of one pass over n rows, all new, says which n
    would have given the loss of R repeats; R* is fitted to these up to the pass of least loss.
    """
    if not hasattr(estimator, "partial_fit"):
        raise TypeError(
            f"{type(estimator).__name__} has no partial_fit: passes over the same rows need one"
        )
    if isinstance(n_passes, bool) or not isinstance(n_passes, int | np.integer) or n_passes < 3:
        raise ValueError(f"n_passes is {n_passes!r}; allowed are whole numbers from 3")
    n = _num_samples(next(iter(X.values())) if isinstance(X, dict) else X)
    if n < LEAST_ROWS:
        raise ValueError(f"X has {n} rows; repetition needs at least {LEAST_ROWS}")
    random = check_random_state(random_state)
    order = random.permutation(n)
    held_out, rest = order[: n // 4], order[n // 4 :]
    n_unique = len(rest) // 8
    learner = _Learner(clone(estimator), X, y, held_out)
    fresh_sizes, fresh_losses = _fresh(_Learner(clone(estimator), X, y, held_out), rest, n_unique)
    unique, losses, least = rest[:n_unique], [], -np.inf if y is None else 0.0
    for _ in range(n_passes):
        losses.append(learner.learn(random.permutation(unique)).loss())
    worth = _worth(np.array(losses), fresh_sizes, fresh_losses, n_unique, least)
    return Repetition(np.arange(1, n_passes + 1), np.array(losses), n_unique, _fit_value(worth))


class _Learner:
    """A model that learns rows in batches, and its held-out loss."""

    def __init__(self, model: Any, X: Any, y: Any, held_out: NDArray[np.int64]) -> None:
        self.model, self.X, self.y = model, X, None if y is None else np.asarray(y)
        self.X_test = take_rows(X, held_out)
        self.truth = None if y is None else np.asarray(y)[held_out]

    def learn(self, rows: NDArray[np.int64]) -> _Learner:
        for batch in np.array_split(rows, max(1, round(len(rows) / BATCH_ROWS))):
            part = take_rows(self.X, batch)
            if self.y is None:
                self.model.partial_fit(part)
            elif is_classifier(self.model):
                self.model.partial_fit(part, self.y[batch], classes=np.unique(self.y))
            else:
                self.model.partial_fit(part, self.y[batch])
        return self

    def loss(self) -> float:
        if self.y is None or self.truth is None:
            return -float(np.mean(self.model.score_samples(self.X_test)))
        if is_classifier(self.model):
            return float(log_losses(self.model, self.X_test, self.truth, self.y).mean())
        return float(np.mean((self.model.predict(self.X_test) - self.truth) ** 2))


def _fresh(
    learner: _Learner, rest: NDArray[np.int64], n_unique: int
) -> tuple[NDArray[np.int64], Floats]:
    """Loss after 1, 2, ... 8 times as many rows, all new."""
    sizes = n_unique * np.arange(1, 9)
    losses = [learner.learn(rest[stop - n_unique : stop]).loss() for stop in sizes]
    return sizes, np.array(losses)


def _worth(
    losses: Floats, sizes: NDArray[np.int64], fresh: Floats, n_unique: int, least: float
) -> tuple[Floats, Floats]:
    """Repeats, and the new rows that would have done the same, over U."""
    limit, factor, beta = fit_law(sizes, fresh, bounds=(least, np.inf))
    kept = np.arange(int(np.argmin(losses)) + 1)
    over = np.maximum(losses[kept] - limit, 1e-300)
    with np.errstate(over="ignore", divide="ignore"):
        worth = (factor / over) ** (1 / beta) / n_unique if factor > 0 else np.ones(len(kept))
    # A pass is worth at most itself, and more passes never less.
    return kept.astype(float), np.maximum.accumulate(np.clip(worth, 1.0, kept + 1.0))


def _value(repeats: Any, half_value: float) -> Any:
    if half_value <= 0:
        return np.ones_like(np.asarray(repeats, float))
    return 1 - half_value * np.expm1(-np.asarray(repeats, float) / half_value)


def _fit_value(worth: tuple[Floats, Floats]) -> float:
    repeats, rows = worth
    if len(repeats) < 2:
        return 0.0

    def cost(log_value: float) -> float:
        return float(np.sum((np.log(_value(repeats, np.exp(log_value))) - np.log(rows)) ** 2))

    bounds = (np.log(1e-3), np.log(MOST))
    return float(np.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x))
