"""From a table's cells to what models read: numbers, positions of levels, and encoded rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jointprob.encode import CONTINUOUS, Encoding
from jointprob.marginal import FARTHEST
from jointprob.onnx.graph import Graph, Value
from jointprob.schema import Column, Schema, preview

MIN_SLOPE = 1e-12  # of a piece, relative, as in encode.c
LARGEST_WHOLE = 2**53  # beyond it float64 does not tell whole numbers apart


@dataclass(frozen=True)
class Columns:
    """The columns of a table; those that were all missing in fit are left out.

    Parameters
    ----------
    numeric : tuple of int
        Table columns behind the columns of `numbers`.
    numbers : float64 (n_rows, n_numeric) or None
        NaN is missing.
    levels : dict of int to int64 (n_rows,)
        By table column the position of the cell's level; n_levels if fit did not see it,
        n_levels + 1 if it is missing.
    """

    numeric: tuple[int, ...]
    numbers: Value | None
    levels: dict[int, Value]

    def take(self, graph: Graph, rows: Value) -> Columns:
        """The rows at these positions, int64 (n_taken,)."""
        numbers = self.numbers and graph("Gather", self.numbers, rows)
        levels = {column: graph("Gather", own, rows) for column, own in self.levels.items()}
        return Columns(self.numeric, numbers, levels)


def read_columns(graph: Graph, schema: Schema) -> Columns:
    """Declare the inputs of a table, and look up levels.

    An array of numbers is one input, ``X``; any other table has an input (n_rows, 1) for each
    column, by its name, or ``x0``, ``x1`` and so on where it has none.
    """
    known = [j for j, column in enumerate(schema) if not column.empty]
    if schema.container == "numpy" and not any(_is_text(c) for c in schema):
        whole = graph.input("X", len(schema))
        cells = {j: graph("Gather", whole, np.array([j]), axis=1) for j in known}
    else:
        cells = {j: graph.input(_name(schema.columns[j]), 1, _is_text(schema.columns[j]))
                 for j in known}  # fmt: skip
    numeric = tuple(j for j in known if not schema.columns[j].is_categorical)
    numbers = graph("Concat", *(cells[j] for j in numeric), axis=1) if numeric else None
    levels = {j: _positions(graph, schema.columns[j], cells[j]) for j in known if j not in numeric}
    return Columns(numeric, numbers, levels)


def _name(column: Column) -> str:
    return column.name if isinstance(column.name, str) else f"x{column.name}"


def _is_text(column: Column) -> bool:
    return column.is_categorical and isinstance(next(iter(column.levels), 0.0), str)


def _positions(graph: Graph, column: Column, cells: Value) -> Value:
    n = len(column.levels)
    found = (_of_text if _is_text(column) else _of_numbers)(graph, column, cells, n)
    return graph("Squeeze", found, np.array([1]))


def _of_text(graph: Graph, column: Column, cells: Value, n: int) -> Value:
    """An empty string is a missing cell, unless it is a level."""
    keys, values = [str(level) for level in column.levels], [*range(n)]
    if any("\0" in key for key in keys):
        raise ValueError(f"column {column.name!r}: a level holds a NUL, which ONNX cannot hold")
    if "" not in keys:
        keys, values = [*keys, ""], [*values, n + 1]
    return graph("LabelEncoder", cells, keys_strings=keys, values_int64s=values, default_int64=n)


def _of_numbers(graph: Graph, column: Column, cells: Value, n: int) -> Value:
    levels = np.array([float(level) for level in column.levels])
    if any(abs(level) > LARGEST_WHOLE for level in column.levels if isinstance(level, int)):
        raise ValueError(
            f"column {column.name!r} has the levels {preview(column.levels)}: "
            f"ONNX holds whole numbers up to {LARGEST_WHOLE} only"
        )
    order = np.argsort(levels, kind="stable")
    count = graph.count_below(cells, [levels[order]], equal=True)
    own = graph("Gather", np.append(np.nan, levels[order]), count)
    code = graph("Gather", np.append(n, order), count)
    seen = graph("Where", graph("Equal", own, cells), code, np.array(n))
    return graph("Where", graph("IsNaN", cells), np.array(n + 1), seen)


@dataclass(frozen=True)
class EncodedRows:
    """Rows as trees see them; compare `jointprob.encode.Encoded`.

    Parameters
    ----------
    codes : dict of int to int64 (n_rows,)
        By column of codes; n_levels means unseen, n_levels + 1 missing.
    z : float64 (n_rows, n_numeric) or None
        Numbers of float32, NaN where missing or an atom.
    place : dict of int to int
        Column of `z` that holds each column of the encoding.
    log_jacobian : float64 (n_rows,) or None
    """

    codes: dict[int, Value]
    z: Value | None
    place: dict[int, int]
    log_jacobian: Value | None


def encode_rows(graph: Graph, columns: Columns, encoding: Encoding) -> EncodedRows:
    """Normal scores or standardised values, atoms, and the log-Jacobian."""
    codes = {
        i: columns.levels[c] for i, c in enumerate(encoding.categorical) if c in columns.levels
    }
    if columns.numbers is None:
        return EncodedRows(codes, None, {}, None)
    own = [encoding.numeric.index(c) for c in columns.numeric]
    x = graph("Min", graph("Max", columns.numbers, np.array(-FARTHEST)), np.array(FARTHEST))
    missing = graph("IsNaN", columns.numbers)
    atoms = [encoding.atoms[j] for j in own]
    count = graph.count_below(columns.numbers, atoms, equal=True)
    is_atom = graph("Equal", _table(graph, [np.append(np.nan, a) for a in atoms], count), x)
    for place, j in enumerate(own):
        companion = encoding.companion_of[j]
        if companion is not None:
            code = graph("Where", is_atom, count, np.array(CONTINUOUS))
            none = np.array(2 + len(encoding.atoms[j]))
            code = graph("Where", missing, none, code)
            codes[companion] = graph("Gather", code, np.array(place), axis=1)
    absent = graph("Or", missing, is_atom)
    z, log_slope = _forward(graph, encoding, own, x)
    z = graph("Where", absent, np.array(np.nan), z)
    z = graph.cast(graph.cast(z, np.float32), np.float64)
    slopes = graph("Where", absent, np.array(0.0), log_slope)
    places = {j: place for place, j in enumerate(own)}
    return EncodedRows(codes, z, places, graph.reduce("ReduceSum", slopes, 1))


def _table(graph: Graph, tables: list[np.ndarray], position: Value) -> Value:
    """Entry of its column's own table for each cell; rows of tables are kept together."""
    start = np.cumsum([0, *(len(t) for t in tables[:-1])])[None]
    return graph("Gather", np.concatenate(tables), graph("Add", position, start))


