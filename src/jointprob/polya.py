"""Sharpen a smooth marginal by an optional Polya tree on its normal scores' levels.

The smooth fit maps a column to u = F(x) in (0, 1), nearly uniform. What is left, steps, spikes
and gaps, is estimated by dyadic splits of (0, 1): a node is uniform or splits into halves with
Beta-distributed mass, and the posterior mean over all such trees is taken in closed form
(Wong & Ma 2010, doi:10.1214/09-AOS755, section 3, without the choice of a variable).
It needs no held-out rows: without evidence the smooth fit stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, ndtr, ndtri

from jointprob.marginal import Floats, Marginal

SPLIT_PRIOR = 0.5
PSEUDO_ROWS = np.array([0.5, 4.0, 32.0])  # of each half, equally likely: from jumps to slopes
MIN_ROWS = 4.0  # a node with fewer is uniform
MAX_NODES = 8192  # of one depth, for large tables
MAX_DEPTH = 20
CORNER = 0.25  # of a cell: the density passes from one cell to the next over this stretch
MIN_STEP = 0.02  # neighbouring cells with a smaller step of the log density are one


@dataclass(frozen=True)
class Level:
    """Nodes of one depth that may split: position in the level, rows and log split evidence."""

    position: npt.NDArray[np.int64]
    half_rows: Floats  # (n_nodes, 2)
    share: Floats  # (n_nodes, 2) posterior mean mass of the halves
    evidence: Floats  # (n_nodes,) of the two halves against uniform
    active: npt.NDArray[np.bool_]  # (n_nodes, 2) which halves are nodes of the next level


def sharpen(marginal: Marginal, values: Floats, cumulative: Floats) -> Marginal:
    """Add to a smooth marginal the steps and spikes that the rows give evidence for.

    Parameters
    ----------
    marginal : Marginal
        Smooth fit of the same rows.
    values, cumulative : float64 (n_distinct,)
        Distinct values, ascending, and cumulated weight in rows.
    """
    levels = grow(marginal, values, cumulative)
    start, density = posterior_mean(levels)
    step = np.abs(np.diff(np.log(density))) > MIN_STEP
    if not step.any():
        return marginal
    mass = np.concatenate([[0.0], np.cumsum(density * np.diff(start, append=1.0))])
    kept = np.concatenate([[True], step, [True]])
    edges, mass = np.append(start, 1.0)[kept], mass[kept] / mass[-1]
    return compose(marginal, *rounded(edges, mass, ndtr(marginal.z)))


def grow(marginal: Marginal, values: Floats, cumulative: Floats) -> list[Level]:
    """Split (0, 1) down to nodes of few rows.

    The rows of a distinct value are spread over its step, between the midpoints to its
    neighbours: a tie or a grid is then no spike, however deep the tree.
    """
    steps = np.concatenate([values[:1], 0.5 * values[1:] + 0.5 * values[:-1], values[-1:]])
    below = np.concatenate([[0.0], cumulative])
    least = max(MIN_ROWS, cumulative[-1] / MAX_NODES)
    position, ends = np.zeros(1, dtype=np.int64), np.array([[0.0, cumulative[-1]]])
    levels: list[Level] = []
    while len(position) and len(levels) < MAX_DEPTH:
        middle = marginal.inverse(ndtri((2 * position + 1) / 2.0 ** (len(levels) + 1)))
        rows = interpolate(middle, steps, below)
        half_ends = np.stack([ends[:, 0], rows, ends[:, 1]], axis=1)
        half_rows = np.maximum(np.diff(half_ends, axis=1), 0.0)
        active = half_rows >= least
        levels.append(Level(position, half_rows, *split_evidence(half_rows), active))
        position = (2 * position[:, None] + np.arange(2))[active]
        ends = np.stack([half_ends[:, :2][active], half_ends[:, 1:][active]], axis=1)
    return levels


def interpolate(x: Floats, knots: Floats, values: Floats) -> Floats:
    """Like `numpy.interp`, but by shares: steps between denormal numbers have no finite slope."""
    x = np.clip(x, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    width = knots[left + 1] - knots[left]
    share = np.divide(x - knots[left], width, out=np.zeros(len(x)), where=width > 0)
    return values[left] + share * (values[left + 1] - values[left])


def split_evidence(half_rows: Floats) -> tuple[Floats, Floats]:
    """Posterior mean mass of both halves, and log evidence of a split against no split."""
    left, right = half_rows[:, :1], half_rows[:, 1:]
    rows = left + right
    by_prior = betaln(left + PSEUDO_ROWS, right + PSEUDO_ROWS) - betaln(PSEUDO_ROWS, PSEUDO_ROWS)
    top = by_prior.max(axis=1, keepdims=True)
    likely = np.exp(by_prior - top)
    evidence = top[:, 0] + np.log(likely.mean(axis=1)) + rows[:, 0] * np.log(2)
    mean = (left + PSEUDO_ROWS) / (rows + 2 * PSEUDO_ROWS)
    share = (likely * mean).sum(axis=1) / likely.sum(axis=1)
    return np.stack([share, 1 - share], axis=1), evidence


def split_probabilities(levels: list[Level]) -> list[Floats]:
    """Posterior probability that each node splits, given that it was reached."""
    probabilities: list[Floats] = []
    below = np.empty(0)
    for level in reversed(levels):
        halves = np.zeros(level.active.shape)
        if len(below):
            halves[level.active] = below
        split = np.log(SPLIT_PRIOR) + level.evidence + halves.sum(axis=1)
        total = np.logaddexp(np.log1p(-SPLIT_PRIOR), split)
        probabilities.append(np.exp(split - total))
        below = total
    return probabilities[::-1]


def posterior_mean(levels: list[Level]) -> tuple[Floats, Floats]:
    """Piecewise constant density on (0, 1): starts of its cells, ascending, and their density."""
    stopped, reached = np.zeros(1), np.ones(1)
    starts, densities = [], []
    for depth, (level, split) in enumerate(zip(levels, split_probabilities(levels), strict=True)):
        stopped = np.repeat((stopped + reached * (1 - split))[:, None], 2, axis=1)
        reached = (reached * split)[:, None] * 2 * level.share
        halves = (2 * level.position[:, None] + np.arange(2)) / 2.0 ** (depth + 1)
        last = ~level.active if depth + 1 < len(levels) else np.ones_like(level.active)
        starts.append(halves[last])
        densities.append((stopped + reached)[last])
        stopped, reached = stopped[~last], reached[~last]
    start, density = np.concatenate(starts), np.concatenate(densities)
    order = np.argsort(start)
    return start[order], density[order]


def rounded(edges: Floats, mass: Floats, smooth: Floats) -> tuple[Floats, Floats, Floats]:
    """Levels, cumulated mass and density at the knots of a piecewise linear CDF, corners rounded.

    Each inner edge becomes two knots, between which the density passes linearly from one cell's
    to the next; the knots of the smooth fit outside the corners follow.
    """
    width = np.diff(edges)
    density = np.diff(mass) / width
    inner, inner_mass = edges[1:-1], mass[1:-1]
    reach = CORNER * np.minimum(width[:-1], width[1:])
    cell = np.searchsorted(inner, smooth)
    nearest = np.minimum(smooth - np.append(-1.0, inner + reach)[cell],
                         np.append(inner - reach, 2.0)[cell] - smooth)  # fmt: skip
    smooth, cell = smooth[nearest > 0], cell[nearest > 0]
    levels = np.concatenate([inner - reach, inner + reach, smooth])
    below = np.concatenate([
        inner_mass - reach * density[:-1],
        inner_mass + reach * density[1:],
        mass[cell] + (smooth - edges[cell]) * density[cell],
    ])  # fmt: skip
    order = np.argsort(levels)
    at_knots = np.concatenate([density[:-1], density[1:], density[cell]])
    return levels[order], below[order], at_knots[order]


def compose(marginal: Marginal, levels: Floats, below: Floats, density: Floats) -> Marginal:
    """The smooth transform followed by the CDF with these knots, as one monotone cubic."""
    inside = (levels > ndtr(marginal.z[0])) & (levels < ndtr(marginal.z[-1]))
    x = marginal.inverse(ndtri(levels[inside]))
    z, smooth_z = ndtri(below[inside]), ndtri(levels[inside])
    apart = np.diff(x, prepend=-np.inf) > np.maximum(1e-300, 1e-13 * np.abs(x))
    apart &= np.diff(z, prepend=-np.inf) > 1e-12
    x, z, smooth_z, density = x[apart], z[apart], smooth_z[apart], density[inside][apart]
    if len(x) < 2:
        return marginal
    slope = density * np.exp(0.5 * (z * z - smooth_z * smooth_z) + marginal.forward(x)[1])
    secants = np.diff(z) / np.diff(x)
    smaller = np.minimum(np.append(np.inf, secants), np.append(secants, np.inf))
    return Marginal(x, z, np.minimum(slope, 2.5 * smaller), marginal.tail)
