"""Which columns, and which dependences between columns, differ between two tables of rows."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from scipy.special import ndtri, xlogy
from scipy.stats import chi2

from jointprob.joint.adaptation import expect
from jointprob.joint.nursery import Member
from jointprob.joint.rows import encoded_rows
from jointprob.joint.tree import Floats
from jointprob.query import Joint
from jointprob.query.evidence import Given
from jointprob.query.explain import explain_rows
from jointprob.table import Table

Name: TypeAlias = str | int
Pair: TypeAlias = tuple[tuple[Name, ...], tuple[Name, ...]]

MOST_ROWS = 1000  # of each side
LARGEST = 50.0  # nats: of a cell's surprise, what is beyond says no more
STATES = 16  # of a block, at most
CELL_ROWS = 5  # of the smaller side, mean of a pair of states: fewer cannot tell them apart


def column_changes(
    joint: Joint, before: Table, after: Table, false_alarm: float, n_jobs: int | None
) -> dict[Name, float]:
    """Columns that surprise more than before given the other cells of their rows, nats.

    By a two-sample z test of the means, at a level shared by the columns. The density of a row
    without one cell changes by what the row's changes, less what the cell's surprise does: the
    column that surprises most is the one without which the rest is most as it was.
    """
    sides = [_surprises(joint, part, n_jobs) for part in (before, after)]
    means, errors = zip(*(_mean_and_error(side) for side in sides), strict=True)
    rise, error = means[1] - means[0], np.sqrt(errors[0] + errors[1])
    limit = -ndtri(false_alarm / len(rise))
    moved = [int(j) for j in np.argsort(-rise, kind="stable") if rise[j] > limit * error[j]]
    return {joint.schema.columns[j].name: float(rise[j]) for j in moved}


def _surprises(joint: Joint, table: Table, n_jobs: int | None) -> Floats:
    """Of every cell, (n_columns, n_rows)."""
    some = table.take(_spread(table.n_rows))
    cells = explain_rows(joint._passes(Given(some), n_jobs), some, n_jobs)
    return np.clip(cells.T, -LARGEST, LARGEST)


def _spread(n_rows: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """At most 1,000 rows at equal steps."""
    return np.arange(0, n_rows, -(-n_rows // MOST_ROWS))


def _mean_and_error(cells: Floats) -> tuple[Floats, Floats]:
    """Mean of the known cells of each column, and its squared error."""
    known = ~np.isnan(cells)
    n = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, cells, 0).sum(axis=1) / n
    spread = np.where(known, cells - mean[:, None], 0) ** 2
    return mean, spread.sum(axis=1) / n / n + 1e-12


def pair_changes(
    joint: Joint, before: Table, after: Table, false_alarm: float
) -> dict[Pair, float]:
    """Edges of the heaviest tree along which the dependence differs, by divergence in nats.

    From the expected counts of the states along each edge: the likelihood-ratio statistic of two
    conditional tables being one, at a level shared by the edges. States beyond the commonest of a
    block, 16 or as many as the rows tell apart, count as one.
    """
    n_rows = min(before.n_rows, after.n_rows)
    n_states = int(np.clip(np.sqrt(n_rows / CELL_ROWS), 2, STATES))
    member = max(joint.members, key=lambda m: m.log_weight)
    tree, sides = member.tree, [_edge_counts(joint, member, part) for part in (before, after)]
    edges = [b for b in range(tree.n_blocks) if tree.parent[b] >= 0]
    found: dict[Pair, float] = {}
    for b in edges:
        one, other = _common(sides[0][b] + 1e-9, sides[1][b] + 1e-9, n_states)
        statistic = 2 * (_gain(one) + _gain(other) - _gain(one + other))
        freedom = one.shape[0] * (one.shape[1] - 1)
        if statistic > chi2.isf(false_alarm / len(edges), max(1, freedom)):
            names = (_names(joint, member, int(tree.parent[b])), _names(joint, member, b))
            found[names] = _divergence(other, one)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _edge_counts(joint: Joint, member: Member, table: Table) -> list[Floats]:
    """Expected counts of (state of the parent, state) of every block."""
    tree, encoded = member.tree, member.encoding.encode(table, 1)
    np.maximum(encoded.codes, -1, out=encoded.codes)  # an unseen level has no state
    rows = encoded_rows(member.encoding, joint.schema, encoded, np.ones(table.n_rows))
    flat = expect(tree, rows, np.arange(len(rows))).transition
    return [
        flat[at : at + above * n].reshape(above, n).astype(np.float64)
        for at, n, above in zip(
            tree.transition_at, tree.n_states, _states_above(member), strict=True
        )
    ]


def _states_above(member: Member) -> list[int]:
    tree = member.tree
    return [1 if p < 0 else int(tree.n_states[p]) for p in tree.parent]


def _common(one: Floats, other: Floats, n_states: int) -> tuple[Floats, Floats]:
    """Both tables over the states that are commonest in their sum, all others as one."""
    for _ in range(2):
        total = (one + other).sum(axis=1)
        order = np.argsort(-total, kind="stable")
        if len(order) > n_states:
            place = np.empty(len(order), np.int64)
            place[order] = np.minimum(np.arange(len(order)), n_states - 1)
            first = place[:, None] == np.arange(n_states)
            one, other = first.T @ one, first.T @ other
        one, other = one.T, other.T
    return one, other


def _gain(counts: Floats) -> float:
    """Log-likelihood of counts under their own conditional shares."""
    return float(xlogy(counts, counts).sum() - xlogy(*[counts.sum(axis=1)] * 2).sum())


def _divergence(after: Floats, before: Floats) -> float:
    """Mean divergence of the rows of a table from those of another, with half a row of prior."""
    p, q = ((c + 0.5 / c.shape[1]) for c in (after, before))
    shares, p, q = after.sum(axis=1) / after.sum(), _rows(p), _rows(q)
    return float(shares @ (p * np.log(p / q)).sum(axis=1))


def _rows(counts: Floats) -> Floats:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _names(joint: Joint, member: Member, b: int) -> tuple[Name, ...]:
    """Columns of a block."""
    tree, encoding = member.tree, member.encoding
    if tree.code_column[b] >= 0:
        places = [encoding.columns[int(tree.code_column[b])]]
    else:
        block = tree.gaussians[tree.numeric_blocks.index(b)]
        places = [encoding.numeric[int(j)] for j in block.columns]
    return tuple(joint.schema.columns[j].name for j in places)
