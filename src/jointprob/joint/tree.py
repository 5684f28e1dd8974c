"""A block latent tree: its arrays and the passes over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob import _joint
from jointprob.density import NEGLIGIBLE, Gaussians
from jointprob.threads import run_blocks

Floats = NDArray[np.float64]
Points = NDArray[np.float32]
Codes = NDArray[np.int32]
Sizes = NDArray[np.int64]

BLOCK_ROWS = 1024  # rows whose Gaussian likelihoods are held at once
TABLES = ("transition", "transposed", "emission", "unseen", "message")
LOOKUP_LEVELS = 64  # columns of more levels send messages row by row


@dataclass(frozen=True, eq=False)
class LatentTree:
    """p(x) = sum_z P(z_0) prod_b P(z_b | z_parent(b)) prod_b f_b(x_b | z_b).

    Blocks stand parents first. A categorical block has ``n_cells`` cells of equally many states,
    and a level can only come from the states of its own cell; a numeric block has one Gaussian a
    state.

    Parameters
    ----------
    parent, n_states, n_cells, n_levels : int64 (n_blocks,)
        ``n_levels`` is 0 for numeric blocks.
    code_column : int64 (n_blocks,)
        Column of the codes behind a categorical block, else -1.
    leaf_at : int64 (n_blocks,)
        Where a numeric block's states start in a row of likelihoods, else -1.
    transition_at, emission_at, cell_at, message_at : int64 (n_blocks,)
        Offsets into the flat tables below; ``message_at`` is -1 where there is none.
    cell : int32
        Cell of each level.
    transition, emission, unseen : float32
        P(z_b | z_parent), P(level | z_b) within the level's cell, and the mass of a level never
        seen.
    transposed, message : float32
        Follow from the others; see `derive`.
    gaussians : tuple of Gaussians
        Of the numeric blocks, in block order.
    """

    parent: Sizes
    n_states: Sizes
    n_cells: Sizes
    n_levels: Sizes
    code_column: Sizes
    leaf_at: Sizes
    transition_at: Sizes
    emission_at: Sizes
    cell_at: Sizes
    message_at: Sizes
    cell: Codes
    transition: Points = field(repr=False)
    transposed: Points = field(repr=False)
    emission: Points = field(repr=False)
    unseen: Points = field(repr=False)
    message: Points = field(repr=False)
    gaussians: tuple[Gaussians, ...]

    @property
    def n_blocks(self) -> int:
        return len(self.parent)

    @cached_property
    def kernel(self) -> _joint.Tree:
        return _joint.Tree(
            self.parent, self.n_states, self.n_cells, self.n_levels, self.transition_at,
            self.emission_at, self.cell_at, self.message_at, self.cell, self.transition,
            self.transposed, self.emission, self.unseen, self.message,
            writable=all(getattr(self, name).flags.writeable for name in TABLES),
        )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "kernel"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @cached_property
    def numeric_blocks(self) -> tuple[int, ...]:
        return tuple(np.flatnonzero(self.leaf_at >= 0).tolist())

    @cached_property
    def n_leaf(self) -> int:
        return sum(g.n_states for g in self.gaussians)

    def copy(self) -> LatentTree:
        """A tree with its own probability tables."""
        own = {name: getattr(self, name).copy() for name in TABLES}
        return replace(self, gaussians=tuple(g.copy() for g in self.gaussians), **own)

    def derive(self) -> None:
        """Refresh what follows from the transitions, emissions and covariances."""
        self.kernel.derive(0, self.n_blocks)
        for gaussians in self.gaussians:
            gaussians.derive()

    def work(self, full: bool = False) -> NDArray[np.uint8]:
        """Work space for one thread's pass."""
        return np.empty(self.kernel.work_size(full), np.uint8)

    def numeric_parts(self, z: Points) -> list[Points]:
        """Each numeric block's own columns of z."""
        return [g.take(z) for g in self.gaussians]

    def leaves(
        self, parts: list[Points], rows: Sizes, negligible: float = NEGLIGIBLE
    ) -> tuple[Points, Floats]:
        """Likelihoods of every Gaussian for these rows, and each row's log scale."""
        n = len(rows)
        leaf, log_scale = np.empty((n, self.n_leaf), np.float32), np.zeros(n)
        for block, gaussians, z in zip(self.numeric_blocks, self.gaussians, parts, strict=True):
            gaussians.kernel.leaf(
                z, rows, 0, n, negligible, leaf, int(self.leaf_at[block]), log_scale,
                gaussians.work(),
            )  # fmt: skip
        return leaf, log_scale

    def evidence(
        self, codes: Codes, rows: NDArray[np.int64] | None, leaf: Points
    ) -> _joint.Evidence:
        return _joint.Evidence(codes, self.code_column, rows, leaf, self.leaf_at)

    def log_prob(self, codes: Codes, z: Points, n_jobs: int | None = None) -> Floats:
        """Log density of encoded rows, nats.

        Parameters
        ----------
        codes : int32 (n_rows, n_categorical), C-contiguous
        z : float32 (n_rows, n_numeric)
        """
        log_prob = np.empty(len(codes))
        parts = self.numeric_parts(z)

        def score(start: int, stop: int) -> None:
            rows = np.arange(start, stop)
            leaf, log_scale = self.leaves(parts, rows)
            evidence = self.evidence(codes, rows, leaf)
            out = log_prob[start:stop]
            self.kernel.log_prob(evidence, 0, stop - start, self.work(), out)
            out += log_scale

        run_blocks(score, len(codes), BLOCK_ROWS, n_jobs)
        return log_prob


