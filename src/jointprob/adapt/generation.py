"""Trees that are grown on the same recent rows, and go on counting the rows that come after."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jointprob import _forest
from jointprob.forest.bins import Binned, Binning, fit_binning
from jointprob.forest.targets import Labels, Numbers, Target, growth_for
from jointprob.forest.trees import Nursery, Trees, pack
from jointprob.joint.tree import Floats
from jointprob.table import Table

TREES, TREES_OF_NUMBER = 4, 8  # of a generation: numbers want more, for there is more to say
BIN_ROWS = 1000  # that say where bins begin and end
LEAF_ROWS = 8.0  # that what a leaf said when it was grown is worth beside later ones
STRENGTH = 0.5  # of the shrinking of leaves towards their ancestors
CELL_ROWS = 0.05  # of all cells together, that a leaf's cells of a number are shrunk by
LEAST_ROWS = 3  # of a leaf that holds cells of a number
BAG_STREAM = 32  # second word of the key: no two uses of a seed share a stream

Shares = NDArray[np.float32]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Generation:
    """Trees grown on the same rows.

    Parameters
    ----------
    binning : Binning
    trees : Trees
        Leaves hold shares of all classes.
    counts : float32 (n_leaves, n_classes)
        Rows that came to the leaves since they were grown, forgotten ones taken off.
    grown : float32 (n_leaves, n_classes)
        What the leaves said when they were grown.
    log_weight : float
        In the mixture of generations, nats, up to a constant.
    """

    binning: Binning
    trees: Trees
    counts: Shares
    grown: Shares
    log_weight: float

    def shares(self, binned: Binned, n_jobs: int | None) -> Shares:
        """Mean over the trees of the leaves' shares, (n_rows, n_classes)."""
        out = np.zeros((binned.n_rows, self.counts.shape[1]), np.float32)
        self.trees.add(binned.by_row, out, n_jobs)
        out /= np.float32(len(self.trees))
        return out

    def counted(self, binned: Binned, label: Codes, weight: Floats, kept: float) -> Generation:
        """With these rows in the leaves."""
        counts, values = self.counts.copy(), self.trees.values.copy()
        if kept < 1:  # every leaf says something else
            counts *= np.float32(kept)
            _forest.say(counts, self.grown, LEAF_ROWS, values)
        kernel = self.trees.kernel
        kernel.count(binned.by_row, label, weight, self.grown, LEAF_ROWS, counts, values)
        return replace(self, counts=counts, trees=self.trees.saying(values))

    def saying(self, counts: Shares, grown: Shares) -> Generation:
        """With other counts."""
        values = np.empty_like(counts)
        _forest.say(counts, grown, LEAF_ROWS, values)
        return replace(self, counts=counts, grown=grown, trees=self.trees.saying(values))

    def widened(self, n_classes: int) -> Generation:
        """With room for more classes."""
        more = ((0, 0), (0, n_classes - self.counts.shape[1]))
        return self.saying(np.pad(self.counts, more), np.pad(self.grown, more))


def fit_bins(table: Table, weight: Floats) -> Binning:
    """Bins by some of the rows."""
    some = np.arange(0, table.n_rows, -(-table.n_rows // BIN_ROWS))
    return fit_binning(table.take(some), weight[some])


def grow(
    table: Table, label: Codes, weight: Floats, binning: Binning, prior: Floats, ordered: bool,
    seed: int, number: int,
) -> Generation:  # fmt: skip
    """Trees on bootstraps of rows.

    Parameters
    ----------
    table : Table
    label : int64 (n_rows,)
    weight : float64 (n_rows,)
    binning : Binning
    prior : float64 (n_classes,)
    ordered : bool
        Are labels cells of a number? Trees are then grown for their ranks.
    seed : int
    number : int
        Of the generation.
    """
    binned, share, n = binning.bin(table, 1), np.asarray(prior, np.float32), table.n_rows
    target = _target(label, weight, share, ordered)
    nursery = Nursery(n, target.n_outputs)
    work = np.empty(binned.kernel.work_size(n, target.n_classes), np.uint8)
    least = LEAST_ROWS if ordered else 1
    growths = [growth_for(binned.n_columns, random, least) for random in (False, True)]
    trees, values = [], []
    n_trees = TREES_OF_NUMBER if ordered else TREES
    for tree in range(number * n_trees, (number + 1) * n_trees):
        times = np.empty(n, np.uint8)
        _forest.bootstrap(seed, BAG_STREAM, tree, n, times)
        drawn = np.flatnonzero(times).astype(np.uint32)
        scale = target.weight[drawn] * times[drawn]
        growth = growths[(tree // 2) % 2]
        target.grow(nursery, binned, drawn, scale, growth, seed, tree, work)
        trees.append(nursery.tree())
        if ordered:
            leaves = nursery.leaves(binned.by_row[drawn])
            values.append(_cells(leaves, label[drawn], scale, share))
        else:
            values.append(nursery.means(share, STRENGTH)[trees[-1].leaves])
    packed = pack(trees, values)
    counts = np.zeros(packed.values.shape, np.float32)
    return Generation(binning, packed, counts, packed.values, 0.0)


def _target(label: Codes, weight: Floats, share: Shares, ordered: bool) -> Target:
    scale = (weight / weight.mean()).astype(np.float32)
    if not ordered:
        return Labels(label.astype(np.uint16), scale, share)
    center = np.average(label, weights=weight)
    spread = float(np.sqrt(np.average((label - center) ** 2, weights=weight))) or 1.0
    return Numbers(((label - center) / spread).astype(np.float32), scale)


def _cells(leaves: NDArray[np.int32], cell: Codes, weight: Shares, share: Shares) -> Shares:
    """Shares of the cells in every leaf, (n_leaves, n_cells)."""
    shape = int(leaves.max()) + 1, len(share)
    counts = np.bincount(leaves * np.int64(shape[1]) + cell, weight, shape[0] * shape[1])
    counts = counts.reshape(shape) + CELL_ROWS * share
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float32)
