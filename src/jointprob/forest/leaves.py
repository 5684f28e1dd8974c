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
                self._spread(tree, leaves, out[start:stop])

        run_blocks(add, len(by_row), BLOCK_ROWS, n_jobs)
        return out / np.float32(len(trees))

    def _spread(self, tree: int, leaves: NDArray[np.int32], out: Weights) -> None:
        leaf_at = self.bag.trees.leaf_at
        first = self.first[leaf_at[tree] : leaf_at[tree + 1] + 1]
        rows = slice(first[0], first[-1])
        _forest.spread(leaves, first - first[0], self.cell[rows], self.weight[rows], out)

    def out_of_bag(self, binned: Binned, seed: int, rows: NDArray[np.int64]) -> Weights:
        """The same for training rows, by the trees grown without each, (n_rows, 256).

        Rows that every bag holds get weight 0 throughout.
        """
        trees = self.bag.trees
        out = np.zeros((len(rows), N_CELLS), np.float32)
        times = np.zeros(len(rows), np.int64)
        by_row = np.ascontiguousarray(binned.by_row[rows])
        for tree in range(len(trees)):
            outside = np.flatnonzero(bootstrap(seed, tree, binned.n_rows)[rows] == 0)
            own = np.zeros((len(outside), N_CELLS), np.float32)
            self._spread(tree, trees.leaves(tree, by_row[outside]), own)
            out[outside] += own
            times[outside] += 1
        out /= np.maximum(times, 1)[:, None]
        return out


def fit_leaf_targets(
    bag: Bag, binned: Binned, cell: Bytes, weight: Weights, seed: int, n_jobs: int | None
) -> LeafTargets:
    """Sort the training rows of each tree's bag by their leaves.

    Parameters
    ----------
    cell : uint8 (n_rows,)
        Cell of each row's target.
    seed : int
        That of the bag.
    """
    trees = range(len(bag.trees))
    groups = [trees[i : i + TREES_A_TASK] for i in range(0, len(trees), TREES_A_TASK)]
    tasks = [partial(_sorted_rows, bag, binned, cell, weight, seed, group) for group in groups]
    parts = [part for group in run_tasks(tasks, n_jobs) for part in group]
    counts = np.concatenate([part[0] for part in parts])
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    cells, weights = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return LeafTargets(bag, first, cells, weights)


def _sorted_rows(
    bag: Bag, binned: Binned, cell: Bytes, weight: Weights, seed: int, trees: Sequence[int]
) -> list[tuple[NDArray[np.int64], Bytes, Weights]]:
    out = []
    for tree in trees:
        times = bootstrap(seed, tree, binned.n_rows)
        rows = np.flatnonzero(times)
        leaves = bag.trees.leaves(tree, np.ascontiguousarray(binned.by_row[rows]))
        n_leaves = int(np.diff(bag.trees.leaf_at[tree : tree + 2])[0])
        own = weight[rows] * times[rows]
        total = np.bincount(leaves, own, n_leaves)
        order = np.argsort(leaves, kind="stable")
        share = (own / total[leaves]).astype(np.float32)
        out.append((np.bincount(leaves, minlength=n_leaves), cell[rows][order], share[order]))
    return out
