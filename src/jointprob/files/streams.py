"""Checks of streams: their forests, the recent rows that these keep, and models from before."""

from __future__ import annotations

import numpy as np

from jointprob.adapt.discriminant import Discriminant
from jointprob.adapt.forest import MOST_GENERATIONS, POWERS, ForestStream
from jointprob.adapt.generation import Generation
from jointprob.adapt.labels import LabelStream
from jointprob.adapt.numbers import NumberStream
from jointprob.adapt.reservoir import Reservoir
from jointprob.adapt.trend import Trend, with_distances
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
    require(stream.others.ndim == 1, "weights of others")
    finite(stream.others, "weights of others")
    shaped(stream.trend.sums, (len(stream.schema.numeric),), "trends of columns")
    _check_window(stream.window, stream, n)
    for generation in stream.generations:
        require(generation.counts.shape[1] == n, "a generation of other classes")
        _check_columns(generation, stream)


@check.register
def _trend(trend: Trend) -> None:
    shaped(trend.rows, trend.sums.shape, "rows of trends")
    for name in ("sums", "rows"):
        finite(getattr(trend, name), f"{name} of trends")
    within(trend.rows, 0, np.inf, "rows of trends")


@check.register
def _discriminant(found: Discriminant) -> None:
    n, d = len(found.rows), len(found.center)
    shaped(found.scale, (d,), "units of a discriminant")
    shaped(found.sums, (n, d), "sums of a discriminant")
    shaped(found.square, (d, d), "products of a discriminant")
    for name in ("center", "scale", "rows", "sums", "square"):
        finite(getattr(found, name), f"{name} of a discriminant")
    within(found.rows, 0, np.inf, "rows of a discriminant")
    require((found.scale > 0).all(), "units of a discriminant are none")
    require(0 < found.half_life < np.inf, f"a half-life is {found.half_life}")


@check.register
def _label_stream(stream: LabelStream) -> None:
    forest, n_numeric = stream.forest, len(stream.schema.numeric)
    require(not forest.ordered, "a forest of numbers among classes")
    widths = (n_numeric, n_numeric, 2 * n_numeric)
    require(len(stream.discriminants) in (0, len(widths)), "some discriminants only")
    for one, width in zip(stream.discriminants, widths, strict=False):
        shaped(one.sums, (len(forest.class_rows), width), "sums of a discriminant")
    _check_before(stream)
    if stream.before is not None:
        n, more = stream.before.n_classes, len(stream.forest.class_rows)
        require(n <= more, "a model from before of other classes")


@check.register
def _number_stream(stream: NumberStream) -> None:
    n = len(stream.cells.low)
    require(stream.forest.ordered, "a forest of classes for a number")
    shaped(stream.forest.class_rows, (n,), "rows of cells")
    shaped(stream.means, (n,), "means of cells")
    finite(stream.means, "means of cells")
    shaped(stream.numbers, (len(stream.forest.window),), "numbers of recent rows")
    finite(stream.numbers, "numbers of recent rows")
    _check_before(stream)


def _check_before(stream: LabelStream | NumberStream) -> None:
    """A model and its weight come together, and its columns are those of the stream."""
    none = stream.before is None
    own = len(stream.discriminants) if isinstance(stream, LabelStream) else 0
    require(len(stream.forest.others) == own + (not none), "weights of others")
    require(none or stream.fitted is not None, "a model from before without its joint")
    if stream.fitted is not None:
        for old, new in zip(stream.fitted.schema, stream.schema, strict=True):
            same = old.name == new.name and old.kind == new.kind
            require(same and old.levels == new.levels[: len(old.levels)], "other columns before")


def _check_window(window: Reservoir, stream: ForestStream, n_classes: int) -> None:
    """Distances from the trend and labels stand after the columns."""
    table, n_own = window.table, len(stream.schema)
    require(table.schema == stream.schema, "recent rows of other columns")
    n_kept = n_own + len(stream.schema.numeric) + 1
    require(len(table.columns) == n_kept, "recent rows without labels")
    for cells in table.columns[n_own:-1]:
        require(cells.dtype == np.float64 and not np.isinf(cells).any(), "distances of recent rows")
    require(table.columns[-1].dtype == np.int64, "labels of recent rows")
    within(table.columns[-1], 0, n_classes - 1, "labels of recent rows")


def _check_columns(generation: Generation, stream: ForestStream) -> None:
    """A column may have more levels than when the trees were grown."""
    binning, schema = generation.binning, stream.schema
    if len(binning.edges) > len(schema):
        schema = with_distances(schema)
    kinds = tuple(column.is_categorical for column in schema)
    require(binning.categorical == kinds, "a generation of other columns")
    for edges, column in zip(binning.edges, schema, strict=True):
        fewer = not column.is_categorical or len(edges) <= len(column.levels)
        require(fewer, "bins of other levels")
