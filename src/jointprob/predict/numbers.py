"""Predictive distributions of a number: means are stacked, leaves say how targets spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.forest.bagging import Bag, GrowingBag
from jointprob.forest.bins import Binned, Binning, fit_binning
from jointprob.forest.boosting import Boosted, Loss, boosting_for, fit_boosted
from jointprob.forest.leaves import LeafRows
from jointprob.forest.targets import Numbers, growth_for, trees_for
from jointprob.predict.binned import BinnedJoint, fit_binned
from jointprob.predict.cells import make_cells
from jointprob.predict.folds import assign_folds, judged_rows, scaled
from jointprob.predict.holes import make_holes
from jointprob.predict.patterns import Patterns
from jointprob.predict.predictive import PredictiveDistribution
from jointprob.predict.spread import (
    CENTERINGS,
    Candidate,
    Judged,
    Spread,
    choose_share,
    choose_spread,
    leaves_below,
    make_spread,
    warped,
)
from jointprob.predict.stack import fit_stack
from jointprob.progress import Progress, silent
from jointprob.table import Table

Floats = NDArray[np.float64]

MANY_ROWS, FINE_LEAF = 10_000, 3  # rows of the leaves of other bags, when rows are many
WIDE_LEAF = 5  # rows of the leaves of a bag grown for the spread of its targets
SPREAD_ROWS = 1500  # on which distributions are compared, at most
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
            bins = self._bins(way, part, n_jobs) if way.weights[-1] > 0 else None
            out[rows] = self._mean(way, binned, bins, n_jobs)
        return out

    def distribution(self, table: Table, n_jobs: int | None = None) -> PredictiveDistribution:
        """The predictive distribution of each row."""
        spread = self.spread
        mean, weight = np.empty(table.n_rows), np.empty((table.n_rows, len(spread.overall)))
        for rows, part, binned, way in self._parts(table, n_jobs):
            bins = self._bins(way, part, n_jobs)
            mean[rows] = self._mean(way, binned, bins, n_jobs)
            below = leaves_below(spread.leaves.weights(binned.by_row, n_jobs), spread.overall)
            if bins is not None and way.joint_share > 0:
                other = self.joint.below(bins, spread.cells, spread.centering * mean[rows])
                below = (1 - way.joint_share) * below + way.joint_share * other
            weight[rows] = warped(below, way.warp)
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
        if bins is not None and way.weights[-1] > 0:
            out += way.weights[-1] * (self.joint.mean(bins) - self.center) / self.scale
        return self.center + self.scale * out


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
    holes, judged = make_holes(table, seed), judged_rows(len(number))
    holed = binning.bin(holes.table, n_jobs).by_row
    folds = assign_folds(np.zeros(len(number), np.int64), seed)
    boosted, scores = _boost(binned, target, folds, seed, n_jobs)
    progress("boosted trees")
    joint, seen = fit_binned(
        table, number, weight, *make_cells(number, weight), holes, judged, seed, n_jobs
    )
    by_joint, by_joint_holed = (
        (joint.mean(bins) - center) / scale for bins in (seen.judged, seen.holed)
    )
    progress("joint")

    # A third of the trees say which bags are worth growing on.
    n_trees = trees_for(binned.n_rows)
    growing = _start_bags(binned, target, n_trees // 3, seed, n_jobs)

    @cache
    def by_joint_of_all() -> Floats:
        return np.asarray((joint.mean(seen.all(len(number))) - center) / scale)

    def stack(members: list[int]) -> tuple[Floats, Floats]:
        """Weights of some bags and all else, and the mean of every row."""
        means: list[NDArray[Any]]
        means = [scores[:, 0], *(growing[i].means()[:, 0] for i in members)]
        said = [*(one[judged] for one in means), by_joint]
        found = fit_stack(said, target.number[judged], target.weight[judged])
        mean = np.stack(means, axis=1) @ found[:-1]
        if found[-1] > 0:
            mean += found[-1] * by_joint_of_all()
        weights = np.zeros(len(growing) + 2)
        weights[[0, *(1 + i for i in members), -1]] = found
        return weights, center + scale * mean

    random = np.random.Generator(np.random.Philox(key=[seed, JUDGE_STREAM]))
    some = np.sort(random.permutation(len(judged))[:SPREAD_ROWS])
    rows = judged[some]

    def candidates(
        i: int, mean: Floats, centerings: Sequence[float]
    ) -> tuple[LeafRows, list[Candidate]]:
        leaf_rows = LeafRows(growing[i].bag(), binned, target.weight, seed + i, n_jobs)
        reached = leaf_rows.reach(rows, binned.by_row[rows])
        spreads = [make_spread(leaf_rows, number, mean, weight, part) for part in centerings]
        said = [leaves_below(reached.weights(s.leaves), s.overall) for s in spreads]
        return leaf_rows, [Candidate(*one) for one in zip(spreads, said, strict=True)]

    weights, mean = stack(list(range(len(growing))))
    tried = [(i, one) for i in range(2) for one in candidates(i, mean, CENTERINGS)[1]]
    on = Judged(number[rows], weight[rows], mean[rows], seen.judged[some])
    source, chosen = tried[choose_spread([one for _, one in tried], on)]
    worth = [i for i in range(len(growing)) if weights[1 + i] > 0 or i == source]
    for i in worth:
        growing[i].grow(n_trees)
        progress(f"forest {i + 1}")

    weights, mean = stack(worth)
    on = on._replace(mean=mean[rows])
    leaf_rows, (candidate,) = candidates(source, mean, [chosen.spread.centering])
    usual = Way(weights, *choose_share(candidate, on, joint))
    bags = tuple(bag.bag() for bag in growing)
    less = [boosted.out_of_fold(holed, folds[holes.rows], n_jobs, both_ways=True)[:, 0]]
    for i, bag in enumerate(bags):
        means = bag.out_of_bag(holed, holes.rows, len(number), seed + i, target.baseline, n_jobs)
        less.append(means[:, 0])
    part = target.take(holes.rows)
    weights = fit_stack([*less, by_joint_holed], part.number, part.weight)
    mean = center + scale * (np.stack([*less, by_joint_holed], axis=1) @ weights)
    own = leaf_rows.reach(holes.rows, holed).weights(candidate.spread.leaves)
    candidate = candidate._replace(below=leaves_below(own, candidate.spread.overall))
    on = Judged(number[holes.rows], weight[holes.rows], mean, seen.holed)
    strange = Way(weights, *choose_share(candidate, on, joint))
    progress("spread")
    return NumberModel(
        binning, boosted, bags, joint, usual, strange, center, scale, candidate.spread,
        Patterns.of(binned),
    )  # fmt: skip


def _start_bags(
    binned: Binned, target: Numbers, n_trees: int, seed: int, n_jobs: int | None
) -> list[GrowingBag]:
    """Fine and coarse leaves of best splits, and fine ones of random splits."""
    d, fine = binned.n_columns, 1 if binned.n_rows <= MANY_ROWS else FINE_LEAF
    kinds = ((False, fine), (False, WIDE_LEAF), (True, fine))
    bags = [
        GrowingBag(binned, target, growth_for(d, random_splits, rows), seed + i, n_jobs)
        for i, (random_splits, rows) in enumerate(kinds)
    ]
    for bag in bags:
        bag.grow(n_trees)
    return bags


def _boost(
    binned: Binned, target: Numbers, folds: NDArray[np.int64], seed: int, n_jobs: int | None
) -> tuple[Boosted, NDArray[np.float32]]:
    loss = Loss(target.number, target.weight, np.zeros(1, np.float32))
    return fit_boosted(binned, loss, folds, boosting_for(binned.n_rows), seed, n_jobs)
