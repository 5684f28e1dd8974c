"""The columns of a data frame, ndarray or dict, before anything is learnt or matched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array

from jointprob.cells import Cells, Numbers, no_infinity, read_array, read_series
from jointprob.schema import Container, preview

FILES = (".parquet", ".parq", ".pq", ".csv")
PLAIN = {dtype: dtype.name for dtype in map(np.dtype, "?bhilqBHILQfd")}


@dataclass(frozen=True)
class Found:
    """A container taken apart."""

    container: Container
    names: list[Any]
    cells: list[Cells]
    n_rows: int


def take_apart(X: Any, name: str, estimator_name: str | None) -> Found:
    """Columns of a table in whatever container; refuses what is no table or has no cells."""
    _refuse_elsewhere(X, name)
    if isinstance(X, Mapping) and not issparse(X):  # a dok_matrix is a dict of its cells
        found = _from_dict(X, name)
    else:
        frame = None if type(X) is np.ndarray else _as_frame(X)
        found = _from_frame(frame) if frame is not None else _from_array(X, name, estimator_name)
    _check_not_empty(found, name, estimator_name)
    return found


def is_table(X: Any) -> bool:
    """Is X a frame, a 2-D array or a dict of columns?"""
    if isinstance(X, Mapping):
        return any(np.ndim(column) == 1 for column in X.values())
    return hasattr(X, "columns") or (isinstance(X, np.ndarray) and X.ndim == 2)


def _refuse_elsewhere(X: Any, name: str) -> None:
    """TypeError for what is a table elsewhere in the package: paths, batches, Dask's frames."""
    if type(X).__module__.partition(".")[0] in ("dask", "dask_expr") and hasattr(X, "columns"):
        raise TypeError(
            f"{name} is a {type(X).__name__} of Dask: jointprob.dask.fit learns it, and "
            f"jointprob.dask.score_samples and .predict answer; .compute() makes a table of it"
        )
    many = isinstance(X, list | tuple) and len(X) > 0
    first = X[0] if many else X
    if isinstance(first, PathLike) or (
        isinstance(first, str) and (not many or first.lower().endswith(FILES))
    ):
        raise TypeError(
            f"{name} is {first!r}{' and so on' if many else ''}: no file is read here. Allowed is "
            "a table; JEPADensity.fit alone reads a path, to one file or a folder of Parquet"
        )
    if many and is_table(first):
        raise TypeError(
            f"{name} is a {type(X).__name__} of {len(X)} tables; allowed is one. JEPADensity.fit "
            "alone learns batches of rows"
        )


def _as_frame(X: Any) -> nw.DataFrame[Any] | None:
    _check_names(_native_names(X))
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        raise TypeError(f"a lazy frame ({type(X).__name__}) has no rows yet: call .collect() first")
    return frame if isinstance(frame, nw.DataFrame) else None


def _native_names(X: Any) -> list[Any]:
    """Column names as the frame has them, before any library looks for duplicates."""
    if hasattr(X, "column_names"):
        return list(X.column_names)
    if hasattr(X, "collect_schema"):  # polars keeps names unique; a lazy frame has none to hand
        return []
    return list(getattr(X, "columns", []))


def _check_names(names: Sequence[Any]) -> None:
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise ValueError(f"duplicate column names: {preview(repeated)}; every name must be unique")
    for name in names:
        if not isinstance(name, str | Integral):
            raise TypeError(f"column name {name!r} is a {type(name).__name__}; allowed: str, int")


def _from_frame(frame: nw.DataFrame[Any]) -> Found:
    container = frame.implementation.name.lower()
    if container not in ("pandas", "polars", "pyarrow"):
        raise TypeError(f"{container} frames are not supported; allowed: pandas, polars, pyarrow")
    names = [int(name) if isinstance(name, Integral) else name for name in frame.columns]
    if container == "pandas":
        cells = _from_pandas(frame, names)
    else:
        columns = cast("Iterator[nw.Series[Any]]", frame.iter_columns())
        cells = [read_series(one, name) for one, name in zip(columns, names, strict=True)]
    return Found(cast(Container, container), names, cells, len(frame))


