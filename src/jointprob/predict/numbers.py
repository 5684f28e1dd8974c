"""Predictive distributions of a number: means are stacked, leaves say how targets spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import betainc

from jointprob.forest.bagging import Bag, fit_bag
from jointprob.forest.bins import Binned, Binning, fit_binning
from jointprob.forest.boosting import Boosted, Loss, boosting_for, fit_boosted
from jointprob.forest.leaves import N_CELLS, LeafRows, LeafTargets
from jointprob.forest.targets import Numbers, growth_for, trees_for
from jointprob.predict.folds import assign_folds
from jointprob.predict.patterns import Patterns
from jointprob.predict.predictive import Cells, PredictiveDistribution
from jointprob.progress import Progress, silent
from jointprob.table import Table

Floats = NDArray[np.float64]

WIDE_LEAF = 5  # rows of the leaves of a bag grown for the spread of its targets
CENTERINGS = (0.0, 0.5, 1.0)
JUDGED_ROWS = 3000  # rows on which distributions are compared, at most
GLOBAL_SHARE = 0.01  # of all targets, in every row's distribution
PRIOR_ROWS = 2.0  # that speak for equal weights of the means
LEAST_SHARE = 0.02  # a mean of less weight is left out
LEVELS = (np.arange(20) + 0.5) / 20
MAP_KNOTS = 513
JUDGE_STREAM = 16  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True, eq=False)
class NumberModel:
    """p(y | x), its mean and its spread.

    Parameters
    ----------
    binning : Binning
    members : tuple of Bag or Boosted
        Say what the mean is, each of the target less `center`, over `scale`.
    weights : float64 (n_members,)
    center, scale : float
    leaves : LeafTargets
        Where targets, less `centering` times the mean, lie in every leaf.
    centering : float
    cells : Cells
    overall : float64 (256,)
        Weights of the cells over all training rows.
    warp : float64 (2,)
        Parameters of the beta distribution that probabilities are passed through, so that they
        are uniform out of bag.
    patterns : Patterns
        Which cells rows missed in fit.
    importances : float64 (n_columns,)
        What the splits on each column gain out of bag, over the target's variance.
    """

    binning: Binning
    members: tuple[Bag | Boosted, ...]
    weights: Floats
    center: float
    scale: float
    leaves: LeafTargets
    centering: float
    cells: Cells
    overall: Floats
    warp: Floats
    patterns: Patterns
    importances: Floats

    def mean(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Means, (n_rows,)."""
        return self._mean(self.binning.bin(table, n_jobs), n_jobs)

    def _mean(self, binned: Binned, n_jobs: int | None) -> Floats:
        out = np.full(binned.n_rows, self.center)
        strange = self.patterns.strange(binned)
        for rows, both_ways in ((~strange, False), (strange, True)):
            if not rows.any():
                continue
            by_row = np.ascontiguousarray(binned.by_row[rows])
            for member, weight in zip(self.members, self.weights, strict=True):
                said = (
                    member.means(by_row, n_jobs, both_ways)
                    if isinstance(member, Bag)
                    else member.scores(by_row, n_jobs, both_ways)
                )
                out[rows] += self.scale * weight * said[:, 0].astype(np.float64)
        return out

    def distribution(self, table: Table, n_jobs: int | None = None) -> PredictiveDistribution:
        """The predictive distribution of each row."""
        binned = self.binning.bin(table, n_jobs)
        mean = self._mean(binned, n_jobs)
        own = self.leaves.weights(binned.by_row, n_jobs)[:, : len(self.overall)]
        weight = warped(mixed(own, self.overall), self.warp)
        return PredictiveDistribution(self.cells, weight, self.centering * mean, mean)


def mixed(weight: NDArray[np.floating], overall: Floats) -> Floats:
    """Weights of cells with a little of those of all rows; each row adds up to 1."""
    weight = np.asarray(weight, np.float64)
    total = weight.sum(axis=1, keepdims=True)
    own = np.divide(weight, total, out=np.tile(overall, (len(weight), 1)), where=total > 0)
    return np.asarray((1 - GLOBAL_SHARE) * own + GLOBAL_SHARE * overall)


