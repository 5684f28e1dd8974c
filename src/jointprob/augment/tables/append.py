"""New rows below a user's own, which stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from jointprob.containers import as_array


def append_rows(X: Any, new: Any) -> Any:
    """The rows of X, then new rows in the dtypes of X.

    Parameters
    ----------
    X : pandas, polars or pyarrow frame or series, array-like, or dict of columns
    new : the same kind, or an array for a series
        With the columns of X in the same order.

    Returns
    -------
    The kind that X is (an ndarray for lists)
        A pandas frame gets a new index, 0 to n - 1.

    Examples
    --------
    >>> append_rows(np.array([[1.5]], np.float32), np.array([[2.0]]))
    array([[1.5],
           [2. ]], dtype=float32)
    """
    if isinstance(X, Mapping):
        return {key: append_rows(values, new[key]) for key, values in X.items()}
    found = nw.from_native(X, eager_only=True, allow_series=True, pass_through=True)
    if not isinstance(found, nw.DataFrame | nw.Series):
        own = as_array(X)
        return np.concatenate([own, np.asarray(new).astype(own.dtype)])
    kind = found.implementation.name, isinstance(found, nw.Series)
    return _BELOW[kind](X, new)


def append_labels(y: Any, new: NDArray[Any]) -> Any:
    """The target given, then new labels; a frame or array of one column stays one.

    Parameters
    ----------
    y : series, array-like, or frame or array of one column
    new : (n_new,)

    Examples
    --------
    >>> append_labels([[0], [1]], np.array([1]))
    array([[0],
           [1],
           [1]])
    """
    found = nw.from_native(y, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(found, nw.DataFrame):
        (name,) = found.columns
        column = nw.new_series(str(name), new.tolist(), backend=found.implementation)
        return append_rows(y, column.to_frame().to_native())
    if not isinstance(found, nw.Series) and as_array(y).ndim == 2:
        return append_rows(y, new[:, None])
    return append_rows(y, new)


def _pandas_frame(X: Any, new: Any) -> Any:
    columns = [_pandas_series(X.iloc[:, j], new.iloc[:, j]) for j in range(X.shape[1])]
    pd = import_module("pandas")
    return pd.DataFrame(dict(enumerate(columns))).set_axis(X.columns, axis=1)


def _pandas_series(X: Any, new: Any) -> Any:
    pd = import_module("pandas")
    below = pd.Series(getattr(new, "array", new)).astype(X.dtype)
    return pd.concat([X, below], ignore_index=True).rename(X.name)


def _polars_frame(X: Any, new: Any) -> Any:
    return import_module("polars").concat([X, new.cast(dict(X.schema))])


def _polars_series(X: Any, new: Any) -> Any:
    pl = import_module("polars")
    return pl.concat([X, pl.Series(X.name, new).cast(X.dtype)])


def _pyarrow_frame(X: Any, new: Any) -> Any:
    return import_module("pyarrow").concat_tables([X, new.cast(X.schema)])


def _pyarrow_series(X: Any, new: Any) -> Any:
    pa = import_module("pyarrow")
    return pa.chunked_array([*X.chunks, pa.array(new).cast(X.type)])


_BELOW = {
    ("PANDAS", False): _pandas_frame,
    ("PANDAS", True): _pandas_series,
    ("POLARS", False): _polars_frame,
    ("POLARS", True): _polars_series,
    ("PYARROW", False): _pyarrow_frame,
    ("PYARROW", True): _pyarrow_series,
}
