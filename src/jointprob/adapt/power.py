"""The power prior: a tree's own tables, as counts of the rows it was fitted to, times a0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jointprob.joint.adaptation import Statistics, between, write_lanes
from jointprob.joint.tree import Floats, LatentTree

LEAST_SHARE = 1e-20  # keeps every message above what a float can divide by
STEPS = 5  # of a0, from all rows of the source down to a single one
LEAST_NATS = 2.0  # that held-out rows must gain by a smaller a0
FLOOR = 1e-6  # added to every variance, as in a tree's own fit


@dataclass(frozen=True, eq=False)
class Exponents:
    """a0 of every block, 0 to 1, float64 (n_blocks,) each.

    Parameters
    ----------
    state_marginal, transition : float64
        How common each state is whatever its parent's, and given it.
    level_marginal, emission : float64
        The same of levels and states.
    mean, covariance : float64
        Of the Gaussians.
    """

    state_marginal: Floats
    transition: Floats
    level_marginal: Floats
    emission: Floats
    mean: Floats
    covariance: Floats

    @classmethod
    def everywhere(cls, a0: float, n_blocks: int) -> Exponents:
        """One a0 for all."""
        return cls(*(np.full(n_blocks, a0) for _ in range(6)))


class Held(NamedTuple):
    """A prior, and statistics of rows to learn from and of rows held out."""

    prior: PowerPrior
    learnt: Statistics
    held_out: Statistics


class PowerPrior:
    """A tree as the prior of its successor.

    Parameters
    ----------
    tree : LatentTree
    n_rows : float
        Rows it was fitted to.
    """

    def __init__(self, tree: LatentTree, n_rows: float) -> None:
        self.tree, self.n_rows = tree, n_rows
        self.shares = _state_shares(tree)

    def lean(self, statistics: Statistics, exponents: Exponents) -> LatentTree:
        """The tree whose tables lie between the prior's and those of the statistics."""
        adapted = self.tree.copy()
        for b in range(self.tree.n_blocks):
            at, size = self._transition_at(b)
            a0 = exponents.state_marginal[b], exponents.transition[b]
            adapted.transition[at : at + size] = self._transition(b, statistics, *a0).ravel()
            if self.tree.n_levels[b]:
                own = slice(int(self.tree.emission_at[b]), self._emission_end(b))
                a0 = exponents.level_marginal[b], exponents.emission[b]
                adapted.emission[own] = self._emission(b, statistics, *a0).ravel()
        for g, b in enumerate(self.tree.numeric_blocks):
            a0 = exponents.mean[b], exponents.covariance[b]
            write_lanes(adapted.gaussians[g], *self._gaussians(g, b, statistics, *a0))
        adapted.derive()
        return adapted

    # ---- tables ----

    def _transition_at(self, b: int) -> tuple[int, int]:
        parent = int(self.tree.parent[b])
        above = 1 if parent < 0 else int(self.tree.n_states[parent])
        return int(self.tree.transition_at[b]), above * int(self.tree.n_states[b])

    def _own(self, b: int, flat: np.ndarray) -> Floats:
        at, size = self._transition_at(b)
        own: Floats = flat[at : at + size].reshape(-1, int(self.tree.n_states[b])).astype(float)
        return own

    def _transition(self, b: int, statistics: Statistics, marginal: float, state: float) -> Floats:
        parent = int(self.tree.parent[b])
        above = np.ones(1) if parent < 0 else self.shares[parent]
        prior, counts = self._own(b, self.tree.transition), self._own(b, statistics.transition)
        marginal = state if parent < 0 else marginal
        return between_tables(prior, counts, above, marginal * self.n_rows, state * self.n_rows)

    def score_transition(self, b: int, held: Held, *a0: float) -> float:
        """Expected log-likelihood that the block's states leave to a0, nats."""
        counts = self._own(b, held.held_out.transition)
        return float(np.sum(counts * np.log(self._transition(b, held.learnt, *a0))))

    def _emission_end(self, b: int) -> int:
        tree = self.tree
        width = int(tree.n_states[b] // tree.n_cells[b])
        return int(tree.emission_at[b]) + int(tree.n_levels[b]) * width

    def _levels(self, b: int, flat: np.ndarray) -> Floats:
        """(n_levels, width)"""
        own: Floats = flat[int(self.tree.emission_at[b]) : self._emission_end(b)]
        return own.reshape(int(self.tree.n_levels[b]), -1).astype(float)

    def _emission(self, b: int, statistics: Statistics, marginal: float, state: float) -> Floats:
        tree = self.tree
        prior, counts = self._levels(b, tree.emission), self._levels(b, statistics.emission)
        seen, width = 1 - float(tree.unseen[b]), prior.shape[1]
        cell = tree.cell[tree.cell_at[b] : tree.cell_at[b] + len(prior)]
        out = prior.copy()
        for c in np.flatnonzero(np.bincount(cell) > 1):
            levels, above = cell == c, self.shares[b][c * width : (c + 1) * width]
            pulls = marginal * self.n_rows, state * self.n_rows
            own = between_tables(prior[levels].T / seen, counts[levels].T, above, *pulls)
            out[levels] = seen * own.T
        return out

    def score_emission(self, b: int, held: Held, *a0: float) -> float:
        """The same of its levels."""
        counts, table = self._levels(b, held.held_out.emission), self._emission(b, held.learnt, *a0)
        return float(np.sum(counts * np.log(np.maximum(table, LEAST_SHARE))))

    # ---- Gaussians ----

    def _gaussians(
        self, g: int, b: int, statistics: Statistics, mean: float, covariance: float
    ) -> tuple[Floats, Floats]:
        moments = statistics.weight[g], statistics.sum[g], statistics.square[g]
        rows = self.n_rows * self.shares[b][:, None]
        return between(self.tree.gaussians[g], moments, mean * rows, covariance * rows, FLOOR)

    def score_gaussians(self, b: int, held: Held, *a0: float) -> float:
        """The same of its numbers, constants left out."""
        out, g = held.held_out, self.tree.numeric_blocks.index(b)
        mean, triangle = self._gaussians(g, b, held.learnt, *a0)
        return gaussian_score(mean, triangle, out.weight[g], out.sum[g], out.square[g])


def choose(held: Sequence[Held]) -> Exponents:
    """a0 of each block by the expected log-likelihood of held-out rows.

    Given the states of a row, its log-likelihood is a sum over blocks: each has its own best.
    """
    tree = held[0].prior.tree
    chosen = Exponents.everywhere(1.0, tree.n_blocks)
    for b in range(tree.n_blocks):
        pair = _best(held, PowerPrior.score_transition, b)
        chosen.state_marginal[b], chosen.transition[b] = pair
        if tree.n_levels[b] > tree.n_cells[b]:
            pair = _best(held, PowerPrior.score_emission, b)
            chosen.level_marginal[b], chosen.emission[b] = pair
        if b in tree.numeric_blocks:
            chosen.mean[b], chosen.covariance[b] = _best(held, PowerPrior.score_gaussians, b)
    return chosen


def _best(held: Sequence[Held], score: Callable[..., float], b: int) -> tuple[float, float]:
    """Of both rates alike, then of the first on its own: what all states share moves first."""

    def total(first: float, second: float) -> float:
        return sum(score(h.prior, b, h, first, second) for h in held)

    grid = max(held[0].prior.n_rows, 1.0) ** -np.linspace(0, 1, STEPS)
    alike = _better([total(a0, a0) for a0 in grid])
    second = float(grid[alike])
    first = alike + _better([total(float(a0), second) for a0 in grid[alike:]])
    return float(grid[first]), second


def _better(scores: list[float]) -> int:
    """The best, if it is clearly better than the first: noise must not undo what is known."""
    best = int(np.argmax(scores))
    return best if scores[best] > scores[0] + LEAST_NATS else 0


def between_tables(
    prior: Floats, counts: Floats, above: Floats, marginal_rows: float, state_rows: float
) -> Floats:
    """P(j | i) between a prior's and that of counts.

    Parameters
    ----------
    prior, counts : float64 (n, m)
    above : float64 (n,)
        The prior's P(i).
    marginal_rows, state_rows : float
        Pseudo-rows of the whole table that say how common each j is, and how it goes with i.

    Notes
    -----
    The prior is tilted by r_j = (n_j + a m_j) / (e_j + a m_j), as in `jointprob.joint.adapt`, then
    counts as ``state_rows * above[i]`` rows of state i: a power prior.
    """
    usual = above @ prior
    expected, pull = counts.sum(axis=1) @ prior, marginal_rows * usual
    tilt = (counts.sum(axis=0) + pull + 1e-12) / (expected + pull + 1e-12)
    tilted = prior * (tilt if len(prior) > 1 else 1.0)
    tilted /= np.maximum(tilted.sum(axis=1, keepdims=True), 1e-300)
    rows = state_rows * above[:, None] + 1e-9
    out: Floats = (counts + rows * tilted) / (counts.sum(axis=1, keepdims=True) + rows)
    return np.maximum(out, LEAST_SHARE)


def gaussian_score(
    mean: Floats, triangle: Floats, weight: Floats, sums: Floats, squares: Floats
) -> float:
    """Expected log density of the rows behind some sums, nats, constants left out."""
    used = weight > 1e-9
    if not used.any():
        return 0.0
    d = mean.shape[1]
    i, j = np.tril_indices(d)
    covariance, scatter = np.empty((2, int(used.sum()), d, d))
    m, s = mean[used], sums[used]
    lower = squares[used] - m[:, i] * s[:, j] - s[:, i] * m[:, j]
    lower += weight[used, None] * m[:, i] * m[:, j]
    covariance[:, i, j] = covariance[:, j, i] = triangle[used]
    scatter[:, i, j] = scatter[:, j, i] = lower
    log_det = np.linalg.slogdet(covariance)[1]
    trace = np.trace(np.linalg.solve(covariance, scatter), axis1=1, axis2=2)
    return float(-0.5 * np.sum(weight[used] * log_det + trace))


def _state_shares(tree: LatentTree) -> list[Floats]:
    """P(z_b) of every block."""
    shares: list[Floats] = []
    for b in range(tree.n_blocks):
        parent, at, n = int(tree.parent[b]), int(tree.transition_at[b]), int(tree.n_states[b])
        above = np.ones(1) if parent < 0 else shares[parent]
        table = tree.transition[at : at + len(above) * n].reshape(len(above), n)
        shares.append(above @ table.astype(float))
    return shares
