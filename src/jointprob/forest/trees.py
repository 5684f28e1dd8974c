"""Trees as arrays: room to grow one, and many packed for rows to descend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob import _forest
from jointprob.forest.bins import Bytes
from jointprob.threads import run_blocks, run_tasks

Values = NDArray[Any]  # float32, or uint16 in units of 1 / SHARE_UNITS
SHARE_UNITS = 65535
BLOCK_ROWS, BOTH_WAYS_ROWS = 4096, 64
TREE_GROUPS, FEW_ROWS = 4, 256


LANES = 256  # rows that small trees compare at a time
NODE_WORDS = 4  # int32 words of a node


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree.

    Parameters
    ----------
    node : int32 (n_nodes, 4)
        Left child (the right one follows; a leaf's child is itself), test, set of bins that go
        right, and the share of weight that goes left, a float32, or the number of the leaf.
    sets : uint32 (n_sets, 8)
        Levels that go right; a node's set counts from 512.
    """

    node: NDArray[np.int32]
    sets: NDArray[np.uint32]

    @property
    def child(self) -> NDArray[np.int32]:
        return self.node[:, 0]

    @property
    def is_leaf(self) -> NDArray[np.bool_]:
        """A mask of nodes."""
        return np.asarray(self.child == np.arange(len(self.node)))

    @property
    def leaves(self) -> NDArray[np.int64]:
        """Node of each leaf, in the order of their numbers."""
        nodes = np.flatnonzero(self.is_leaf)
        return nodes[np.argsort(self.node[nodes, 3])]

    @property
    def column(self) -> NDArray[np.int64]:
        """Column that each node tests, -1 for leaves."""
        tested = self.node[:, 1].view(np.uint32) >> 16
        return np.where(self.is_leaf, -1, tested.astype(np.int64))


class Nursery:
    """Room in which trees grow, one at a time.

    Parameters
    ----------
    most_leaves : int
    n_outputs : int
        Values of a node.
    """

    def __init__(self, most_leaves: int, n_outputs: int) -> None:
        n = 2 * most_leaves - 1
        self.node = np.empty((n, NODE_WORDS), np.int32)
        self.sets = _thresholds(max(1, most_leaves - 1))
        self.value = np.empty((n, n_outputs), np.float32)
        self.kernel = _forest.Grown(self.node, self.sets[_forest.THRESHOLD_SETS :], self.value)

    @property
    def nodes(self) -> NDArray[np.int32]:
        """Those of the tree that was grown last, (n_nodes, 4)."""
        return self.node[: self.kernel.n_nodes]

    @property
    def leaf_nodes(self) -> NDArray[np.int64]:
        """Node of each leaf of the tree that was grown last."""
        return Tree(self.nodes, self.sets[:0]).leaves

    def tree(self) -> Tree:
        """A copy of the tree that was grown last."""
        grown, first = self.kernel, _forest.THRESHOLD_SETS
        return Tree(
            self.node[: grown.n_nodes].copy(), self.sets[first : first + grown.n_sets].copy()
        )

    def means(self, prior: NDArray[np.float32] | None, strength: float) -> NDArray[np.float32]:
        """Means of the nodes, each shrunk towards its ancestors, (n_nodes, n_means).

        Shares of the classes, or with no prior the mean of the target.
        """
        n_means = 1 if prior is None else len(prior)
        means = np.empty((self.kernel.n_nodes, n_means), np.float32)
        self.kernel.shrink(prior, strength, means)
        return means

    def leaves(self, by_row: Bytes) -> NDArray[np.int32]:
        """Leaf that each row reaches in the tree that was grown last, (n_rows,)."""
        n = self.kernel.n_nodes
        node_at, leaf_at = np.array([0, n]), np.array([0, self.kernel.n_leaves])
        leaves = np.empty(len(by_row), np.int32)
        forest = _forest.Forest(node_at, leaf_at, self.node[:n], self.sets)
        forest.leaves(0, by_row, 0, len(by_row), leaves)
        return leaves

    def small_leaves(self, by_column: Bytes, leaves: NDArray[np.int32]) -> None:
        """The same (OUT), quicker, in a tree of at most `_forest.SMALL_LEAVES` leaves.

        Parameters
        ----------
        by_column : uint8 (n_columns, n), see `padded`
        """
        self.kernel.small_leaves(self.sets, by_column, leaves)


