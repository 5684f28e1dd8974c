"""A bag of trees, each grown on a bootstrap of the rows; every row is judged out of bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob import _forest
from jointprob.forest.bins import Binned
from jointprob.forest.targets import Growth, Means, Target
from jointprob.forest.trees import SHARE_UNITS, Nursery, Tree, Trees, pack
from jointprob.threads import run_tasks

TREES_A_TASK = 8
MOST_DRAWN = 10_000  # rows of a tree's bag: of many rows, trees of fewer differ more, and are quick
PILOT_TREES = 64  # grown first, to choose how much leaves shrink
HOLED_TREES = 48  # that judge rows with cells taken away, where rows are many
LOSS_ROWS = 5000  # on which strengths are compared, at most
Floats = NDArray[np.float64]

STRENGTHS = (0.0, 0.5, 2.0, 8.0, 40.0)
BOOTSTRAP_STREAM = 12  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True, eq=False)
class Bag:
    """Trees whose leaves hold class shares, or means.

    Parameters
    ----------
    trees : Trees
    gains : float64 (n_columns,)
        What the splits on each column gain out of bag, a row and tree.
    """

    trees: Trees
    gains: Floats

    def means(
        self, by_row: NDArray[np.uint8], n_jobs: int | None = None, both_ways: bool = False
    ) -> Means:
        """Mean over the trees of what the leaves hold, (n_rows, n_kept).

        Parameters
        ----------
        by_row : uint8 (n_rows, n_columns)
            Bins.
        both_ways : bool
            Rows descend both ways where they miss a cell.
        """
        out = np.zeros((len(by_row), self.trees.n_outputs), np.float32)
        self.trees.add(by_row, out, n_jobs, both_ways)
        out /= np.float32(len(self.trees))
        return out

    def out_of_bag(
        self, by_row: NDArray[np.uint8], rows: NDArray[np.int64], n_rows: int, seed: int,
        baseline: Means, n_jobs: int | None,
    ) -> Means:  # fmt: skip
        """The means of training rows, descending both ways, by some trees grown without each.

        Parameters
        ----------
        by_row : uint8 (len(rows), n_columns)
            Bins of these rows; cells may have been taken away since.
        rows : int64
            Positions among the rows of the fit.
        n_rows : int
            Rows of the fit.
        seed : int
            That of the fit.
        baseline : float32 (n_kept,)
            For rows that every tree saw.
        """

        trees = range(min(len(self.trees), HOLED_TREES if n_rows > MOST_DRAWN else len(self.trees)))

        def add(tree: int) -> tuple[NDArray[np.int64], Means]:
            outside = np.flatnonzero(bootstrap(seed, tree, n_rows)[rows] == 0)
            out = np.zeros((len(outside), self.trees.n_outputs), np.float32)
            self.trees.some(tree, tree + 1).add(by_row[outside], out, 1, both_ways=True)
            return outside, out

        sums, times = np.zeros((len(rows), len(baseline))), np.zeros((len(rows), 1))
        for outside, said in run_tasks([partial(add, t) for t in trees], n_jobs):
            sums[outside] += said
            times[outside] += 1
        return np.where(times > 0, sums / np.maximum(times, 1), baseline).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Grown:
    """A task's trees: for each strength the leaves' values, and out-of-bag sums."""

    trees: list[Tree]
    gains: Floats  # of each column, summed over trees
    values: list[list[NDArray[Any]]]  # by strength, then tree
    sums: list[Means]  # by strength: (n_rows, n_kept)
    times: NDArray[np.int32]  # trees that were grown without the row


def fit_bag(
    binned: Binned, target: Target, growth: Growth, n_trees: int, seed: int, n_jobs: int | None
) -> tuple[Bag, Means]:
    """Grow a bag; the strength of shrinking is chosen out of bag.

    Returns
    -------
    bag : Bag
    means : float32 (n_rows, n_kept)
        Mean over the trees grown without the row; the target's baseline where there is none.
    """
    growing = GrowingBag(binned, target, growth, seed, n_jobs)
    growing.grow(n_trees)
    return growing.bag(), growing.means()


class GrowingBag:
    """A bag that may be looked at before all its trees are grown.

    Parameters are those of `fit_bag`.
    """

    def __init__(
        self, binned: Binned, target: Target, growth: Growth, seed: int, n_jobs: int | None
    ) -> None:
        binned.kernel, binned.by_row  # noqa: B018 (made once, before threads share them)
        self.target, self.n_jobs = target, n_jobs
        self.sprout = partial(_grow, binned, target, growth, seed)
        self.tasks: list[_Grown] = []
        self.strengths: tuple[float, ...] = STRENGTHS

    def __len__(self) -> int:
        return sum(len(task.trees) for task in self.tasks)

    def grow(self, n_trees: int) -> None:
        """Grow on, until there are so many trees."""
        for stop in (min(n_trees, PILOT_TREES), n_trees):
            if len(self) >= PILOT_TREES:
                self._settle()
            self.tasks += _run(self.sprout, range(len(self), stop), self.strengths, self.n_jobs)

    def means(self) -> Means:
        """Of each row, by the trees grown without it, (n_rows, n_kept)."""
        return _mean(self.tasks, self._best(), self.target)

    def bag(self) -> Bag:
        """The trees grown so far."""
        best = self._best()
        packed = pack(
            [tree for task in self.tasks for tree in task.trees],
            [values for task in self.tasks for values in task.values[best]],
        )
        return Bag(packed, np.sum([task.gains for task in self.tasks], axis=0) / len(self))

    def _best(self) -> int:
        """The strength of least loss."""
        if len(self.strengths) == 1:
            return 0
        losses = [_loss(self.tasks, i, self.target) for i in range(len(self.strengths))]
        return int(np.argmin(losses))

    def _settle(self) -> None:
        """Choose the strength for good."""
        best = self._best()
        self.strengths = self.strengths[best : best + 1]
        for task in self.tasks:
            task.values[:], task.sums[:] = [task.values[best]], [task.sums[best]]


def bootstrap(seed: int, tree: int, n_rows: int) -> NDArray[np.uint8]:
    """How often a tree's bag holds each row, (n_rows,)."""
    times = np.empty(n_rows, np.uint8)
    _forest.bootstrap(seed, BOOTSTRAP_STREAM, tree, min(n_rows, MOST_DRAWN), times)
    return times


