"""Which training rows share a row's leaves: weights over targets, not their mean alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jointprob import _forest
from jointprob.forest.bagging import Bag, bootstrap
from jointprob.forest.bins import Binned, Bytes
from jointprob.threads import run_blocks, run_tasks

Weights = NDArray[np.float32]

N_CELLS = _forest.SPREAD_CELLS
BLOCK_ROWS = 1024
TREES_A_TASK = 16


@dataclass(frozen=True, eq=False)
class LeafTargets:
    """The training rows of every leaf of a bag, each as a cell of its target.

    A row's weights over cells are those of quantile regression forests (Meinshausen 2006,
    https://jmlr.org/papers/v7/meinshausen06a.html), with targets in cells.

    Parameters
    ----------
    bag : Bag
    first : int64 (n_leaves + 1,)
        Where each leaf's rows start, leaves of all trees one after another.
    cell : uint8
    weight : float32
        They add up to 1 in each leaf.
    """

    bag: Bag
    first: NDArray[np.int64]
    cell: Bytes
    weight: Weights

    def weights(self, by_row: Bytes, n_jobs: int | None = None) -> Weights:
        """Weight of each cell of the target, (n_rows, 256); rows add up to 1."""
        out = np.zeros((len(by_row), N_CELLS), np.float32)
        trees = self.bag.trees

        def add(start: int, stop: int) -> None:
            leaves = np.empty(stop - start, np.int32)
            for tree in range(len(trees)):
                trees.kernel.leaves(tree, by_row, start, stop, leaves)
                self.spread(tree, leaves, out[start:stop])

        run_blocks(add, len(by_row), BLOCK_ROWS, n_jobs)
        out /= np.float32(len(trees))
        return out

    def spread(self, tree: int, leaves: NDArray[np.int32], out: Weights) -> None:
        """Add the weights of the training rows in these leaves of one tree."""
        leaf_at = self.bag.trees.leaf_at
        first = self.first[leaf_at[tree] : leaf_at[tree + 1] + 1]
        rows = slice(first[0], first[-1])
        _forest.spread(leaves, first - first[0], self.cell[rows], self.weight[rows], out)


class LeafRows:
    """Which training rows the leaves of a bag hold, whatever their targets.

    Parameters
    ----------
    bag : Bag
    binned : Binned
    weight : float32 (n_rows,)
    seed : int
        That of the bag.
    n_jobs : int, optional
    """

    def __init__(
        self, bag: Bag, binned: Binned, weight: Weights, seed: int, n_jobs: int | None
    ) -> None:
        self.bag, self.seed, self.n_rows, self.n_jobs = bag, seed, binned.n_rows, n_jobs
        trees = range(len(bag.trees))
        tasks = [partial(_rows_of_tree, bag, binned, weight, seed, tree) for tree in trees]
        parts = run_tasks(tasks, n_jobs)
        self.first = np.concatenate([[0], np.cumsum(np.concatenate([p[0] for p in parts]))])
        self.row = np.concatenate([p[1] for p in parts])
        self.weight = np.concatenate([p[2] for p in parts])

    def targets(self, cell: Bytes) -> LeafTargets:
        """The leaves' rows as cells of their targets; cell (n_rows,)."""
        return LeafTargets(self.bag, self.first, cell[self.row], self.weight)

    def reach(self, rows: NDArray[np.int64], by_row: Bytes) -> Reached:
        """Leaves of training rows in the trees grown without each.

        Parameters
        ----------
        rows : int64
            Positions among the rows of the fit.
        by_row : uint8 (len(rows), n_columns)
            Their bins; cells may have been taken away since.
        """
        trees = self.bag.trees

        def descend(tree: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
            outside = np.flatnonzero(bootstrap(self.seed, tree, self.n_rows)[rows] == 0)
            return outside, trees.leaves(tree, by_row[outside])

        tasks = [partial(descend, tree) for tree in range(len(trees))]
        return Reached(len(rows), run_tasks(tasks, self.n_jobs), self.n_jobs)


@dataclass(frozen=True, eq=False)
class Reached:
    """For each tree, which rows it was grown without, and the leaves they reach."""

    n_rows: int
    by_tree: list[tuple[NDArray[np.int64], NDArray[np.int32]]]
    n_jobs: int | None

    def weights(self, targets: LeafTargets) -> Weights:
        """Weights over cells out of bag, (n_rows, 256).

        Rows that every bag holds get weight 0 throughout.
        """
        trees = range(len(self.by_tree))
        groups = [trees[i : i + TREES_A_TASK] for i in range(0, len(trees), TREES_A_TASK)]
        parts = run_tasks([partial(self._add, targets, g) for g in groups], self.n_jobs)
        times = np.zeros(self.n_rows)
        for outside, _ in self.by_tree:
            times[outside] += 1
        out = np.sum(parts, axis=0) / np.maximum(times, 1)[:, None]
        return np.asarray(out, np.float32)

    def _add(self, targets: LeafTargets, trees: Sequence[int]) -> Weights:
        out = np.zeros((self.n_rows, N_CELLS), np.float32)
        for tree in trees:
            outside, leaves = self.by_tree[tree]
            own = np.zeros((len(outside), N_CELLS), np.float32)
            targets.spread(tree, leaves, own)
            out[outside] += own
        return out


def _rows_of_tree(
    bag: Bag, binned: Binned, weight: Weights, seed: int, tree: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], Weights]:
    """Number of rows in each leaf, the rows leaf by leaf, and their shares of the leaf."""
    times = bootstrap(seed, tree, binned.n_rows)
    rows = np.flatnonzero(times).astype(np.int32)
    leaves = bag.trees.leaves(tree, binned.by_row[rows])
    n_leaves = int(np.diff(bag.trees.leaf_at[tree : tree + 2])[0])
    own = weight[rows] * times[rows]
    total = np.bincount(leaves, own, n_leaves)
    order = np.argsort(leaves, kind="stable")
    share = (own / total[leaves]).astype(np.float32)
    return np.bincount(leaves, minlength=n_leaves), rows[order], share[order]
