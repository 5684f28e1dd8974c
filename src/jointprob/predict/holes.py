"""Rows with cells taken away: what they teach is how to predict rows that miss cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jointprob.table import MISSING, Table

HOLED_ROWS = 1000  # at most
HOLED_SHARE = (0.1, 0.6)  # of the cells of a row, from least to most
HOLES_STREAM = 18  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True, eq=False)
class Holes:
    """Some rows of the fit with fewer cells.

    Parameters
    ----------
    rows : int64 (n_holed,)
        Positions in the table of the fit.
    table : Table
        What is left of each of them.
    """

    rows: NDArray[np.int64]
    table: Table


def make_holes(table: Table, seed: int) -> Holes:
    """Some rows, from each of which a share of cells of its own is taken away."""
    random = np.random.Generator(np.random.Philox(key=[seed, HOLES_STREAM]))
    rows = np.sort(random.permutation(table.n_rows)[:HOLED_ROWS])
    shares = random.uniform(*HOLED_SHARE, (len(rows), 1))
    cells = random.random((len(rows), len(table.columns))) < shares
    return Holes(rows, take_away(table.take(rows), cells))


def take_away(table: Table, cells: NDArray[np.bool_]) -> Table:
    """The table with some cells missing; cells (n_columns,) or (n_rows, n_columns)."""
    cells = np.broadcast_to(cells, (table.n_rows, len(table.columns)))
    columns = []
    for j, column in enumerate(table.columns):
        missing = np.nan if column.dtype.kind == "f" else MISSING
        columns.append(np.where(cells[:, j], missing, column).astype(column.dtype))
    return Table(table.schema, table.n_rows, columns)
