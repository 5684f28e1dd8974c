"""Where the numbers of a stream have been of late, and how far rows stand from there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jointprob.adapt.stream import kept_share
from jointprob.joint.tree import Floats
from jointprob.schema import Column, Schema
from jointprob.table import Table

HALF_LIFE = 25.0  # rows


@dataclass(frozen=True, eq=False)
class Trend:
    """Recent means of the numeric columns. Immutable: `after` returns the next one.

    Parameters
    ----------
    sums, rows : float64 (n_numeric,)
        Known cells, and how many there are, old ones forgotten.
    """

    sums: Floats
    rows: Floats

    @classmethod
    def empty(cls, schema: Schema) -> Trend:
        return cls(np.zeros(len(schema.numeric)), np.zeros(len(schema.numeric)))

    def after(self, table: Table, weight: Floats) -> Trend:
        """With the rows of a batch, the last one as the latest."""
        if not len(self.sums):
            return self
        later = np.cumsum(weight[::-1])[::-1] - weight
        share = weight * 0.5 ** (later / HALF_LIFE)
        cells = stacked([table.columns[j] for j in table.schema.numeric])
        known, kept = ~np.isnan(cells), kept_share(float(weight.sum()), HALF_LIFE)
        with np.errstate(over="ignore"):
            sums = kept * self.sums + (np.where(known, cells, 0.0) * share).sum(axis=1)
        return Trend(sums, kept * self.rows + (known * share).sum(axis=1))

    def distances(self, table: Table) -> list[Floats]:
        """How far each number is from the mean of its column, a column for each numeric one.

        NaN where the column has no mean yet.
        """
        numeric = table.schema.numeric
        if not numeric:
            return []
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            means = self.sums / self.rows
            apart = stacked([table.columns[j] for j in numeric]) - means[:, None]
        apart[~np.isfinite(apart)] = np.nan
        return list(apart)

    def beside(self, table: Table) -> Table:
        """The rows with their distances after their columns, unknown to the schema."""
        return Table(table.schema, table.n_rows, [*table.columns, *self.distances(table)])


def stacked(columns: list[Floats]) -> Floats:
    """Columns as the rows of a matrix; NumPy's own way takes many times as long for short ones."""
    return np.concatenate(columns).reshape(len(columns), -1)


def with_distances(schema: Schema) -> Schema:
    """The columns, and after them a numeric one for each that is numeric."""
    more = [Column(f"{schema.columns[j].name} from its trend", "numeric") for j in schema.numeric]
    return replace(schema, columns=(*schema.columns, *more))
