"""The start of a latent tree: hard counts on k-means subsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jointprob import _joint
from jointprob.density import Gaussians, Moments, start_gaussians
from jointprob.joint.tree import Codes, Floats, LatentTree, Points, empty_tree
from jointprob.partition import cells, chow_liu, features, kmeans, mutual_information


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded rows and their weights.

    Parameters
    ----------
    codes : int32 (n_rows, n_categorical)
    z : float32 (n_rows, n_numeric)
    weight : float64 (n_rows,)
    n_levels : tuple of int
        Known levels of each column of codes.
    """

    codes: Codes
    z: Points
    weight: Floats
    n_levels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        return Rows(
            np.ascontiguousarray(self.codes[rows]), self.z[rows], self.weight[rows], self.n_levels
        )


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
    smoothing, emission_smoothing, shrinkage : float
        Pseudo-rows of transitions, emissions and covariances.
    floor : float
        Added to every variance.
    """

    n_subsets: int = 32
    n_gaussians: int = 64
    numeric_blocks: tuple[tuple[int, ...], ...] = ()
    n_cells: int = 8
    smoothing: float = 1.0
    emission_smoothing: float = 1.0
    shrinkage: float = 5.0
    floor: float = 1e-6


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

    Parameters
    ----------
    rows : Rows
    plan : Plan
    seed : int
        Seed of k-means.
    """
    points = features(rows.codes, rows.n_levels, rows.z, rows.weight)
    coarse = _subsets(points, plan.n_subsets, rows.weight, seed, n_jobs)
    column_cells = cells(rows.codes, rows.n_levels, rows.weight, plan.n_cells)
    numeric = [np.array(block, np.int64) for block in plan.numeric_blocks]
    fine = [
        _subsets(_filled(rows.z[:, block]), plan.n_gaussians, rows.weight, seed, n_jobs)
        for block in numeric
    ]
    labels = _block_labels(rows, column_cells, coarse, fine, plan.n_subsets)
    order, parent = _tie(rows, column_cells, fine, coarse, plan)
    n_categorical = len(rows.n_levels)
    gaussians = [
        Gaussians.empty(numeric[b - n_categorical], plan.n_gaussians)
        if b >= n_categorical
        else None
        for b in order
    ]
    tree = empty_tree(
        parent,
        np.where(order < n_categorical, order, -1),
        [column_cells[b] if b < n_categorical else np.empty(0, np.int32) for b in order],
        [plan.n_subsets if b < n_categorical else plan.n_gaussians for b in order],
        gaussians,
    )
    return _count(rows, tree, [labels[b] for b in order], coarse, plan)


def _subsets(
    points: Points, n_subsets: int, weight: Floats, seed: int, n_jobs: int | None
) -> Codes:
    if points.shape[1] == 0 or n_subsets == 1:
        return np.zeros(len(points), np.int32)
    return kmeans(points, n_subsets, weight, seed, n_jobs=n_jobs)[1]


def _filled(z: Points) -> Points:
    return np.nan_to_num(np.clip(z, -8, 8), copy=False)


def _block_labels(
    rows: Rows, column_cells: list[Codes], coarse: Codes, fine: list[Codes], width: int
) -> list[Codes]:
    """State of each row in each block: (its cell, its coarse subset), or its fine subset."""
    labels = []
    for column, cell in enumerate(column_cells):
        code = rows.codes[:, column]
        known = code >= 0
        state = np.full(len(code), -1, np.int32)
        state[known] = cell[code[known]] * width + coarse[known]
        labels.append(state)
    return labels + fine


def _tie(
    rows: Rows, column_cells: list[Codes], fine: list[Codes], coarse: Codes, plan: Plan
) -> tuple[Codes, Codes]:
    """Maximum spanning tree over blocks by the information that their observed parts share."""
    observed = [
        np.where(rows.codes[:, j] < 0, -1, np.append(cell, -1)[rows.codes[:, j]])
        for j, cell in enumerate(column_cells)
    ]
    n_states = [int(cell.max(initial=0)) + 1 for cell in column_cells]
    labels = np.stack([*observed, *fine], axis=1).astype(np.int32)
    n_states += [plan.n_gaussians] * len(fine)
    return chow_liu(mutual_information(labels, n_states, rows.weight))


def _count(
    rows: Rows, tree: LatentTree, labels: list[Codes], coarse: Codes, plan: Plan
) -> Start:
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
        start_gaussians(g, z, labels[b], rows.weight, plan.shrinkage, plan.floor)
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
        tree.unseen[b] = unseen_mass(levels)
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
