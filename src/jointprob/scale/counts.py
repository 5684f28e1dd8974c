"""The later passes: expected counts of all rows under the trees so far, and the trees of these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.adapt.counts import counts_of, level_shares
from jointprob.encode import Encoded, Encoding
from jointprob.joint.adaptation import expect
from jointprob.joint.em import Refinement
from jointprob.joint.rows import Rows, encoded_rows
from jointprob.joint.start import Plan, unseen_mass
from jointprob.joint.tree import LatentTree
from jointprob.scale.draw import Layout
from jointprob.scale.reduction import Reduction
from jointprob.schema import Schema
from jointprob.table import Table
from jointprob.threads import run_tasks

BLOCK_ROWS = 16_384  # counts of so many rows are good in float32
ROUND = 4  # blocks side by side, whatever the number of threads

Arrays = list[NDArray[Any]]
Counts = list[Arrays]  # of each tree: transitions, emissions, then weight, sum, square by block


@dataclass(frozen=True, eq=False)
class Growing:
    """A tree between two passes."""

    tree: LatentTree
    encoding: Encoding
    plan: Plan


@dataclass(frozen=True, eq=False)
class Count:
    """Task of a later pass: expected counts of rows that are not held out.

    Parameters
    ----------
    layout : Layout
    trees : tuple of Growing
    share : float
        Of these rows, 0 to 1.
    n_jobs : int or None
    """

    layout: Layout
    trees: tuple[Growing, ...]
    share: float
    n_jobs: int | None

    def __call__(self, batch: Any, number: int) -> Counts | None:
        read = self.layout.read(batch, number)
        if read is None:
            return None
        table, key = read
        rows = np.flatnonzero(self.layout.lot.counted(key, self.share))
        blocks = [rows[i : i + BLOCK_ROWS] for i in range(0, len(rows), BLOCK_ROWS)]
        counts: Reduction[Counts | None] = Reduction(merge_counts)
        counts.add(None)
        for start in range(0, len(blocks), ROUND):
            tasks = [partial(self._count, table.take(b)) for b in blocks[start : start + ROUND]]
            for block in run_tasks(tasks, self.n_jobs):
                counts.add(block)
        return counts.result()

    def _count(self, table: Table) -> Counts:
        encoded: dict[int, Rows] = {}
        counts = []
        for growing in self.trees:
            key = id(growing.encoding)
            if key not in encoded:
                encoded[key] = rows_of(growing.encoding, table.schema, table)
            counts.append(_arrays(growing.tree, encoded[key]))
        return counts


def rows_of(encoding: Encoding, schema: Schema, table: Table) -> Rows:
    """A block of rows under an encoding, each of weight one."""
    encoded: Encoded = encoding.encode(table, 1)
    return encoded_rows(encoding, schema, encoded, np.ones(table.n_rows))


def _arrays(tree: LatentTree, rows: Rows) -> Arrays:
    statistics = expect(tree, rows, np.arange(len(rows)))
    moments = zip(statistics.weight, statistics.sum, statistics.square, strict=True)
    return [statistics.transition, statistics.emission, *(a for block in moments for a in block)]


def merge_counts(first: Counts | None, second: Counts | None) -> Counts | None:
    """Sums, in double precision."""
    if first is None or second is None:
        return second if first is None else first
    return [
        [np.add(a, b, dtype=np.float64) for a, b in zip(*pair, strict=True)]
        for pair in zip(first, second, strict=True)
    ]


def maximised(growing: Growing, counts: Arrays, rows: Rows) -> Growing:
    """The tree that follows from the expected counts of all rows.

    Parameters
    ----------
    growing : Growing
    counts : list of arrays
    rows : Rows
        Any of the tree's encoding: which columns have atoms.
    """
    start = counts_of(growing.tree, growing.plan)
    tree, (transition, emission, *moments) = start.tree, counts
    n_rows = float(transition[: tree.n_states[0]].sum())
    start.transition[:], start.emission[:] = transition / n_rows, emission / n_rows
    for i, own in enumerate(start.moments):
        own.weight[:], own.sum[:], own.square[:] = (a / n_rows for a in moments[3 * i : 3 * i + 3])
    start.level_share[:] = level_shares(tree, start.emission, n_rows)
    _renew_unseen(tree, transition, emission, len(rows.n_levels) - rows.n_companions)
    Refinement(start, rows.take(np.arange(0)), growing.plan, n_rows).maximise(1.0, 0.0)
    return replace(growing, tree=tree)


def _renew_unseen(
    tree: LatentTree, transition: NDArray[Any], emission: NDArray[Any], n_open: int
) -> None:
    """Mass of levels never seen, by how many levels all rows hold once."""
    for b in map(int, np.flatnonzero(tree.n_levels)):
        if tree.code_column[b] < n_open:
            at, n = int(tree.emission_at[b]), int(tree.n_levels[b])
            width = int(tree.n_states[b] // tree.n_cells[b])
            levels = _level_counts(tree, b, transition, emission[at : at + n * width])
            seen = 1 - tree.unseen[b]
            tree.unseen[b] = unseen_mass(np.rint(levels).astype(np.float64))
            tree.emission[at : at + n * width] *= (1 - tree.unseen[b]) / seen


def _level_counts(
    tree: LatentTree, b: int, transition: NDArray[Any], emission: NDArray[Any]
) -> NDArray[Any]:
    """Rows of each level; where each has a cell of its own, only its states are counted."""
    n_levels, n_cells, n_states = (int(a[b]) for a in (tree.n_levels, tree.n_cells, tree.n_states))
    if n_levels > n_cells:
        return np.asarray(emission.reshape(n_levels, -1).sum(axis=1))
    at, parent = int(tree.transition_at[b]), int(tree.parent[b])
    above = 1 if parent < 0 else int(tree.n_states[parent])
    states = transition[at : at + above * n_states].reshape(above, n_cells, -1)
    cell = tree.cell[tree.cell_at[b] : tree.cell_at[b] + n_levels]
    return np.asarray(states.sum(axis=(0, 2))[cell])
