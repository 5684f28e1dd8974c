"""The start of a latent tree: hard counts on k-means subsets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jointprob import _joint
from jointprob.density import Gaussians, Moments
from jointprob.joint.rows import Rows
from jointprob.joint.tree import Codes, Floats, LatentTree, Points, empty_tree
from jointprob.partition import cells, chow_liu, features, kmeans, mutual_information

MOST_STATES = 256
MOST_CELLS = 64  # JP_MAX_CELLS
Structure = Literal["mutual", "conditional", "mixture"]


@dataclass(frozen=True)
class Plan:
    """Sizes and pseudo-counts of one tree.

    Parameters
    ----------
    n_subsets : int
        Coarse subsets: states in each cell of a categorical block.
    n_gaussians : int
        States of a numeric block.
    numeric_blocks : tuple of tuples of int
        Columns of z that stand together.
    n_cells : int
        Cells of a categorical block at most.
    structure : "mutual", "conditional" or "mixture"
        The tree follows the mutual information of two blocks, the same given the coarse
        subset, or ties every block to the first numeric one: a plain mixture where
        ``n_subsets`` is 1.
    smoothing, emission_smoothing, shrinkage : float
        Pseudo-rows of transitions, emissions and covariances.
    floor : float
        Added to every variance.
    """

    n_subsets: int = 32
    n_gaussians: int = 64
    numeric_blocks: tuple[tuple[int, ...], ...] = ()
    n_cells: int = 8
    structure: Structure = "mutual"
    smoothing: float = 10.0
    emission_smoothing: float = 1.0
    shrinkage: float = 5.0
    floor: float = 1e-6

    def __post_init__(self) -> None:
        if not 1 <= self.n_cells <= MOST_CELLS:
            raise ValueError(f"n_cells is {self.n_cells}; allowed are 1 to {MOST_CELLS}")

    @property
    def most_subsets(self) -> int:
        """Of rows or of numbers, whichever are more."""
        return max(self.n_subsets, self.n_gaussians)

    def states(self, block: tuple[int, ...]) -> int:
        """States of a numeric block: a quarter on one column, where Gaussians soon overlap."""
        if len(block) > 1:
            return self.n_gaussians
        return max(self.n_gaussians // 4, min(self.n_gaussians, 8))

    def scaled(self, factor: float) -> Plan:
        """The same plan with more or fewer subsets, at most 256."""
        return replace(
            self,
            n_subsets=int(np.clip(round(self.n_subsets * factor), 1, MOST_STATES)),
            n_gaussians=int(np.clip(round(self.n_gaussians * factor), 1, MOST_STATES)),
        )

    def with_other_structure(self) -> Plan:
        """The same plan with the other way to tie blocks."""
        other: Structure = "conditional" if self.structure == "mutual" else "mutual"
        return replace(self, structure=other)

    def with_more_gaussians(self) -> Plan:
        """The same plan with twice the Gaussians."""
        return replace(self, n_gaussians=min(2 * self.n_gaussians, MOST_STATES))


@dataclass(eq=False)
class Start:
    """A started tree and the counts (as shares of a row) that it came from."""

    tree: LatentTree
    transition: Points
    emission: Points
    level_share: Points
    moments: list[Moments]


def grow(rows: Rows, plan: Plan, seed: int, n_jobs: int | None = None) -> Start:
    """Divide the rows into subsets, tie the blocks into a tree, and count.

    Columns that no row knows stay out; a numeric column in no block of the plan gets one
    standard normal of its own.

    Parameters
    ----------
    rows : Rows
    plan : Plan
    seed : int
        Seed of k-means.
    """
    coarse = _coarse_subsets(rows, plan, seed, n_jobs)
    levels = [
        _Levels(j, cell, rows.codes[:, j])
        for j, cell in enumerate(cells(rows.codes, rows.n_levels, rows.weight, plan.n_cells))
        if len(cell)
    ]
    numeric = [
        _Numbers(block, size, _fine_subsets(rows, block, size, seed, n_jobs))
        for block, size in _numeric_parts(rows, plan)
    ]
    order, parent = _tie(rows, levels, numeric, coarse, plan, n_jobs)
    parts = [[*levels, *numeric][b] for b in order]
    tree = empty_tree(
        parent.astype(np.int64),
        np.array([p.column if isinstance(p, _Levels) else -1 for p in parts], np.int64),
        [p.cell if isinstance(p, _Levels) else np.empty(0, np.int32) for p in parts],
        [plan.n_subsets if isinstance(p, _Levels) else p.n_states for p in parts],
        [None if isinstance(p, _Levels) else p.gaussians(rows) for p in parts],
    )
    labels = [p.states(coarse, plan.n_subsets) for p in parts]
    return _count(rows, tree, labels, coarse, plan)


def _coarse_subsets(rows: Rows, plan: Plan, seed: int, n_jobs: int | None) -> Codes:
    """Coarse subset of each row; of no use where no column is categorical."""
    if not any(rows.n_levels) and plan.structure != "conditional":
        return np.zeros(len(rows), np.int32)
    points = features(rows.codes, rows.n_levels, rows.points, rows.weight, n_jobs)
    return _subsets(points, plan.n_subsets, rows.weight, seed, n_jobs)


@dataclass(frozen=True, eq=False)
class _Levels:
    """A categorical block before it has a place in the tree."""

    column: int
    cell: Codes
    codes: Codes

    @property
    def observed(self) -> Codes:
        """Cell of each row, -1 where missing."""
        return np.append(self.cell, -1).astype(np.int32)[np.maximum(self.codes, -1)]

    def states(self, coarse: Codes, width: int) -> Codes:
        """(cell, coarse subset) of each row, -1 where missing."""
        cell = self.observed
        return np.where(cell < 0, -1, cell * width + coarse).astype(np.int32)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """A numeric block before it has a place in the tree."""

    columns: NDArray[np.int64]
    n_states: int
    observed: Codes

    def gaussians(self, rows: Rows) -> Gaussians:
        own = rows.families.get(int(self.columns[0]))
        if own is not None:
            densities: Gaussians = own.family.densities(own.name, self.columns[0], self.n_states)
            return densities
        return Gaussians.empty(self.columns, self.n_states, rows.grain[self.columns])

    def states(self, coarse: Codes, width: int) -> Codes:
        """Fine subset of each row."""
        return self.observed


def _numeric_parts(rows: Rows, plan: Plan) -> list[tuple[NDArray[np.int64], int]]:
    """Columns and number of states of each numeric block."""
    placed = {j for block in plan.numeric_blocks for j in block}
    alone = [j for j in rows.numeric if j not in placed]
    return [(np.array(block, np.int64), plan.states(block)) for block in plan.numeric_blocks] + [
        (np.array([j], np.int64), plan.states((j,)) if j in rows.families else 1) for j in alone
    ]


def _fine_subsets(
    rows: Rows, columns: NDArray[np.int64], n_subsets: int, seed: int, n_jobs: int | None
) -> Codes:
    """Subset of each row by some numeric columns alone."""
    return _subsets(_filled(rows.points[:, columns]), n_subsets, rows.weight, seed, n_jobs)


def _subsets(
    points: Points, n_subsets: int, weight: Floats, seed: int, n_jobs: int | None
) -> Codes:
    if points.shape[1] == 0 or n_subsets == 1:
        return np.zeros(len(points), np.int32)
    return kmeans(points, n_subsets, weight, seed, n_jobs=n_jobs)[1]


def _filled(z: Points) -> Points:
    # a missing or very far value should not make a subset of its own
    return np.nan_to_num(np.clip(z, -8, 8), copy=False)


def _tie(
    rows: Rows,
    levels: list[_Levels],
    numeric: list[_Numbers],
    coarse: Codes,
    plan: Plan,
    n_jobs: int | None,
) -> tuple[Codes, Codes]:
    """Maximum spanning tree over blocks by the information that their observed parts share."""
    parts: list[_Levels | _Numbers] = [*levels, *numeric]
    if plan.structure == "mixture":
        return chow_liu(_star(len(parts), len(levels) % len(parts)))
    labels = np.stack([p.observed for p in parts], axis=1)
    n_states = [int(p.cell.max()) + 1 for p in levels] + [p.n_states for p in numeric]
    condition = coarse if plan.structure == "conditional" else None
    return chow_liu(mutual_information(labels, n_states, rows.weight, condition, n_jobs=n_jobs))


def _star(n_blocks: int, centre: int) -> Floats:
    """Information whose spanning tree ties every block to one."""
    information = np.zeros((n_blocks, n_blocks))
    information[centre] = information[:, centre] = 1
    return information


def _count(rows: Rows, tree: LatentTree, labels: list[Codes], coarse: Codes, plan: Plan) -> Start:
    total = float(rows.weight.sum())
    transition = np.empty_like(tree.transition)
    nowhere = np.zeros(len(rows), np.int32)
    for b in range(tree.n_blocks):
        p = int(tree.parent[b])
        above = nowhere if p < 0 else labels[p]
        counts = np.zeros((1 if p < 0 else int(tree.n_states[p]), int(tree.n_states[b])))
        _joint.count_pairs(above, labels[b], rows.weight, counts)
        at = tree.transition_at[b]
        transition[at : at + counts.size] = counts.ravel() / total
    emission, level_share = _count_levels(rows, tree, coarse, total, plan)
    parts = tree.numeric_parts(rows.z)
    moments = [
        g.start(z, labels[b], rows.weight, plan.shrinkage, plan.floor)
        for b, g, z in zip(tree.numeric_blocks, tree.gaussians, parts, strict=True)
    ]
    return Start(tree, transition, emission, level_share, moments)


def _count_levels(
    rows: Rows, tree: LatentTree, coarse: Codes, total: float, plan: Plan
) -> tuple[Points, Points]:
    """Counts of (level, coarse subset), each level's share of its cell, and the unseen mass."""
    emission = np.zeros_like(tree.emission)
    share = np.zeros(len(tree.cell), np.float32)
    for b in range(tree.n_blocks):
        n_levels, column = int(tree.n_levels[b]), int(tree.code_column[b])
        if n_levels == 0:
            continue
        counts = np.zeros((n_levels, plan.n_subsets))
        codes = np.ascontiguousarray(rows.codes[:, column])
        _joint.count_pairs(codes, coarse, rows.weight, counts)
        at = tree.emission_at[b]
        emission[at : at + counts.size] = counts.ravel() / total
        levels = counts.sum(axis=1)
        cell = tree.cell[tree.cell_at[b] : tree.cell_at[b] + n_levels]
        smooth = levels + 0.5
        in_cell = np.bincount(cell, smooth)
        share[tree.cell_at[b] : tree.cell_at[b] + n_levels] = smooth / in_cell[cell]
        is_open = column < len(rows.n_levels) - rows.n_companions
        tree.unseen[b] = unseen_mass(levels) if is_open else 0.0
        seen = 1 - tree.unseen[b]
        tree.emission[at : at + counts.size] = np.repeat(
            (smooth / in_cell[cell]).astype(np.float32) * seen, plan.n_subsets
        )
    return emission, share


def unseen_mass(levels: Floats) -> float:
    """Good-Turing mass of levels not seen in fit: the share of rows whose level was seen once.

    Good (1953), doi:10.1093/biomet/40.3-4.237. A hundredth of a row where no level is single.
    """
    single = float(levels[(levels > 0) & (levels <= 1)].sum())
    return float(min(0.5, (single + 0.01) / (levels.sum() + 1)))
