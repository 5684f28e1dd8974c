"""One column as found in any container: numbers, or codes into a list of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from numbers import Real
from typing import Any, NoReturn, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

MISSING = -1  # code of a missing cell
UNSEEN = -2  # code of a level that was not there in fit

SCAN_CELLS = 65_536  # which the second pass finds in the second-level cache
MISSING_TYPES = ("NoneType", "NAType", "NaTType")  # pandas is never imported: known by name


@dataclass(frozen=True)
class Numbers:
    """A column of a bool, integer or float dtype; NaN is missing as well as ``missing``."""

    name: str | int
    dtype: str
    values: NDArray[Any]  # (n_rows,)
    missing: NDArray[np.bool_] | None = None  # (n_rows,)
    finite: bool = False  # known to hold no infinity: its table was looked at as a whole


@dataclass(frozen=True)
class Labels:
    """A column of codes into distinct labels; code -1 is missing."""

    name: str | int
    dtype: str
    codes: NDArray[Any]  # (n_rows,) integer
    labels: list[Any]
    declared: bool = False  # the labels are declared categories, their order counts
    ordered: bool = False
    level_dtype: str = ""
    by_value: bool = False  # from an ndarray, whose one dtype says nothing about one column
    text: bool = False  # from a string ndarray, which can only hold numbers as text


Cells: TypeAlias = Numbers | Labels


def read_series(series: nw.Series[Any], name: str | int) -> Cells:
    """Cells of a pandas, polars or pyarrow series."""
    dtype, native = series.dtype, series.to_native()
    native_dtype = str(native.type if series.implementation.is_pyarrow() else native.dtype)
    if isinstance(dtype, nw.Categorical | nw.Enum):
        return _read_categories(series, name, native_dtype)
    if dtype.is_numeric() or isinstance(dtype, nw.Boolean):
        return _read_numbers(series, name, native_dtype)
    if isinstance(dtype, nw.String):
        return Labels(name, native_dtype, *_factorize(series))
    if isinstance(dtype, nw.Object):
        return _read_objects(native.to_numpy(), name, native_dtype)
    if series.null_count() == len(series):
        return Labels(name, native_dtype, np.full(len(series), MISSING, np.int32), [])
    _refuse_dtype(name, native_dtype, temporal=dtype.is_temporal())


def read_array(values: NDArray[Any], name: str | int) -> Cells:
    """Cells of a 1-D ndarray."""
    kind, dtype = values.dtype.kind, _dtype_name(values.dtype)
    if kind in "biuf":
        return Numbers(name, dtype, values)
    if kind in "UT":
        cells = _read_objects(values.astype(object), name, dtype, text=True)
    elif kind == "O" and set(map(type, values.tolist())) <= {float}:
        return Numbers(name, dtype, values.astype(np.float64))
    elif kind == "O":
        cells = _read_objects(values, name, dtype)
    elif kind == "c":
        raise ValueError(f"Complex data not supported: column {name!r} has dtype {dtype}")
    else:
        _refuse_dtype(name, dtype, temporal=kind in "mM")
    return replace(cells, by_value=True)


def no_infinity(values: NDArray[Any]) -> bool:
    """Are all numbers, of a column or of a table, finite or NaN?"""
    if values.dtype.kind != "f":
        return True
    flat = values.ravel(order="K")
    # Two passes for the extremes are cheaper than a mask of every cell.
    return not any(
        math.isinf(extreme.reduce(flat[i : i + SCAN_CELLS], initial=np.nan))
        for i in range(0, len(flat), SCAN_CELLS)
        for extreme in (np.fmin, np.fmax)
    )


@cache
def _dtype_name(dtype: np.dtype[Any]) -> str:
    """Spelt out once: it takes longer than all else there is to know of a short column."""
    return str(dtype)


def _refuse_dtype(name: str | int, dtype: str, temporal: bool) -> NoReturn:
    remedy = (
        "convert it to a number (for example days since a date) or to parts such as the month"
        if temporal
        else "allowed are numbers, strings, booleans and categories"
    )
    raise TypeError(f"column {name!r} has dtype {dtype}: {remedy}")


def _read_numbers(series: nw.Series[Any], name: str | int, dtype: str) -> Numbers:
    if isinstance(series.dtype, nw.Decimal):  # a density has no use for exact decimals
        dtype = "double" if series.implementation.is_pyarrow() else "Float64"
    wide = isinstance(series.dtype, nw.Int128 | nw.UInt128)
    if not (series.dtype.is_integer() or isinstance(series.dtype, nw.Boolean)) or wide:
        return Numbers(name, dtype, series.cast(nw.Float64).to_numpy())
    if not series.null_count():
        return Numbers(name, dtype, series.to_numpy())
    # Filled before it leaves the container, which would turn integers with gaps into floats.
    filled = series.fill_null(False if isinstance(series.dtype, nw.Boolean) else 0)
    return Numbers(name, dtype, filled.to_numpy(), series.is_null().to_numpy())


def _read_categories(series: nw.Series[Any], name: str | int, dtype: str) -> Labels:
    native = series.to_native()
    if series.implementation.is_pandas():
        if dtype != "category":  # an arrow dictionary inside pandas
            native = native.astype(object).astype("category")
        codes, index = native.cat.codes.to_numpy(), native.cat.categories
        level_dtype, ordered, labels = str(index.dtype), bool(native.cat.ordered), index.tolist()
        return Labels(name, "category", codes, labels, True, ordered, level_dtype)
    if series.implementation.is_pyarrow():
        return _read_dictionary(native, name)
    if isinstance(series.dtype, nw.Enum):
        codes = native.to_physical().cast(int).fill_null(MISSING).to_numpy()
        labels = list(series.dtype.categories)
        return Labels(name, "Enum", codes, labels, declared=True, ordered=True)
    return Labels(name, "Categorical", *_factorize(series))


def _read_dictionary(chunks: Any, name: str | int) -> Labels:
    array = chunks.unify_dictionaries().combine_chunks()
    if hasattr(array, "chunks"):
        array = array.chunk(0)
    kind = array.type
    codes = array.indices.cast("int64").fill_null(MISSING).to_numpy(zero_copy_only=False)
    return Labels(
        name=name,
        dtype=f"dictionary:{kind.index_type}",
        codes=codes,
        labels=array.dictionary.to_pylist(),
        declared=True,
        ordered=kind.ordered,
        level_dtype=str(kind.value_type),
    )


def _factorize(series: nw.Series[Any]) -> tuple[NDArray[Any], list[Any]]:
    """Codes and distinct strings, by the container's own hashing."""
    if series.implementation.is_pandas():
        codes, labels = series.to_native().factorize()
        return codes, labels.tolist()
    series = series.cast(nw.String)  # arrow's string views know no filter
    labels = series.drop_nulls().unique().to_list()
    if not labels:
        return np.full(len(series), MISSING, np.int32), []
    replaced = series.replace_strict(labels, list(range(len(labels))), return_dtype=nw.Int32)
    return replaced.fill_null(MISSING).to_numpy(), labels


