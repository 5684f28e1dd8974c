"""Predictive distributions of a number: means are stacked, leaves say how targets spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import betainc

from jointprob.forest.bagging import Bag, fit_bag
from jointprob.forest.bins import Binned, Binning, fit_binning
from jointprob.forest.boosting import Boosted, Loss, boosting_for, fit_boosted
from jointprob.forest.leaves import N_CELLS, LeafRows, LeafTargets
from jointprob.forest.targets import Numbers, growth_for, trees_for
from jointprob.predict.binned import BinnedJoint, fit_binned
from jointprob.predict.folds import assign_folds, scaled
from jointprob.predict.holes import make_holes
from jointprob.predict.patterns import Patterns
from jointprob.predict.predictive import Cells, PredictiveDistribution
from jointprob.progress import Progress, silent
from jointprob.table import Table

Floats = NDArray[np.float64]

MANY_ROWS, FINE_LEAF = 10_000, 3  # rows of the leaves of other bags, when rows are many
WIDE_LEAF = 5  # rows of the leaves of a bag grown for the spread of its targets
CENTERINGS = (0.0, 0.5, 1.0)
JOINT_SHARES = (0.0, 0.15, 0.35, 0.65)  # of the joint, in the distribution
LEAST_GAIN = 0.002  # of the score, relative: what is worth less is left out
JUDGED_ROWS = 1500  # rows on which distributions are compared, at most
GLOBAL_SHARE = 0.01  # of all targets, in every row's distribution
PRIOR_ROWS = 2.0  # that speak for equal weights of the means
LEAST_SHARE = 0.02  # a mean of less weight is left out
LEVELS = (np.arange(20) + 0.5) / 20
MAP_KNOTS = 513
ROWS_A_CELL = 4
JUDGE_STREAM = 16  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True, eq=False)
class Way:
    """How some rows are predicted.

    Parameters
    ----------
    weights : float64 (n_members,)
        Of the means of the boosted trees, each bag, and the joint.
    joint_share : float
        Of the joint in the distribution; the leaves say the rest.
    warp : float64 (2,)
        Parameters of the beta distribution that probabilities are passed through, so that they
        are uniform out of bag.
    """

    weights: Floats
    joint_share: float
    warp: Floats

    @property
    def asks_joint(self) -> bool:
        return bool(self.weights[-1] > 0 or self.joint_share > 0)


@dataclass(frozen=True, eq=False)
class Spread:
    """Where targets lie in every leaf.

    Parameters
    ----------
    leaves : LeafTargets
        Of the targets less `centering` times the mean.
    centering : float
    cells : Cells
    overall : float64 (n_cells,)
        Weights of the cells over all training rows.
    """

    leaves: LeafTargets
    centering: float
    cells: Cells
    overall: Floats


@dataclass(frozen=True, eq=False)
class NumberModel:
    """p(y | x), its mean and its spread.

    Parameters
    ----------
    binning : Binning
    boosted : Boosted
    bags : tuple of Bag
        These and `boosted` say what the mean is, less `center`, over `scale`.
    joint : BinnedJoint
    usual, strange : Way
        The second for rows that miss cells as no row did in fit.
    center, scale : float
    spread : Spread
    patterns : Patterns
        Which cells rows missed in fit.
    """

    binning: Binning
    boosted: Boosted
    bags: tuple[Bag, ...]
    joint: BinnedJoint
    usual: Way
    strange: Way
    center: float
    scale: float
    spread: Spread
    patterns: Patterns

    @property
    def importances(self) -> Floats:
        """What the splits on each column gain out of bag, over the target's variance."""
        return self.bags[0].gains

    def mean(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Means, (n_rows,)."""
        out = np.empty(table.n_rows)
        for rows, part, binned, way in self._parts(table, n_jobs):
            out[rows] = self._mean(way, binned, self._bins(way, part, n_jobs), n_jobs)
        return out

    def distribution(self, table: Table, n_jobs: int | None = None) -> PredictiveDistribution:
        """The predictive distribution of each row."""
        spread = self.spread
        mean, weight = np.empty(table.n_rows), np.empty((table.n_rows, len(spread.overall)))
        for rows, part, binned, way in self._parts(table, n_jobs):
            bins = self._bins(way, part, n_jobs)
            mean[rows] = self._mean(way, binned, bins, n_jobs)
            own = spread.leaves.weights(binned.by_row, n_jobs)
            weight[rows] = _pooled(own, bins, mean[rows], self.joint, spread, way)
        return PredictiveDistribution(spread.cells, weight, spread.centering * mean, mean)

    def _parts(
        self, table: Table, n_jobs: int | None
    ) -> list[tuple[NDArray[np.int64], Table, Binned, Way]]:
        """Rows that miss cells as in fit, and others."""
        binned = self.binning.bin(table, n_jobs)
        strange = self.patterns.strange(binned)
        chosen = ((np.flatnonzero(~strange), self.usual), (np.flatnonzero(strange), self.strange))
        return [
            (rows, table.take(rows), binned.take(rows), way) for rows, way in chosen if len(rows)
        ]

    def _bins(self, way: Way, table: Table, n_jobs: int | None) -> Floats | None:
        return self.joint.bins(table, way is self.strange, n_jobs) if way.asks_joint else None

    def _mean(self, way: Way, binned: Binned, bins: Floats | None, n_jobs: int | None) -> Floats:
        by_row, both_ways = binned.by_row, way is self.strange
        out = np.zeros(binned.n_rows)
        if way.weights[0] > 0:
            out += way.weights[0] * self.boosted.scores(by_row, n_jobs, both_ways)[:, 0]
        for bag, weight in zip(self.bags, way.weights[1:], strict=False):
            if weight > 0:
                out += weight * bag.means(by_row, n_jobs, both_ways)[:, 0]
        if bins is not None:
            out += way.weights[-1] * (self.joint.mean(bins) - self.center) / self.scale
        return self.center + self.scale * out


def _pooled(
    own: NDArray[np.floating[Any]],
    bins: Floats | None,
    mean: Floats,
    joint: BinnedJoint,
    spread: Spread,
    way: Way,
) -> Floats:
    """Weights of the cells by leaves and joint, (n_rows, n_cells)."""
    weight = mixed(own[:, : len(spread.overall)], spread.overall)
    if bins is not None and way.joint_share > 0:
        other = joint.weights(bins, spread.cells, spread.centering * mean)
        weight = (1 - way.joint_share) * weight + way.joint_share * other
    return warped(weight, way.warp)


def mixed(weight: NDArray[np.floating[Any]], overall: Floats) -> Floats:
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


class _Rows(NamedTuple):
    """Rows of the fit that distributions are judged on, each by what has not seen it."""

    number: Floats
    weight: Floats
    mean: Floats
    bins: Floats


def fit_numbers(
    table: Table,
    number: Floats,
    weight: Floats,
    seed: int,
    n_jobs: int | None,
    progress: Progress = silent,
) -> NumberModel:
    """Fit forests, boosted trees and joints; what each says of rows not seen decides its part."""
    binning = fit_binning(table, weight)
    binned = binning.bin(table, n_jobs)
    center = float(np.average(number, weights=weight))
    scale = float(np.sqrt(np.average((number - center) ** 2, weights=weight))) or 1.0
    target = Numbers(((number - center) / scale).astype(np.float32), scaled(weight))
    holes = make_holes(table, seed)
    holed_rows, holed = holes.rows, binning.bin(holes.table, n_jobs).by_row
    folds = assign_folds(np.zeros(len(number), np.int64), seed)
    boosted, scores = _boost(binned, target, folds, seed, n_jobs)
    means: list[NDArray[np.floating[Any]]] = [scores[:, 0]]
    holed_means: list[NDArray[np.floating[Any]]]
    holed_means = [boosted.out_of_fold(holed, folds[holed_rows], n_jobs, both_ways=True)[:, 0]]
    progress("boosted trees")
    bags: list[Bag] = []
    d = binned.n_columns
    fine = 1 if len(number) <= MANY_ROWS else FINE_LEAF
    kinds = [
        growth_for(d, s, rows) for s, rows in ((False, fine), (False, WIDE_LEAF), (True, fine))
    ]
    for i, growth in enumerate(kinds):
        bag, said = fit_bag(binned, target, growth, trees_for(binned.n_rows), seed + i, n_jobs)
        bags.append(bag)
        means.append(said[:, 0])
        less = bag.out_of_bag(holed, holed_rows, len(number), seed + i, target.baseline, n_jobs)
        holed_means.append(less[:, 0])
        progress(f"forest {i + 1}")
    joint, seen = fit_binned(
        table, number, weight, *make_cells(number, weight), holes, seed, n_jobs
    )
    means.append((joint.mean(seen.whole) - center) / scale)
    holed_means.append((joint.mean(seen.holed) - center) / scale)
    progress("joint")
    weights, mean = _stack(means, target)
    holed_weights, holed_mean = _stack(holed_means, target.take(holed_rows))
    mean, holed_mean = center + scale * mean, center + scale * holed_mean

    random = np.random.Generator(np.random.Philox(key=[seed, JUDGE_STREAM]))
    rows = np.sort(random.permutation(len(number))[:JUDGED_ROWS])
    judged = _Rows(number[rows], weight[rows], mean[rows], seen.whole[rows])
    found = []
    for i, bag in enumerate(bags[:2]):
        leaf_rows = LeafRows(bag, binned, target.weight, seed + i, n_jobs)
        reached = leaf_rows.reach(rows, binned.by_row[rows])
        for centering in CENTERINGS:
            spread = _spread(leaf_rows, number, mean, weight, centering)
            own = reached.weights(spread.leaves)
            loss, _ = _warp_and_score(own, spread, judged, joint, 0.0)
            found.append((loss, spread, leaf_rows, own))
    _, spread, leaf_rows, own = min(found, key=lambda one: one[0])
    usual = Way(weights, *_joint_share(own, spread, judged, joint))
    holed_judged = _Rows(number[holed_rows], weight[holed_rows], holed_mean, seen.holed)
    own = leaf_rows.reach(holed_rows, holed).weights(spread.leaves)
    strange = Way(holed_weights, *_joint_share(own, spread, holed_judged, joint))
    progress("spread")
    return NumberModel(
        binning, boosted, tuple(bags), joint, usual, strange, center, scale, spread,
        Patterns.of(binned),
    )  # fmt: skip


def _boost(
    binned: Binned, target: Numbers, folds: NDArray[np.int64], seed: int, n_jobs: int | None
) -> tuple[Boosted, NDArray[np.float32]]:
    loss = Loss(target.number, target.weight, np.zeros(1, np.float32))
    return fit_boosted(binned, loss, folds, boosting_for(binned.n_rows), seed, n_jobs)


def _stack(members: list[NDArray[np.floating[Any]]], target: Numbers) -> tuple[Floats, Floats]:
    """Non-negative weights of least squared error on rows not seen, and the stacked means.

    Small weights are left out: what is not asked costs no time.
    """
    means = np.stack(members, axis=1).astype(np.float64)
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
    return weights, means @ weights


def _spread(
    leaf_rows: LeafRows, number: Floats, mean: Floats, weight: Floats, centering: float
) -> Spread:
    """How targets spread when part of the mean is taken off."""
    cells, cell = make_cells(number - centering * mean, weight)
    overall = np.bincount(cell, weight, len(cells.low)) / weight.sum()
    return Spread(leaf_rows.targets(cell), centering, cells, overall)


def _joint_share(
    own: NDArray[np.floating[Any]], spread: Spread, rows: _Rows, joint: BinnedJoint
) -> tuple[float, Floats]:
    """Share of the joint with the best score, and the warp that goes with it."""
    tried = [_warp_and_score(own, spread, rows, joint, share) for share in JOINT_SHARES]
    losses = [loss for loss, _ in tried]
    best = int(np.argmin(losses))
    if losses[best] > losses[0] * (1 - LEAST_GAIN):
        best = 0
    return JOINT_SHARES[best], tried[best][1]


def _warp_and_score(
    own: NDArray[np.floating[Any]], spread: Spread, rows: _Rows, joint: BinnedJoint, share: float
) -> tuple[float, Floats]:
    """Continuous ranked probability score out of bag, and the warp it takes."""
    flat = Way(np.zeros(1), share, np.ones(2))
    weight = _pooled(own, rows.bins, rows.mean, joint, spread, flat)
    shift = spread.centering * rows.mean
    warp = _fit_warp(weight, spread.cells.find(rows.number - shift), rows.weight)
    distribution = PredictiveDistribution(spread.cells, warped(weight, warp), shift, rows.mean)
    return _crps(distribution, rows.number, rows.weight), warp


def make_cells(numbers: Floats, weight: Floats) -> tuple[Cells, NDArray[np.uint8]]:
    """At most 256 cells of about equal weight.

    A target of few values, each seen twice on average, has a point for each. Else cells hold four
    rows on average, for a density needs neighbours, and a value that weighs as much as a cell is a
    point.
    """
    values, place = np.unique(numbers, return_inverse=True)
    counts = np.bincount(place, weight, len(values))
    spread = float(np.sqrt(np.cov(numbers, aweights=weight))) if len(values) > 1 else 0.0
    tail_mass, tail_scale = 1 / (len(numbers) + 1) / 2, max(spread / 4, np.finfo(float).tiny)
    if len(values) <= min(N_CELLS, max(1, len(numbers) // 2)):
        cell_of_value, point = np.arange(len(values)), np.ones(len(values), bool)
    else:
        n_cells = min(N_CELLS, max(2, len(numbers) // ROWS_A_CELL))
        middle = np.cumsum(counts) - counts / 2
        cell_of_value = np.minimum((middle / counts.sum() * n_cells).astype(np.int64), n_cells - 1)
        cell_of_value = np.unique(cell_of_value, return_inverse=True)[1]
        frequent = (counts * n_cells >= counts.sum()) & (np.bincount(place) > 1)
        alone = np.bincount(cell_of_value)[cell_of_value] == 1
        point = np.bincount(cell_of_value, frequent & alone).astype(bool)
    first = np.flatnonzero(np.diff(cell_of_value, prepend=-1))
    last = np.append(first[1:], len(values)) - 1
    low, high = values[first].copy(), values[last].copy()
    _close_gaps(low, high, point)
    return Cells(low, high, tail_mass, tail_scale), cell_of_value[place].astype(np.uint8)


def _close_gaps(low: Floats, high: Floats, point: NDArray[np.bool_]) -> None:
    """Neighbouring intervals meet half-way; points stay points."""
    interval = ~point
    middle = (high[:-1] + low[1:]) / 2
    both = interval[:-1] & interval[1:]
    left, right = interval[:-1] & ~interval[1:], ~interval[:-1] & interval[1:]
    high[:-1] = np.where(both, middle, np.where(left, low[1:], high[:-1]))
    low[1:] = np.where(both, middle, np.where(right, high[:-1], low[1:]))


def _fit_warp(weight: Floats, cell: NDArray[np.int64], row_weight: Floats) -> Floats:
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