def warped(weight: Floats, warp: Floats) -> Floats:
    """Weights of cells after their cumulative sums passed through a beta distribution."""
    knots = np.linspace(0, 1, MAP_KNOTS)
    below = np.clip(np.cumsum(weight, axis=1), 0, 1)
    mapped = np.interp(below, knots, betainc(warp[0], warp[1], knots))
    mapped[:, -1] = 1
    return np.diff(mapped, axis=1, prepend=0)


def fit_numbers(
    table: Table,
    number: Floats,
    weight: Floats,
    seed: int,
    n_jobs: int | None,
    progress: Progress = silent,
) -> NumberModel:
    """Fit forests and boosted trees; stack their means and choose the spread out of bag."""
    binning = fit_binning(table, weight)
    binned = binning.bin(table, n_jobs)
    center = float(np.average(number, weights=weight))
    scale = float(np.sqrt(np.average((number - center) ** 2, weights=weight))) or 1.0
    target = Numbers(
        ((number - center) / scale).astype(np.float32), (weight / weight.mean()).astype(np.float32)
    )
    boosted, scores = _boost(binned, target, seed, n_jobs)
    progress("boosted trees")
    bags: list[Bag] = []
    means = [scores[:, 0]]
    d = binned.n_columns
    kinds = [growth_for(d, False), growth_for(d, False, WIDE_LEAF), growth_for(d, True)]
    for i, growth in enumerate(kinds):
        bag, said = fit_bag(binned, target, growth, trees_for(binned.n_rows), seed + i, n_jobs)
        bags.append(bag)
        means.append(said[:, 0])
        progress(f"forest {i + 1}")
    weights = _stack(np.stack(means, axis=1).astype(np.float64), target)
    mean = center + scale * (np.stack(means, axis=1) @ weights)
    random = np.random.Generator(np.random.Philox(key=[seed, JUDGE_STREAM]))
    judged = np.sort(random.permutation(len(number))[:JUDGED_ROWS])
    leaves = [
        LeafRows(bag, binned, target.weight, seed + i, judged, n_jobs)
        for i, bag in enumerate(bags[:2])
    ]
    found = [
        _spread(rows, number, mean, weight, centering)
        for rows in leaves
        for centering in CENTERINGS
    ]
    _, leaf_targets, centering, cells, overall, warp = min(found, key=lambda one: one[0])
    progress("spread")
    members: list[Bag | Boosted] = [boosted, *bags]
    kept = np.flatnonzero(weights)
    return NumberModel(
        binning, tuple(members[i] for i in kept), weights[kept], center, scale, leaf_targets,
        centering, cells, overall, warp, Patterns.of(binned), bags[0].gains,
    )  # fmt: skip


def _boost(
    binned: Binned, target: Numbers, seed: int, n_jobs: int | None
) -> tuple[Boosted, NDArray[np.float32]]:
    loss = Loss(target.number, target.weight, np.zeros(1, np.float32))
    folds = assign_folds(np.zeros(binned.n_rows, np.int64), seed)
    return fit_boosted(binned, loss, folds, boosting_for(binned.n_rows), seed, n_jobs)


def _stack(means: Floats, target: Numbers) -> Floats:
    """Non-negative weights of least squared error on rows not seen; small ones are left out."""
    root = np.sqrt(target.weight.astype(np.float64))
    number = target.number.astype(np.float64)
    n, kept = means.shape[1], np.arange(means.shape[1])
    while True:
        # A few rows that speak for equal weights: members are much alike.
        ridge = np.sqrt(PRIOR_ROWS) * np.eye(len(kept))
        rows = np.vstack([means[:, kept] * root[:, None], ridge])
        found, _ = nnls(rows, np.concatenate([number * root, ridge.sum(axis=1) / len(kept)]))
        small = found < LEAST_SHARE
        if not small.any() or len(kept) == 1:
            break
        kept = kept[:1] if small.all() else kept[~small]
    weights = np.zeros(n)
    weights[kept] = found
    return weights


