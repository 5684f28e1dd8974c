"""Columns as bytes: values in order, or levels, and one bin for missing cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob import _forest
from jointprob.table import Table
from jointprob.threads import run_blocks

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

MISSING_BIN = _forest.MISSING_BIN
MOST_BINS = 254
BLOCK_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Binned:
    """A table as bins.

    Parameters
    ----------
    by_column : uint8 (n_columns, n_rows)
        Bin of each cell, `MISSING_BIN` for missing ones.
    categorical, n_bins : uint8 (n_columns,)
    """

    by_column: Bytes
    categorical: Bytes
    n_bins: Bytes

    @property
    def n_rows(self) -> int:
        return int(self.by_column.shape[1])

    @property
    def n_columns(self) -> int:
        return int(self.by_column.shape[0])

    def take(self, rows: NDArray[np.integer[Any]]) -> Binned:
        """The rows at these positions."""
        return Binned(np.ascontiguousarray(self.by_column[:, rows]), self.categorical, self.n_bins)

    @cached_property
    def kernel(self) -> _forest.Bins:
        """What trees are grown on."""
        dense = np.where(self.missing, self.n_bins[:, None], self.by_column)
        by_row = np.ascontiguousarray(dense.T)
        return _forest.Bins(self.by_column, by_row, self.categorical, self.n_bins)

    @cached_property
    def by_row(self) -> Bytes:
        """The same, (n_rows, n_columns): what rows descend with."""
        return np.ascontiguousarray(self.by_column.T)

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Is the cell missing?, (n_columns, n_rows)."""
        return np.asarray(self.by_column == MISSING_BIN)


@dataclass(frozen=True, eq=False)
class Binning:
    """How each column's cells become bins.

    Parameters
    ----------
    edges : tuple
        Of a numeric column: increasing float64; a cell's bin is the number of edges below it. Of
        a categorical column: uint8 bin of each level; levels beyond the commonest 253 share one.
    categorical : tuple of bool
    """

    edges: tuple[NDArray[Any], ...]
    categorical: tuple[bool, ...]

    @cached_property
    def n_bins(self) -> Bytes:
        sizes = [
            int(e.max(initial=0)) + 1 if c else len(e) + 1
            for e, c in zip(self.edges, self.categorical, strict=True)
        ]
        return np.array(sizes, np.uint8)

    @cached_property
    def kernel(self) -> _forest.Edges:
        return _forest.Edges(self.edges, self.categorical)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "kernel"}

    def first(self, n_columns: int) -> Binning:
        """Of the first columns."""
        return Binning(self.edges[:n_columns], self.categorical[:n_columns])

    def bin(self, table: Table, n_jobs: int | None = None) -> Binned:
        """Bins of a table of the schema that was fitted; levels it lacks count as missing."""
        by_column = np.empty((len(self.edges), table.n_rows), np.uint8)
        kernel = self.kernel

        def bin_rows(start: int, stop: int) -> None:
            kernel.bin(table.columns, start, stop, by_column)

        run_blocks(bin_rows, table.n_rows, BLOCK_ROWS, n_jobs)
        return Binned(by_column, np.array(self.categorical, np.uint8), self.n_bins)


def fit_binning(table: Table, weight: Floats) -> Binning:
    """Bins of about equal weight for numeric columns; each value its own where there are few."""
    categorical = tuple(column.is_categorical for column in table.schema)
    edges = tuple(
        _level_bins(cells, len(column.levels), weight) if c else _edges(cells, weight)
        for cells, column, c in zip(table.columns, table.schema, categorical, strict=True)
    )
    return Binning(edges, categorical)


def _edges(cells: Floats, weight: Floats) -> Floats:
    """Half-way between neighbouring values, at equal steps of weight where values are many."""
    known = ~np.isnan(cells)
    values, place = np.unique(cells[known], return_inverse=True)
    if len(values) < 2:
        return np.empty(0)
    middle = values[:-1] / 2 + values[1:] / 2
    # Neighbouring floats have no number between them: the lower one is the edge then.
    middle = np.where(middle >= values[1:], values[:-1], np.maximum(middle, values[:-1]))
    if len(values) <= MOST_BINS:
        return np.asarray(middle)
    below = np.cumsum(np.bincount(place, weight[known], len(values)))
    steps = below[-1] * np.arange(1, MOST_BINS) / MOST_BINS
    chosen = np.clip(np.searchsorted(below, steps), 0, len(middle) - 1)
    return np.asarray(middle[chosen[np.diff(chosen, prepend=-1) > 0]])


def _level_bins(codes: NDArray[np.int32], n_levels: int, weight: Floats) -> Bytes:
    """A bin for each level: its own for the commonest, the last one for all others."""
    if n_levels <= MOST_BINS:
        return np.arange(n_levels, dtype=np.uint8)
    known = codes >= 0
    counts = np.bincount(codes[known], weight[known], n_levels)
    rank = np.empty(n_levels, np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(n_levels)
    return np.minimum(rank, MOST_BINS - 1).astype(np.uint8)
