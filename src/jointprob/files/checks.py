"""What is asked of an object that was read from a file, before anything uses it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-3  # sums of probabilities in float32 may be off by so much


@singledispatch
def check(made: Any) -> None:
    """ValueError unless the object's sizes, indices and tables are sound and fit one another."""
    raise ValueError(f"nothing is known of a {type(made).__name__} in a file")


def require(holds: Any, what: str) -> None:
    """ValueError unless it holds."""
    if not holds:
        raise ValueError(what)


def within(array: NDArray[Any], low: float, high: float, what: str) -> None:
    """ValueError unless all numbers are in the range; NaN is in none."""
    if array.size:
        # Of many MB one look is half as dear as two.
        least = 0 if array.dtype.kind == "u" and low <= 0 else array.min()
        most = array.max()
        require(low <= least and most <= high, f"{what} holds {least} to {most}")


def finite(array: NDArray[Any], what: str) -> None:
    """ValueError if there is a NaN or an infinity."""
    # What is no number stays so in any sum; a sum may also be too large for its numbers.
    if array.size and not np.isfinite(np.add.reduce(array, axis=None)):
        least, most = array.min(), array.max()
        require(-np.inf < least and most < np.inf, f"{what} holds {least} to {most}")


def shaped(array: NDArray[Any], shape: tuple[int, ...], what: str) -> None:
    """ValueError unless the array has this shape."""
    require(array.shape == shape, f"{what} has shape {array.shape}, expected is {shape}")


def increasing(array: NDArray[Any], what: str) -> None:
    """ValueError unless the numbers are finite, in one row, and each is above the one before."""
    require(array.ndim == 1, f"{what} has {array.ndim} dimensions")
    finite(array, what)
    require((array[1:] > array[:-1]).all(), f"{what} does not increase")


def starts(array: NDArray[np.int64], n: int, end: int, what: str) -> None:
    """ValueError unless these are the starts of n stretches of 0 to end, and the end."""
    shaped(array, (n + 1,), what)
    sound = array[0] == 0 and array[-1] == end and (array[1:] >= array[:-1]).all()
    require(sound, f"{what} does not run from 0 to {end}")


def distribution(array: NDArray[Any], what: str) -> None:
    """ValueError unless these are probabilities that add up to 1 along the last axis."""
    within(array, 0, 1 + ROUNDING, what)
    within(array.sum(axis=-1), 1 - ROUNDING, 1 + ROUNDING, f"sums of {what}")


def log_distribution(array: NDArray[np.float64], what: str) -> None:
    """ValueError unless these are logs of probabilities that add up to 1."""
    within(array, -np.inf, ROUNDING, f"logs of {what}")
    distribution(np.exp(array), what)


def permuted(columns: Sequence[int], n: int, what: str) -> None:
    """ValueError unless every number from 0 to n - 1 is there once."""
    require(sorted(columns) == list(range(n)), f"{what} are not each of {n} columns once")
