"""Checks of a stream's forest, and of the recent rows that it keeps."""

from __future__ import annotations

import numpy as np

from jointprob.adapt.forest import MOST_GENERATIONS, POWERS, ForestStream, Generation
from jointprob.adapt.reservoir import Reservoir
from jointprob.cells import UNSEEN
from jointprob.files.checks import ROUNDING, check, finite, require, shaped, within
from jointprob.files.predictions import check_nodes
from jointprob.schema import Column
from jointprob.table import Table

MOST_GROWN = 2**48  # generations so far; trees are numbered by 64 bits


@check.register
def _table(table: Table) -> None:
    """Of the columns that the schema knows."""
    require(table.n_rows >= 0, f"a table of {table.n_rows} rows")
    require(len(table.columns) >= len(table.schema), "a table lacks columns")
    for cells in table.columns:
        shaped(cells, (table.n_rows,), "a column")
    for cells, column in zip(table.columns, table.schema, strict=False):
        _check_cells(cells, column)


def _check_cells(cells: np.ndarray, column: Column) -> None:
    wanted = np.dtype(np.int32 if column.is_categorical else np.float64)
    require(cells.dtype == wanted, f"cells are {cells.dtype}")
    if column.is_categorical:
        within(cells, UNSEEN, len(column.levels) - 1, "codes of levels")
    else:
        require(not np.isinf(cells).any(), "cells are infinite")


@check.register
def _reservoir(rows: Reservoir) -> None:
    shaped(rows.weight, (rows.table.n_rows,), "weights of rows")
    finite(rows.weight, "weights of rows")
    within(rows.weight, 0, np.inf, "weights of rows")


@check.register
def _generation(generation: Generation) -> None:
    trees = generation.trees
    require(trees.values.dtype == np.float32, "leaves hold no shares")
    require(len(trees) > 0, "a generation has no trees")
    for name in ("counts", "grown"):
        array = getattr(generation, name)
        shaped(array, trees.values.shape, f"{name} of leaves")
        finite(array, f"{name} of leaves")
        within(array, 0, np.inf, f"{name} of leaves")
    within(trees.values, 0, 1 + ROUNDING, "shares of leaves")
    within(generation.grown, 0, 1 + ROUNDING, "shares of leaves")
    require(np.isfinite(generation.log_weight), f"a log weight is {generation.log_weight}")
    check_nodes([trees], len(generation.binning.edges))


@check.register
def _forest_stream(stream: ForestStream) -> None:
    n = len(stream.class_rows) if stream.class_rows.ndim == 1 else 0
    require(n >= 1, "a stream has no classes")
    finite(stream.class_rows, "rows of classes")
    within(stream.class_rows, 0, np.inf, "rows of classes")
    shaped(stream.losses, (len(POWERS),), "losses")
    finite(stream.losses, "losses")
    require(0 <= stream.seed < 2**31, f"the seed is {stream.seed}")
    require(0 < stream.n_rows < np.inf, f"{stream.n_rows} rows")
    require(0 <= stream.next_growth < np.inf, f"trees grow after {stream.next_growth} rows")
    require(0 <= stream.n_grown < MOST_GROWN, f"{stream.n_grown} generations")
    require(len(stream.generations) <= MOST_GENERATIONS, "too many generations")
    _check_window(stream.window, stream, n)
    for generation in stream.generations:
        require(generation.counts.shape[1] == n, "a generation of other classes")
        _check_columns(generation, stream)


def _check_window(window: Reservoir, stream: ForestStream, n_classes: int) -> None:
    """The last column holds labels."""
    table = window.table
    require(table.schema == stream.schema, "recent rows of other columns")
    require(len(table.columns) == len(stream.schema) + 1, "recent rows without labels")
    require(table.columns[-1].dtype == np.int64, "labels of recent rows")
    within(table.columns[-1], 0, n_classes - 1, "labels of recent rows")


def _check_columns(generation: Generation, stream: ForestStream) -> None:
    """A column may have more levels than when the trees were grown."""
    binning = generation.binning
    kinds = tuple(column.is_categorical for column in stream.schema)
    require(binning.categorical == kinds, "a generation of other columns")
    for edges, column in zip(binning.edges, stream.schema, strict=True):
        fewer = not column.is_categorical or len(edges) <= len(column.levels)
        require(fewer, "bins of other levels")
