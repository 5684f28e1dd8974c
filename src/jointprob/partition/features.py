"""Encoded rows as points for k-means, and categorical levels as a few cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from jointprob.partition.weights import Floats, Labels, Points, row_weights
from jointprob.threads import run_blocks

Z_BOUND = 4.0  # beyond it a normal score is an outlier that would claim a subset for itself
MAX_COORDINATES = 31  # one-hot coordinates of a categorical column
ROOT_HALF = np.float32(np.sqrt(0.5))  # two different levels stand at distance 1
BLOCK_ROWS = 4096


def features(
    codes: Labels,
    n_levels: Sequence[int],
    z: Points,
    weight: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Points:
    """Coordinates of encoded rows for coarse k-means.

    Parameters
    ----------
    codes : int32 array, shape (n_rows, n_categorical)
        Category codes; below 0 where missing.
    n_levels : sequence of int, length n_categorical
        Levels of each categorical column.
    z : float32 array, shape (n_rows, n_numeric)
        Normal scores; NaN where missing.
    weight : array, shape (n_rows,), optional
        Row weights; decide which levels are the commonest.
    n_jobs : int, optional
        Threads; None means all cores.

    Returns
    -------
    points : float32 array, shape (n_rows, n_features)
        First the numeric columns, clipped to [-4, 4] and 0 where missing; then columns of two
        levels, 0 or 1 and their mean where missing; then one-hot / sqrt(2) of the other columns,
        zeros where missing. Only the 31 commonest levels get a coordinate. Two levels stand at
        distance 1. Columns of one level give nothing.

    Examples
    --------
    >>> codes = np.array([[0, 2], [1, -1]], dtype=np.int32)
    >>> features(codes, [2, 3], np.array([[5.0], [np.nan]], dtype=np.float32)).round(2)
    array([[4.  , 0.  , 0.  , 0.  , 0.71],
           [0.  , 1.  , 0.  , 0.  , 0.  ]], dtype=float32)
    """
    n_rows = len(codes)
    weight = row_weights(weight, n_rows)
    two = [j for j, n in enumerate(n_levels) if n == 2]
    means = np.array([_mean_code(codes[:, j], weight) for j in two], dtype=np.float32)
    many = {
        j: commonest_levels(codes[:, j], n, weight, MAX_COORDINATES)
        for j, n in enumerate(n_levels)
        if n > 2
    }
    width = z.shape[1] + len(two) + sum(map(len, many.values()))
    points = np.empty((n_rows, width), dtype=np.float32)

    def fill(start: int, stop: int) -> None:
        rows = slice(start, stop)
        at = z.shape[1] + len(two)
        points[rows, : z.shape[1]] = np.clip(np.nan_to_num(z[rows]), -Z_BOUND, Z_BOUND)
        binary = codes[rows][:, two]
        points[rows, z.shape[1] : at] = np.where(binary < 0, means, binary)
        for j, levels in many.items():
            here = codes[rows, j, None] == levels
            np.multiply(here, ROOT_HALF, out=points[rows, at : at + len(levels)])
            at += len(levels)

    run_blocks(fill, n_rows, BLOCK_ROWS, n_jobs)
    return points


def level_counts(codes: Labels, n_levels: int, weight: Floats) -> Floats:
    """Weight of each level in one column of codes; missing cells count for nothing."""
    known = np.maximum(codes, -1) + 1
    counts: Floats = np.bincount(known, weight, n_levels + 1).astype(np.float64)
    return counts[1 : n_levels + 1]


def commonest_levels(codes: Labels, n_levels: int, weight: Floats, n: int) -> Labels:
    """The `n` commonest levels (of equals the lower code), in the order of their codes."""
    if n_levels <= n:
        return np.arange(n_levels, dtype=np.int32)
    order = np.argsort(-level_counts(codes, n_levels, weight), kind="stable")
    return np.sort(order[:n]).astype(np.int32)


def _mean_code(codes: Labels, weight: Floats) -> float:
    counts = level_counts(codes, 2, weight)
    return float(counts[1] / counts.sum()) if counts.sum() > 0 else 0.5


def cells(
    codes: Labels, n_levels: Sequence[int], weight: ArrayLike | None = None, n_cells: int = 8
) -> list[Labels]:
    """Cell of each level of each categorical column.

    The ``n_cells - 1`` commonest levels have a cell of their own, in the order of their codes; all
    others share the last. A column of at most `n_cells` levels keeps each level apart.

    Parameters
    ----------
    codes : int32 array, shape (n_rows, n_categorical)
        Category codes; below 0 where missing.
    n_levels : sequence of int, length n_categorical
        Levels of each column.
    weight : array, shape (n_rows,), optional
        Row weights.
    n_cells : int
        Largest number of cells of a column.

    Returns
    -------
    list of int32 arrays, shape (n_levels[j],)

    Examples
    --------
    >>> codes = np.array([[0], [2], [2], [3]], dtype=np.int32)
    >>> cells(codes, [4], n_cells=2)
    [array([1, 1, 0, 1], dtype=int32)]
    """
    weight = row_weights(weight, len(codes))
    return [_cells_of_levels(codes[:, j], n, weight, n_cells) for j, n in enumerate(n_levels)]


def _cells_of_levels(codes: Labels, n_levels: int, weight: Floats, n_cells: int) -> Labels:
    if n_levels <= n_cells:
        return np.arange(n_levels, dtype=np.int32)
    own = commonest_levels(codes, n_levels, weight, n_cells - 1)
    cell = np.full(n_levels, n_cells - 1, dtype=np.int32)
    cell[own] = np.arange(n_cells - 1)
    return cell
