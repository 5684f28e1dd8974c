"""Log densities of latent trees: one pass up, in log space and double precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointprob.density import Gaussians
from jointprob.joint.tree import Floats, LatentTree, Points
from jointprob.onnx.columns import EncodedRows, encode_rows, read_columns
from jointprob.onnx.graph import Graph, Value

if TYPE_CHECKING:
    from jointprob.query import Joint

LOG_TWO_PI = float(np.log(2 * np.pi))
LEAST_PIVOT = 1e-12  # as in gauss_lanes.h
CHUNK = 1 << 20  # numbers of the covariances of rows with missing cells, at once


def joint_graph(joint: Joint) -> Any:
    """The log density of a joint as an ``onnx.ModelProto``; see `jointprob.Joint.to_onnx`."""
    graph = Graph()
    columns = read_columns(graph, joint.schema)
    encoded: dict[int, EncodedRows] = {}
    terms = []
    for member in joint.members:
        key = id(member.encoding)
        if key not in encoded:
            encoded[key] = encode_rows(graph, columns, member.encoding)
        term = log_densities(graph, [member.tree], encoded[key])
        terms.append(graph("Add", term, np.array(member.log_weight)))
    every = graph("Concat", *terms, axis=0)
    graph.output(graph.reduce("ReduceLogSumExp", every, 0), "log_prob", np.float64)
    return graph.model()


def log_densities(graph: Graph, trees: Sequence[LatentTree], rows: EncodedRows) -> Value:
    """Log densities of rows by trees that differ in nothing but their tables.

    Returns
    -------
    float64 (n_trees, n_rows)
        Nats, in the units of the table.
    """
    tree = trees[0]
    gaussians = iter(range(len(tree.gaussians)))
    leaf_of = {b: next(gaussians) for b in tree.numeric_blocks}
    said: list[list[Value]] = [[] for _ in range(tree.n_blocks)]  # log-likelihoods of states
    for b in reversed(range(tree.n_blocks)):
        if b in leaf_of:
            own = [t.gaussians[leaf_of[b]] for t in trees]
            said[b].append(_numbers(graph, own, rows))
        above = np.stack([_transition(t, b).T for t in trees])
        if b and not said[b]:  # levels alone: their messages are looked up
            said[tree.parent[b]].append(_message_of_level(graph, trees, b, above, rows))
            continue
        if tree.code_column[b] >= 0:
            said[b].append(_look_up(graph, _emissions(trees, b), tree, b, rows))
        beta = graph.sum_up(said[b])
        top = graph.reduce("ReduceMax", beta, 2, keep=True)
        scaled = graph("Exp", graph("Sub", beta, top))
        moved = graph("MatMul", scaled, graph.cast(graph.constant(above), np.float64))
        message = graph("Add", graph("Log", moved), top)
        if b:
            said[tree.parent[b]].append(message)
    log_prob = graph("Squeeze", message, np.array([2]))
    return log_prob if rows.log_jacobian is None else graph("Add", log_prob, rows.log_jacobian)


def _transition(tree: LatentTree, b: int) -> Points:
    """P(state | state of the parent), (n_above, n_states)."""
    n_above = int(tree.n_states[tree.parent[b]]) if b else 1
    at, n = int(tree.transition_at[b]), int(tree.n_states[b])
    return tree.transition[at : at + n_above * n].reshape(n_above, n)


def _emissions(trees: Sequence[LatentTree], b: int) -> Points:
    """P(level | state), (n_trees, n_levels + 2, n_states): last an unseen and a missing level."""
    return np.stack([_emission(tree, b) for tree in trees])


def _emission(tree: LatentTree, b: int) -> Points:
    n, n_states = int(tree.n_levels[b]), int(tree.n_states[b])
    width = n_states // int(tree.n_cells[b])
    out = np.zeros((n + 2, n_states), np.float32)
    first = width * tree.cell[tree.cell_at[b] : tree.cell_at[b] + n].astype(np.int64)
    at = int(tree.emission_at[b])
    own = tree.emission[at : at + n * width].reshape(n, width)
    out[np.arange(n)[:, None], first[:, None] + np.arange(width)] = own
    out[n], out[n + 1] = tree.unseen[b], 1.0
    return out


def _look_up(graph: Graph, table: Points, tree: LatentTree, b: int, rows: EncodedRows) -> Value:
    """Log of the entries of the rows' levels; tables are float32, as the kernels' are."""
    log = graph("Log", graph.cast(graph.constant(table), np.float64))
    return graph("Gather", log, rows.codes[int(tree.code_column[b])], axis=1)


def _message_of_level(
    graph: Graph, trees: Sequence[LatentTree], b: int, above: Points, rows: EncodedRows
) -> Value:
    table = _emissions(trees, b).astype(np.float64) @ above
    table[:, -1] = 1.0  # a missing level says nothing
    return _look_up(graph, table.astype(np.float32), trees[0], b, rows)


# ---- numbers ----


def _numbers(graph: Graph, blocks: Sequence[Gaussians], rows: EncodedRows) -> Value:
    """Log density of a block of numbers by state, (n_trees, n_rows, n_states).

    Rows that miss some of the block's cells go a longer way: it costs them one elimination for
    each column and state.
    """
    first = blocks[0]
    d, n_states = len(first.columns), first.n_states
    place = np.array([rows.place[int(j)] for j in first.columns])
    assert rows.z is not None
    z = graph("Gather", rows.z, place, axis=1)
    missing = graph("IsNaN", z)
    filled = graph("Where", missing, np.array(0.0), z)
    whitening = np.stack([_whitening(g) for g in blocks]).reshape(-1, d)
    mean = np.stack([g.means for g in blocks]).reshape(-1, 1, d)
    shift = (whitening.reshape(-1, d, d) * mean).sum(axis=2).ravel()
    white = graph("Sub", graph("MatMul", filled, np.ascontiguousarray(whitening.T)), shift)
    square = graph.reduce("ReduceSumSquare", graph.reshape(white, 0, len(blocks) * n_states, d), 2)
    log_norm = np.concatenate([g.log_norm[:n_states] for g in blocks]).astype(np.float64)
    whole = graph("Sub", log_norm, graph("Mul", np.array(0.5), square))
    if d == 1:
        by_row = graph("Where", missing, np.array(0.0), whole)
    else:
        holed = graph.reduce("ReduceMax", graph.cast(missing, np.int32), 1)
        at = graph("Transpose", graph("NonZero", holed), perm=[1, 0])
        row = graph("Squeeze", at, np.array([1]))
        n_made = len(blocks) * n_states
        part = graph.in_chunks(
            [graph("Gather", filled, row), graph("Gather", missing, row)],
            max(1, CHUNK // (n_made * d * d)),
            (np.float64, n_made),
            lambda body, z, holes: _eliminated(body, blocks, z, holes),
        )
        by_row = graph("ScatterND", whole, at, part)
    return graph("Transpose", graph.reshape(by_row, 0, len(blocks), n_states), perm=[1, 0, 2])


def _whitening(gaussians: Gaussians) -> Floats:
    """Inverse Cholesky factors as the kernels read them, (n_states, d, d)."""
    d = len(gaussians.columns)
    out = np.zeros((gaussians.n_states, d, d))
    rows, cols = np.tril_indices(d)
    out[:, rows, cols] = gaussians.whitening_lanes[:, : gaussians.n_states].T
    return out


def _eliminated(graph: Graph, blocks: Sequence[Gaussians], z: Value, missing: Value) -> Value:
    """Log densities of the known cells of rows, (n_rows, n_trees n_states).

    Missing cells become independent of the rest, with variance 1 and no deviation; then
    log N = sum over columns of -(log pivot + deviation^2 / pivot) / 2 along the elimination of the
    covariance, of which those of missing cells are 0.
    """
    d = len(blocks[0].columns)
    covariance = np.concatenate([g.covariances for g in blocks])
    mean = np.concatenate([g.means for g in blocks])
    known = graph("Unsqueeze", graph.cast(graph("Not", missing), np.float64), np.array([1]))
    both = graph("Mul", graph("Unsqueeze", known, np.array([2])),
                 graph("Unsqueeze", known, np.array([3])))  # fmt: skip
    gone = graph("Unsqueeze", graph("Sub", np.array(1.0), known), np.array([2]))
    left = graph("Add", graph("Mul", both, covariance[None]), graph("Mul", gone, np.eye(d)))
    off = graph("Mul", known, graph("Sub", graph("Unsqueeze", z, np.array([1])), mean[None]))
    terms = []
    for j in range(d):
        pivot = graph("Max", _cut(graph, _cut(graph, left, 2, 0, 1), 3, 0, 1), LEAST)
        pivot = graph("Squeeze", pivot, np.array([3]))
        own = _cut(graph, off, 2, 0, 1)
        term = graph("Div", graph("Mul", own, own), pivot)
        terms.append(graph("Add", graph("Log", pivot), term))
        if j + 1 < d:
            column = graph("Squeeze", _cut(graph, _cut(graph, left, 2, 1), 3, 0, 1), np.array([3]))
            share = graph("Div", column, pivot)
            off = graph("Sub", _cut(graph, off, 2, 1), graph("Mul", share, own))
            outer = graph("Mul", graph("Unsqueeze", share, np.array([3])),
                          graph("Unsqueeze", column, np.array([2])))  # fmt: skip
            left = graph("Sub", _cut(graph, _cut(graph, left, 2, 1), 3, 1), outer)
    total = graph("Squeeze", graph.sum_up(terms), np.array([2]))
    total = graph(
        "Add", total, graph("Mul", np.array(LOG_TWO_PI), graph.reduce("ReduceSum", known, 2))
    )
    return graph("Mul", np.array(-0.5), total)


LEAST: NDArray[np.float64] = np.array(LEAST_PIVOT)
FAR = np.iinfo(np.int64).max


def _cut(graph: Graph, value: Value, axis: int, start: int, stop: int = FAR) -> Value:
    return graph("Slice", value, np.array([start]), np.array([stop]), np.array([axis]))
