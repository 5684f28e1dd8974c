"""Several class distributions pooled log-linearly: weights, and so one temperature, are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

Floats = NDArray[np.float64]

DEVIATION = 0.15  # of the prior about the weights that members have without evidence
MANY_ROWS = 1000  # from which a member has to earn its place
LEAST_GAIN = 0.004  # of the log loss, relative: a member that is worth less is left out
MOST_WEIGHT = 20.0
CHOICE_ROWS = 5000  # on which members have to earn their place, at most
MOST_STEPS, LEAST_STEP = 50, 1e-3


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

    def log_proba(self, members: Sequence[NDArray[np.floating[Any]] | None], n_rows: int) -> Floats:
        """Log probabilities, (n_rows, n_classes).

        Parameters
        ----------
        members : sequence of float (n_rows, n_classes) or None
            Log probabilities by each member, up to a constant a row; None where the weight is 0.
        n_rows : int
        """
        total: NDArray[np.floating[Any]] = np.tile(self.log_prior, (n_rows, 1))
        for weight, member in zip(self.weights, members, strict=True):
            if member is not None and weight > 0:
                total = total + weight * (member - self.log_prior)
        return np.asarray(log_softmax(total, axis=1))

    def log_loss(
        self,
        members: Sequence[NDArray[np.floating[Any]]],
        label: NDArray[np.integer[Any]],
        weight: Floats,
    ) -> float:
        """Weighted mean log loss of rows whose members are given, nats."""
        own = self.log_proba(members, len(label))[np.arange(len(label)), label]
        return float(-own @ weight / weight.sum())


def fit_pool(
    members: Sequence[NDArray[np.floating[Any]]],
    log_prior: Floats,
    expected: Floats,
    label: NDArray[np.integer[Any]],
    weight: Floats,
) -> Pool:
    """Weights of least log loss on rows that no member was fitted on.

    Weights have a normal prior, which few rows can not outvote. Of many rows, members are left
    out, the least useful first, while that costs less than 0.4 % of the loss: what is not asked
    costs no time.

    Parameters
    ----------
    members : sequence of float (n_rows, n_classes)
        Log probabilities by each member.
    log_prior : float64 (n_classes,)
    expected : float64 (n_members,)
        Weights without evidence.
    label : int (n_rows,)
    weight : float64 (n_rows,)
    """
    log_prior = np.asarray(log_prior, np.float64)
    logs = np.stack([m - log_prior for m in members])
    some = slice(None, None, -(-len(label) // CHOICE_ROWS))
    kept = list(range(len(members)))
    if len(members) > 1 and weight.sum() >= MANY_ROWS:
        kept = _earning(logs[:, some], log_prior, expected, label[some], weight[some])
    return _fit(logs, log_prior, expected, kept, label, weight)


def _earning(
    logs: Floats,
    log_prior: Floats,
    expected: Floats,
    label: NDArray[np.integer[Any]],
    weight: Floats,
) -> list[int]:
    """Members that are worth their time."""
    kept = list(range(len(logs)))
    best = _fit(logs, log_prior, expected, kept, label, weight)
    while len(kept) > 1:
        fewer = [[m for m in kept if m != out] for out in kept]
        fits = [_fit(logs, log_prior, expected, subset, label, weight) for subset in fewer]
        least = int(np.argmin([fit.loss for fit in fits]))
        if fits[least].loss > best.loss * (1 + LEAST_GAIN):
            break
        kept, best = fewer[least], fits[least]
    return kept


def _fit(
    logs: Floats,
    log_prior: Floats,
    expected: Floats,
    kept: list[int],
    label: NDArray[np.integer[Any]],
    weight: Floats,
) -> Pool:
    """Weights of the members kept by Newton's method; those of the others are 0."""
    chosen, n = logs[kept], len(kept)
    rows, share = np.arange(len(label)), weight / weight.sum()
    own = chosen[:, rows, label]
    ridge = 1 / (DEVIATION**2 * weight.sum())
    start = expected[kept]

    def loss(w: Floats) -> tuple[float, Floats]:
        pooled = log_prior + sum(a * one for a, one in zip(w, chosen, strict=True))
        pooled -= pooled.max(axis=1, keepdims=True)
        p = np.exp(pooled)
        total = p.sum(axis=1)
        off = w - start
        value = share @ (np.log(total) - pooled[rows, label]) + ridge / 2 * off @ off
        return float(value), p / total[:, None]

    w, (value, p) = start, loss(start)
    for _ in range(MOST_STEPS):
        parts = p * chosen
        mean = parts.sum(axis=2)
        slope = (mean - own) @ share + ridge * (w - start)
        parts *= share[:, None]
        square = parts.reshape(n, -1) @ chosen.reshape(n, -1).T
        curvature = square - (mean * share) @ mean.T + ridge * np.eye(n)
        free = (w > 0) | (slope < 0)  # weights at 0 stay there where more would not help
        step = np.zeros(n)
        step[free] = -np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        size = 1.0
        while size > LEAST_STEP:
            tried = np.clip(w + size * step, 0, MOST_WEIGHT)
            found, q = loss(tried)
            if found <= value:
                break
            size /= 2
        else:
            break
        done = value - found < 1e-9
        w, value, p = tried, found, q
        if done:
            break
    weights = np.zeros(len(logs))
    weights[kept] = w
    return Pool(log_prior, weights, value)
