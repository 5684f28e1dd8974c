"""Rows of any kind of table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray


def take_rows(X: Any, rows: NDArray[np.int64]) -> Any:
    """Rows of a frame, an array or a dict of columns, by position.

    Examples
    --------
    >>> take_rows({"a": [1, 2, 3]}, np.array([2, 0]))
    {'a': array([3, 1])}
    """
    if isinstance(X, Mapping):
        return {name: np.asarray(cells)[rows] for name, cells in X.items()}
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        return frame[rows.tolist()].to_native()
    return np.asarray(X)[rows]
