"""A joint that every batch of a stream moves: running expected counts with forgetting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import softmax

from jointprob.adapt.counts import allow_new_levels, copied, counts_of, level_shares, with_levels
from jointprob.encode import Encoding
from jointprob.joint.em import Refinement
from jointprob.joint.nursery import Member
from jointprob.joint.rows import REPEATS, SPELT_ROWS, Rows, encoded_rows
from jointprob.joint.start import Plan, Start
from jointprob.joint.tree import Floats, Sizes
from jointprob.query import Joint
from jointprob.schema import Schema
from jointprob.table import Table

BATCH_ROWS = 512
PRIOR_SHARE = 0.05  # of the pseudo-counts: those of the fit are in its expected counts already
IMPOSSIBLE = -1e6  # nats: a row that no tree allows says nothing of their weights


def check_half_life(half_life: Any) -> float | None:
    """Rows after which a row counts half, None for never.

    Raises
    ------
    ValueError
        What is no finite number above 0.
    """
    if half_life is None:
        return None
    number = isinstance(half_life, int | float | np.number) and not isinstance(half_life, bool)
    if not number or not (0 < half_life < np.inf):
        raise ValueError(
            f"half_life is {half_life!r}; allowed are None and finite numbers of rows above 0"
        )
    return float(half_life)


def kept_share(n_rows: float, half_life: float | None) -> float:
    """What is left of the weight of a row after so many later ones."""
    return 1.0 if half_life is None else float(0.5 ** (n_rows / half_life))


@dataclass(frozen=True, eq=False)
class Running:
    """One tree of a bag, and the counts that it follows from.

    Parameters
    ----------
    start : Start
        The tree, and expected counts as shares of a row.
    encoding : Encoding
    plan : Plan
    log_weight : float
        Of the tree in the mixture, nats.
    """

    start: Start
    encoding: Encoding
    plan: Plan
    log_weight: float


@dataclass(frozen=True, eq=False)
class JointStream:
    """A joint under way. Immutable: `learn` returns the next one.

    Parameters
    ----------
    schema : Schema
    trees : tuple of Running
    n_rows : float
        Rows that the counts stand for, those forgotten taken off.
    n_fitted : int
        Rows that the structure was fitted to.
    divided : bool
        Does each tree learn only the rows that it is likelier to have brought forth than others,
        as trees of classes do? Those of a bag learn all.

    Notes
    -----
    Stepwise EM (Cappe & Moulines 2009, doi:10.1111/j.1467-9868.2009.00698.x): a batch of n rows
    moves the expected counts towards its own by n / N, where N = n + N_before 2^(-n / half_life).
    Without forgetting this is the plain mean over all rows, each under the tables of its time; no
    power of the number of steps is needed, as the structure starts from a fit.

    Columns, blocks, cells of levels and marginal transforms are those of the fit; Gaussians follow
    rows that move within them. A new level joins the rarest cell of its column. The weights of the
    trees follow by one step of EM a batch, on rows before they are learnt.
    """

    schema: Schema
    trees: tuple[Running, ...]
    n_rows: float
    n_fitted: int = 0
    divided: bool = False

    @classmethod
    def of(cls, joint: Joint, n_fitted: int = 0, divided: bool = False) -> JointStream:
        """A stream that goes on from a joint."""
        trees = tuple(
            Running(counts_of(m.tree, m.plan), m.encoding, m.plan, m.log_weight)
            for m in joint.members
        )
        return cls(joint.schema, trees, joint.n_rows, n_fitted, divided)

    @property
    def joint(self) -> Joint:
        """What the stream has come to."""
        members = tuple(Member(t.start.tree, t.encoding, t.log_weight, t.plan) for t in self.trees)
        return Joint(self.schema, members, self.n_rows)

    def learn(
        self,
        table: Table,
        weight: Floats,
        half_life: float | None = None,
        n_jobs: int | None = None,
    ) -> JointStream:
        """The stream after a batch.

        Parameters
        ----------
        table : Table
            Of a schema that `jointprob.table.extend` made from the stream's.
        weight : float64 (n_rows,)
            Above 0.
        half_life : float, optional
            Rows after which a row counts half; None never forgets.
        n_jobs : int, optional
        """
        batches, weight = _batches(weight)
        if len(batches) > 1:
            table = table.take(np.concatenate(batches))
        ends = np.cumsum([len(batch) for batch in batches])
        schema = _with_their_empties(table.schema, self.schema)
        encodings = {id(t.encoding): _grown(t.encoding, schema) for t in self.trees}
        encoded = {key: encoding.encode(table, n_jobs) for key, encoding in encodings.items()}
        rows = {
            key: encoded_rows(encodings[key], schema, one, weight) for key, one in encoded.items()
        }
        keys = [id(tree.encoding) for tree in self.trees]
        trees = [
            replace(t, encoding=encodings[k], start=copied(with_levels(t.start, rows[k].n_levels)))
            for t, k in zip(self.trees, keys, strict=True)
        ]
        jacobians = np.stack([encoded[k].log_jacobian for k in keys], axis=1)
        scores = np.empty_like(jacobians)
        shares = self._divide(trees, rows, keys, jacobians) if self.divided else None
        for m, (tree, key) in enumerate(zip(trees, keys, strict=True)):
            own, n_before = rows[key], self.n_rows
            if shares is not None:
                own = replace(own, weight=weight * shares[:, m])
                n_before *= float(np.exp(tree.log_weight))
            scores[:, m] = _learn(tree.start, own, ends, tree.plan, n_before, half_life)
        n = float(weight.sum())
        before = self.n_rows * kept_share(n, half_life)
        log_weights = self._log_weights(scores + jacobians, weight, before).tolist()
        moved = (replace(t, log_weight=w) for t, w in zip(trees, log_weights, strict=True))
        return replace(self, schema=schema, trees=tuple(moved), n_rows=before + n)

    def _divide(
        self, trees: list[Running], rows: dict[int, Rows], keys: list[int], jacobians: Floats
    ) -> Floats:
        """Share of each row that each tree learns, (n_rows, n_trees)."""
        pairs = zip(trees, keys, strict=True)
        scores = [t.start.tree.log_prob(rows[k].codes, rows[k].z, 1) for t, k in pairs]
        return self._likelier(np.stack(scores, axis=1) + jacobians)

    def _likelier(self, scores: Floats) -> Floats:
        """Probability that each tree brought each row forth."""
        log_weights = np.array([tree.log_weight for tree in self.trees])
        return np.asarray(softmax(np.maximum(scores, IMPOSSIBLE) + log_weights, axis=1))

    def _log_weights(self, scores: Floats, weight: Floats, before: float) -> Floats:
        old = np.exp([tree.log_weight for tree in self.trees])
        counts = before * old + weight @ self._likelier(scores) + 1e-9
        return np.asarray(np.log(counts / counts.sum()))


def _learn(
    start: Start, rows: Rows, ends: Sizes, plan: Plan, n_before: float, half_life: float | None
) -> Floats:
    """Move a tree, batch by batch; log densities of the rows in z before each was learnt."""
    run = Refinement(start, rows, _weaker(plan), n_before)
    scores = []
    for batch in np.split(np.arange(len(rows)), ends[:-1]):
        part = rows.take(batch)
        scores.append(start.tree.log_prob(part.codes, part.z, 1))
        n = float(part.weight.sum())
        if n == 0:  # all of them belong to other trees
            continue
        allow_new_levels(start.tree)
        run.total = run.total * kept_share(n, half_life) + n
        learnt = batch[part.weight > 0]
        for some in np.array_split(learnt, -(-len(learnt) // BATCH_ROWS)):  # light rows may be many
            run.expect(some)
        run.level_share[:] = level_shares(start.tree, run.emission, run.total)
        run.maximise(n, n / run.total)
    return np.concatenate(scores)


def _weaker(plan: Plan) -> Plan:
    """With few pseudo-counts: what the fit shrank must not be shrunk again by every batch."""
    return replace(
        plan,
        smoothing=PRIOR_SHARE * plan.smoothing,
        emission_smoothing=PRIOR_SHARE * plan.emission_smoothing,
        shrinkage=PRIOR_SHARE * plan.shrinkage,
    )


def _batches(weight: Floats) -> tuple[list[Sizes], Floats]:
    """Rows of batches of like weight, and the weight of each: a heavy row has a part in several.

    A weight means repeats, so that batches are cut where they would be among repeated rows.
    """
    ends, n = np.cumsum(weight), len(weight)
    total = float(ends[-1])
    n_batches = -(-max(n, min(total, max(REPEATS * n, SPELT_ROWS))) // BATCH_ROWS)
    if n_batches == 1:
        return [np.arange(n)], weight
    cuts = np.linspace(0, total, int(n_batches) + 1)
    if (weight == np.floor(weight)).all():
        cuts = np.round(cuts)
    starts = ends - weight
    batches, parts = [], []
    for low, high in pairwise(cuts):
        first, last = np.searchsorted(ends, low, "right"), np.searchsorted(starts, high, "left")
        if first == last:  # by rounding
            continue
        part = weight[first:last].copy()
        part[0] -= max(low - starts[first], 0.0)
        part[-1] -= max(ends[last - 1] - high, 0.0)
        batches.append(np.arange(first, last))
        parts.append(np.maximum(part, 0.0))
    return batches, np.concatenate(parts)


def _grown(encoding: Encoding, schema: Schema) -> Encoding:
    """The encoding with the levels of a schema that has grown."""
    levels = tuple(len(schema.columns[c].levels) for c in encoding.categorical)
    return encoding if levels == encoding.levels else replace(encoding, levels=levels)


def _with_their_empties(grown: Schema, fitted: Schema) -> Schema:
    """Columns that were empty when the structure was fitted take no part until the next fit."""
    pairs = zip(grown, fitted, strict=True)
    columns = tuple(replace(new, empty=old.empty) for new, old in pairs)
    return Schema(columns, grown.container)
