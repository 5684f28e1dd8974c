"""Class probabilities: forests, boosted trees and joints of classes, pooled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.forest.bagging import Bag
from jointprob.forest.bins import MISSING_BIN
from jointprob.forest.boosting import Boosted
from jointprob.forest.targets import FLOOR
from jointprob.joint.classes import ClassJoints
from jointprob.onnx.columns import Columns, encode_rows, read_columns
from jointprob.onnx.density import log_densities
from jointprob.onnx.forests import Bins, bin_rows, sum_of_leaves
from jointprob.onnx.graph import Graph, Value
from jointprob.predict.labels import FEW_CLASSES, IMPOSSIBLE, LabelModel
from jointprob.predict.patterns import Patterns
from jointprob.predict.pool import Pool
from jointprob.schema import Schema

ONE, HALF, ZERO = np.array([1]), np.array(0.5), np.array(0.0)


def classifier_graph(classes: NDArray[Any], model: LabelModel, schema: Schema) -> Any:
    """Class probabilities as an ``onnx.ModelProto``; see `jointprob.JEPAClassifier.to_onnx`."""
    if model.source is not None:
        raise ValueError(
            "the classifier was fine-tuned: it asks the classifier that it leans on about every "
            "row, by columns and levels of its own, which to_onnx does not hold"
        )
    if model.graph is not None or model.students:
        raise ValueError(
            "the classifier was fitted with unlabeled rows: it asks students of its own and near "
            "rows, which to_onnx does not hold"
        )
    graph = Graph()
    columns = read_columns(graph, schema)
    log_proba = _log_proba(graph, model, columns)
    likeliest = graph("ArgMax", log_proba, axis=1, keepdims=0)
    if classes.dtype.kind == "O":
        classes = classes.astype(str) if isinstance(classes[0], str) else np.array(classes.tolist())
    dtype = object if classes.dtype.kind == "U" else classes.dtype
    graph.output(graph("Gather", classes, likeliest), "label", dtype)
    probabilities = graph("Exp", log_proba)
    graph.output(probabilities, "probabilities", np.float64, len(classes))
    return graph.model()


def _log_proba(graph: Graph, model: LabelModel, columns: Columns) -> Value:
    """Compare `LabelModel.log_proba`."""
    bins = bin_rows(graph, columns, model.binning)
    missing = graph("Equal", bins.cells, np.array(MISSING_BIN))
    strange = _strange(graph, model.patterns, missing, bins, len(model.binning.edges))
    none = graph.reduce("ReduceMin", graph.cast(missing, np.int32), 1)
    known = graph("Equal", none, np.array(0, np.int32))
    usual = graph("Not", strange)
    log_prior = model.pool.log_prior
    shape = graph("Concat", graph("Shape", usual), np.array([len(log_prior)]), axis=0)
    out = graph("Expand", log_prior[None], shape)
    for chosen, both_ways in ((usual, False), (graph("And", strange, known), True)):
        at = graph("Transpose", graph("NonZero", chosen), perm=[1, 0])
        rows = graph("Squeeze", at, ONE)
        part = Bins(graph("Gather", bins.cells, rows), bins.order)
        said = _pooled(graph, model, columns.take(graph, rows), part, both_ways)
        out = graph("ScatterND", out, at, said)
    return out


def _strange(graph: Graph, patterns: Patterns, missing: Value, bins: Bins, n: int) -> Value:
    """Does the row miss cells as no row did in fit?, bool (n_rows,)."""
    seen = np.unpackbits(patterns.known, axis=1)[:, :n][:, list(bins.order)].astype(np.float32)
    seen = np.concatenate([np.zeros((1, seen.shape[1]), np.float32), seen])
    own = graph.cast(missing, np.float32)
    other = graph("Sub", np.array(1, np.float32), own)
    more = graph("MatMul", own, np.ascontiguousarray(1 - seen.T))
    less = graph("MatMul", other, np.ascontiguousarray(seen.T))
    closest = graph.reduce("ReduceMin", graph("Add", more, less), 1)
    return graph("Greater", closest, np.array(0.5, np.float32))


def _pooled(
    graph: Graph, model: LabelModel, columns: Columns, bins: Bins, both_ways: bool
) -> Value:
    """Compare `LabelModel._pooled`; log probabilities, float64 (n_rows, n_classes)."""
    pool = model.strange_pool if both_ways else model.pool
    terms: list[Value] = []

    def add(member: Value, weight: float) -> None:
        beyond = graph("Sub", graph.cast(member, np.float64), pool.log_prior)
        terms.append(graph("Mul", np.array(float(weight)), beyond))

    *of_bags, of_boosted, of_joints = pool.weights
    for bag, weight in zip(model.bags, of_bags, strict=True):
        if weight > 0:
            add(_by_bag(graph, bag, model.prior, bins, both_ways), weight)
    if of_boosted > 0:
        add(_by_boosted(graph, model.boosted, bins, both_ways), of_boosted)
    if of_joints > 0:
        so_far = _log_softmax(graph, pool, terms) if terms else None
        evidence = _by_joints(graph, model.joints, columns, so_far)
        terms.append(graph("Mul", np.array(float(of_joints)), evidence))
    return _log_softmax(graph, pool, terms)


def _log_softmax(graph: Graph, pool: Pool, terms: list[Value]) -> Value:
    return graph("LogSoftmax", graph("Add", graph.sum_up(terms), pool.log_prior[None]), axis=1)


def _by_bag(graph: Graph, bag: Bag, prior: np.ndarray, bins: Bins, both_ways: bool) -> Value:
    total = sum_of_leaves(graph, bag.trees, bins, both_ways)
    shares = graph("Div", total, np.array(len(bag.trees), np.float32))
    if bag.trees.n_outputs == 1:
        shares = graph("Concat", graph("Sub", np.array(1, np.float32), shares), shares, axis=1)
    return graph("Log", graph("Add", shares, np.float32(FLOOR) * prior))


def _by_boosted(graph: Graph, boosted: Boosted, bins: Bins, both_ways: bool) -> Value:
    if boosted.trees is None:
        ones = graph("Mul", graph("Slice", bins.cells, np.array([0]), ONE, ONE), np.array(0))
        scores = graph("Add", graph.cast(ones, np.float32), boosted.start[None])
    else:
        scores = graph("Add", sum_of_leaves(graph, boosted.trees, bins, both_ways), boosted.start)
    if len(boosted.start) > 1:
        return scores
    return graph("Concat", graph("Mul", scores, np.array(0, np.float32)), scores, axis=1)


def _by_joints(graph: Graph, joints: ClassJoints, columns: Columns, so_far: Value | None) -> Value:
    """What the joints add to the prior; of classes ruled out, as of the likeliest one."""
    rows = encode_rows(graph, columns, joints.encoding)
    by_tree = [log_densities(graph, trees.classes, rows) for trees in joints.trees]
    mean = graph("Div", graph.sum_up(by_tree), np.array(float(len(by_tree))))
    said = graph("Transpose", mean, perm=[1, 0])
    if so_far is None or joints.n_classes <= FEW_CLASSES:
        return said
    top = graph.reduce("ReduceMax", so_far, 1, keep=True)
    possible = graph("Greater", so_far, graph("Sub", top, np.array(IMPOSSIBLE)))
    likeliest = graph("ArgMax", so_far, axis=1, keepdims=1)
    return graph("Where", possible, said, graph("GatherElements", said, likeliest, axis=1))