def _run(
    grow: partial[_Grown], trees: range, strengths: Sequence[float], n_jobs: int | None
) -> list[_Grown]:
    groups = [trees[i : i + TREES_A_TASK] for i in range(0, len(trees), TREES_A_TASK)]
    return run_tasks([partial(grow, group, strengths) for group in groups], n_jobs)


def _grow(
    binned: Binned,
    target: Target,
    growth: Growth,
    seed: int,
    trees: range,
    strengths: Sequence[float],
) -> _Grown:
    n, n_kept = binned.n_rows, len(target.baseline)
    most = min(n, MOST_DRAWN)
    nursery = Nursery(most, target.n_outputs)
    work = np.empty(binned.kernel.work_size(most, target.n_classes), np.uint8)
    sums = [np.zeros((n, n_kept), np.float32) for _ in strengths]
    gains = np.zeros(binned.n_columns)
    out = _Grown([], gains, [[] for _ in strengths], sums, np.zeros(n, np.int32))
    for tree in trees:
        times = bootstrap(seed, tree, n)
        rows = np.flatnonzero(times).astype(np.uint32)
        weight = target.weight[rows] * times[rows]
        target.grow(nursery, binned, rows, weight, growth, seed, tree, work)
        outside = np.flatnonzero(times == 0)
        leaves = nursery.leaves(binned.by_row[outside])
        grown = nursery.tree()
        nodes = grown.leaves
        gains += target.gains(nursery, outside, leaves, binned.n_columns)
        out.trees.append(grown)
        out.times[outside] += 1
        for values, total, strength in zip(out.values, out.sums, strengths, strict=True):
            value = target.leaf_values(nursery, strength, nodes)
            values.append(value)
            total[outside] += value[leaves] * unit(value)
    return out


def unit(values: NDArray[Any]) -> np.float32:
    """What one step of the leaf values stands for."""
    return np.float32(1 / SHARE_UNITS if values.dtype == np.uint16 else 1)


def _mean(tasks: Sequence[_Grown], strength: int, target: Target) -> Means:
    sums, times = np.zeros_like(tasks[0].sums[strength]), np.zeros((len(tasks[0].times), 1))
    for task in tasks:
        sums += task.sums[strength]
        times[:, 0] += task.times
    return np.where(times > 0, sums / np.maximum(times, 1), target.baseline).astype(np.float32)


def _loss(tasks: Sequence[_Grown], strength: int, target: Target) -> float:
    """On some of the rows."""
    rows = np.arange(0, len(tasks[0].times), -(-len(tasks[0].times) // LOSS_ROWS))
    return float(target.take(rows).loss(_mean(tasks, strength, target)[rows]))
