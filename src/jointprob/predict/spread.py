"""How a number spreads about its mean: the targets in the leaves that a row reaches, and the joint.

Distributions are held as probabilities below the upper ends of cells: they mix as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from jointprob.forest.leaves import LeafRows, LeafTargets
from jointprob.predict.binned import BinnedJoint
from jointprob.predict.cells import Cells, make_cells
from jointprob.predict.predictive import PredictiveDistribution

Floats = NDArray[np.float64]

CENTERINGS = (0.0, 0.5, 1.0)
JOINT_SHARES = (0.0, 0.15, 0.35, 0.65)  # of the joint, in the distribution
LEAST_GAIN = 0.002  # of the score, relative: what is worth less is left out
GLOBAL_SHARE = 0.01  # of all targets, in every row's distribution
LEVELS = (np.arange(20) + 0.5) / 20
MAP_KNOTS = 513


@dataclass(frozen=True, eq=False)
class Spread:
    """Where targets lie in every leaf.

    Parameters
    ----------
    leaves : LeafTargets
        Of the targets less `centering` times the mean.
    centering : float
    cells : Cells
    overall : float64 (n_cells,)
        Weights of the cells over all training rows.
    """

    leaves: LeafTargets
    centering: float
    cells: Cells
    overall: Floats


class Judged(NamedTuple):
    """Rows of the fit that distributions are judged on, each by what has not seen it."""

    number: Floats
    weight: Floats
    mean: Floats
    bins: Floats


class Candidate(NamedTuple):
    """A spread, and what its leaves say of the rows judged: (n_rows, n_cells)."""

    spread: Spread
    below: Floats


def make_spread(
    leaf_rows: LeafRows, number: Floats, mean: Floats, weight: Floats, centering: float
) -> Spread:
    """How targets spread when part of the mean is taken off."""
    cells, cell = make_cells(number - centering * mean, weight)
    overall = np.bincount(cell, weight, len(cells.low)) / weight.sum()
    return Spread(leaf_rows.targets(cell), centering, cells, overall)


def leaves_below(own: NDArray[np.floating[Any]], overall: Floats) -> Floats:
    """Probability below each cell's end by the leaves, from the weights of their targets."""
    return np.asarray(np.cumsum(mixed(own[:, : len(overall)], overall), axis=1))


def mixed(weight: NDArray[np.floating[Any]], overall: Floats) -> Floats:
    """Weights of cells with a little of those of all rows; each row adds up to 1."""
    weight = np.asarray(weight, np.float64)
    total = weight.sum(axis=1, keepdims=True)
    own = np.divide(weight, total, out=np.tile(overall, (len(weight), 1)), where=total > 0)
    return np.asarray((1 - GLOBAL_SHARE) * own + GLOBAL_SHARE * overall)


def warped(below: Floats, warp: Floats) -> Floats:
    """Weights of cells after what is below their ends passed through a beta distribution."""
    knots = np.linspace(0, 1, MAP_KNOTS)
    mapped = np.interp(np.clip(below, 0, 1), knots, betainc(warp[0], warp[1], knots))
    mapped[:, -1] = 1
    return np.diff(mapped, axis=1, prepend=0)


def choose_spread(candidates: list[Candidate], rows: Judged) -> int:
    """Place of the best, without the joint."""
    return int(np.argmin([_warp_and_score(c.below, c.spread, rows)[0] for c in candidates]))


def choose_share(candidate: Candidate, rows: Judged, joint: BinnedJoint) -> tuple[float, Floats]:
    """Share of the joint with the best score, and the warp that goes with it."""
    spread, below = candidate
    other = joint.below(rows.bins, spread.cells, spread.centering * rows.mean)
    tried = [
        _warp_and_score((1 - share) * below + share * other, spread, rows) for share in JOINT_SHARES
    ]
    losses = [loss for loss, _ in tried]
    best = int(np.argmin(losses))
    if losses[best] > losses[0] * (1 - LEAST_GAIN):
        best = 0
    return JOINT_SHARES[best], tried[best][1]


def _warp_and_score(below: Floats, spread: Spread, rows: Judged) -> tuple[float, Floats]:
    """Continuous ranked probability score out of bag, and the warp it takes."""
    shift = spread.centering * rows.mean
    warp = _fit_warp(below, spread.cells.find(rows.number - shift), rows.weight)
    distribution = PredictiveDistribution(spread.cells, warped(below, warp), shift, rows.mean)
    return _crps(distribution, rows.number, rows.weight), warp


def _fit_warp(below: Floats, cell: NDArray[np.int64], row_weight: Floats) -> Floats:
    """Beta distribution of the probabilities below each row's own target, by moments."""
    rows = np.arange(len(cell))
    above = below[rows, cell]
    own = above - np.where(cell > 0, below[rows, cell - 1], 0.0)
    u = above - own / 2
    # The middle of a cell hides its share of the spread.
    hidden = np.average(own**2 / 12, weights=row_weight)
    mean = float(np.average(u, weights=row_weight))
    variance = float(np.average((u - mean) ** 2, weights=row_weight)) + float(hidden)
    total = mean * (1 - mean) / variance - 1
    if not (np.isfinite(total) and total > 0.1 and len(cell) >= 20):
        return np.ones(2)
    return np.asarray(np.clip([mean * total, (1 - mean) * total], 0.3, 3.0))


def _crps(distribution: PredictiveDistribution, number: Floats, weight: Floats) -> float:
    """Continuous ranked probability score from twenty quantiles, in the target's unit."""
    off = number[:, None] - distribution.quantile(LEVELS)
    pinball = np.maximum(LEVELS * off, (LEVELS - 1) * off).mean(axis=1)
    return float(2 * np.average(pinball, weights=weight))
