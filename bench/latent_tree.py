"""Trees of many two-level columns, on which the joint stage's kernels are timed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from jointprob import _joint
from jointprob.joint.tree import LatentTree, empty_tree

N_ROWS = 512  # one batch of EM


def parents(shape: str, n_blocks: int) -> NDArray[np.int64]:
    """A chain, or a random tree of a Chow-Liu tree's depth: about a third are childless."""
    rng = np.random.default_rng(0)
    above = [
        b - 1 if shape == "chain" else int(rng.integers(max(0, b - 10), b or 1))
        for b in range(n_blocks)
    ]
    return np.array([-1, *above[1:]])


def two_level_tree(shape: str, n_blocks: int = 100, width: int = 32) -> LatentTree:
    """Two cells a block: 2 x width states, of which a known cell leaves `width`."""
    rng, cells = np.random.default_rng(1), np.arange(2, dtype=np.int32)
    tree = empty_tree(
        parents(shape, n_blocks), np.arange(n_blocks), [cells] * n_blocks, [width] * n_blocks,
        [None] * n_blocks,
    )  # fmt: skip
    tree.transition[:] = rng.random(tree.transition.size, np.float32) / width
    tree.emission[:], tree.unseen[:] = 1, 0.01
    tree.derive()
    return tree


def edge_products(tree: LatentTree) -> int:
    """Sum over edges of width_parent * width: a matrix product's multiply-adds for one row.

    Childless blocks answer from a table by level and multiply nothing.
    """
    width = tree.n_states // tree.n_cells
    inner = np.flatnonzero((tree.parent >= 0) & (tree.message_at < 0))
    return int((width[inner] * width[tree.parent[inner]]).sum())


def batch(tree: LatentTree, n_rows: int = N_ROWS) -> SimpleNamespace:
    """Rows with every cell known, and all that the kernels write."""
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 2, size=(n_rows, tree.n_blocks)).astype(np.int32)
    leaf = np.empty((n_rows, 0), np.float32)
    arrays = [np.zeros_like(a) for a in (tree.transition, tree.emission, tree.message)]
    n_total = int(tree.n_states.sum())
    return SimpleNamespace(
        evidence=_joint.Evidence(codes, tree.code_column, None, leaf, tree.leaf_at),
        codes=codes, leaf=leaf, n_rows=n_rows, weight=np.ones(n_rows), log_prob=np.empty(n_rows),
        work=tree.work(full=True), counts=_joint.Counts(*arrays),
        running=(tree.transition / 64, np.zeros_like(tree.emission)),
        level_share=np.ones(len(tree.cell), np.float32),
        m_step_work=np.empty(tree.kernel.maximise_work_size()),
        state_at=np.cumsum(tree.n_states) - tree.n_states,
        states=np.empty((n_rows, tree.n_blocks), np.int32),
        cavity=np.empty((n_rows, n_total), np.float32),
        posterior=np.empty((n_rows, n_total), np.float32),
        draw_key=np.arange(n_rows, dtype=np.uint64),
    )  # fmt: skip


def expect(tree: LatentTree, b: SimpleNamespace) -> None:
    tree.kernel.expect(b.evidence, b.weight, 0, b.n_rows, b.work, b.log_prob, b.counts, b.leaf)


def maximise(tree: LatentTree, b: SimpleNamespace) -> None:
    tree.kernel.maximise(
        b.counts, *b.running, b.level_share, 1e5, 1.0, 1.0, b.n_rows, 0.1, 0, tree.n_blocks,
        b.m_step_work,
    )  # fmt: skip
