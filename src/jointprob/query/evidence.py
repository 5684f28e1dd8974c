"""Read evidence and events: values, sets of levels, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import isnan
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jointprob.encode import CONTINUOUS, Encoding
from jointprob.query.view import Mask
from jointprob.schema import Column, Schema, preview
from jointprob.table import MISSING, UNSEEN, Table, conform

MAX_BRANCHES = 1 << 12

Cells = NDArray[Any]
Ends = tuple[float | None, float | None]


class Branch(NamedTuple):
    """One of the exclusive ways in which evidence can hold, for one encoding."""

    sets: dict[int, Mask]  # column of codes -> allowed levels
    intervals: dict[int, tuple[float, float]]  # column of z -> ends


@dataclass(frozen=True, eq=False)
class Given:
    """Evidence in the table's columns.

    Parameters
    ----------
    table : Table
        Cells known by value; the others are missing.
    sets : dict of int to bool (n_levels,)
        Categorical columns known to lie in a set of levels.
    intervals : dict of int to (low, high)
        Numeric columns known to lie in an interval, None for an open end.
    atoms : dict of int to float64 (n_values,)
        Numeric columns known to equal one of these values.
    """

    table: Table
    sets: dict[int, Mask] = field(default_factory=dict)
    intervals: dict[int, Ends] = field(default_factory=dict)
    atoms: dict[int, Cells] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        return self.table.n_rows

    def branches(self, encoding: Encoding) -> list[Branch]:
        """Exclusive ways in which the evidence can hold.

        A numeric column with atoms lies in an interval either as one of the atoms inside, or as a
        continuous value inside: two branches.
        """
        ways = [[_level_set(encoding, c, allowed)] for c, allowed in self.sets.items()]
        ways += [_interval_ways(encoding, c, ends) for c, ends in self.intervals.items()]
        ways += [_atom_ways(encoding, c, values) for c, values in self.atoms.items()]
        if np.prod([float(len(way)) for way in ways]) > MAX_BRANCHES:
            raise ValueError(
                f"intervals on {len(self.intervals)} columns with atoms need more than "
                f"{MAX_BRANCHES} passes; give fewer of them at once"
            )
        return [_combine(choice) for choice in product(*ways)]


def _combine(choice: Sequence[Branch]) -> Branch:
    joined = Branch({}, {})
    for branch in choice:
        joined.sets.update(branch.sets)
        joined.intervals.update(branch.intervals)
    return joined


def _level_set(encoding: Encoding, column: int, allowed: Mask) -> Branch:
    return Branch({encoding.categorical.index(column): allowed}, {})


def _atom_mask(encoding: Encoding, j: int, codes: Cells) -> Mask:
    allowed = np.zeros(1 + len(encoding.atoms[j]), np.bool_)
    allowed[codes] = True
    return allowed


def _interval_ways(encoding: Encoding, column: int, ends: Ends) -> list[Branch]:
    j = encoding.numeric.index(column)
    low, high, atoms = encoding.interval(j, *ends)
    place = encoding.companion_of[j]
    if place is None:
        return [Branch({}, {j: (low, high)})]
    ways = [Branch({place: _atom_mask(encoding, j, np.array([CONTINUOUS]))}, {j: (low, high)})]
    return ways + ([Branch({place: _atom_mask(encoding, j, atoms)}, {})] if len(atoms) else [])


def _atom_ways(encoding: Encoding, column: int, values: Cells) -> list[Branch]:
    j = encoding.numeric.index(column)
    atoms = np.flatnonzero(np.isin(encoding.atoms[j], values)) + 1
    place = encoding.companion_of[j]
    return (
        []
        if place is None or not len(atoms)
        else [Branch({place: _atom_mask(encoding, j, atoms)}, {})]
    )


# ---- reading ----


def read_rows(X: Any, schema: Schema, partial: bool = False, name: str = "X") -> Table:
    """Rows by the fitted schema; columns that were all missing in fit stay missing."""
    table = conform(X, schema, partial=partial, name=name, estimator_name="Joint")
    return Table(schema, table.n_rows, blank_empty(table.columns, schema))


def blank_empty(columns: Sequence[Cells], schema: Schema) -> list[Cells]:
    """Columns that were all missing in fit made all missing."""
    return [
        _all_missing(column, len(cells)) if column.empty else cells
        for column, cells in zip(schema, columns, strict=True)
    ]


def _all_missing(column: Column, n_rows: int) -> Cells:
    return np.full(n_rows, np.int32(MISSING) if column.is_categorical else np.nan)


def float_schema(schema: Schema) -> Schema:
    """The same columns holding float64."""
    dtype = {"polars": "Float64", "pyarrow": "double"}.get(schema.container, "float64")
    columns = tuple(Column(column.name, "numeric", dtype=dtype) for column in schema)
    return Schema(columns, schema.container)


def nothing_known(table: Table) -> Mask:
    """Rows in which every cell is missing."""
    nothing: Mask = np.ones(table.n_rows, np.bool_)
    for column, cells in zip(table.schema, table.columns, strict=True):
        nothing &= cells == MISSING if column.is_categorical else np.isnan(cells)
    return nothing


def read_given(given: Any, schema: Schema, name: str = "given") -> Given:
    """Evidence of `Joint.condition`.

    Raises
    ------
    ValueError
        Unknown columns, unknown levels in a set, empty sets, reversed intervals, NaN ends.
    """
    if not isinstance(given, Mapping):
        return Given(read_rows(given, schema, partial=True, name=name))
    values = {}
    read = Given(read_rows({}, schema, partial=True))
    for key, value in given.items():
        position = schema.position(key)
        if not _read_event(read, position, schema.columns[position], value):
            values[key] = value
    table = read_rows(values, schema, partial=True, name=name)
    return Given(table, read.sets, read.intervals, read.atoms)


def read_where(where: Any, schema: Schema) -> Given:
    """The event of `Joint.probability`: one row, in which a number stands for an atom."""
    if not isinstance(where, Mapping):
        raise TypeError(
            f"where is a {type(where).__name__}; allowed is a dict of column: condition"
        )
    events = {
        key: {value} if _is_number(value) and not _column(schema, key).is_categorical else value
        for key, value in where.items()
    }
    for key, value in events.items():
        if _is_missing(value):
            raise ValueError(
                f"column {key!r}: {value!r} is no condition; {_allowed(_column(schema, key))}"
            )
    read = read_given(events, schema, "where")
    if read.n_rows != 1:
        raise ValueError("where describes one event: a value, a set or an interval for each column")
    return read


def _column(schema: Schema, key: Any) -> Column:
    return schema.columns[schema.position(key)]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | np.number) and not isinstance(value, bool | np.bool_)


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, Real) and isnan(value))
    )


def _allowed(column: Column) -> str:
    if column.is_categorical:
        return f"allowed are the levels {preview(column.levels)} and sets of them"
    return "allowed are a number, a set of numbers, and (low, high) with None for an open end"


def _read_event(read: Given, position: int, column: Column, value: Any) -> bool:
    """Enter a set or an interval; False for values, which are read as cells."""
    if column.empty and isinstance(value, set | frozenset | tuple):
        raise ValueError(f"column {column.name!r} was all missing in fit: {value!r} means nothing")
    if isinstance(value, set | frozenset):
        if not value:
            raise ValueError(f"column {column.name!r}: the set is empty; {_allowed(column)}")
        if column.is_categorical:
            read.sets[position] = _known_levels(column, value)
        else:
            read.atoms[position] = _numbers(column, value)
        return True
    if not isinstance(value, tuple):
        return False
    if column.is_categorical or len(value) != 2:
        raise ValueError(f"column {column.name!r}: {value!r} is no interval; {_allowed(column)}")
    ends = _checked_ends(column, value)
    if ends != (None, None):
        read.intervals[position] = ends
    return True


def _known_levels(column: Column, values: set[Any] | frozenset[Any]) -> Mask:
    one = Schema((column,), "dict")
    codes = conform({column.name: np.array(list(values), dtype=object)}, one).columns[0]
    for value, code in zip(values, codes, strict=True):
        if code in (MISSING, UNSEEN):
            raise ValueError(f"column {column.name!r}: unknown level {value!r}; {_allowed(column)}")
    allowed = np.zeros(len(column.levels), np.bool_)
    allowed[codes] = True
    return allowed


def _numbers(column: Column, values: set[Any] | frozenset[Any]) -> Cells:
    for value in values:
        if not _is_number(value) or isnan(value):
            raise ValueError(
                f"column {column.name!r}: {value!r} is not a number; {_allowed(column)}"
            )
    return np.array(sorted(float(value) for value in values))


def _checked_ends(column: Column, ends: tuple[Any, Any]) -> Ends:
    for end in ends:
        if end is not None and (not _is_number(end) or isnan(end)):
            raise ValueError(f"column {column.name!r}: end {end!r} in {ends!r}; {_allowed(column)}")
    low, high = (None if end is None else float(end) for end in ends)
    if low is not None and high is not None and low > high:
        raise ValueError(f"column {column.name!r}: in {ends!r} the low end exceeds the high one")
    return low, high