def _forward(graph: Graph, encoding: Encoding, own: list[int], x: Value) -> tuple[Value, Value]:
    """`Marginal.forward` of every column: z and log dz/dx."""
    marginals = [encoding.marginals[j] for j in own]
    low, high = (np.array([m.tails[side, 0] for m in marginals])[None] for side in (0, 1))
    inside = graph("Min", graph("Max", x, low), high)
    piece = graph.count_below(inside, [m.x[1:-1] for m in marginals], equal=True)

    def part(k: int) -> Value:
        return _table(graph, [m.pieces[:, k] for m in marginals], piece)

    x0, inverse, log_inverse, z0, c1, c2, c3 = (part(k) for k in range(7))
    t = graph("Mul", graph("Sub", inside, x0), inverse)

    def horner(*terms: Value) -> Value:
        total = terms[-1]
        for term in reversed(terms[:-1]):
            total = graph("Add", term, graph("Mul", t, total))
        return total

    two, three = np.array(2.0), np.array(3.0)
    slope = horner(c1, graph("Mul", two, c2), graph("Mul", three, c3))
    log_slope = graph("Add", graph("Log", graph("Max", slope, np.array(MIN_SLOPE))), log_inverse)
    z = graph("Add", z0, graph("Mul", t, horner(c1, c2, c3)))
    for side, sign in ((0, -1.0), (1, 1.0)):
        tails = np.array([m.tails[side] for m in marginals]).T[:, None]
        end, z_end, slope_end, scale = tails
        excess = graph("Max", graph("Mul", np.array(sign), graph("Sub", x, end)), np.array(0.0))
        # log(1 + excess slope / scale), safe from overflow
        rate = slope_end / scale
        stretch = graph("Add", graph("Log", graph("Add", excess, 1 / rate)), np.log(rate))
        beyond = graph("Greater", excess, np.array(0.0))
        moved = graph("Add", z_end, graph("Mul", sign * scale, stretch))
        z = graph("Where", beyond, moved, z)
        log_slope = graph("Where", beyond, graph("Sub", np.log(slope_end), stretch), log_slope)
    return z, log_slope