def _from_pandas(frame: nw.DataFrame[Any], names: list[Any]) -> list[Cells]:
    plain = _plain_columns(frame.to_native(), names)
    return [
        plain[j] if j in plain else read_series(frame[:, j], name) for j, name in enumerate(names)
    ]


def _plain_columns(frame: Any, names: list[Any]) -> dict[int, Cells]:
    """Columns of a pandas frame that are plain NumPy numbers, taken out by dtype.

    One by one they cost 0.1 ms each: a third of a second on a frame of 2,000 columns.
    """
    places: dict[str, list[int]] = {}
    for j, dtype in enumerate(frame.dtypes.tolist()):
        if isinstance(dtype, np.dtype) and dtype in PLAIN:
            places.setdefault(PLAIN[dtype], []).append(j)
    cells: dict[int, Cells] = {}
    for name, columns in places.items():
        values = np.asfortranarray(frame.take(columns, axis=1).to_numpy())
        wide = values.astype(np.float64, copy=False) if name == "float32" else values
        finite = no_infinity(wide)
        cells |= {
            j: Numbers(names[j], name, wide[:, k], finite=finite) for k, j in enumerate(columns)
        }
    return cells


def _from_dict(X: Mapping[Any, Any], name: str) -> Found:
    _check_names(list(X))
    cells = [_read_values(values, key) for key, values in X.items()]
    lengths = {c.name: len(_rows(c)) for c in cells}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{key!r}: {n}" for key, n in list(lengths.items())[:5])
        raise ValueError(f"columns of {name} differ in length: {found}")
    return Found("dict", list(X), cells, next(iter(lengths.values()), 0))


def _rows(cells: Cells) -> NDArray[Any]:
    return cells.values if isinstance(cells, Numbers) else cells.codes


def _read_values(values: Any, name: str | int) -> Cells:
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return read_series(series, name)
    array = as_array(values)
    if array.ndim != 1:
        raise ValueError(f"column {name!r} must be 1-D, got shape {array.shape}")
    return read_array(array, name)


def as_array(X: Any) -> NDArray[Any]:
    """Array in which the cells of lists keep their types, and masked cells are missing."""
    if isinstance(X, np.ma.MaskedArray):
        fill, dtype = (np.nan, float) if X.dtype.kind in "iuf" else (None, object)
        filled = np.array(X.data, dtype=dtype)
        filled[np.ma.getmaskarray(X)] = fill
        return filled
    array = np.asarray(X)
    if isinstance(X, list | tuple) and array.dtype.kind in "US":
        return np.asarray(X, dtype=object)
    return array


def _from_array(X: Any, name: str, estimator_name: str | None) -> Found:
    if isinstance(X, list | tuple | np.ma.MaskedArray):
        X = as_array(X)
    # scikit-learn's own checks of dimension, sparsity and complex numbers, in its own words.
    plain = type(X) is np.ndarray and X.ndim == 2 and X.size and X.dtype in PLAIN
    array = (
        X
        if plain
        else check_array(
            X, dtype=None, ensure_all_finite=False, estimator=estimator_name, input_name=name
        )
    )
    # One transposing pass: a column picked out of rows touches every cache line of the table.
    array = np.asfortranarray(array)
    names = list(range(array.shape[1]))
    if not plain:
        return Found("numpy", names, [read_array(array[:, j], j) for j in names], len(array))
    dtype, finite = PLAIN[array.dtype], no_infinity(array)
    cells: list[Cells] = [Numbers(j, dtype, array[:, j], finite=finite) for j in names]
    return Found("numpy", names, cells, len(array))


def _check_not_empty(found: Found, name: str, estimator_name: str | None) -> None:
    shape = (found.n_rows, len(found.names))
    who = f" by {estimator_name}" if estimator_name else ""
    for count, what in zip(shape, ("sample", "feature"), strict=True):
        if not count:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is "
                f"required{who}: {name} is empty."
            )
