"""Move rows: what a row shows is redrawn, wholly or in part, inside the subsets it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from jointprob import _query
from jointprob.encode import CONTINUOUS, MISSING
from jointprob.joint.tree import Codes, Floats, LatentTree, Sizes
from jointprob.query.passes import Keys, Pass, pattern_keys
from jointprob.query.sampling import by_pass

PASS, CELLS = 0, 1  # draws of a row: which pass, then three for each code and two for each number
WHETHER, STATE, LEVEL = 0, 1, 2
NOISE, FRESH = 0, 1


def move_rows(
    passes: Sequence[Pass],
    share: Floats,
    rows: Sizes,
    key: Keys,
    seed: int,
    strength: float,
    fixed: Collection[int] = (),
) -> list[NDArray[np.int32] | Floats]:
    """Rows moved by `strength`, column by column of the table.

    Parameters
    ----------
    passes : sequence of Pass
        Of evidence by value alone.
    share : float64 (n_passes, n_rows)
        P(pass | row).
    rows : int64 (n_rows,)
        Rows of the passes; one may stand there many times.
    key : uint64 (n_rows,)
        A row's move depends on the seed, its key and its cells alone.
    strength : float
        Above 0 (nothing would move), at most 1.
    fixed : collection of int
        Columns of codes that stay.

    Returns
    -------
    list of int32 or float64 (n_rows,)
        What stands in cells that were missing means nothing.

    Notes
    -----
    A pass and the states of its blocks are drawn given the row. A number then takes a step of the
    autoregression z' = m + sqrt(1 - s^2) (z - m) + s (e - m), with e drawn from its state's
    Gaussian of mean m. A level is redrawn with probability s, and its block's state with it, given
    the states of the neighbouring blocks: a step of Gibbs sampling. Each step leaves the fitted
    distribution as it is, so rows that follow it still do when they have moved. A level that fit
    did not see is always redrawn.
    """
    encoding = passes[0].view.encoding
    n_draws = CELLS + 3 * len(encoding.n_levels) + 2 * len(encoding.numeric)
    uniform = np.empty((len(rows), n_draws))
    _query.uniform(seed, key, uniform)

    def draw(one: Pass, within: Sizes) -> tuple[Codes, Floats]:
        return _move_pass(
            one.take(rows[within]), key[within], uniform[within], seed, strength, fixed
        )

    return by_pass(passes, share, uniform[:, PASS], draw)


def _move_pass(
    one: Pass, key: Keys, uniform: Floats, seed: int, strength: float, fixed: Collection[int]
) -> tuple[Codes, Floats]:
    states = one.sample_states(np.arange(one.n_rows), seed, key)
    codes, z, first = one.codes.copy(), one.z.astype(np.float64), CELLS + 3 * one.codes.shape[1]
    of_codes = uniform[:, CELLS:first].reshape(one.n_rows, -1, 3)
    of_numbers = uniform[:, first:].reshape(one.n_rows, -1, 2)
    for column, block in one.view.block_of_code.items():
        if column in fixed:
            continue
        u, code = of_codes[:, column], codes[:, column]
        moved = np.flatnonzero(((u[:, WHETHER] < strength) & (code >= 0)) | (code < MISSING))
        states[moved, block] = _redraw_state(one.view.tree, block, states[moved], u[moved, STATE])
        state = states[moved, block]
        codes[moved, column] = one.view.levels[column].draw(state, u[moved, LEVEL], None)
    for j, place in enumerate(one.view.encoding.companion_of):
        if place is not None:
            z[codes[:, place] > CONTINUOUS, j] = np.nan
    for g, block in enumerate(one.view.tree.numeric_blocks):
        _move_numbers(one, g, np.ascontiguousarray(states[:, block]), of_numbers, strength, z)
    return codes, z


def _redraw_state(tree: LatentTree, block: int, states: Codes, uniform: Floats) -> Codes:
    """A state of the block for each row, given those of its neighbours in the tree."""
    above = states[:, tree.parent[block]] if tree.parent[block] >= 0 else 0 * states[:, block]
    children = np.flatnonzero(tree.parent == block).tolist()
    if not children:
        return _step_down(_transition(tree, block), above, uniform)
    mass = _transition(tree, block)[above].astype(np.float64)
    for child in children:
        mass *= _transition(tree, child).T[states[:, child]]
        mass /= np.maximum(mass.max(axis=1, keepdims=True), 1e-300)  # many children underflow
    below = np.cumsum(mass, axis=1)
    state = (below[:, :-1] <= uniform[:, None] * below[:, -1:]).sum(axis=1)
    return np.where(below[:, -1] > 0, state, states[:, block]).astype(np.int32)


def _step_down(transition: NDArray[np.float32], above: Codes, uniform: Floats) -> Codes:
    """A state for each state above: one search in all rows of the table, at 0, 1, ..."""
    below = np.cumsum(transition, axis=1, dtype=np.float64)
    below = below / below[:, -1:] + np.arange(len(below))[:, None]
    place = np.searchsorted(below[:, :-1].ravel(), above + uniform, side="right")
    last = transition.shape[1] - 1
    # Beyond it where above + uniform rounds up to above + 1.
    return np.asarray(np.minimum(place - above * last, last), np.int32)


def _transition(tree: LatentTree, block: int) -> NDArray[np.float32]:
    """P(state | state of the parent), (n_above, n_states)."""
    above, at = tree.parent[block], tree.transition_at[block]
    n_above = int(tree.n_states[above]) if above >= 0 else 1
    n_states = int(tree.n_states[block])
    return tree.transition[at : at + n_above * n_states].reshape(n_above, n_states)


def _move_numbers(
    one: Pass, g: int, state: Codes, uniform: Floats, strength: float, z: Floats
) -> None:
    """Known numbers take their step; then those that are new, atoms before, are drawn."""
    gaussians, kernel = one.view.tree.gaussians[g], one.view.states[g]
    normal = np.ascontiguousarray(ndtri(uniform[:, gaussians.columns, NOISE]))
    work, own = np.empty(kernel.work_size()), np.ascontiguousarray(z[:, gaussians.columns])
    mean, drawn = gaussians.means[state], np.empty_like(own)
    order = np.argsort(state.astype(np.uint16), kind="stable")  # few bits: sorted in linear time
    kernel.draw(np.full_like(own, np.nan), state, order, normal, work, drawn)
    own = mean + np.sqrt(1 - strength**2) * (own - mean) + strength * (drawn - mean)
    new = np.flatnonzero(np.isnan(own).any(axis=1))
    if len(new):
        part, of = own[new], state[new]
        normal = np.ascontiguousarray(ndtri(uniform[new][:, gaussians.columns, FRESH]))
        order, drawn = np.lexsort((of, pattern_keys(part))), np.empty_like(part)
        kernel.draw(part, of, order, normal, work, drawn)
        own[new] = drawn
    z[:, gaussians.columns] = own
