"""The source's columns beside the target's: what both know, new levels, new columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jointprob.cells import MISSING
from jointprob.density import Gaussians
from jointprob.encode import Encoding
from jointprob.joint.nursery import Member
from jointprob.joint.tree import Codes, LatentTree, empty_tree
from jointprob.predict.source import recast
from jointprob.schema import Column, Container, Schema, preview
from jointprob.table import Table, conform, read_table

# Dtypes that hold any level or number of a kind; NumPy's in dicts and in arrays.
PLAIN: dict[str, dict[type, str]] = {
    "polars": {str: "String", bool: "Boolean", int: "Int64", float: "Float64"},
    "pyarrow": {str: "string", bool: "bool", int: "int64", float: "double"},
    "pandas": {str: "object", bool: "bool", int: "int64", float: "float64"},
}


@dataclass(frozen=True, eq=False)
class Target:
    """Rows of the target, read beside a source.

    Parameters
    ----------
    table : Table
        Columns that the source knows, in its order, then new ones; levels that it knows keep their
        codes.
    n_shared : int
        Columns that both know.
    """

    table: Table
    n_shared: int

    @property
    def shared(self) -> list[str | int]:
        """Names of the columns that both know."""
        return list(self.table.schema.names[: self.n_shared])


def read_target(X: Any, source: Schema, categorical_features: Any = "from_dtype") -> Target:
    """Read the target's rows by what the source knows.

    Raises
    ------
    ValueError
        No column in common, columns of another kind, arrays of another width.
    """
    own = read_table(X, categorical_features, estimator_name="fine_tune").schema
    by_position = "numpy" in (own.container, source.container)
    if by_position and len(own) != len(source):
        raise ValueError(
            f"X has {len(own)} columns and the source {len(source)}: arrays are matched by "
            "position; give frames for columns to be matched by name"
        )
    if by_position:
        here = dict(zip(own.names, source, strict=True))
    else:
        here = {c.name: c for c in source if c.name in own.names and not c.empty}
    if not here:
        raise ValueError(
            f"X has no column in common with the source: columns {preview(own.names)} here, "
            f"{preview(source.names)} there"
        )
    mask = [here.get(c.name, c).is_categorical for c in own]
    read = read_table(X, mask, estimator_name="fine_tune")
    cells = dict(zip(own.names, zip(read.schema, read.columns, strict=True), strict=True))
    order = sorted(here, key=lambda name: source.position(here[name].name))
    shared = tuple(_widened(here[name], *cells[name]) for name in order)
    container = source.container if by_position else own.container
    if container != source.container:  # dtypes of one library mean nothing to another
        pairs = zip(shared, order, strict=True)
        shared = tuple(_dressed(column, cells[name][0], container) for column, name in pairs)
    new = tuple(c for c in read.schema if c.name not in here)
    schema = Schema((*shared, *new), container)
    return Target(conform(X, schema, False, "X", "fine_tune"), len(shared))


def read_beside(X: Any, table: Table) -> tuple[Table, Table]:
    """A table with the levels of more rows, and these rows, under one schema.

    Raises
    ------
    ValueError
        Columns that only one of the two has, or of another kind.
    """
    found = read_target(X, table.schema).table
    names = table.schema.names
    if set(found.schema.names) != set(names):
        absent = [n for n in names if n not in found.schema.names]
        extra = [n for n in found.schema.names if n not in names]
        raise ValueError(
            f"the rows without a class lack the columns {preview(absent)} and have the columns "
            f"{preview(extra)}, which X has not; both must have the same"
        )
    grown = found.schema.select(names).columns
    if found.schema.container != table.schema.container:
        pairs = zip(grown, table.schema, strict=True)
        grown = tuple(_like(column, before) for column, before in pairs)
    schema = Schema(grown, table.schema.container)
    return recast(table, schema), recast(found, schema)


def _widened(column: Column, found: Column, codes: np.ndarray) -> Column:
    """The source's column with levels that only the target's cells hold, at the end."""
    if not column.is_categorical or column.empty:
        return column
    used = [found.levels[code] for code in np.unique(codes[codes != MISSING])]
    if column.levels and used and isinstance(column.levels[0], str) != isinstance(used[0], str):
        raise ValueError(
            f"column {column.name!r} holds {used[0]!r}, and levels of another kind in the source: "
            f"{preview(column.levels)}"
        )
    return replace(column, levels=column.levels + tuple(v for v in used if v not in column.levels))


def _dressed(column: Column, found: Column, container: Container) -> Column:
    """The source's column in the dtype that the target has for it, or a plain one where that one
    does not hold the source's values."""
    if _holds(found, column):
        return _like(column, found)
    names = PLAIN.get(container, PLAIN["pandas"])
    return replace(column, dtype=names[_plain_kind(column, found)], level_dtype="", ordered=False)