def _spread(
    leaves: LeafRows, number: Floats, mean: Floats, weight: Floats, centering: float
) -> tuple[float, LeafTargets, float, Cells, Floats, Floats]:
    """How targets spread when part of the mean is taken off: loss out of bag, and its tables."""
    cells, cell = make_cells(number - centering * mean, weight)
    targets, rows = leaves.targets(cell), leaves.judged
    overall = np.bincount(cell, weight, len(cells.low)) / weight.sum()
    own = mixed(leaves.out_of_bag(targets)[:, : len(overall)], overall)
    warp = _fit_warp(own, cell[rows], weight[rows])
    distribution = PredictiveDistribution(
        cells, warped(own, warp), centering * mean[rows], mean[rows]
    )
    loss = _crps(distribution, number[rows], weight[rows])
    return loss, targets, centering, cells, overall, warp


def make_cells(numbers: Floats, weight: Floats) -> tuple[Cells, NDArray[np.uint8]]:
    """At most 256 cells of about equal weight; a value that fills one alone becomes a point."""
    values, place = np.unique(numbers, return_inverse=True)
    counts = np.bincount(place, weight, len(values))
    spread = float(np.sqrt(np.cov(numbers, aweights=weight))) if len(values) > 1 else 0.0
    tail_mass, tail_scale = 1 / (len(numbers) + 1) / 2, max(spread / 4, np.finfo(float).tiny)
    if len(values) <= N_CELLS:
        cell_of_value = np.arange(len(values))
    else:
        middle = np.cumsum(counts) - counts / 2
        cell_of_value = np.minimum((middle / counts.sum() * N_CELLS).astype(np.int64), N_CELLS - 1)
        cell_of_value = np.unique(cell_of_value, return_inverse=True)[1]
    first = np.flatnonzero(np.diff(cell_of_value, prepend=-1))
    last = np.append(first[1:], len(values)) - 1
    low, high = values[first].copy(), values[last].copy()
    if len(values) > N_CELLS:
        _close_gaps(low, high)
    return Cells(low, high, tail_mass, tail_scale), cell_of_value[place].astype(np.uint8)


def _close_gaps(low: Floats, high: Floats) -> None:
    """Neighbouring intervals meet half-way; points stay points."""
    interval = high > low
    middle = (high[:-1] + low[1:]) / 2
    both = interval[:-1] & interval[1:]
    left, right = interval[:-1] & ~interval[1:], ~interval[:-1] & interval[1:]
    high[:-1] = np.where(both, middle, np.where(left, low[1:], high[:-1]))
    low[1:] = np.where(both, middle, np.where(right, high[:-1], low[1:]))


def _fit_warp(weight: Floats, cell: NDArray[np.uint8], row_weight: Floats) -> Floats:
    """Beta distribution of the probabilities below each row's own target, by moments."""
    below = np.cumsum(weight, axis=1)
    rows = np.arange(len(cell))
    u = below[rows, cell] - weight[rows, cell] / 2
    # The middle of a cell hides its share of the spread.
    hidden = np.average(weight[rows, cell] ** 2 / 12, weights=row_weight)
    mean = float(np.average(u, weights=row_weight))
    variance = float(np.average((u - mean) ** 2, weights=row_weight)) + float(hidden)
    total = mean * (1 - mean) / variance - 1
    if not (np.isfinite(total) and total > 0.1 and len(cell) >= 20):
        return np.ones(2)
    return np.asarray(np.clip([mean * total, (1 - mean) * total], 0.3, 3.0))


def _crps(distribution: PredictiveDistribution, number: Floats, weight: Floats) -> float:
    """Continuous ranked probability score from twenty quantiles, in the target's unit."""
    off = number[:, None] - distribution.quantile(LEVELS)
    pinball = np.maximum(LEVELS * off, (LEVELS - 1) * off).mean(axis=1)
    return float(2 * np.average(pinball, weights=weight))
