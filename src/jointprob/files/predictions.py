"""Checks of predictions: forests, pools, predictive distributions, and what is strange."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from jointprob import _forest
from jointprob.estimators.strangeness import Levels, Norm, Numbers, Tail, Usual
from jointprob.files.checks import (
    ROUNDING,
    check,
    distribution,
    finite,
    increasing,
    log_distribution,
    require,
    shaped,
    starts,
    within,
)
from jointprob.forest.bagging import Bag
from jointprob.forest.bins import MOST_BINS, Binning
from jointprob.forest.boosting import Boosted
from jointprob.forest.leaves import N_CELLS, LeafTargets
from jointprob.forest.trees import NODE_WORDS, Trees
from jointprob.predict.binned import BinnedJoint
from jointprob.predict.cells import Cells
from jointprob.predict.graph import Graph, coordinates
from jointprob.predict.labels import LabelModel
from jointprob.predict.numbers import NumberModel, Way
from jointprob.predict.offset import TunedNumbers
from jointprob.predict.patterns import Patterns
from jointprob.predict.pool import Pool
from jointprob.predict.spread import Spread

# ---- forests ----


@check.register
def _trees(trees: Trees) -> None:
    """Without the nodes: `check_nodes` needs to know the columns."""
    require(trees.values.dtype in (np.dtype(np.float32), np.dtype(np.uint16)), "values of leaves")
    require(trees.values.ndim == 2 and trees.values.size, "there are no values of leaves")
    if trees.values.dtype == np.float32:
        finite(trees.values, "values of leaves")
    shaped(trees.node, (len(trees.node), NODE_WORDS), "nodes")
    first = np.empty((_forest.THRESHOLD_SETS, _forest.SET_WORDS), np.uint32)
    _forest.thresholds(first)
    require(np.array_equal(trees.sets[: len(first)], first), "sets of thresholds")


def check_nodes(every: Iterable[Trees | None], n_columns: int) -> None:
    """ValueError unless rows of so many columns can descend all trees."""
    for trees in {id(t): t for t in every if t is not None}.values():
        seen = np.empty(len(trees.values), np.uint8)
        _forest.check_trees(trees.node_at, trees.leaf_at, trees.node, trees.sets, n_columns, seen)


@check.register
def _bag(bag: Bag) -> None:
    require(bag.gains.ndim == 1, "gains of a bag")
    finite(bag.gains, "gains of a bag")


@check.register
def _boosted(boosted: Boosted) -> None:
    require(boosted.start.ndim == 1 and len(boosted.start), "boosted trees start nowhere")
    finite(boosted.start, "start of boosted trees")
    n_trees = 0 if boosted.trees is None else len(boosted.trees)
    starts(boosted.run_at, max(1, len(boosted.run_at) - 1), n_trees, "runs of boosted trees")
    width = len(boosted.start)
    require(boosted.trees is None or boosted.trees.n_outputs == width, "scores of boosted trees")


@check.register
def _binning(binning: Binning) -> None:
    require(len(binning.edges) == len(binning.categorical), "bins of other columns")
    for edges, categorical in zip(binning.edges, binning.categorical, strict=True):
        wanted = np.dtype(np.uint8 if categorical else np.float64)
        require(edges.ndim == 1 and edges.dtype == wanted, f"bins are {edges.dtype}")
        if categorical:
            within(edges, 0, MOST_BINS - 1, "bins of levels")
        else:
            require(len(edges) < MOST_BINS, f"{len(edges)} edges of bins")
            increasing(edges, "edges of bins")


@check.register
def _leaf_targets(leaves: LeafTargets) -> None:
    n = len(leaves.cell) if leaves.cell.ndim == 1 else -1
    starts(leaves.first, len(leaves.bag.trees.values), n, "rows of leaves")
    shaped(leaves.weight, (n,), "weights of leaves")
    within(leaves.weight, 0, 1 + ROUNDING, "weights of leaves")


# ---- pools and predictive distributions ----


@check.register
def _pool(pool: Pool) -> None:
    require(pool.log_prior.ndim == 1 and len(pool.log_prior), "a pool has no classes")
    log_distribution(pool.log_prior, "the prior of a pool")
    require(pool.weights.ndim == 1, "weights of a pool")
    finite(pool.weights, "weights of a pool")
    within(pool.weights, 0, np.inf, "weights of a pool")


@check.register
def _patterns(patterns: Patterns) -> None:
    require(patterns.known.ndim == 2, "patterns of missing cells")


@check.register
def _cells(cells: Cells) -> None:
    n = len(cells.low) if cells.low.ndim == 1 else 0
    require(1 <= n <= N_CELLS, f"{n} cells of the target")
    shaped(cells.high, (n,), "ends of cells")
    for ends in (cells.low, cells.high):
        finite(ends, "ends of cells")
        require((ends[1:] >= ends[:-1]).all(), "cells are out of order")
    require((cells.low <= cells.high).all(), "a cell ends before it begins")
    require(0 <= cells.tail_mass <= 0.5, f"mass of tails is {cells.tail_mass}")
    require(0 <= cells.tail_scale < np.inf, f"scale of tails is {cells.tail_scale}")


@check.register
def _binned_joint(joint: BinnedJoint) -> None:
    n = joint.joints.n_classes
    for pool in (joint.pool, joint.strange_pool):
        _check_pool(pool, n, 1)
    shaped(joint.shares, (n, len(joint.cells.low)), "shares of bins")
    distribution(joint.shares, "shares of bins")
    shaped(joint.means, (n,), "means of bins")
    finite(joint.means, "means of bins")


def _check_pool(pool: Pool, n_classes: int, n_members: int) -> None:
    shaped(pool.log_prior, (n_classes,), "the prior of a pool")
    shaped(pool.weights, (n_members,), "weights of a pool")


@check.register
def _way(way: Way) -> None:
    require(way.weights.ndim == 1 and len(way.weights), "a way has no weights")
    finite(way.weights, "weights of means")
    require(0 <= way.joint_share <= 1, f"the joint's share is {way.joint_share}")
    shaped(way.warp, (2,), "warp")
    finite(way.warp, "warp")
    within(way.warp, np.finfo(float).tiny, np.inf, "warp")


@check.register
def _spread(spread: Spread) -> None:
    n = len(spread.cells.low)
    shaped(spread.overall, (n,), "weights of cells")
    distribution(spread.overall, "weights of cells")
    within(spread.leaves.cell, 0, n - 1, "cells of leaves")
    require(0 <= spread.centering <= 1, f"centering is {spread.centering}")


@check.register
def _graph(graph: Graph) -> None:
    n = len(graph.points) if graph.points.ndim == 2 else 0
    require(n, "a graph has no rows")
    shaped(graph.points, (n, coordinates(graph.encoding)), "points of a graph")
    finite(graph.points, "points of a graph")
    shaped(graph.reached, (n, len(graph.prior)), "chances of a graph")
    within(graph.reached, 0, np.inf, "chances of a graph")
    distribution(graph.prior, "the prior of a graph")
    within(graph.prior, np.finfo(float).tiny, 1, "the prior of a graph")
    require(0 < graph.smoothing < np.inf, f"smoothing is {graph.smoothing}")


@check.register
def _label_model(model: LabelModel) -> None:
    n, n_own = model.n_classes, model.joints.n_classes
    d = _check_columns(model)
    n_kept = 1 if n_own == 2 else n_own
    shaped(model.prior, (n_own,), "the prior")
    distribution(model.prior, "the prior")
    for pool in (model.pool, model.strange_pool):
        given = sum(one is not None for one in (model.graph, model.source))
        _check_pool(pool, n, len(model.bags) + 2 + given)
    if model.source is not None:
        require(model.source.n_classes == n, "a source of other classes")
    of_rows = n if model.source is None else len(model.source.present)
    require(of_rows == n_own, "joints of other classes")
    require(model.graph is None or len(model.graph.prior) == n_own, "a graph of other classes")
    for student in model.students:
        require(not student.students, "a student has students")
        require(student.n_classes == n, "a student of other classes")
        require(len(student.binning.edges) == d, "a student of other columns")
    require(all(bag.trees.n_outputs == n_kept for bag in model.bags), "trees of other classes")
    shaped(model.boosted.start, (n_kept,), "start of boosted trees")
    check_nodes([bag.trees for bag in model.bags] + [model.boosted.trees], d)


@check.register
def _tuned_numbers(model: TunedNumbers) -> None:
    shaped(model.weights, (3,), "weights of source, corrected and alone")
    distribution(model.weights, "weights of source, corrected and alone")


@check.register
def _number_model(model: NumberModel) -> None:
    d = _check_columns(model)
    means = [bag.trees for bag in model.bags]
    for trees in [*means, model.spread.leaves.bag.trees]:
        require(trees.n_outputs == 1, "trees of more than one number")
    shaped(model.boosted.start, (1,), "start of boosted trees")
    for way in (model.usual, model.strange):
        shaped(way.weights, (len(model.bags) + 2,), "weights of means")
    require(np.isfinite(model.center) and 0 < model.scale < np.inf, "center and scale")
    check_nodes([*means, model.boosted.trees, model.spread.leaves.bag.trees], d)


def _check_columns(model: LabelModel | NumberModel) -> int:
    d = len(model.binning.edges)
    require(model.bags, "there are no trees")
    shaped(model.bags[0].gains, (d,), "gains of a bag")
    shaped(model.patterns.known, (len(model.patterns.known), -(-d // 8)), "patterns")
    return d


# ---- what is strange ----


@check.register
def _tail(tail: Tail) -> None:
    n = len(tail.values) if tail.values.ndim == 1 else 0
    require(n, "a tail has no values")
    shaped(tail.log_share, (n,), "shares of a tail")
    finite(tail.values, "values of a tail")
    require((tail.values[1:] >= tail.values[:-1]).all(), "values of a tail are out of order")
    within(tail.log_share, -np.finfo(float).max, ROUNDING, "shares of a tail")
    require(0 < tail.scale < np.inf, f"scale of a tail is {tail.scale}")


@check.register
def _usual(usual: Usual) -> None:
    n = len(usual.surprise)
    for name in ("surprise", "alone", "tied"):
        shaped(getattr(usual, name), (n,), name)
        finite(getattr(usual, name), name)


@check.register
def _numbers(numbers: Numbers) -> None:
    increasing(numbers.atoms, "atoms")
    require(numbers.log_rest <= ROUNDING, f"log of a share is {numbers.log_rest}")


@check.register
def _levels(levels: Levels) -> None:
    require(levels.log_mass.ndim == 1 and len(levels.log_mass) >= 2, "masses of levels")
    within(levels.log_mass, -np.finfo(float).max, ROUNDING, "masses of levels")


@check.register
def _norm(norm: Norm) -> None:
    require(len(norm.cells) == len(norm.usual.surprise), "tails of other columns")
