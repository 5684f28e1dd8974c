"""Sum columns out of a joint: the same trees with fewer columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jointprob.density import Gaussians
from jointprob.encode import Encoding
from jointprob.joint.nursery import Member
from jointprob.joint.tree import LatentTree, Sizes, offsets
from jointprob.schema import Schema


def select_encoding(encoding: Encoding, kept: list[int]) -> Encoding:
    """The encoding of some table columns, in the order of `kept`."""
    new = {column: position for position, column in enumerate(kept)}
    categorical = sorted((c for c in encoding.categorical if c in new), key=new.__getitem__)
    numeric = sorted((c for c in encoding.numeric if c in new), key=new.__getitem__)
    from_z = [encoding.numeric.index(c) for c in numeric]
    return Encoding(
        encoding.kind,
        tuple(new[c] for c in categorical),
        tuple(new[c] for c in numeric),
        tuple(encoding.levels[encoding.categorical.index(c)] for c in categorical),
        tuple(encoding.marginals[j] for j in from_z),
        tuple(encoding.atoms[j] for j in from_z),
    )


def select_member(member: Member, encoding: Encoding, kept: list[int]) -> Member:
    """The member over some table columns; `encoding` is `select_encoding` of its own."""
    old = member.encoding
    new_place = {table_column: i for i, table_column in enumerate(kept)}
    code = {
        i: _code_of(encoding, new_place[c], i >= len(old.categorical))
        for i, c in enumerate(old.columns)
        if c in new_place
    }
    z = {
        j: encoding.numeric.index(new_place[c]) for j, c in enumerate(old.numeric) if c in new_place
    }
    return replace(member, tree=select_tree(member.tree, code, z), encoding=encoding)


def _code_of(encoding: Encoding, column: int, companion: bool) -> int:
    """Column of codes of a table column: its own, or its companion."""
    if not companion:
        return encoding.categorical.index(column)
    return len(encoding.categorical) + encoding.companions.index(encoding.numeric.index(column))


def select_tree(tree: LatentTree, code: dict[int, int], z: dict[int, int]) -> LatentTree:
    """The tree over some columns.

    A block that loses its columns stays as a hidden one while something hangs on it: transitions
    sum to one, so childless hidden blocks go without a trace.

    Parameters
    ----------
    code, z : dict of int to int
        New place of each column of codes and of z that is kept.
    """
    code_column = np.array([code.get(int(c), -1) for c in tree.code_column], np.int64)
    gaussians = [
        _select_gaussians(g, z) if isinstance(g, Gaussians) else g.select(z) for g in tree.gaussians
    ]
    numeric = dict(zip(tree.numeric_blocks, gaussians, strict=True))
    used = (code_column >= 0) | np.array([numeric.get(b) is not None for b in range(tree.n_blocks)])
    keep = _blocks_above(tree.parent, used)
    new_block = np.cumsum(keep) - 1
    left = [g for g in gaussians if g is not None]
    at, _ = offsets([g.n_states for g in left])
    leaf_at = np.full(tree.n_blocks, -1, np.int64)
    leaf_at[[b for b, g in numeric.items() if g is not None]] = at
    hidden = code_column < 0
    return replace(
        tree,
        parent=np.where(tree.parent < 0, -1, new_block[tree.parent])[keep].astype(np.int64),
        n_states=tree.n_states[keep],
        n_cells=tree.n_cells[keep],
        n_levels=np.where(hidden, 0, tree.n_levels)[keep],
        code_column=code_column[keep],
        leaf_at=leaf_at[keep],
        transition_at=tree.transition_at[keep],
        emission_at=tree.emission_at[keep],
        cell_at=tree.cell_at[keep],
        message_at=np.where(hidden, -1, tree.message_at)[keep],
        unseen=tree.unseen[keep],
        gaussians=tuple(left),
    )


def _blocks_above(parent: Sizes, used: np.ndarray) -> np.ndarray:
    """Blocks that are used or have a used block below; the root always is one."""
    keep = used.copy()
    for b in range(len(parent) - 1, 0, -1):
        keep[parent[b]] |= keep[b]
    keep[0] = True
    return keep


def _select_gaussians(gaussians: Gaussians, z: dict[int, int]) -> Gaussians | None:
    """The Gaussians over the kept columns, None when there are none."""
    at = np.array([i for i, c in enumerate(gaussians.columns) if int(c) in z], np.int64)
    if len(at) == 0:
        return None
    columns = np.array([z[int(c)] for c in gaussians.columns[at]], np.int64)
    selected = Gaussians.empty(columns, gaussians.n_states)
    rows, cols = np.tril_indices(len(at))
    selected.mean_lanes[:] = gaussians.mean_lanes[at]
    selected.covariance_lanes[:] = gaussians.covariance_lanes[
        at[rows] * (at[rows] + 1) // 2 + at[cols]
    ]
    selected.derive()
    return selected


def select_schema(schema: Schema, names: list[str | int]) -> tuple[Schema, list[int]]:
    """The schema of some columns, and their positions; ValueError for unknown or repeated names."""
    if not names:
        raise ValueError("columns is empty; a marginal needs at least one column")
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"columns are named twice: {', '.join(repeated)}")
    return schema.select(tuple(names)), [schema.position(name) for name in names]
