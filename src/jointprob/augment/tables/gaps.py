"""Which cells a row misses, as columns of the table: new rows miss cells as old ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.schema import Column, Schema
from jointprob.table import MISSING, Table

PRESENT, ABSENT = 0, 1  # levels of a column that tells of gaps


@dataclass(frozen=True)
class Gaps:
    """Columns of the table that miss cells, those that miss them in the same rows together.

    Parameters
    ----------
    groups : tuple of tuple of int
        Positions of the columns of each group.

    Examples
    --------
    >>> from jointprob.table import read_table
    >>> table = read_table(np.array([[1.0, 2.0, 3.0], [np.nan, np.nan, 4.0]]))
    >>> gaps = Gaps.of(table)
    >>> gaps.groups, gaps.tell(table).columns[3].tolist()
    (((0, 1),), [0, 1])
    """

    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, table: Table) -> Gaps:
        """Groups of columns by the rows in which they miss cells; a column without any has none."""
        found: dict[bytes, list[int]] = {}
        for j, column in enumerate(table.schema):
            gone = missing_cells(column, table.columns[j])
            if gone.any() and not gone.all():
                found.setdefault(np.packbits(gone).tobytes(), []).append(j)
        return cls(tuple(tuple(columns) for columns in found.values()))

    def tell(self, table: Table) -> Table:
        """The table and a column for each group: whether its cells are there.

        A row that has some cells of a group and misses others tells nothing.
        """
        gone = missing_table(table)
        told = [_told(gone[:, list(group)]) for group in self.groups]
        return Table(self._schema(table.schema), table.n_rows, [*table.columns, *told])

    def assume(self, table: Table, known: Sequence[int]) -> Table:
        """The table of evidence on some columns: their cells are there, of others nobody knows."""
        there = ~missing_table(table)
        there[:, list(known)] = True
        told = [
            np.where(there[:, list(group)].any(axis=1), PRESENT, MISSING).astype(np.int32)
            for group in self.groups
        ]
        return Table(self._schema(table.schema), table.n_rows, [*table.columns, *told])

    def blank(self, columns: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Columns of the table alone, missing the cells that the others tell are not there."""
        n = len(columns) - len(self.groups)
        own = list(columns[:n])
        for group, told in zip(self.groups, columns[n:], strict=True):
            for j in group:
                nothing = MISSING if own[j].dtype.kind == "i" else np.nan
                own[j] = np.where(told == ABSENT, nothing, own[j]).astype(own[j].dtype)
        return own

    def _schema(self, schema: Schema) -> Schema:
        names = (f"{schema.columns[group[0]].name} is missing" for group in self.groups)
        more = (Column(name, "categorical", (False, True), "object") for name in names)
        return Schema((*schema, *more), schema.container)


def missing_cells(column: Column, cells: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells of a column are missing."""
    gone: NDArray[np.bool_] = cells == MISSING if column.is_categorical else np.isnan(cells)
    return gone


def missing_table(table: Table) -> NDArray[np.bool_]:
    """Which cells are missing, (n_rows, n_columns)."""
    pairs = zip(table.schema, table.columns, strict=True)
    return np.stack([missing_cells(*pair) for pair in pairs], axis=1)


def _told(gone: NDArray[np.bool_]) -> NDArray[np.int32]:
    mixed = gone.any(axis=1) & ~gone.all(axis=1)
    return np.where(mixed, MISSING, np.where(gone[:, 0], ABSENT, PRESENT)).astype(np.int32)
