"""A member of the bag as queries read it: where each column stands, and what its states emit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from jointprob import _query
from jointprob.density import Gaussians
from jointprob.encode import Encoding
from jointprob.joint.nursery import Member
from jointprob.joint.tree import Codes, Floats, LatentTree, Points, Sizes

Mask = NDArray[np.bool_]

FEW_ROWS = 100.0  # a score of 2.6
UNUSED = _query.States(np.zeros((1, 1)), np.ones((1, 1, 1)))


class Place(NamedTuple):
    """Where a column of z stands: the number of its Gaussian block, and its position there."""

    gaussian: int
    position: int


@dataclass(frozen=True, eq=False)
class Levels:
    """What a categorical block emits: P(level | state), zero outside the level's own cell.

    Parameters
    ----------
    first : int64 (n_levels,)
        First state of the level's cell.
    emission : float64 (n_levels, width)
        P(level | first state + k).
    unseen : float
        P(a level never seen in fit | any state).
    n_states : int
    """

    first: Sizes
    emission: Floats
    unseen: float
    n_states: int

    def by_state(self, codes: Codes) -> Floats:
        """P(code | z), float64 (n_rows, n_states); ones where the code is missing."""
        out = np.where(codes == -1, 1.0, self.unseen)[:, None] * np.ones(self.n_states)
        known = np.flatnonzero(codes >= 0)
        out[known] = 0
        states = self.first[codes[known], None] + np.arange(self.emission.shape[1])
        out[known[:, None], states] = self.emission[codes[known]]
        return out

    def of_set(self, allowed: Mask) -> Floats:
        """P(set | z), float64 (n_states,)."""
        out = np.zeros(self.n_states)
        states = self.first[allowed, None] + np.arange(self.emission.shape[1])
        np.add.at(out, states, self.emission[allowed])
        return out

    def predict(self, states: NDArray[np.floating]) -> Floats:
        """Mass of each level, float64 (n_rows, n_levels), from that of each state."""
        out = np.empty((len(states), len(self.first)))
        width = self.emission.shape[1]
        for begin in np.unique(self.first):
            levels = np.flatnonzero(self.first == begin)
            own = states[:, begin : begin + width].astype(np.float64)
            out[:, levels] = np.einsum("nk,vk->nv", own, self.emission[levels])
        return out

    def draw(self, states: Codes, uniform: Floats, allowed: Mask | None) -> Codes:
        """A known level for each state drawn, int32 (n_rows,); an unseen one is never drawn."""
        ladder = self._ladder if allowed is None else self._climb(self.emission * allowed[:, None])
        place = np.searchsorted(ladder.steps, states + uniform)
        # Files may hold states that no level belongs to: the nearest one is drawn then.
        return ladder.levels[np.minimum(place, len(ladder.levels) - 1)]

    @cached_property
    def _ladder(self) -> Ladder:
        return self._climb(self.emission)

    def _climb(self, emission: Floats) -> Ladder:
        order = np.argsort(self.first, kind="stable")
        steps, levels = [], []
        for begin in np.unique(self.first):
            own = order[self.first[order] == begin]
            mass = np.cumsum(emission[own], axis=0).T
            share = mass / np.where(mass[:, -1:] > 0, mass[:, -1:], 1)
            share[:, -1] = 1
            steps.append((share + begin + np.arange(len(share))[:, None]).ravel())
            levels.append(np.tile(own, len(share)))
        return Ladder(np.concatenate(steps), np.concatenate(levels).astype(np.int32))


class Ladder(NamedTuple):
    """State + P(a level up to this one | state), ascending, and the level of each step."""

    steps: Floats
    levels: Codes


def farthest_score(n_rows: float) -> float:
    """The normal score that half a row is expected to exceed.

    Beyond it nothing is known but the tail that scored best on held-out rows. Some of these tails
    are so heavy that they have no expectation to speak of, so means take it for the end.
    """
    return float(ndtri(1 - 0.5 / max(n_rows, FEW_ROWS)))


class View:
    """A member's tables in the forms that queries read.

    Parameters
    ----------
    member : Member
    n_rows : float
        Rows it was fitted to.
    """

    def __init__(self, member: Member, n_rows: float) -> None:
        self.member = member
        self.reach = farthest_score(n_rows) if member.encoding.kind == "scores" else np.inf

    @property
    def tree(self) -> LatentTree:
        return self.member.tree

    @property
    def encoding(self) -> Encoding:
        return self.member.encoding

    @cached_property
    def state_at(self) -> Sizes:
        """Where each block's states start in a row of all states."""
        return np.concatenate([[0], np.cumsum(self.tree.n_states)[:-1]]).astype(np.int64)

    @cached_property
    def n_total(self) -> int:
        """States of all blocks together."""
        return int(self.tree.n_states.sum())

    @cached_property
    def block_of_code(self) -> dict[int, int]:
        """Block of each column of codes."""
        return {int(c): b for b, c in enumerate(self.tree.code_column) if c >= 0}

    @cached_property
    def place_of_numeric(self) -> dict[int, Place]:
        """Place of each column of z."""
        return {
            int(column): Place(g, position)
            for g, gaussians in enumerate(self.tree.gaussians)
            for position, column in enumerate(gaussians.columns)
        }

    @cached_property
    def levels(self) -> dict[int, Levels]:
        """What the block of each column of codes emits."""
        return {column: self._levels(b) for column, b in self.block_of_code.items()}

    def _levels(self, b: int) -> Levels:
        tree, n = self.tree, int(self.tree.n_levels[b])
        width = int(tree.n_states[b] // tree.n_cells[b])
        cell = tree.cell[tree.cell_at[b] : tree.cell_at[b] + n].astype(np.int64)
        emission = tree.emission[tree.emission_at[b] : tree.emission_at[b] + n * width]
        return Levels(
            cell * width,
            emission.reshape(n, width).astype(np.float64),
            float(tree.unseen[b]),
            int(tree.n_states[b]),
        )

    @cached_property
    def states(self) -> tuple[_query.States, ...]:
        """The Gaussians of each numeric block; `UNUSED` where its densities are the user's own."""
        return tuple(
            _query.States(g.means.copy(), g.covariances) if isinstance(g, Gaussians) else UNUSED
            for g in self.tree.gaussians
        )

    def own(self, g: int) -> Any:
        """Block g's densities where they are of a family of the user's own, else None."""
        densities = self.tree.gaussians[g]
        return None if isinstance(densities, Gaussians) else densities

    def alone(self, g: int, position: int) -> tuple[Floats, Floats]:
        """Mean and deviation of one column of Gaussian block g in every state."""
        gaussians = self.tree.gaussians[g]
        diagonal = position * (position + 1) // 2 + position
        variance = gaussians.covariance_lanes[diagonal, : gaussians.n_states]
        mean = gaussians.mean_lanes[position, : gaussians.n_states]
        return mean.astype(np.float64), np.sqrt(np.maximum(variance, 1e-12))

    def block(self, b: int, states: Points) -> Points:
        """Block b's part of rows of all states."""
        return states[:, self.state_at[b] : self.state_at[b] + self.tree.n_states[b]]