def _like(column: Column, other: Column) -> Column:
    """The column in the dtype of another one of the same kind."""
    return replace(column, dtype=other.dtype, level_dtype=other.level_dtype, ordered=other.ordered)


def _holds(found: Column, column: Column) -> bool:
    if found.empty or found.kind != column.kind:
        return False
    if column.is_categorical:
        known = {(type(v), v) for v in found.levels}
        texts = all(isinstance(v, str) for v in (*column.levels, *found.levels))
        bounded = found.dtype.startswith(("<U", "dictionary"))  # in length, in number
        return known.issuperset((type(v), v) for v in column.levels) or (texts and not bounded)
    here, there = found.integer_range, column.integer_range
    if here is None:
        return not found.dtype.lower().startswith("bool")
    return there is not None and here[0] <= there[0] and there[1] <= here[1]


def _plain_kind(column: Column, found: Column) -> type:
    if not column.is_categorical:
        return int if column.integer_range and found.integer_range else float
    kinds = {type(level) for level in column.levels}
    return kinds.pop() if len(kinds) == 1 else float


def widen(encoding: Encoding, target: Target, new: Encoding | None) -> Encoding:
    """The source's encoding of its columns with the target's levels, and that of new columns.

    Parameters
    ----------
    encoding : Encoding
        Of the shared columns.
    target : Target
    new : Encoding, optional
        Of the new columns alone.
    """
    columns, n = target.table.schema.columns, target.n_shared
    levels = tuple(len(columns[c].levels) for c in encoding.categorical)
    if new is None:
        return replace(encoding, levels=levels)
    return Encoding(
        encoding.kind,
        (*encoding.categorical, *(n + c for c in new.categorical)),
        (*encoding.numeric, *(n + c for c in new.numeric)),
        (*levels, *new.levels),
        (*encoding.marginals, *new.marginals),
        (*encoding.atoms, *new.atoms),
    )


def widen_member(member: Member, encoding: Encoding, scion: LatentTree | None) -> Member:
    """A member of the source that knows new levels, and new columns if it gets a scion.

    New levels join the column's cell of most levels, with what the tree kept for unseen ones. The
    scion, a tree of the new columns, is tied to the root: independent of it until it has learnt.
    """
    tree, old = member.tree, member.encoding
    code = {c: _moved(c, old, encoding) for c in range(len(old.n_levels))}
    cells, emissions, unseen = _levels(tree, old, encoding)
    parts = [_part(tree, b, cells[b], code) for b in range(tree.n_blocks)]
    parent = tree.parent
    if scion is not None:
        n = tree.n_blocks
        own = scion.cell
        code = {c: _moved_new(c, old, encoding) for c in range(int(scion.code_column.max()) + 1)}
        at = [slice(int(a), int(a + v)) for a, v in zip(scion.cell_at, scion.n_levels, strict=True)]
        parts += [_part(scion, b, own[at[b]], code, len(old.numeric)) for b in range(len(at))]
        parent = np.concatenate([parent, np.where(scion.parent < 0, 0, scion.parent + n)])
    columns, levels, widths, gaussians = map(list, zip(*parts, strict=True))
    wide = empty_tree(parent, np.array(columns, np.int64), levels, widths, gaussians)
    _copy_tables(tree, wide, 0, emissions, unseen)
    if scion is not None:
        known = [_emission(scion, b) for b in range(scion.n_blocks)]
        _copy_tables(scion, wide, tree.n_blocks, known, scion.unseen)
    wide.derive()
    return Member(wide, encoding, member.log_weight)


