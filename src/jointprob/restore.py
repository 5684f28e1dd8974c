"""Typed columns back to the kind of container, with the dtypes, that fit saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.schema import Column, Schema


def to_container(columns: Sequence[NDArray[Any]], schema: Schema, like: Any = None) -> Any:
    """Codes and numbers back to a frame like the one the schema was learnt from.

    Parameters
    ----------
    columns : sequence of ndarray of shape (n_rows,)
        One for each column of the schema: codes (negative: missing) or float64 (NaN: missing).
    schema : Schema

    like : any table, optional
        Whose rows these are: a pandas frame hands its index on to a pandas frame.

    Returns
    -------
    pandas, polars or pyarrow frame, ndarray, or dict of ndarray
        Same order, dtypes and categories as in fit. Numbers of an integer dtype are rounded and
        clipped to its range. A dtype without a missing value widens the way its container does
        it: int64 to float64 and bool to object in pandas and NumPy.

    Examples
    --------
    >>> schema = Schema((Column("size", "categorical", levels=("L", "S"), dtype="object"),), "dict")
    >>> to_container([np.array([1, 0, -1])], schema)
    {'size': array(['S', 'L', None], dtype=object)}
    """
    built = _BUILDERS[schema.container](columns, schema)
    if schema.container == "pandas" and isinstance(like, import_module("pandas").DataFrame):
        return built.set_axis(like.index, axis=0)
    return built


def _pandas(columns: Sequence[NDArray[Any]], schema: Schema) -> Any:
    pd = import_module("pandas")
    series = [_pandas_series(pd, *pair) for pair in zip(schema, columns, strict=True)]
    return pd.DataFrame(dict(enumerate(series))).set_axis(list(schema.names), axis=1)


def _pandas_series(pd: Any, column: Column, cells: NDArray[Any]) -> Any:
    """pandas itself widens a dtype where cells are missing: reindex and where know its rules."""
    if not column.is_categorical:
        values, missing = in_range(column, cells)
        return pd.Series(values).astype(column.dtype).where(~missing)
    if column.dtype == "category":
        index = pd.Index(column.levels, dtype=column.level_dtype)
        dtype = pd.CategoricalDtype(index, ordered=column.ordered)
        return pd.Series(pd.Categorical.from_codes(np.maximum(cells, -1), dtype=dtype))
    levels = pd.Series(list(column.levels), dtype=column.dtype)
    return levels.reindex(np.maximum(cells, -1)).reset_index(drop=True)


def _polars(columns: Sequence[NDArray[Any]], schema: Schema) -> Any:
    pl = import_module("polars")
    pairs = zip(schema, columns, strict=True)
    return pl.DataFrame([_polars_series(pl, *pair).alias(str(pair[0].name)) for pair in pairs])


def _polars_series(pl: Any, column: Column, cells: NDArray[Any]) -> Any:
    dtype = _polars_dtype(pl, column)
    values, missing = _levels_or_numbers(column, cells)
    if column.is_categorical:
        levels = pl.Series(list(column.levels), dtype=dtype)
        return levels.gather(pl.Series(values).set(pl.Series(missing), None))
    return pl.Series(values).cast(dtype).set(pl.Series(missing), None)


def _polars_dtype(pl: Any, column: Column) -> Any:
    return pl.Enum(list(column.levels)) if column.dtype == "Enum" else getattr(pl, column.dtype)


def _pyarrow(columns: Sequence[NDArray[Any]], schema: Schema) -> Any:
    pa = import_module("pyarrow")
    arrays = [_pyarrow_array(pa, *pair) for pair in zip(schema, columns, strict=True)]
    return pa.table(arrays, names=[str(name) for name in schema.names])


def _pyarrow_array(pa: Any, column: Column, cells: NDArray[Any]) -> Any:
    values, missing = _levels_or_numbers(column, cells)
    cells_or_codes = pa.array(values, mask=missing)
    name, _, index = column.dtype.partition(":")
    if not column.is_categorical:
        return cells_or_codes.cast(pa.type_for_alias(name))
    if name == "dictionary":
        levels = pa.array(list(column.levels), pa.type_for_alias(column.level_dtype))
        codes = cells_or_codes.cast(pa.type_for_alias(index))
        return pa.DictionaryArray.from_arrays(codes, levels, ordered=column.ordered)
    return pa.array(list(column.levels)).take(cells_or_codes).cast(pa.type_for_alias(name))


def _numpy(columns: Sequence[NDArray[Any]], schema: Schema) -> NDArray[Any]:
    arrays = [_numpy_array(*pair) for pair in zip(schema, columns, strict=True)]
    dtypes = {array.dtype for array in arrays}
    mixed = any(dtype.kind in "OUT" for dtype in dtypes) and len(dtypes) > 1
    dtype = object if mixed else np.result_type(*dtypes)
    return np.stack([array.astype(dtype) for array in arrays], axis=1)


def _dict(columns: Sequence[NDArray[Any]], schema: Schema) -> dict[str | int, NDArray[Any]]:
    pairs = zip(schema, columns, strict=True)
    return {column.name: _numpy_array(column, cells) for column, cells in pairs}


def _numpy_array(column: Column, cells: NDArray[Any]) -> NDArray[Any]:
    if column.is_categorical:
        levels = np.array([*column.levels, None], dtype=object)
        codes = np.maximum(cells, -1)
        return _widen(levels[codes], codes < 0, _numpy_dtype(column))
    return _widen(*in_range(column, cells), _numpy_dtype(column))


def _numpy_dtype(column: Column) -> np.dtype[Any]:
    """Dtype of the column; object for the dtypes only frames know."""
    if column.levels and all(isinstance(level, bool) for level in column.levels):
        return np.dtype(bool)
    dtype = _known_to_numpy(column.dtype) or _known_to_numpy(column.dtype.lower())
    if dtype is None or (dtype.kind in "US" and not column.is_categorical):
        return np.dtype(object if column.is_categorical else np.float64)
    return dtype


def _known_to_numpy(name: str) -> np.dtype[Any] | None:
    try:
        return np.dtype(name)
    except TypeError:  # Int64, category, Utf8: a series inside a dict
        return None


def _widen(values: NDArray[Any], missing: NDArray[np.bool_], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values in the dtype, or in the next one that has a missing value where one is needed."""
    if not missing.any():
        return values.astype(dtype)
    wide = dtype if dtype.kind in "fO" else np.dtype(np.float64 if dtype.kind in "iu" else object)
    widened = values.astype(wide)
    widened[missing] = np.nan if wide.kind == "f" else None
    return widened


def _levels_or_numbers(
    column: Column, cells: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if not column.is_categorical:
        return in_range(column, cells)
    missing = np.asarray(cells) < 0
    return np.where(missing, 0, cells).astype(np.int64), missing


def in_range(column: Column, cells: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values in the range of the dtype, any number where missing, and which are missing."""
    missing = np.isnan(cells)
    values = np.where(missing, 0.0, cells)
    if column.dtype.lower().startswith("bool"):
        return values >= 0.5, missing
    if column.integer_range is None:
        return np.clip(values, -column.largest, column.largest), missing
    low, high = column.integer_range
    # float(2**63 - 1) is 2**63, one more than int64 holds.
    top = high if high < 2**53 else np.nextafter(float(high), 0)
    signed = np.uint64 if low == 0 else np.int64
    return np.clip(np.rint(values), low, top).astype(signed), missing


_BUILDERS: dict[str, Callable[[Sequence[NDArray[Any]], Schema], Any]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
    "numpy": _numpy,
    "dict": _dict,
}
