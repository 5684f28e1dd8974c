"""Rows that are kept until there are enough of them to fix a structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jointprob.joint.tree import Floats
from jointprob.schema import Schema
from jointprob.table import Table

FORGOTTEN = 1e-6  # of the weight of the heaviest row


@dataclass(frozen=True, eq=False)
class Reservoir:
    """Rows and their weights. Immutable: `add` returns the next one.

    Parameters
    ----------
    table : Table
    weight : float64 (n_rows,)
    """

    table: Table
    weight: Floats

    def __len__(self) -> int:
        return self.table.n_rows

    def add(self, table: Table, weight: Floats, kept_share: float = 1.0) -> Reservoir:
        """With the rows of a batch after its own, whose weights shrink to a share.

        Parameters
        ----------
        table : Table
            Of a schema that `jointprob.table.extend` made from the reservoir's.
        weight : float64 (n_rows,)
        kept_share : float
        """
        pairs = zip(self.table.columns, table.columns, strict=True)
        columns = [np.concatenate(pair) for pair in pairs]
        schema = table.schema
        both = Table(schema, self.table.n_rows + table.n_rows, columns)
        return Reservoir(both, np.concatenate([self.weight * kept_share, weight]))

    def latest(self, n_rows: int) -> Reservoir:
        """The last rows, from the first that still weighs something."""
        heavy = self.weight > FORGOTTEN * self.weight.max(initial=0)
        first = max(int(heavy.argmax()) if len(self) else 0, len(self) - n_rows)
        columns = [column[first:] for column in self.table.columns]
        table = Table(self.table.schema, len(self) - first, columns)
        return Reservoir(table, self.weight[first:])


def no_rows(schema: Schema) -> Table:
    """A table without rows."""
    kinds = (np.int32 if column.is_categorical else np.float64 for column in schema)
    return Table(schema, 0, [np.empty(0, kind) for kind in kinds])


def brings_columns(schema: Schema, before: Schema) -> bool:
    """Does a column that was empty hold values now?"""
    return any(b.empty and not n.empty for n, b in zip(schema, before, strict=True))
