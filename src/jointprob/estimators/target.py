"""The target of a prediction, checked."""

from __future__ import annotations

from numbers import Number
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from jointprob.cells import MISSING_TYPES
from jointprob.estimators.density import _weighted
from jointprob.schema import preview
from jointprob.table import Table

LARGEST = 1e100  # target whose square, and sums of such, are no infinity
KINDS = ("bool", "number", "str")
Floats = NDArray[np.float64]


def check_labels(y: Any, n_rows: int) -> NDArray[Any]:
    """Classes as an array of one kind, (n_rows,).

    Raises
    ------
    ValueError
        Missing or infinite labels, labels of several kinds, numbers that are no classes, not one
        label for each row.
    """
    labels = _labels(_one_for_each_row(y, n_rows))
    if labels.dtype.kind not in "biuUS":  # whole numbers and words are always classes
        check_classification_targets(labels)
    return labels


def _labels(y: NDArray[Any]) -> NDArray[Any]:
    if y.dtype == object:
        _refuse_missing(y, _missing(y))
        kinds = sorted({_kind(v) for v in y.tolist()})
        if len(kinds) > 1:
            raise ValueError(f"y mixes labels of the kinds {preview(kinds)}; allowed is one kind")
        if kinds[0] not in KINDS:
            raise ValueError(
                f"y holds labels of the kind {kinds[0]!r}; allowed are {preview(KINDS)}"
            )
        labels: NDArray[Any] = np.array(y.tolist())
        return labels
    elif y.dtype.kind == "f":
        _refuse_missing(y, ~np.isfinite(y))
    return np.asarray(y)


def check_numbers(y: Any, n_rows: int) -> Floats:
    """Numbers as float64, (n_rows,).

    Raises
    ------
    ValueError
        Missing, infinite or huge numbers, what is no number, not one for each row.
    """
    y = _one_for_each_row(y, n_rows)
    if np.iscomplexobj(y):
        raise ValueError("Complex data not supported: y holds complex numbers, not real ones")
    if y.dtype == object:
        _refuse_missing(y, _missing(y))
        text = next((v for v in y.tolist() if isinstance(v, str | bytes)), None)
        if text is not None:
            raise ValueError(f"y must hold numbers: {text!r} is none")
    elif y.dtype.kind not in "biuf":
        raise ValueError(f"y must hold numbers, and has dtype {y.dtype}")
    try:
        numbers: Floats = y.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"y must hold numbers: {error}") from None
    _refuse_missing(y, ~np.isfinite(numbers))
    large = np.flatnonzero(np.abs(numbers) > LARGEST)
    if large.size:
        raise ValueError(
            f"y holds {numbers[large[0]]:g} in row {large[0]}; allowed are numbers from "
            f"{-LARGEST:g} to {LARGEST:g}"
        )
    return numbers


def joined_classes(known: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Known classes and those of y, sorted.

    Raises
    ------
    ValueError
        If one is text, a number or a boolean and the other is not.
    """
    kinds = [_kind(known.tolist()[0]), _kind(y.tolist()[0])]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"y holds {y.tolist()[0]!r}, of the kind {kinds[1]!r}; the classes known are of the "
            f"kind {kinds[0]!r}: {preview(known.tolist())}"
        )
    return np.union1d(known, y)


def known_rows(table: Table, y: NDArray[Any], weight: Floats) -> tuple[Table, NDArray[Any], Floats]:
    """Rows of positive weight: the others are not there, nor is a level that only they hold."""
    kept, kept_weight = _weighted(table, weight)
    return kept, y[weight > 0], kept_weight


def _one_for_each_row(y: Any, n_rows: int) -> NDArray[Any]:
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None; one for each row of X")
    array = y if type(y) is np.ndarray and y.ndim == 1 else _column(y)
    if len(array) != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n_rows} rows and "
            f"y has {len(array)}"
        )
    return array


def _column(y: Any) -> NDArray[Any]:
    """What is no plain array of one dimension as one."""
    found = nw.from_native(y, series_only=True, pass_through=True)
    values = found.to_numpy() if isinstance(found, nw.Series) else y
    return np.asarray(column_or_1d(np.asarray(values), warn=True))


def _kind(label: Any) -> str:
    if isinstance(label, bool | np.bool_):
        return "bool"
    if isinstance(label, str):
        return "str"
    return "number" if isinstance(label, Number) else type(label).__name__


def _missing(y: NDArray[Any]) -> NDArray[np.bool_]:
    """Cells of an object array that are None, NaN, NaT or NA."""
    return np.array([type(v).__name__ in MISSING_TYPES or v != v for v in y.tolist()], bool)


def _refuse_missing(y: NDArray[Any], bad: NDArray[np.bool_]) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"Input y contains NaN or infinity: {y.tolist()[row]!r} in row {row}; leave out the "
            "rows whose target is missing"
        )
