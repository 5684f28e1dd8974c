"""The first pass: how many rows each batch has, and the columns of the whole table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jointprob.cells import family
from jointprob.scale.source import count_rows
from jointprob.schema import Column, Level, Schema, preview
from jointprob.table import read_table

MOST_LEVELS = 1_000_000  # levels stay in memory, and in the joint


@dataclass(frozen=True, eq=False)
class Survey:
    """What batches hold.

    Parameters
    ----------
    n_rows : tuple of int
        Rows of each batch.
    schema : Schema or None
        Of all of them; None where there is no row.
    """

    n_rows: tuple[int, ...]
    schema: Schema | None

    def merged(self, other: Survey) -> Survey:
        """What these batches and later ones hold."""
        n_rows = self.n_rows + other.n_rows
        if self.schema is None or other.schema is None:
            return Survey(n_rows, self.schema or other.schema)
        return Survey(n_rows, united(self.schema, other.schema))


@dataclass(frozen=True)
class TakeSurvey:
    """Task of the first pass."""

    categorical_features: Any
    estimator_name: str

    def __call__(self, batch: Any, number: int) -> Survey:
        n_rows = count_rows(batch)
        if not n_rows:
            return Survey((0,), None)
        name = f"batch {number}"
        table = read_table(batch, self.categorical_features, name, self.estimator_name)
        return Survey((n_rows,), table.schema)


def united(first: Schema, second: Schema) -> Schema:
    """Schema of the rows of both: levels by value, in the order that one table would have.

    Raises
    ------
    ValueError
        Columns that differ in name, kind or dtype, or have more than a million levels.
    """
    if first.names != second.names:
        raise ValueError(
            f"batches differ in their columns: {preview(first.names)} in one, "
            f"{preview(second.names)} in a later one"
        )
    if first.container != second.container:
        raise ValueError(
            f"batches are of kind {first.container} and {second.container}; allowed is one kind"
        )
    numpy_dtypes = first.container in ("numpy", "pandas", "dict")
    pairs = zip(first, second, strict=True)
    return Schema(tuple(_united(*pair, numpy_dtypes) for pair in pairs), first.container)


def _united(first: Column, second: Column, numpy_dtypes: bool) -> Column:
    if first.dtype != second.dtype or first.kind != second.kind:
        if second.empty:  # nothing but missing cells: any dtype will do
            return first
        if first.empty:
            return second
        first = replace(first, dtype=_common_dtype(first, second, numpy_dtypes))
    levels = _all_levels(first, second)
    if len(levels) > MOST_LEVELS:
        raise ValueError(
            f"column {first.name!r} has more than {MOST_LEVELS:,} levels; a column that names rows "
            "has no density: leave it out"
        )
    return replace(
        first,
        levels=levels,
        ordered=first.ordered and second.ordered,
        empty=first.empty and second.empty,
    )


def _common_dtype(first: Column, second: Column, numpy_dtypes: bool) -> str:
    """NumPy's numbers widen, and so do its texts; everything else must be the same."""
    if numpy_dtypes and first.kind == second.kind:
        try:
            return str(np.promote_types(first.dtype, second.dtype))
        except TypeError:  # not NumPy's dtypes
            pass
    raise ValueError(
        f"column {first.name!r} is {first.dtype} ({first.kind}) in one batch and {second.dtype} "
        f"({second.kind}) in a later one; batches must agree (categorical_features settles kinds)"
    )


def _all_levels(first: Column, second: Column) -> tuple[Level, ...]:
    if first.levels == second.levels:
        return first.levels
    if first.levels and second.levels:
        _check_family(first, second)
    both = dict.fromkeys(first.levels + second.levels)
    return tuple(both) if first.is_declared else tuple(sorted(both))


def _check_family(first: Column, second: Column) -> None:
    one, other = first.levels[0], second.levels[0]
    if family(type(one)) != family(type(other)):
        raise ValueError(
            f"column {first.name!r} mixes {one!r} ({type(one).__name__}) with {other!r} "
            f"({type(other).__name__}) of a later batch; a column holds strings, numbers or "
            "booleans only"
        )