def _read_objects(
    values: NDArray[np.object_], name: str | int, dtype: str, text: bool = False
) -> Labels:
    cells = values.tolist()
    types = set(map(type, cells))
    for kind in types:
        if family(kind) is None:
            _refuse_object(cells, kind, name)
    if {"boolean", "number"} <= {family(kind) for kind in types}:
        # True == 1 must not hide that a column mixes the two, so the type belongs to the key.
        codes, keys = _hash_codes(list(zip(map(type, cells), cells, strict=True)))
        return Labels(name, dtype, codes, [cell for _, cell in keys], text=text)
    return Labels(name, dtype, *_hash_codes(cells), text=text)


def _hash_codes(cells: list[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Codes and distinct cells; the loops over rows are the interpreter's own."""
    position = {cell: code for code, cell in enumerate(dict.fromkeys(cells))}
    return np.fromiter(map(position.__getitem__, cells), np.int64, len(cells)), list(position)


def family(kind: type) -> str | None:
    """Which values compare with one another; None for types that no cell may have."""
    if kind.__name__ in MISSING_TYPES:
        return "missing"
    if issubclass(kind, str):
        return "string"
    if issubclass(kind, bool | np.bool_):
        return "boolean"
    return "number" if issubclass(kind, Real | Decimal | np.floating | np.integer) else None


def _refuse_object(cells: Sequence[Any], kind: type, name: str | int) -> NoReturn:
    row = next(i for i, cell in enumerate(cells) if type(cell) is kind)
    # The middle is scikit-learn's wording, which its estimator checks look for.
    raise TypeError(
        f"column {name!r}, row {row}: argument must be a string or a real number, "
        f"not {kind.__name__!r}; None or NaN stands for a missing cell"
    )