def _moved(column: int, old: Encoding, wide: Encoding) -> int:
    """New place of a column of codes: companions stand after all categorical columns."""
    n = len(old.categorical)
    return column if column < n else column + len(wide.categorical) - n


def _moved_new(column: int, old: Encoding, wide: Encoding) -> int:
    """Place in the wide encoding of a column of codes of the scion's."""
    n_new = len(wide.categorical) - len(old.categorical)
    return column + (len(old.categorical) if column < n_new else len(old.n_levels))


def _part(
    tree: LatentTree, b: int, cell: Codes, code: dict[int, int], z_at: int = 0
) -> tuple[int, Codes, int, Gaussians | None]:
    """What `empty_tree` asks of a block."""
    column = int(tree.code_column[b])
    own = None
    if b in tree.numeric_blocks:
        own = tree.gaussians[tree.numeric_blocks.index(b)].copy()
        own = replace(own, columns=own.columns + z_at)
    width = int(tree.n_states[b] // tree.n_cells[b]) if len(cell) else int(tree.n_states[b])
    return code.get(column, -1), cell, width, own


def _emission(tree: LatentTree, b: int) -> np.ndarray:
    """(n_levels, width), 0 levels of blocks without."""
    n, width = int(tree.n_levels[b]), int(tree.n_states[b] // tree.n_cells[b])
    at = int(tree.emission_at[b])
    return tree.emission[at : at + n * width].reshape(n, width)


def _levels(
    tree: LatentTree, old: Encoding, wide: Encoding
) -> tuple[list[Codes], list[np.ndarray], np.ndarray]:
    """Cells, emissions and unseen mass of every block, new levels among them."""
    cells, emissions, unseen = [], [], tree.unseen.copy()
    for b in range(tree.n_blocks):
        n, column = int(tree.n_levels[b]), int(tree.code_column[b])
        cell, emission = tree.cell[tree.cell_at[b] : tree.cell_at[b] + n], _emission(tree, b)
        if n and column < len(old.categorical):
            n_new = wide.levels[column] - n
            if n_new:
                cell, emission, unseen[b] = _joined(cell, emission, float(unseen[b]), n_new)
        cells.append(cell)
        emissions.append(emission)
    return cells, emissions, unseen


def _joined(
    cell: Codes, emission: np.ndarray, unseen: float, n_new: int
) -> tuple[Codes, np.ndarray, float]:
    """New levels share out the mass of unseen ones, but for a share that stays for others."""
    left = unseen / (n_new + 1)
    crowded = int(np.bincount(cell)[::-1].argmax())
    c = int(cell.max()) - crowded  # of equally crowded cells the last: its levels are the rarest
    moved = (unseen - left) / (1 - left)
    wide = emission * ((1 - left) / (1 - unseen))
    wide[cell == c] *= 1 - moved
    new = np.full((n_new, emission.shape[1]), (1 - left) * moved / n_new, np.float32)
    joined = np.concatenate([cell, np.full(n_new, c, np.int32)]).astype(np.int32)
    return joined, np.concatenate([wide, new]).astype(np.float32), left


def _copy_tables(
    tree: LatentTree, wide: LatentTree, first: int, emissions: list[np.ndarray], unseen: np.ndarray
) -> None:
    for b in range(tree.n_blocks):
        to, parent = first + b, int(tree.parent[b])
        above = 1 if parent < 0 else int(tree.n_states[parent])
        size, at = above * int(tree.n_states[b]), int(tree.transition_at[b])
        table = tree.transition[at : at + size]
        if parent < 0 and first:  # a scion's root: the same whatever the state above
            table = np.tile(table, int(wide.n_states[0]))
        start = int(wide.transition_at[to])
        wide.transition[start : start + table.size] = table
        start = int(wide.emission_at[to])
        wide.emission[start : start + emissions[b].size] = emissions[b].ravel()
        wide.unseen[to] = unseen[b]
