"""Draw rows: a pass, its latent states, then levels and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.utils import check_random_state

from jointprob import _query
from jointprob.encode import MISSING
from jointprob.joint.rows import row_hash
from jointprob.joint.tree import Codes, Floats, Sizes
from jointprob.query.intervals import GOLDEN, Nodes, cut, shifted
from jointprob.query.passes import Keys, Pass, pattern_keys
from jointprob.table import Table

N_PROPOSALS = 256  # for several intervals in one block of numeric columns
PASS, PROPOSAL, CELLS = (
    0,
    1,
    2,
)  # draws of a row: which pass, which proposal, then a draw for each cell


def seed_of(random_state: object) -> int:
    """A 64-bit seed; an int is its own."""
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        if random_state < 0:
            raise ValueError(
                f"random_state={random_state}; allowed are None, integers from 0, and generators"
            )
        return int(random_state) % (1 << 64)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(1 << 63))
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    return int(check_random_state(random_state).randint(1 << 31))


def count_of(n: float) -> int:
    """How many rows to draw; ValueError unless it is a whole number from 0."""
    if n < 0 or n != int(n):
        raise ValueError(f"n={n}; allowed are integers from 0")
    return int(n)


def row_keys(table: Table) -> Keys:
    """A key for each row by its cells, uint64 (n_rows,), whatever order the rows stand in.

    Equal rows are numbered: were their draws equal too, a table of few levels would lose the
    spread of its missing cells.
    """
    hashed = row_hash(table)
    order = np.argsort(hashed, kind="stable")
    _, first, count = np.unique(hashed[order], return_index=True, return_counts=True)
    number = np.arange(len(order)) - np.repeat(first, count)
    key = np.empty_like(hashed)
    key[order] = hashed[order] + number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return key


def draw_rows(
    passes: Sequence[Pass], share: Floats, rows: Sizes, key: Keys, seed: int
) -> list[NDArray[np.int32] | Floats]:
    """Complete rows, column by column of the table.

    Parameters
    ----------
    passes : sequence of Pass
    share : float64 (n_passes, n_rows)
        P(pass | row).
    rows : int64 (n_rows,)
        Rows of the passes; one may stand there many times.
    key : uint64 (n_rows,)
        A row's draw depends on the seed and its key alone.
    """
    encoding = passes[0].view.encoding
    uniform = np.empty((len(rows), CELLS + len(encoding.n_levels) + len(encoding.numeric)))
    _query.uniform(seed, key, uniform)

    def draw(one: Pass, own: Sizes) -> tuple[Codes, Floats]:
        return _draw_pass(one, rows[own], key[own], uniform[own], seed)

    return by_pass(passes, share, uniform[:, PASS], draw)


def by_pass(
    passes: Sequence[Pass],
    share: Floats,
    uniform: Floats,
    draw: Callable[[Pass, Sizes], tuple[Codes, Floats]],
) -> list[NDArray[np.int32] | Floats]:
    """Each row by the one pass that its uniform number falls to, column by column of the table.

    Parameters
    ----------
    share : float64 (n_passes, n_rows)
        P(pass | row).
    uniform : float64 (n_rows,)
    draw : callable
        Takes a pass and the positions of its rows; returns their codes and z.
    """
    chosen = choose_pass(share, uniform)
    columns: list[NDArray[np.int32] | Floats] = []
    for i, one in enumerate(passes):
        own = np.flatnonzero(chosen == i)
        if not len(own):
            continue
        decoded = one.view.encoding.decode(*draw(one, own))  # type: ignore[arg-type]
        columns = columns or [np.empty(len(chosen), part.dtype) for part in decoded]
        for column, part in zip(columns, decoded, strict=True):
            column[own] = part
    return columns


def choose_pass(share: Floats, uniform: Floats) -> Sizes:
    """The pass that each row's uniform number falls to, int64 (n_rows,)."""
    below = np.cumsum(share, axis=0)
    return np.asarray((below[:-1] <= uniform * below[-1]).sum(axis=0))


def _draw_pass(
    one: Pass, rows: Sizes, key: Keys, uniform: Floats, seed: int
) -> tuple[Codes, Floats]:
    states = one.sample_states(rows, seed, key)
    codes = one.codes[rows]
    for column, block in one.view.block_of_code.items():
        missing = np.flatnonzero(codes[:, column] == MISSING)
        u, state = uniform[missing, CELLS + column], states[missing, block]
        codes[missing, column] = one.view.levels[column].draw(state, u, one.sets.get(column))
    z = one.z[rows].astype(np.float64)
    first_numeric = CELLS + codes.shape[1]
    for g, block in enumerate(one.view.tree.numeric_blocks):
        state = np.ascontiguousarray(states[:, block])
        _draw_inside(one, g, rows, state, uniform, first_numeric, z)
        _draw_rest(one, g, state, uniform[:, first_numeric:], z)
    return codes, z


def _draw_inside(
    one: Pass, g: int, rows: Sizes, state: Codes, uniform: Floats, first: int, z: Floats
) -> None:
    """Draw the columns of a block that are known to lie in intervals.

    One interval: exactly. Several: one of 256 proposals, in proportion to its weight.
    """
    columns = one.cut_columns(g)
    if not columns:
        return
    densities = one.view.own(g)
    if densities is not None:
        raise ValueError(
            f"column {densities.name!r} has densities of a family of its own: "
            "they are not drawn inside an interval"
        )
    mean, factor = one.condition(g, rows, state, columns)
    residuals: list[Floats] = []
    nodes = _proposals(uniform[:, [first + j for j in columns]])
    drawn = cut(mean, factor, *one.ends(columns), nodes)
    below = np.cumsum(drawn.weight, axis=1)
    pick = (below < uniform[:, PROPOSAL, None] * below[:, -1:]).sum(axis=1)
    every = np.arange(len(rows))
    for i, j in enumerate(columns):
        residual = drawn.y[i][every, np.minimum(pick, drawn.y[i].shape[1] - 1)]
        z[:, j] = shifted(mean, factor, i, residuals)[:, 0] + factor[:, i, i] * residual
        residuals.append(residual[:, None])


def _proposals(u: Floats) -> Nodes:
    """Points of each row's own, u (n_rows, n_dims) shifted along a lattice."""
    n_dims = u.shape[1]
    n = N_PROPOSALS if n_dims > 1 else 1
    steps = np.outer(np.sqrt(np.arange(2, n_dims + 2)), np.arange(n)) * GOLDEN
    return Nodes(np.mod(u.T[:, :, None] + steps[:, None, :], 1.0), np.ones(n))


def _draw_rest(one: Pass, g: int, state: Codes, uniform: Floats, z: Floats) -> None:
    """Draw the cells of a block that are still missing, given the others."""
    columns = one.view.tree.gaussians[g].columns
    densities = one.view.own(g)
    if densities is not None:
        j = int(columns[0])
        missing = np.flatnonzero(np.isnan(z[:, j]))
        z[missing, j] = densities.draw(state[missing], uniform[missing, j])
        return
    kernel = one.view.states[g]
    known = np.ascontiguousarray(z[:, columns])
    normal = np.ascontiguousarray(ndtri(uniform[:, columns]))
    order = np.lexsort((state, pattern_keys(known))).astype(np.int64)
    out = np.empty_like(known)
    kernel.draw(known, state, order, normal, np.empty(kernel.work_size()), out)
    z[:, columns] = out
