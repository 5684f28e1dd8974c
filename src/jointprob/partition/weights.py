"""Row weights that mean repeats.

Rows are drawn by position in the cumulative weight, so that a row of weight 3 is drawn like three
equal rows in its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Points = NDArray[np.float32]
Labels = NDArray[np.int32]


def rows_at(cumulative: Floats, positions: Any) -> Any:
    """Rows at positions in [0, 1) of the cumulative weight; never a row of weight 0."""
    at = np.searchsorted(cumulative, positions * cumulative[-1], side="right")
    last = np.searchsorted(cumulative, cumulative[-1], side="left")
    return np.minimum(at, last)


def drawn_rows(
    points: Points, weight: Floats, n_rows: int, rng: np.random.Generator
) -> tuple[Points, Floats]:
    """At most about `n_rows` rows: all with their weights, or one from each of `n_rows` equal
    shares of the weight."""
    # with weights below 1 the rows may outnumber their weight
    if max(weight.sum(), np.count_nonzero(weight)) <= n_rows:
        return points, weight
    positions = (np.arange(n_rows) + rng.random(n_rows)) / n_rows
    return points[rows_at(np.cumsum(weight), positions)], np.ones(n_rows)


def row_weights(weight: ArrayLike | None, n_rows: int) -> Floats:
    if weight is None:
        return np.ones(n_rows)
    weight = np.ascontiguousarray(weight, dtype=np.float64)
    if weight.shape != (n_rows,):
        raise ValueError(f"weight has shape {weight.shape}; allowed is ({n_rows},)")
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("weight holds a negative or non-finite number; allowed are finite, >= 0")
    return weight
