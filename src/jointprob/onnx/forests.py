"""Rows going down trees: every tree at once, a level at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.forest.bagging import unit
from jointprob.forest.bins import MISSING_BIN, Binning
from jointprob.forest.trees import Trees
from jointprob.onnx.columns import Columns
from jointprob.onnx.graph import Graph, Value

Integers = NDArray[np.int64]
N_BINS = 256
TEST_MISSING_LEFT = 2  # JP_TEST_MISSING_LEFT


@dataclass(frozen=True)
class Bins:
    """Cells as bins; columns that were all missing in fit are left out.

    Parameters
    ----------
    cells : int64 (n_rows, n_columns)
    order : tuple of int
        Table column behind each column of `cells`.
    """

    cells: Value
    order: tuple[int, ...]


def bin_rows(graph: Graph, columns: Columns, binning: Binning) -> Bins:
    """Compare `jointprob.forest.bins.Binning.bin`."""
    parts = []
    if columns.numbers is not None:
        edges = [binning.edges[c] for c in columns.numeric]
        found = graph.count_below(columns.numbers, edges, equal=False)
        missing = graph("IsNaN", columns.numbers)
        parts.append(graph("Where", missing, np.array(MISSING_BIN), found))
    for column, position in columns.levels.items():
        known = binning.edges[column].astype(np.int64)
        own = graph("Gather", np.append(known, [MISSING_BIN] * 2), position)
        parts.append(graph("Unsqueeze", own, np.array([1])))
    order = (*columns.numeric, *columns.levels)
    return Bins(graph("Concat", *parts, axis=1), order)


class Packed:
    """The tables of trees, as a graph reads them; nodes are numbered through all trees.

    Parameters
    ----------
    trees : Trees
    order : sequence of int
        Table columns in the order of the bins.
    """

    def __init__(self, trees: Trees, order: tuple[int, ...]) -> None:
        n_nodes, self.n_columns = np.diff(trees.node_at), len(order)
        self.tree = np.repeat(np.arange(len(trees)), n_nodes)
        self.root = trees.node_at[:-1].astype(np.int64)
        self.child = trees.node[:, 0] + self.root[self.tree]
        self.is_leaf = self.child == np.arange(len(self.child))
        test = trees.node[:, 1].view(np.uint32)
        place = np.zeros(max(order) + 1, np.int64)
        place[list(order)] = np.arange(len(order))
        column = np.where(self.is_leaf, order[0], test >> 16)
        self.column, self.missing_left = place[column], (test & TEST_MISSING_LEFT) > 0
        used, self.set = np.unique(trees.node[:, 2], return_inverse=True)
        self.sets = np.unpackbits(trees.sets[used].view(np.uint8), axis=1, bitorder="little")
        number = trees.node[:, 3] + trees.leaf_at[self.tree]
        self.leaf = np.where(self.is_leaf, number, 0).astype(np.int64)
        self.share = trees.node[:, 3].view(np.float32)
        self.values = trees.values * unit(trees.values)

    @cached_property
    def levels(self) -> list[Integers]:
        """Nodes of all trees by their depth."""
        found, inner = [self.root], self.root[~self.is_leaf[self.root]]
        while len(inner):
            both = np.stack([self.child[inner], self.child[inner] + 1], axis=1).ravel()
            found.append(both)
            inner = both[~self.is_leaf[both]]
        return found


def sum_of_leaves(graph: Graph, trees: Trees, bins: Bins, both_ways: bool) -> Value:
    """Sum over trees of what the leaves hold, float32 (n_rows, n_outputs).

    Compare `jointprob.forest.trees.Trees.add`.
    """
    packed = Packed(trees, bins.order)
    if both_ways:
        made = np.float32, trees.n_outputs
        return graph.in_chunks(
            [bins.cells], 1, made, lambda body, row: _expected(body, packed, row)
        )
    moved = graph("Mod", graph("Add", bins.cells, np.array(1)), np.array(N_BINS))
    features = graph.cast(graph("Concat", bins.cells, moved, axis=1), np.float32)
    within = graph("TreeEnsembleRegressor", features, **_ensemble(packed, trees))
    leaf = graph("Add", graph.cast(within, np.int64), trees.leaf_at[None, :-1].astype(np.int64))
    return graph.reduce("ReduceSum", graph("Gather", packed.values, leaf), 1)


def _ensemble(packed: Packed, trees: Trees) -> dict[str, Any]:
    """Attributes of an ensemble with a target for each tree: the number of the leaf reached.

    A node becomes a chain of comparisons, one at each bin where its set of bins begins or ends;
    every set has one end at least. Of a column whose missing cells go left, bins are one higher,
    and missing cells 0: most thresholds are then one comparison.
    """
    inner = np.flatnonzero(~packed.is_leaf)
    right = packed.sets[packed.set[inner]]
    left = packed.missing_left[inner]
    right[left] = np.roll(right[left], 1, axis=1)
    link, end = np.nonzero(np.diff(right, axis=1))
    n_links = np.ones(len(packed.child), np.int64)
    n_links[inner] = np.bincount(link, minlength=len(inner))
    first = np.cumsum(n_links) - n_links  # of each node's links
    n = int(n_links.sum())
    node = np.repeat(np.arange(len(n_links)), n_links)
    is_leaf = packed.is_leaf[node]
    feature, value = packed.column[node], np.zeros(n, np.float32)
    feature = feature + packed.n_columns * packed.missing_left[node]
    value[~is_leaf] = end
    yes, no = np.zeros(n, np.int64), np.zeros(n, np.int64)
    child = packed.child[inner][link]
    yes[~is_leaf] = first[child + right[link, end]]
    last = np.append(link[1:] != link[:-1], True)
    no[~is_leaf] = np.where(last, first[child + right[link, end + 1]],
                            np.flatnonzero(~is_leaf) + 1)  # fmt: skip
    start = first[packed.root][packed.tree[node]]
    leaves = np.flatnonzero(is_leaf)
    tree = packed.tree[node]
    within = packed.leaf[node[leaves]] - trees.leaf_at[tree[leaves]]
    return {
        "n_targets": len(trees),
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": (np.arange(n) - start).tolist(),
        "nodes_featureids": np.where(is_leaf, 0, feature).tolist(),
        "nodes_values": value.tolist(),
        "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(is_leaf, 0, yes - start).tolist(),
        "nodes_falsenodeids": np.where(is_leaf, 0, no - start).tolist(),
        "target_treeids": tree[leaves].tolist(),
        "target_nodeids": (leaves - start[leaves]).tolist(),
        "target_ids": tree[leaves].tolist(),
        "target_weights": within.astype(np.float32).tolist(),
    }


def _expected(graph: Graph, packed: Packed, row: Value) -> Value:
    """Expected value of the leaves of a row, (1, n_columns), that goes both ways at missing cells.

    From the deepest nodes up: a leaf's own value, or that of the children by their shares.
    """
    row, below = graph.cast(graph("Squeeze", row, np.array([0])), np.int32), ""
    goes_right = packed.sets.astype(np.float32).ravel()
    for nodes in reversed(packed.levels):
        is_leaf = packed.is_leaf[nodes]
        leaves, inner = packed.leaf[nodes[is_leaf]], nodes[~is_leaf]
        values = packed.values[leaves].astype(np.float32)
        if not len(inner):
            below = graph.constant(values)
            continue
        own = graph("Gather", row, packed.column[inner].astype(np.int32))
        missing = graph("Equal", own, np.array(MISSING_BIN, np.int32))
        at = graph("Add", own, (N_BINS * packed.set[inner]).astype(np.int32))
        right = graph("Where", missing, 1 - packed.share[inner], graph("Gather", goes_right, at))
        right = graph("Unsqueeze", right, np.array([1]))
        pairs = graph.reshape(below, len(inner), 2, packed.values.shape[1])
        first, second = (graph("Gather", pairs, np.array(side), axis=1) for side in (0, 1))
        mean = graph("Add", first, graph("Mul", right, graph("Sub", second, first)))
        place = np.empty(len(nodes), np.int32)
        place[is_leaf], place[~is_leaf] = (
            np.arange(len(leaves)),
            len(leaves) + np.arange(len(inner)),
        )
        below = graph("Gather", graph("Concat", values, mean, axis=0), place)
    return graph.reduce("ReduceSum", below, 0, keep=True)
