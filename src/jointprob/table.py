"""From a data frame, ndarray or dict of columns to typed columns, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jointprob.cells import MISSING, UNSEEN, Cells
from jointprob.containers import Found, take_apart
from jointprob.levels import kind_of, learn_categorical, match_categorical, numeric_values
from jointprob.restore import to_container
from jointprob.schema import Column, Schema, preview

__all__ = [
    "MISSING",
    "UNSEEN",
    "Column",
    "Schema",
    "Table",
    "check_sample_weight",
    "conform",
    "extend",
    "read_table",
    "to_container",
]

MOST_WEIGHT = 1e15  # sums of so many rows are still exact to a row in float64


@dataclass(frozen=True)
class Table:
    """Typed columns of a table. Columns may share memory with the input: never write to them.

    Parameters
    ----------
    schema : Schema
    n_rows : int
    columns : list of ndarray of shape (n_rows,)
        Categorical: int32 codes, -1 missing, -2 a level unseen in fit. Numeric: float64, NaN
        missing, never infinite; integers beyond 2**53 are rounded.
    """

    schema: Schema
    n_rows: int
    columns: list[NDArray[Any]]

    def take(self, rows: NDArray[np.integer[Any]]) -> Table:
        """Table of the rows at these positions."""
        return Table(self.schema, len(rows), [column[rows] for column in self.columns])

    def part(self, rows: slice) -> Table:
        """Table of neighbouring rows, which shares their memory."""
        columns = [column[rows] for column in self.columns]
        return Table(self.schema, len(range(self.n_rows)[rows]), columns)

    def stacked(self, other: Table) -> Table:
        """The rows of this table, then those of another one of the same schema."""
        pairs = zip(self.columns, other.columns, strict=True)
        return Table(self.schema, self.n_rows + other.n_rows, [np.concatenate(p) for p in pairs])

    def relearnt(self) -> Table:
        """The table as if no other rows had been read with it.

        Levels that none of its rows hold are forgotten, unless they were declared.
        """
        pairs = [_relearn(*pair) for pair in zip(self.schema, self.columns, strict=True)]
        schema = Schema(tuple(column for column, _ in pairs), self.schema.container)
        return Table(schema, self.n_rows, [values for _, values in pairs])


def read_table(
    X: Any,
    categorical_features: Any = "from_dtype",
    name: str = "X",
    estimator_name: str | None = None,
) -> Table:
    """Read a table and learn its schema.

    Parameters
    ----------
    X : pandas, polars or pyarrow frame, 2-D array-like, or dict of columns
        None, NaN, NA, NaT and null are missing cells. Columns and rows may be all missing.
    categorical_features : "from_dtype", None, bool mask, or sequence of int or str
        "from_dtype": category, enum, string, object and bool dtypes are categorical, integers
        and floats numeric; in an object or string ndarray a column is numeric when all its cells
        are numbers. None: every column is numeric. Otherwise the categorical columns, as a mask,
        positions, or names.
    name : str
        What error messages call the table.
    estimator_name : str, optional
        What error messages call the estimator.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        No rows or columns, infinite or complex numbers, duplicate names, columns that mix strings
        with numbers, strings in a numeric column.
    TypeError
        Sparse input, dates, durations, and cells that are no number, string or boolean.

    Examples
    --------
    >>> table = read_table({"size": ["S", None, "L"], "weight": [1.5, 2.5, None]})
    >>> table.columns
    [array([ 1, -1,  0], dtype=int32), array([1.5, 2.5, nan])]
    >>> table.schema.columns[0].levels
    ('L', 'S')
    """
    found = take_apart(X, name, estimator_name)
    categorical = _categorical_mask(categorical_features, found)
    learnt = [_learn(*pair) for pair in zip(found.cells, categorical, strict=True)]
    schema = Schema(tuple(column for column, _ in learnt), found.container)
    return Table(schema, found.n_rows, [values for _, values in learnt])


def conform(
    X: Any,
    schema: Schema,
    partial: bool = False,
    name: str = "X",
    estimator_name: str = "JEPADensity",
) -> Table:
    """Read a table at query time by the schema learnt in fit.

    Columns with names are matched by name, whatever their order, and arrays by position; so is
    every table when fit saw an array.

    Parameters
    ----------
    X : pandas, polars or pyarrow frame, 2-D array-like, or dict of columns
    schema : Schema
    partial : bool
        True for evidence: columns that are absent are all missing, columns of a frame that are
        not in the schema are passed over (keys of a dict are not: they are typed by hand), and a
        dict may hold scalars, which stand for every row.
    name, estimator_name : str
        What error messages call the table and the estimator.

    Returns
    -------
    Table
        With the given schema; codes of levels that fit did not see are -2.

    Raises
    ------
    ValueError
        Columns missing, unknown, or of another kind than in fit, and all that `read_table` raises.

    Examples
    --------
    >>> schema = read_table({"size": ["S", "L"], "weight": [1.5, 2.5]}).schema
    >>> conform({"size": "M"}, schema, partial=True).columns
    [array([-2], dtype=int32), array([nan])]
    """
    if partial and isinstance(X, Mapping):
        X = _fill_rows(X, schema)
    found = take_apart(X, name, estimator_name)
    return _as_table(_match(found, schema, partial, name, estimator_name), schema, found.n_rows)


def extend(X: Any, schema: Schema, name: str = "X", estimator_name: str = "JEPADensity") -> Table:
    """Read a later batch of a table: levels that the schema lacks are added to it, at its end.

    Parameters
    ----------
    X : pandas, polars or pyarrow frame, 2-D array-like, or dict of columns
    schema : Schema
    name, estimator_name : str
        What error messages call the table and the estimator.

    Returns
    -------
    Table
        The codes of the levels that the schema knew are what they were.

    Raises
    ------
    ValueError
        As `conform`.

    Examples
    --------
    >>> schema = read_table({"size": ["S", "L"], "weight": [1.5, 2.5]}).schema
    >>> extend({"size": ["M", "S"], "weight": [2.0, None]}, schema).schema.columns[0].levels
    ('L', 'S', 'M')
    """
    found = take_apart(X, name, estimator_name)
    matched = _match(found, schema, False, name, estimator_name)
    pairs = zip(matched, schema.columns, strict=True)
    grown = tuple(column if cells is None else _extended(cells, column) for cells, column in pairs)
    extended = schema if grown == schema.columns else Schema(grown, schema.container)
    return _as_table(matched, extended, found.n_rows)


def _extended(cells: Cells, column: Column) -> Column:
    """The column with the levels and the values that these cells bring."""
    if not column.is_categorical:
        empty = column.empty and bool(np.isnan(numeric_values(cells)).all())
        return replace(column, empty=False) if empty != column.empty else column
    codes, levels = learn_categorical(cells)
    match_categorical(cells, column)  # refuses levels of another kind
    new = tuple(level for level in levels if level not in column.levels)
    empty = column.empty and bool((codes == MISSING).all())
    texts = column.dtype.startswith("<U") and cells.dtype.startswith("<U")
    dtype = str(np.promote_types(column.dtype, cells.dtype)) if texts else column.dtype
    return replace(column, levels=column.levels + new, dtype=dtype, empty=empty)


def _match(
    found: Found, schema: Schema, partial: bool, name: str, estimator_name: str
) -> list[Cells | None]:
    """The cells of each column of the schema."""
    by_name = found.container != "numpy" and schema.container != "numpy"
    if by_name or (partial and found.container == "dict"):
        return _match_names(found, schema, partial and found.container != "dict", partial)
    return _match_positions(found, schema, name, estimator_name)


def _as_table(matched: list[Cells | None], schema: Schema, n_rows: int) -> Table:
    pairs = zip(matched, schema.columns, strict=True)
    return Table(
        schema, n_rows, [_conform_column(cells, column, n_rows) for cells, column in pairs]
    )


def check_sample_weight(sample_weight: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    """Weights as float64 of shape (n_rows,); a weight says how often its row stands in the table.

    Parameters
    ----------
    sample_weight : None, number, or array-like of shape (n_rows,)
        None is a weight of one for every row.
    n_rows : int

    Returns
    -------
    ndarray of shape (n_rows,), float64

    Raises
    ------
    ValueError
        Weights that are negative, NaN, infinite, all zero, all below 1e-15 or any above 1e15, or
        not one for each row.

    Examples
    --------
    >>> check_sample_weight([1, 2], 2)
    array([1., 2.])
    """
    if sample_weight is None:
        return np.ones(n_rows)
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers: {error}") from None
    if weight.ndim == 0:
        weight = np.full(n_rows, weight)
    if weight.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weight.ndim}D array.")
    if weight.shape != (n_rows,):
        raise ValueError(f"sample_weight.shape == {weight.shape}, expected {(n_rows,)}!")
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        raise ValueError(_describe_weight(weight, int(bad[0])))
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    if not 1 / MOST_WEIGHT <= weight.max() <= MOST_WEIGHT:
        raise ValueError(
            f"the largest of `sample_weight` is {weight.max()}; allowed are "
            f"{1 / MOST_WEIGHT:g} to {MOST_WEIGHT:g}: a weight counts repeats of its row"
        )
    return np.ascontiguousarray(weight)


def _describe_weight(weight: NDArray[np.float64], row: int) -> str:
    value = weight[row]
    fault = "Negative values in data passed to" if value < 0 else "Input contains NaN or infinity:"
    return f"{fault} `sample_weight`: {value} in row {row}; weights are finite and at least 0"


def _categorical_mask(categorical_features: Any, found: Found) -> list[bool]:
    if categorical_features is None:
        return [False] * len(found.names)
    if isinstance(categorical_features, str):
        if categorical_features != "from_dtype":
            raise ValueError(
                f"categorical_features={categorical_features!r}; allowed are 'from_dtype', None, "
                "a boolean mask, and a list of positions or names"
            )
        return [kind_of(cells) == "categorical" for cells in found.cells]
    given = np.atleast_1d(np.asarray(categorical_features)).tolist()
    if given and all(isinstance(g, bool) for g in given):
        return _checked_mask(given, found)
    chosen = {_position(g, found) for g in given}
    return [j in chosen for j in range(len(found.names))]


def _checked_mask(mask: list[bool], found: Found) -> list[bool]:
    if len(mask) != len(found.names):
        raise ValueError(
            f"categorical_features has {len(mask)} entries, but there are "
            f"{len(found.names)} columns"
        )
    return mask


def _position(given: str | int, found: Found) -> int:
    if isinstance(given, str) and given in found.names:
        return found.names.index(given)
    if isinstance(given, int) and 0 <= given < len(found.names):
        return given
    raise ValueError(
        f"categorical_features holds {given!r}; allowed are positions 0 to "
        f"{len(found.names) - 1}, and the names {preview(found.names)}"
    )


def _learn(cells: Cells, categorical: bool) -> tuple[Column, NDArray[Any]]:
    values: NDArray[Any]
    if not categorical:
        values = numeric_values(cells)
        empty = bool(np.isnan(values).all())
        return Column(cells.name, "numeric", dtype=cells.dtype, empty=empty), values
    values, levels = learn_categorical(cells)
    empty = bool((values == MISSING).all())
    level_dtype, ordered = getattr(cells, "level_dtype", ""), getattr(cells, "ordered", False)
    return (
        Column(cells.name, "categorical", levels, cells.dtype, level_dtype, ordered, empty),
        values,
    )


def _relearn(column: Column, values: NDArray[Any]) -> tuple[Column, NDArray[Any]]:
    if not column.is_categorical:
        return replace(column, empty=bool(np.isnan(values).all())), values
    present = np.unique(values[values != MISSING])
    column = replace(column, empty=not present.size)
    if column.is_declared or len(present) == len(column.levels):
        return column, values
    lookup = np.full(len(column.levels) + 1, MISSING, np.int32)  # the code -1 picks the last one
    lookup[present] = np.arange(len(present))
    return replace(column, levels=tuple(column.levels[c] for c in present)), lookup[values]


def _fill_rows(X: Mapping[Any, Any], schema: Schema) -> Mapping[Any, Any]:
    """Scalars repeated to the length of the columns beside them, one row when there are none."""
    if not X:
        return {schema.names[0]: [None]}
    lengths = {key: len(v) for key, v in X.items() if not isinstance(v, str) and np.ndim(v)}
    n_rows = max(lengths.values(), default=1)
    return {key: v if key in lengths else [v] * n_rows for key, v in X.items()}


def _match_names(
    found: Found, schema: Schema, extra_allowed: bool, absent_allowed: bool
) -> list[Cells | None]:
    by_name = dict(zip(found.names, found.cells, strict=True))
    extra = [n for n in found.names if n not in schema.names]
    if extra_allowed and len(extra) < len(found.names):
        extra = []
    absent = [] if absent_allowed else [n for n in schema.names if n not in by_name]
    if extra or absent:
        raise ValueError(
            "The feature names should match those that were passed during fit.\n"
            + _listed("Feature names unseen at fit time", extra)
            + _listed("Feature names seen at fit time, yet now missing", absent)
        )
    return [by_name.get(name) for name in schema.names]


def _listed(title: str, names: list[Any]) -> str:
    return f"{title}: {preview(names)}\n" if names else ""


def _match_positions(
    found: Found, schema: Schema, name: str, estimator_name: str
) -> list[Cells | None]:
    if len(found.cells) != len(schema):
        raise ValueError(
            f"{name} has {len(found.cells)} features, but {estimator_name} is expecting "
            f"{len(schema)} features as input."
        )
    return list(found.cells)


def _conform_column(cells: Cells | None, column: Column, n_rows: int) -> NDArray[Any]:
    if cells is None:
        missing = np.int32(MISSING) if column.is_categorical else np.float64(np.nan)
        return np.full(n_rows, missing)
    return match_categorical(cells, column) if column.is_categorical else numeric_values(cells)
