"""New values for the missing cells of a user's own table, which otherwise stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from jointprob.containers import as_array
from jointprob.restore import in_range
from jointprob.schema import Column
from jointprob.table import MISSING, Table


class News(NamedTuple):
    """What is new in one column."""

    column: Column
    rows: NDArray[np.int64]
    values: NDArray[Any]  # float64, or levels as objects

    def numbers_for(self, dtype: Any) -> NDArray[Any]:
        """Values in the range of a dtype, whole where it or fit's is one of integers."""
        if self.column.is_categorical:
            return self.values
        whole = np.rint(self.values) if self.column.integer_range else self.values
        return in_range(replace(self.column, dtype=str(dtype)), whole)[0]

    def lacking(self, levels: Sequence[Any]) -> list[Any]:
        """New levels that are not among these."""
        return [level for level in dict.fromkeys(self.values.tolist()) if level not in levels]


def refill(X: Any, table: Table, columns: Sequence[NDArray[Any]]) -> Any:
    """A copy of X with values in its missing cells; every other cell is the user's own.

    Parameters
    ----------
    X : pandas, polars or pyarrow frame, 2-D array-like, or dict of columns
    table : Table
        What X was read as, by `conform`.
    columns : sequence of ndarray of shape (n_rows,)
        The table's columns filled: codes and numbers. What is missing in them stays missing.

    Returns
    -------
    The kind of container that X is (an ndarray for lists), its columns in the schema's order. A
    column keeps its dtype: whole numbers are rounded, and categories grow by levels they lack.

    Examples
    --------
    >>> from jointprob.table import read_table
    >>> X = np.array([[1.5], [np.nan]], np.float32)
    >>> refill(X, read_table(X), [np.array([1.5, 2.5])])
    array([[1.5],
           [2.5]], dtype=float32)
    """
    triples = zip(table.schema, table.columns, columns, strict=True)
    news = [_news(*triple) for triple in triples]
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame | Mapping):
        return _matrix(X, news)
    names = list(frame.columns) if isinstance(frame, nw.DataFrame) else list(frame)
    if table.schema.container != "numpy":  # else by position, as it was read
        places = [names.index(name) for name in table.schema.names]
    else:
        places = list(range(len(names)))
    if isinstance(frame, Mapping):
        pairs = zip(places, news, strict=True)
        return {names[k]: _values(frame[names[k]], new) for k, new in pairs}
    return _FRAMES[frame.implementation.name](X, places, news)


def _news(column: Column, cells: NDArray[Any], filled: NDArray[Any]) -> News:
    if not column.is_categorical:
        rows = np.flatnonzero(np.isnan(cells) & ~np.isnan(filled))
        return News(column, rows, filled[rows])
    rows = np.flatnonzero((cells == MISSING) & (filled >= 0))
    levels = np.empty(len(column.levels), dtype=object)
    levels[:] = column.levels
    return News(column, rows, levels[filled[rows]])


# ---- containers ----


def _pandas(X: Any, places: Sequence[int], news: Sequence[News]) -> Any:
    X = X.iloc[:, places].copy()
    for j, new in enumerate(news):
        if len(new.rows):
            X.isetitem(j, _pandas_series(X.iloc[:, j], new))
    return X


def _polars(X: Any, places: Sequence[int], news: Sequence[News]) -> Any:
    X = X[:, places]
    series = zip(X.get_columns(), news, strict=True)
    return X.with_columns([_polars_series(one, new) for one, new in series if len(new.rows)])


def _pyarrow(X: Any, places: Sequence[int], news: Sequence[News]) -> Any:
    X = X.select(places)
    for j, new in enumerate(news):
        if len(new.rows):
            array = _pyarrow_array(X.column(j), new)
            X = X.set_column(j, X.field(j).with_type(array.type), array)
    return X


def _matrix(X: Any, news: Sequence[News]) -> NDArray[Any]:
    array = np.array(as_array(X))
    for j, new in enumerate(news):
        array[new.rows, j] = new.numbers_for(array.dtype)
    return array


_FRAMES = {"PANDAS": _pandas, "POLARS": _polars, "PYARROW": _pyarrow}


# ---- one column ----


def _values(values: Any, new: News) -> Any:
    """A column of a dict: a series, or anything that makes an array."""
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return _SERIES[series.implementation.name](values, new)
    array = np.array(as_array(values))
    array[new.rows] = new.numbers_for(array.dtype)
    return array


def _pandas_series(series: Any, new: News) -> Any:
    pd = import_module("pandas")
    cells = series.array.copy()
    if isinstance(cells, pd.Categorical):
        cells = cells.add_categories(new.lacking(cells.categories))
    values = new.numbers_for(cells.dtype)
    cells[new.rows] = values if cells.dtype == object else pd.array(values, dtype=cells.dtype)
    return pd.Series(cells, index=series.index, name=series.name, dtype=cells.dtype)


def _polars_series(series: Any, new: News) -> Any:
    pl = import_module("polars")
    values = pl.Series(new.numbers_for(series.dtype).tolist())
    if series.dtype == pl.Null:
        series = series.cast(values.dtype)
    elif series.dtype == pl.Enum:
        levels = list(series.dtype.categories)
        series = series.cast(pl.String).cast(pl.Enum(levels + new.lacking(levels)))
    return series.clone().scatter(new.rows.tolist(), values.cast(series.dtype))


def _pyarrow_array(chunks: Any, new: News) -> Any:
    pa = import_module("pyarrow")
    array = pa.concat_arrays(chunks.unify_dictionaries().chunks)
    if pa.types.is_dictionary(array.type):
        return _pyarrow_dictionary(pa, array, new)
    values = pa.array(new.numbers_for(array.type).tolist())
    kind = values.type if pa.types.is_null(array.type) else array.type
    if pa.types.is_string_view(kind) or pa.types.is_null(array.type):
        array = array.cast(values.type)  # views cannot be taken from
    known = np.ones(len(array), np.bool_)
    known[new.rows] = False
    place = np.where(known, np.arange(len(array)), len(array))
    place[new.rows] += np.arange(len(new.rows))
    both = pa.concat_arrays([array, values.cast(array.type)])
    return both.take(pa.array(place)).cast(kind)


def _pyarrow_dictionary(pa: Any, array: Any, new: News) -> Any:
    kind, levels = array.type, array.dictionary.to_pylist()
    levels += new.lacking(levels)
    code = {level: c for c, level in enumerate(levels)}
    codes = array.indices.fill_null(0).to_numpy(zero_copy_only=False).copy()
    known = array.is_valid().to_numpy(zero_copy_only=False).copy()
    codes[new.rows], known[new.rows] = [code[level] for level in new.values.tolist()], True
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, kind.index_type, mask=~known),
        pa.array(levels, kind.value_type),
        ordered=kind.ordered,
    )


_SERIES = {"PANDAS": _pandas_series, "POLARS": _polars_series, "PYARROW": _pyarrow_array}