def offsets(sizes: Iterator[int] | list[int]) -> tuple[Sizes, int]:
    """Where each of several flat tables starts, and their total size."""
    ends = np.cumsum([0, *sizes])
    return ends[:-1].astype(np.int64), int(ends[-1])


def empty_tree(
    parent: Sizes,
    code_column: Sizes,
    cells: list[Codes],
    widths: list[int],
    gaussians: list[Gaussians | None],
) -> LatentTree:
    """Lay out a tree's tables, all zero.

    Parameters
    ----------
    cells : list of int32 (n_levels,)
        Cell of each level of each block; empty for numeric blocks.
    widths : list of int
        States in a cell of each block.
    gaussians : list of Gaussians or None
        One per block.
    """
    n_cells = [int(c.max()) + 1 if len(c) else 1 for c in cells]
    n_levels = [len(c) for c in cells]
    n_states = [n * w for n, w in zip(n_cells, widths, strict=True)]
    n_above = [1 if p < 0 else n_states[p] for p in parent]
    childless = ~np.isin(np.arange(len(parent)), parent)
    lookup = [
        bool(childless[b]) and b > 0 and 0 < n_levels[b] <= LOOKUP_LEVELS
        for b in range(len(parent))
    ]
    transition_at, n_transition = offsets([h * a for h, a in zip(n_states, n_above, strict=True)])
    emission_at, n_emission = offsets([v * w for v, w in zip(n_levels, widths, strict=True)])
    cell_at, _ = offsets(n_levels)
    message_at, n_message = offsets(
        [v * a if ok else 0 for v, a, ok in zip(n_levels, n_above, lookup, strict=True)]
    )
    leaf_at, _ = offsets([g.n_states if g is not None else 0 for g in gaussians])
    numeric = np.array([g is not None for g in gaussians])
    return LatentTree(
        parent.astype(np.int64),
        np.array(n_states, np.int64),
        np.array(n_cells, np.int64),
        np.array(n_levels, np.int64),
        code_column.astype(np.int64),
        np.where(numeric, leaf_at, -1),
        transition_at,
        emission_at,
        cell_at,
        np.where(lookup, message_at, -1),
        np.concatenate([np.empty(0, np.int32), *cells]).astype(np.int32),
        np.zeros(n_transition, np.float32),
        np.zeros(n_transition, np.float32),
        np.zeros(n_emission, np.float32),
        np.zeros(len(parent), np.float32),
        np.zeros(n_message, np.float32),
        tuple(g for g in gaussians if g is not None),
    )
