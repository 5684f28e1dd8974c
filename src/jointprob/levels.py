"""What the cells of a column mean: numbers, or levels identified by value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.cells import (
    MISSING,
    MISSING_TYPES,
    UNSEEN,
    Cells,
    Labels,
    Numbers,
    family,
    no_infinity,
)
from jointprob.schema import Column, Kind, Level, preview


def kind_of(cells: Cells) -> Kind:
    """Kind of a column by its dtype, or by its values where the dtype says nothing."""
    if isinstance(cells, Numbers):
        return "categorical" if cells.values.dtype.kind == "b" else "numeric"
    boolean = any(isinstance(label, bool | np.bool_) for label in cells.labels)
    numeric = cells.by_value and not boolean and None not in _label_values(cells)
    return "numeric" if numeric else "categorical"


def _plain(value: Any) -> Level | None:
    """The Python value of a label; None when it is missing."""
    if type(value).__name__ in MISSING_TYPES or value != value:
        return None
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, str):
        return str(value)
    return value if isinstance(value, bool | int) else float(value)


def _plain_labels(cells: Labels) -> list[Level | None]:
    for label in cells.labels:
        if family(type(label)) is None:
            raise TypeError(
                f"column {cells.name!r} has the category {label!r} of type "
                f"{type(label).__name__}; allowed are strings, numbers and booleans"
            )
    labels = [_plain(label) for label in cells.labels]
    _check_onefamily(cells.name, [label for label in labels if label is not None])
    return labels


def _check_onefamily(name: str | int, labels: list[Level]) -> None:
    first: dict[str | None, Level] = {}
    for label in labels:
        first.setdefault(family(type(label)), label)
    if len(first) > 1:
        one, other = list(first.values())[:2]
        raise ValueError(
            f"column {name!r} mixes {one!r} ({type(one).__name__}) with {other!r} "
            f"({type(other).__name__}); a column holds strings, numbers or booleans only"
        )


def _check_finite(values: NDArray[np.float64], name: str | int) -> None:
    if not no_infinity(values):
        rows = np.flatnonzero(np.isinf(values))
        raise ValueError(
            f"column {name!r}, row {rows[0]}: {values[rows[0]]} is infinity; "
            "allowed are finite numbers, and NaN for a missing cell"
        )


def _label_values(cells: Labels) -> list[float | None]:
    """Each label as a number, NaN where it is missing, None where it is no number."""
    return [_number(label, cells.text) for label in _plain_labels(cells)]


def _number(label: Level | None, text: bool) -> float | None:
    if label is None:
        return math.nan
    if isinstance(label, str) and not text:
        return None
    try:
        return float(label)
    except ValueError:
        return None
    except OverflowError:  # an integer beyond the largest float: refused as infinite
        return math.inf


def numeric_values(cells: Cells) -> NDArray[np.float64]:
    """Column as float64 of shape (n_rows,), NaN where missing."""
    if isinstance(cells, Labels):
        values = _gather_numbers(cells)
    else:
        values = np.ascontiguousarray(cells.values, dtype=np.float64)
        if cells.missing is not None:
            values = np.where(cells.missing, np.nan, values)
        if cells.finite:
            return values
    _check_finite(values, cells.name)
    return values


def _gather_numbers(cells: Labels) -> NDArray[np.float64]:
    numbers = _label_values(cells)
    # One entry more than there are labels: the code -1 picks the last one.
    refused = np.array([number is None for number in numbers] + [False])[cells.codes]
    if refused.any():
        row = int(np.argmax(refused))
        raise ValueError(
            f"column {cells.name!r}, row {row}: {cells.labels[cells.codes[row]]!r} is not a "
            "number; the column is numeric, allowed are finite numbers, and None or NaN for a "
            "missing cell"
        )
    lookup = np.array([*numbers, math.nan], dtype=np.float64)  # None becomes NaN
    return np.asarray(lookup[cells.codes])


def _as_labels(cells: Cells) -> tuple[NDArray[Any], list[Level | None], bool]:
    if isinstance(cells, Labels):
        labels = _plain_labels(cells)
        if any(isinstance(label, float) for label in labels):
            numeric_values(cells)  # refuses infinity
        return cells.codes, labels, cells.declared
    values, missing = cells.values, cells.missing
    if values.dtype.kind == "f":
        _check_finite(values, cells.name)
        missing = np.isnan(values)
    distinct, codes = np.unique(values, return_inverse=True)
    labels = [_plain(value) for value in distinct.tolist()]
    if missing is not None:
        codes[missing] = MISSING
        # The filler of missing cells is a level only where it also stands in a cell.
        present = np.bincount(codes[~missing], minlength=len(labels))
        labels = [label if n else None for label, n in zip(labels, present, strict=True)]
    return codes, labels, False


def learn_categorical(cells: Cells) -> tuple[NDArray[np.int32], tuple[Level, ...]]:
    """Codes of shape (n_rows,) and the levels they point into."""
    codes, labels, declared = _as_labels(cells)
    present = dict.fromkeys(label for label in labels if label is not None)
    levels = tuple(present) if declared else tuple(sorted(present))
    return _recode(codes, labels, levels), levels


def _recode(
    codes: NDArray[Any], labels: list[Level | None], levels: tuple[Level, ...]
) -> NDArray[np.int32]:
    position: dict[Level | None, int] = {level: code for code, level in enumerate(levels)}
    position[None] = MISSING
    # One entry more than there are labels: the code -1 picks the last one.
    lookup = np.array([position.get(label, UNSEEN) for label in [*labels, None]], np.int32)
    recoded: NDArray[np.int32] = lookup[codes]
    return recoded


def match_categorical(cells: Cells, column: Column) -> NDArray[np.int32]:
    """Codes of a query column by the fitted levels: -1 missing, -2 a level unseen in fit."""
    codes, labels, _ = _as_labels(cells)
    _check_same_family(codes, labels, column)
    return _recode(codes, labels, column.levels)


def _check_same_family(codes: NDArray[Any], labels: list[Level | None], column: Column) -> None:
    if not column.levels:
        return
    text = isinstance(column.levels[0], str)
    for code, label in enumerate(labels):
        if label is not None and isinstance(label, str) != text and (codes == code).any():
            row = int(np.argmax(codes == code))
            raise ValueError(
                f"column {column.name!r}, row {row}: {label!r} is a {type(label).__name__}, but "
                f"the levels in fit were of type {type(column.levels[0]).__name__}: "
                f"{preview(column.levels)}"
            )
