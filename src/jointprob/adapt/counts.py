"""The expected counts that a latent tree stands for, and room in them for new levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.density import Gaussians, Moments
from jointprob.joint.start import Plan, Start
from jointprob.joint.tree import Codes, Floats, LatentTree, Points, empty_tree

LEAST_VARIANCE = 1e-12


def counts_of(tree: LatentTree, plan: Plan) -> Start:
    """A copy of a tree with the counts, as shares of a row, that its tables follow from.

    The tables are all that is needed: the expected counts of a model's own samples.
    """
    tree = tree.copy()
    shares, transition = _expected_transitions(tree)
    emission = np.zeros_like(tree.emission)
    for b in np.flatnonzero(tree.n_levels):
        _put(emission, tree, int(b), _expected_levels(tree, int(b), shares[b]))
    moments = [
        _moments(gaussians, shares[b], plan.floor)
        for b, gaussians in zip(tree.numeric_blocks, tree.gaussians, strict=True)
    ]
    return Start(tree, transition, emission, level_shares(tree, emission, 1.0), moments)


def copied(start: Start) -> Start:
    """The same counts and tables in arrays of their own."""
    moments = []
    for old in start.moments:
        new = Moments(len(old.weight), old.sum.shape[1])
        new.weight[:], new.sum[:], new.square[:] = old.weight, old.sum, old.square
        moments.append(new)
    return Start(
        start.tree.copy(),
        start.transition.copy(),
        start.emission.copy(),
        start.level_share.copy(),
        moments,
    )


def with_levels(start: Start, n_levels: tuple[int, ...]) -> Start:
    """The same counts with room for more levels; a new one joins the rarest cell of its column.

    Parameters
    ----------
    start : Start
    n_levels : tuple of int
        Levels of each column of the codes, at least as many as before.
    """
    old = start.tree
    wanted = [n_levels[c] if n else 0 for c, n in zip(old.code_column, old.n_levels, strict=True)]
    if wanted == old.n_levels.tolist():
        return start
    shares, _ = _expected_transitions(old)
    blocks = range(old.n_blocks)
    tree = empty_tree(
        old.parent,
        old.code_column,
        [_cells(old, b, wanted[b], shares[b]) for b in blocks],
        [int(old.n_states[b] // old.n_cells[b]) for b in blocks],
        _gaussians_of(old),
    )
    tree.transition[:], tree.unseen[:] = old.transition, old.unseen
    emission = np.zeros_like(tree.emission)
    for b in np.flatnonzero(old.n_levels):
        _put(tree.emission, tree, int(b), _table(old.emission, old, int(b)))
        _put(emission, tree, int(b), _known_counts(start, int(b), wanted[b], shares[b]))
    tree.derive()
    share = level_shares(tree, emission, 1.0)
    return Start(tree, start.transition, emission, share, start.moments)


def allow_new_levels(tree: LatentTree) -> None:
    """Make levels without any count as likely in all states of their cell, until they are counted.

    A row of density 0 would count for nothing; how likely a level is says nothing of the states.
    """
    new = False
    for b in np.flatnonzero(tree.n_levels):
        table = _table(tree.emission, tree, int(b))
        unknown = ~table.any(axis=1)
        table[unknown], new = 1, new or bool(unknown.any())
    if new:
        tree.derive()


def level_shares(tree: LatentTree, emission: Points, total: float) -> Points:
    """Each level's share of its cell, with half a row of prior, float32 like `tree.cell`."""
    out = np.zeros(len(tree.cell), np.float32)
    for b in np.flatnonzero(tree.n_levels):
        at, n = int(tree.cell_at[b]), int(tree.n_levels[b])
        cell = tree.cell[at : at + n]
        smooth = _table(emission, tree, int(b)).sum(axis=1, dtype=np.float64) * total + 0.5
        out[at : at + n] = smooth / np.bincount(cell, smooth)[cell]
    return out


def _expected_transitions(tree: LatentTree) -> tuple[list[Floats], Points]:
    """Share of each state of each block, and of each pair of states along the edges."""
    shares: list[Floats] = []
    out = np.zeros_like(tree.transition)
    for b in range(tree.n_blocks):
        above = shares[tree.parent[b]] if tree.parent[b] >= 0 else np.ones(1)
        at, n = int(tree.transition_at[b]), int(tree.n_states[b])
        pairs = tree.transition[at : at + len(above) * n].reshape(len(above), n) * above[:, None]
        out[at : at + pairs.size] = pairs.ravel()
        shares.append(pairs.sum(axis=0, dtype=np.float64))
    return shares, out


def _expected_levels(tree: LatentTree, b: int, shares: Floats) -> Floats:
    """Share of each (level, state in its cell) of a categorical block, (n_levels, width)."""
    at, n = int(tree.cell_at[b]), int(tree.n_levels[b])
    by_cell = shares.reshape(int(tree.n_cells[b]), -1)[tree.cell[at : at + n]]
    return np.asarray(by_cell * _table(tree.emission, tree, b) / (1 - float(tree.unseen[b])))


def _moments(gaussians: Gaussians, shares: Floats, floor: float) -> Moments:
    d = len(gaussians.columns)
    i, j = np.tril_indices(d)
    mean = gaussians.means
    covariance = gaussians.covariance_lanes[:, : gaussians.n_states].T.copy()
    added = floor + (np.zeros(d) if gaussians.grain is None else gaussians.grain)
    covariance[:, i == j] = np.maximum(covariance[:, i == j] - added, LEAST_VARIANCE)
    moments = Moments(gaussians.n_states, d)
    moments.weight[:] = shares
    moments.sum[:] = shares[:, None] * mean
    moments.square[:] = shares[:, None] * (covariance + mean[:, i] * mean[:, j])
    return moments


def _cells(tree: LatentTree, b: int, n_levels: int, shares: Floats) -> Codes:
    at, n = int(tree.cell_at[b]), int(tree.n_levels[b])
    rarest = int(shares.reshape(int(tree.n_cells[b]), -1).sum(axis=1).argmin())
    new = np.full(n_levels - n, rarest, np.int32)
    return np.concatenate([tree.cell[at : at + n], new])


def _known_counts(start: Start, b: int, n_levels: int, shares: Floats) -> NDArray[Any]:
    """Counts of the levels so far; where each had a cell of its own, none were kept up."""
    tree = start.tree
    if n_levels > tree.n_levels[b] == tree.n_cells[b]:
        return _expected_levels(tree, b, shares)
    return _table(start.emission, tree, b)


def _table(flat: Points, tree: LatentTree, b: int) -> Points:
    """A block's part of a flat table by level, (n_levels, width)."""
    at, n = int(tree.emission_at[b]), int(tree.n_levels[b])
    width = int(tree.n_states[b] // tree.n_cells[b])
    return flat[at : at + n * width].reshape(n, width)


def _put(flat: Points, tree: LatentTree, b: int, table: NDArray[Any]) -> None:
    """Write the first levels of a block."""
    _table(flat, tree, b)[: len(table)] = table


def _gaussians_of(tree: LatentTree) -> list[Gaussians | None]:
    own = dict(zip(tree.numeric_blocks, tree.gaussians, strict=True))
    return [own.get(b) for b in range(tree.n_blocks)]
