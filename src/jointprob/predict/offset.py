"""A number predicted by a model of other rows, by the target's rows, and by what these correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from jointprob.predict.mixture import MixedDistribution, ShiftedDistribution
from jointprob.predict.numbers import NumberModel, fit_numbers
from jointprob.predict.predictive import PredictiveDistribution
from jointprob.predict.source import DOUBT, recast
from jointprob.progress import Progress, silent
from jointprob.schema import Schema
from jointprob.table import Table

Floats = NDArray[np.float64]

N_FOLDS = 3
FOLDED_ROWS = 300  # more rows are divided once
STEPS = 20  # of the weights
NO_GAIN, CLEAR_GAIN = -0.75, -0.5  # of single trees, in variances: of noise alone, and of a signal
POINTS = 256  # at which distributions are compared
FOLD_STREAM = 32  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True, eq=False)
class NumberSource:
    """A fitted model of other rows.

    Parameters
    ----------
    model : NumberModel or TunedNumbers
    schema : Schema
        Of its rows.
    strength : float, optional
        How far it is believed, 0 to 1; chosen on rows not seen if not given.
    """

    model: NumberModel | TunedNumbers
    schema: Schema
    strength: float | None = None

    @property
    def worth(self) -> float:
        """0 to 1: does the source predict its own rows, on those it has not seen?

        A tree that is grown on noise to its end loses most of a variance out of bag.
        """
        if isinstance(self.model, TunedNumbers):
            return 1.0
        gain = float(self.model.importances.sum())
        return float(np.clip((gain - NO_GAIN) / (CLEAR_GAIN - NO_GAIN), 0.0, 1.0))

    def mean(self, table: Table, n_jobs: int | None = None) -> Floats:
        """What the source expects, (n_rows,)."""
        return self.model.mean(recast(table, self.schema), n_jobs)

    def distribution(self, table: Table, n_jobs: int | None = None) -> PredictiveDistribution:
        """What the source says."""
        return self.model.distribution(recast(table, self.schema), n_jobs)


@dataclass(frozen=True, eq=False)
class TunedNumbers:
    """p(y | x) as a mixture of a source, a correction of its mean, and the target alone.

    Parameters
    ----------
    source : NumberSource
    corrected : NumberModel
        Of the target less the source's mean.
    alone : NumberModel
    weights : float64 (3,)
        Of source, corrected and alone; they add up to 1.
    """

    source: NumberSource
    corrected: NumberModel
    alone: NumberModel
    weights: Floats

    @property
    def importances(self) -> Floats:
        """Of the target's own model, see `NumberModel`."""
        return self.alone.importances

    def mean(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Means, (n_rows,)."""
        offset = self.source.mean(table, n_jobs)
        parts = [offset, offset + self.corrected.mean(table, n_jobs)]
        return np.asarray(self.weights @ [*parts, self.alone.mean(table, n_jobs)])

    def distribution(self, table: Table, n_jobs: int | None = None) -> PredictiveDistribution:
        """The predictive distribution of each row."""
        parts = [
            part
            for part, weight in zip(self._parts(table, n_jobs), self.weights, strict=True)
            if weight > 0
        ]
        return MixedDistribution(parts, self.weights[self.weights > 0])

    def _parts(self, table: Table, n_jobs: int | None) -> list[PredictiveDistribution]:
        offset = self.source.mean(table, n_jobs)
        return [
            self.source.distribution(table, n_jobs),
            ShiftedDistribution(self.corrected.distribution(table, n_jobs), offset),
            self.alone.distribution(table, n_jobs),
        ]


def fit_tuned(
    table: Table,
    number: Floats,
    weight: Floats,
    source: NumberSource,
    seed: int,
    n_jobs: int | None,
    progress: Progress = silent,
) -> TunedNumbers:
    """Weigh source, correction and target by the score of rows that these have not seen.

    The continuous ranked probability score of a mixture is a quadratic form in the weights.
    """
    offset = source.mean(table, n_jobs)
    even = np.full(3, 1 / 3)

    def fit(rows: NDArray[np.int64]) -> TunedNumbers:
        part, w = table.take(rows), weight[rows]
        corrected = fit_numbers(part, (number - offset)[rows], w, seed, n_jobs)
        return TunedNumbers(
            source, corrected, fit_numbers(part, number[rows], w, seed, n_jobs), even
        )

    form, judged = np.zeros((3, 3)), 0.0
    for held_out in _folds(len(number), seed) if source.strength != 1 else []:
        kept = np.setdiff1d(np.arange(len(number)), held_out)
        parts = fit(kept)._parts(table.take(held_out), n_jobs)
        form += _score_form(parts, number[held_out], weight[held_out])
        judged += float(weight[held_out].sum())
        progress("held-out rows")
    whole = fit(np.arange(len(number)))
    weights = _best_weights(form, judged, source.strength, source.worth)
    return TunedNumbers(source, whole.corrected, whole.alone, weights)


def _folds(n: int, seed: int) -> list[NDArray[np.int64]]:
    """Rows to hold out; what is left is two rows at least."""
    if n < 4:
        return []
    random = np.random.Generator(np.random.Philox(key=[seed, FOLD_STREAM]))
    parts = np.array_split(random.permutation(n), N_FOLDS)
    return [np.sort(part) for part in (parts if n <= FOLDED_ROWS else parts[:1])]


def _score_form(parts: Sequence[PredictiveDistribution], number: Floats, weight: Floats) -> Floats:
    """Sum over rows of the integral of (F_k - H)(F_l - H), by which a mixture is scored."""
    ends = np.stack([part.quantile([0.005, 0.995]) for part in parts])
    low = min(float(ends[..., 0].min()), float(number.min()))
    high = max(float(ends[..., 1].max()), float(number.max()))
    points = np.linspace(low, high, POINTS)
    at = np.broadcast_to(points, (len(number), POINTS))
    step = points >= number[:, None]
    off = np.stack([part.cdf(at) - step for part in parts])
    form = np.einsum("knp,lnp,n->kl", off, off, weight)
    return np.asarray(form * (points[1] - points[0]))


def _best_weights(form: Floats, judged: float, strength: float | None, worth: float) -> Floats:
    """Least score on a grid of weights; without rows to judge by, the source's are believed.

    But a source that does not know its own rows is believed only if the target speaks for it.
    """
    grid = np.array([(i, j, STEPS - i - j) for i, j in product(range(STEPS + 1), repeat=2)]) / STEPS
    grid = grid[grid[:, 2] >= 0]
    if strength is not None:
        rest = grid[:, 1:].sum(axis=1, keepdims=True)
        split = np.divide(grid[:, 1:], rest, out=np.full((len(grid), 2), 0.5), where=rest > 0)
        grid = np.hstack([np.full((len(grid), 1), strength), (1 - strength) * split])
    score = np.einsum("gk,kl,gl->g", grid, form, grid)
    if judged > 0:
        score = judged * np.log(np.maximum(score, 1e-300) / judged)
    doubt = DOUBT * (worth * (1 - grid[:, 0]) + (1 - worth) * (1 - grid[:, 2]))
    best: Floats = grid[int(np.argmin(score + doubt))]
    return best
