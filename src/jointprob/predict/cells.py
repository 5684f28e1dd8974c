"""Cells of a target: points that many rows share, or intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jointprob.forest.leaves import N_CELLS

Floats = NDArray[np.float64]

ROWS_A_CELL = 4


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of a target: points that many rows share, or intervals; and tails beyond them.

    Parameters
    ----------
    low, high : float64 (n_cells,)
        Increasing; equal for a point.
    tail_mass : float
        Probability beyond either end.
    tail_scale : float
        Mean distance beyond an end, in the target's unit.
    """

    low: Floats
    high: Floats
    tail_mass: float
    tail_scale: float

    def find(self, numbers: Floats) -> NDArray[np.int64]:
        """Cell of each number; those between two cells belong to the next one."""
        found = np.searchsorted(self.high, numbers, side="left")
        return np.minimum(found, len(self.high) - 1)


def make_cells(
    numbers: Floats, weight: Floats, most: int = N_CELLS
) -> tuple[Cells, NDArray[np.uint8]]:
    """So many cells of about equal weight at most.

    A target of few values, each seen twice on average, has a point for each. Else cells hold four
    rows on average, for a density needs neighbours, and a value that weighs as much as a cell is a
    point.
    """
    values, place = np.unique(numbers, return_inverse=True)
    counts = np.bincount(place, weight, len(values))
    spread = float(np.sqrt(np.cov(numbers, aweights=weight))) if len(values) > 1 else 0.0
    tail_mass, tail_scale = 1 / (len(numbers) + 1) / 2, max(spread / 4, np.finfo(float).tiny)
    if len(values) <= min(most, max(1, len(numbers) // 2)):
        cell_of_value, point = np.arange(len(values)), np.ones(len(values), bool)
    else:
        n_cells = min(most, max(2, len(numbers) // ROWS_A_CELL))
        middle = np.cumsum(counts) - counts / 2
        cell_of_value = np.minimum((middle / counts.sum() * n_cells).astype(np.int64), n_cells - 1)
        cell_of_value = np.unique(cell_of_value, return_inverse=True)[1]
        frequent = (counts * n_cells >= counts.sum()) & (np.bincount(place) > 1)
        alone = np.bincount(cell_of_value)[cell_of_value] == 1
        point = np.bincount(cell_of_value, frequent & alone).astype(bool)
    first = np.flatnonzero(np.diff(cell_of_value, prepend=-1))
    last = np.append(first[1:], len(values)) - 1
    low, high = values[first].copy(), values[last].copy()
    _close_gaps(low, high, point)
    return Cells(low, high, tail_mass, tail_scale), cell_of_value[place].astype(np.uint8)


def _close_gaps(low: Floats, high: Floats, point: NDArray[np.bool_]) -> None:
    """Neighbouring intervals meet half-way; points stay points."""
    interval = ~point
    middle = (high[:-1] + low[1:]) / 2
    both = interval[:-1] & interval[1:]
    left, right = interval[:-1] & ~interval[1:], ~interval[:-1] & interval[1:]
    high[:-1] = np.where(both, middle, np.where(left, low[1:], high[:-1]))
    low[1:] = np.where(both, middle, np.where(right, high[:-1], low[1:]))
