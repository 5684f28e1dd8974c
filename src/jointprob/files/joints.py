"""Checks of joints: schemas, encodings, trees, Gaussians."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.special import logsumexp

from jointprob.density import LANES, Gaussians
from jointprob.encode import Encoding
from jointprob.files.checks import (
    ROUNDING,
    check,
    finite,
    increasing,
    log_distribution,
    permuted,
    require,
    shaped,
    within,
)
from jointprob.joint.adaptation import Strength
from jointprob.joint.classes import ClassJoints, ClassTrees
from jointprob.joint.nursery import Member
from jointprob.joint.start import MOST_STATES, Plan
from jointprob.joint.tree import LatentTree, offsets
from jointprob.marginal import FARTHEST, Marginal
from jointprob.query.joint import Joint
from jointprob.schema import Column, Schema
from jointprob.threads import run_blocks

MOST_COLUMNS = 64  # of a block of numbers
MOST_DTYPE = 200  # characters
CHECKED_BLOCKS = 64  # that a thread checks at a time
TABLES = ("", "transitions", "transposed transitions", "cells", "emissions", "messages")
LEAST_WEIGHT = 0.01  # nats by which the sum of a mixture's weights may be off


@check.register
def _column(column: Column) -> None:
    numbers = (level for level in column.levels if isinstance(level, float))
    require(all(map(np.isfinite, numbers)), f"a level of column {column.name!r:.50} is no number")
    require(len(set(column.levels)) == len(column.levels), f"{column.name!r:.50} repeats levels")
    require(column.is_categorical or not column.levels, f"{column.name!r:.50} has levels")
    require(max(len(column.dtype), len(column.level_dtype)) <= MOST_DTYPE, "a dtype is too long")


@check.register
def _schema(schema: Schema) -> None:
    require(len(schema), "the schema has no columns")
    require(len(set(schema.names)) == len(schema), "the schema names a column twice")


@check.register
def _marginal(marginal: Marginal) -> None:
    n = len(marginal.x) if marginal.x.ndim == 1 else 0
    require(n >= 2, "a marginal has fewer than two knots")
    for name in ("x", "z", "slope"):
        shaped(getattr(marginal, name), (n,), f"marginal {name}")
    increasing(marginal.x, "marginal x")
    increasing(marginal.z, "marginal z")
    finite(marginal.slope, "marginal slope")
    within(marginal.slope, 0, np.inf, "marginal slope")
    shaped(marginal.tail, (2,), "marginal tail")
    within(marginal.tail, np.finfo(float).tiny, FARTHEST, "marginal tail")


@check.register
def _encoding(encoding: Encoding) -> None:
    n_numeric = len(encoding.numeric)
    require(len(encoding.levels) == len(encoding.categorical), "levels of other columns")
    require(len(encoding.marginals) == len(encoding.atoms) == n_numeric, "marginals of others")
    permuted(
        encoding.categorical + encoding.numeric, len(encoding.categorical) + n_numeric, "columns"
    )
    for atoms in encoding.atoms:
        increasing(atoms, "atoms")


@check.register
def _gaussians(gaussians: Gaussians) -> None:
    columns, n = gaussians.columns, gaussians.n_states
    require(columns.ndim == 1 and 1 <= len(columns) <= MOST_COLUMNS, "columns of a block")
    require(len(set(columns.tolist())) == len(columns), "a block has a column twice")
    within(columns, 0, np.inf, "columns of a block")
    d, padded = len(columns), -(-n // LANES) * LANES
    require(n >= 1, "a block has no states")
    shaped(gaussians.mean_lanes, (d, padded), "means")
    for name in ("covariance_lanes", "whitening_lanes"):
        shaped(getattr(gaussians, name), (d * (d + 1) // 2, padded), name)
    shaped(gaussians.log_norm, (padded,), "norms")
    for name in ("mean_lanes", "covariance_lanes", "whitening_lanes", "log_norm"):
        finite(getattr(gaussians, name)[..., :n], name)
    for name in ("covariance_lanes", "whitening_lanes"):
        diagonal = getattr(gaussians, name)[[i * (i + 3) // 2 for i in range(d)], :n]
        within(diagonal, 0, np.inf, f"diagonal of {name}")
    if gaussians.grain is not None:
        shaped(gaussians.grain, (d,), "grain")
        finite(gaussians.grain, "grain")
        within(gaussians.grain, 0, np.inf, "grain")


@check.register
def _tree(tree: LatentTree) -> None:
    n = len(tree.parent) if tree.parent.ndim == 1 else 0
    require(n >= 1, "a tree has no blocks")
    for name in ("parent", "n_states", "n_cells", "n_levels", "code_column", "leaf_at", "unseen",
                 "transition_at", "emission_at", "cell_at", "message_at"):  # fmt: skip
        shaped(getattr(tree, name), (n,), name)
    for name in ("cell", "transition", "transposed", "emission", "message"):
        require(getattr(tree, name).ndim == 1, f"{name} has {getattr(tree, name).ndim} dimensions")
    shaped(tree.transposed, tree.transition.shape, "transposed")
    require(tree.parent[0] == -1, "the first block has a parent")
    require(((tree.parent >= 0) & (tree.parent < np.arange(n)))[1:].all(), "parents come first")
    within(tree.n_states, 1, tree.transition.size, "n_states")
    within(tree.n_cells, 1, tree.transition.size, "n_cells")
    require((tree.n_states % tree.n_cells == 0).all(), "cells of unequal width")
    within(tree.n_levels, 0, tree.cell.size, "n_levels")
    within(tree.unseen, 0, 1, "unseen")
    known = tree.code_column[tree.code_column >= 0]
    require(len(np.unique(known)) == len(known), "two blocks have one column of codes")
    require(((tree.code_column >= 0) == (tree.n_levels > 0)).all(), "levels without a column")
    _check_leaves(tree)
    has_children = np.isin(np.arange(n), tree.parent)
    require((tree.message_at[has_children] == -1).all(), "messages of a block that is no leaf")
    _check_tables(tree)


def _check_leaves(tree: LatentTree) -> None:
    """Numeric blocks and their Gaussians, and where these stand in a row of likelihoods."""
    numeric = np.flatnonzero(tree.leaf_at >= 0)
    require(len(numeric) == len(tree.gaussians), "blocks of numbers without Gaussians")
    require((tree.n_levels[numeric] == 0).all(), "a block of numbers has levels")
    sizes = [g.n_states for g in tree.gaussians]
    require(tree.n_states[numeric].tolist() == sizes, "Gaussians for other states")
    require((tree.leaf_at[numeric] == offsets(sizes)[0]).all(), "Gaussians stand elsewhere")


def _check_tables(tree: LatentTree) -> None:
    """One reading of every table, a run of blocks to a thread."""
    found = run_blocks(partial(_find_fault, tree), tree.n_blocks, CHECKED_BLOCKS)
    table, block = max(found, key=lambda fault: fault[0] > 0)
    require(table == 0, f"{TABLES[table]} of block {block} are not what they must be")


def _find_fault(tree: LatentTree, first: int, last: int) -> tuple[int, int]:
    """The table that is unsound, 0 if none is, and its block."""
    work = np.empty(tree.n_states[first:last].max())
    return tree.kernel.check(ROUNDING, first, last, work)


@check.register
def _plan(plan: Plan) -> None:
    for name in ("n_subsets", "n_gaussians"):
        n = getattr(plan, name)
        require(1 <= n <= MOST_STATES, f"a plan has {name} of {n}")
    columns = [c for block in plan.numeric_blocks for c in block]
    require(min(columns, default=0) >= 0, "a plan divides columns that are not there")
    require(len(set(columns)) == len(columns), "a plan has one column in two blocks")
    for name in ("smoothing", "emission_smoothing", "shrinkage", "floor"):
        number = getattr(plan, name)
        require(0 <= number < np.inf, f"a plan has {name} of {number}")


@check.register
def _member(member: Member) -> None:
    tree, encoding = member.tree, member.encoding
    columns = [c for g in tree.gaussians for c in g.columns.tolist()]
    require(len(set(columns)) == len(columns), "two blocks of numbers have one column")
    require(max(columns, default=-1) < len(encoding.numeric), "a column beyond the encoding's")
    for column, n in zip(tree.code_column.tolist(), tree.n_levels.tolist(), strict=True):
        require(column < len(encoding.n_levels), "codes beyond the encoding's")
        require(column < 0 or encoding.n_levels[column] == n, "another number of levels")
    require(member.log_weight <= ROUNDING, f"a log weight is {member.log_weight}")


@check.register
def _joint(joint: Joint) -> None:
    require(joint.members, "a joint has no members")
    for encoding in {id(m.encoding): m.encoding for m in joint.members}.values():
        check_encoding(joint.schema, encoding)
    total = logsumexp([member.log_weight for member in joint.members])
    require(abs(total) < LEAST_WEIGHT, f"the members' weights add up to exp({total})")
    require(0 < joint.n_rows < np.inf, f"{joint.n_rows} rows")


def check_encoding(schema: Schema, encoding: Encoding) -> None:
    """ValueError unless this is an encoding of the schema's columns."""
    permuted(encoding.categorical + encoding.numeric, len(schema), "columns of the encoding")
    require(set(encoding.categorical) == set(schema.categorical), "columns of another kind")
    levels = tuple(len(schema.columns[c].levels) for c in encoding.categorical)
    require(levels == encoding.levels, "columns with other levels")


@check.register
def _strength(strength: Strength) -> None:
    for name in ("marginal", "state", "mean", "covariance"):
        require(getattr(strength, name) >= 0, f"{name} of {getattr(strength, name)} pseudo-rows")


@check.register
def _class_trees(trees: ClassTrees) -> None:
    pooled = trees.pooled
    require(trees.classes, "there are no classes")
    for tree in trees.classes:
        same = len(tree.gaussians) == len(pooled.gaussians) and all(
            np.array_equal(own.columns, other.columns)
            for own, other in zip(tree.gaussians, pooled.gaussians, strict=True)
        )
        require(same, "a class has other blocks of numbers")


@check.register
def _class_joints(joints: ClassJoints) -> None:
    require(joints.trees, "there are no trees of classes")
    require(len({len(trees.classes) for trees in joints.trees}) == 1, "trees of other classes")
    shaped(joints.log_weights, (len(joints.trees),), "weights of trees")
    log_distribution(joints.log_weights, "weights of trees")
    every = {id(tree): tree for t in joints.trees for tree in (t.pooled, *t.classes)}
    for tree in every.values():
        check(Member(tree, joints.encoding, 0.0))