def padded(by_column: Bytes) -> Bytes:
    """Bins with room after the last row of each column, as `Nursery.small_leaves` needs it."""
    n_columns, n = by_column.shape
    out = np.zeros((n_columns, -(-n // LANES) * LANES), np.uint8)
    out[:, :n] = by_column
    return out


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees packed one after another, with values at their leaves.

    Parameters
    ----------
    node_at, leaf_at : int64 (n_trees + 1,)
        First node and first leaf of each tree.
    node : int32 (n_nodes, 4)
    sets : uint32 (512 + n_sets, 8)
        Bins that go right: of every threshold, then those of the trees.
    values : float32 or uint16 (n_leaves, n_outputs)
        uint16 in units of 1 / 65535.
    """

    node_at: NDArray[np.int64]
    leaf_at: NDArray[np.int64]
    node: NDArray[np.int32]
    sets: NDArray[np.uint32]
    values: Values

    def __len__(self) -> int:
        return len(self.node_at) - 1

    @property
    def n_outputs(self) -> int:
        return int(self.values.shape[1])

    @cached_property
    def kernel(self) -> _forest.Forest:
        return _forest.Forest(self.node_at, self.leaf_at, self.node, self.sets)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "kernel"}

    def saying(self, values: Values) -> Trees:
        """The same trees with other values at their leaves."""
        trees = replace(self, values=values)
        vars(trees)["kernel"] = self.kernel  # which knows nothing of values
        return trees

    def some(self, start: int, stop: int) -> Trees:
        """Trees start .. stop - 1."""
        nodes = slice(self.node_at[start], self.node_at[stop])
        leaves = slice(self.leaf_at[start], self.leaf_at[stop])
        return Trees(
            self.node_at[start : stop + 1] - nodes.start,
            self.leaf_at[start : stop + 1] - leaves.start,
            self.node[nodes],
            self.sets,
            self.values[leaves],
        )

    def leaves(self, tree: int, by_row: Bytes) -> NDArray[np.int32]:
        """Leaf that each row reaches in one tree, (n_rows,)."""
        leaves = np.empty(len(by_row), np.int32)
        self.kernel.leaves(tree, by_row, 0, len(by_row), leaves)
        return leaves

    def add(
        self, by_row: Bytes, out: NDArray[np.float32], n_jobs: int | None, both_ways: bool = False
    ) -> None:
        """Add the leaf values of all trees to out, (n_rows, n_outputs).

        With `both_ways` a row descends both ways where it misses a cell, by the share of the
        weight that went there.
        """
        kernel, values = self.kernel, self.values
        if both_ways:

            def add(start: int, stop: int) -> None:
                kernel.add_both_ways(values, True, by_row, start, stop, out)

            run_blocks(add, len(by_row), BOTH_WAYS_ROWS, n_jobs)
            return
        if len(self) <= TREE_GROUPS:

            def add_few(start: int, stop: int) -> None:
                kernel.add(values, by_row, start, stop, out)

            run_blocks(add_few, len(by_row), BLOCK_ROWS, n_jobs)
            return
        # Groups of trees are tasks as well: trees come from afar, and so each comes once. A row's
        # sums are the same however many rows there are.
        bounds = [len(self) * i // TREE_GROUPS for i in range(TREE_GROUPS + 1)]
        groups = list(pairwise(bounds))
        blocks = [(i, min(i + BLOCK_ROWS, len(by_row))) for i in range(0, len(by_row), BLOCK_ROWS)]

        def part(block: tuple[int, int], group: tuple[int, int]) -> NDArray[np.float32]:
            rows = by_row[slice(*block)]
            sums = np.zeros((len(rows), out.shape[1]), np.float32)
            kernel.add(values, rows, 0, len(rows), sums, *group)
            return sums

        tasks = [partial(part, block, group) for block in blocks for group in groups]
        parts = iter(run_tasks(tasks, n_jobs if len(by_row) > FEW_ROWS else 1))
        for start, stop in blocks:
            for _ in groups:
                out[start:stop] += next(parts)


def pack(trees: Sequence[Tree], values: Sequence[Values]) -> Trees:
    """Pack trees with the values of their leaves."""

    node = np.concatenate([t.node for t in trees])
    node_at = np.cumsum([0, *(len(t.node) for t in trees)])
    set_at = np.cumsum([0, *(len(t.sets) for t in trees)])
    leaf_at = np.cumsum([0, *(len(v) for v in values)])
    own = node[:, 2] >= _forest.THRESHOLD_SETS
    node[:, 2] += np.where(own, np.repeat(set_at[:-1], np.diff(node_at)), 0).astype(np.int32)
    sets = _thresholds(int(set_at[-1]))
    np.concatenate([sets[:0], *(t.sets for t in trees)], out=sets[_forest.THRESHOLD_SETS :])
    return Trees(node_at, leaf_at, node, sets, np.concatenate(list(values)))


def _thresholds(n_sets: int) -> NDArray[np.uint32]:
    """The bins that go right at every threshold, and room for sets of levels."""
    sets = np.empty((_forest.THRESHOLD_SETS + n_sets, _forest.SET_WORDS), np.uint32)
    _forest.thresholds(sets)
    return sets
