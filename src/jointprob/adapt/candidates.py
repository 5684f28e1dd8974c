"""Trees that may say how a target's rows lie: the source's, moved, and the target's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtri

from jointprob.adapt.columns import Target, widen, widen_member
from jointprob.adapt.power import Exponents, Held, PowerPrior, choose
from jointprob.encode import Encoding, distinct, fit_encodings
from jointprob.joint import fit_bag
from jointprob.joint.adaptation import expect
from jointprob.joint.families import pooled_tree
from jointprob.joint.nursery import Member
from jointprob.joint.rows import Rows, encoded_rows
from jointprob.joint.start import Plan
from jointprob.joint.tree import Floats, LatentTree, Sizes
from jointprob.joint.views import views_of
from jointprob.knots import fit_marginal
from jointprob.marginal import standardising, weighted_moments
from jointprob.query import Joint
from jointprob.query.evidence import Given
from jointprob.schema import Schema
from jointprob.table import Table
from jointprob.threads import run_tasks

N_PASSES = 2  # of EM
SCION_SHARE = 0.05  # of all rows, in a fold's tables of new columns
MARGINAL_ROWS = 20.0  # that the source's marginals count as, where these are learnt anew
MARGINAL_POINTS = 100


class Split(NamedTuple):
    """Rows to learn from and rows held out, positions in the table."""

    learnt: Sizes
    held_out: Sizes


@dataclass(frozen=True, eq=False)
class Candidate:
    """Trees that may say how the target's rows lie.

    Parameters
    ----------
    members : tuple of Member
    log_prob : float64 (n_judged,)
        Of held-out rows, by trees that did not see them, nats.
    exponents : tuple of Exponents
        Of each tree; none for trees that owe nothing to the source.
    """

    members: tuple[Member, ...]
    log_prob: Floats
    exponents: tuple[Exponents, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """A source and rows of a target, in an order of their own."""

    source: Joint
    target: Target
    weight: Floats
    seed: int
    n_jobs: int | None

    @property
    def table(self) -> Table:
        return self.target.table

    def all_known(self) -> bool:
        """Whether every column of the source has a value in the target."""
        columns = zip(self.table.schema, self.table.columns, strict=True)
        return all(
            c.empty or ((cells >= 0) if c.is_categorical else ~np.isnan(cells)).any()
            for c, cells in columns
        )

    def atoms(self) -> tuple[Floats, ...]:
        """The source's, so that its measure stays, and those of new columns."""
        new = () if self._new is None else self._new_whole[0].atoms
        return self.source.members[0].encoding.atoms + new

    # ---- the source's trees ----

    def lean(self, splits: Sequence[Split], a0: float | None, retune: bool) -> Candidate:
        """The source's trees, moved towards the target."""
        whole = self._widened(np.arange(self.table.n_rows), retune)
        parts = [self._widened(split.learnt, retune) for split in splits]
        tasks = [
            partial(self._adapt, whole[m], [p[m] for p in parts], splits, a0)
            for m in range(len(whole))
        ]
        adapted = run_tasks(tasks, self.n_jobs)
        members = tuple(a[0] for a in adapted)
        log_prob = logsumexp([a[2] + a[0].log_weight for a in adapted], axis=0)
        return Candidate(members, log_prob, tuple(a[1] for a in adapted))

    def _adapt(
        self,
        member: Member,
        by_split: Sequence[Member],
        splits: Sequence[Split],
        a0: float | None,
    ) -> tuple[Member, Exponents, Floats]:
        n_rows = self.source.n_rows
        priors = [PowerPrior(m.tree, n_rows) for m in by_split]
        rows = [self._rows(m.encoding) for m in by_split]
        trees = [m.tree for m in by_split]
        exponents = Exponents.everywhere(1.0 if a0 is None else a0, member.tree.n_blocks)
        for _ in range(N_PASSES if splits else 0):
            held = [
                Held(p, expect(t, r[0], s.learnt), expect(t, r[0], s.held_out))
                for p, t, r, s in zip(priors, trees, rows, splits, strict=True)
            ]
            exponents = choose(held) if a0 is None else exponents
            trees = [h.prior.lean(h.learnt, exponents) for h in held]
        log_prob = [
            _log_prob(t, r, s.held_out) for t, r, s in zip(trees, rows, splits, strict=True)
        ]
        tree, prior = member.tree, PowerPrior(member.tree, n_rows)
        own, every = self._rows(member.encoding)[0], np.arange(self.table.n_rows)
        for _ in range(N_PASSES):
            tree = prior.lean(expect(tree, own, every), exponents)
        scored = np.concatenate(log_prob) if log_prob else np.empty(0)
        return replace(member, tree=tree), exponents, scored

    def _rows(self, encoding: Encoding) -> tuple[Rows, Floats]:
        encoded = encoding.encode(self.table, 1)
        rows = encoded_rows(encoding, self.table.schema, encoded, self.weight)
        return rows, encoded.log_jacobian

    def _widened(self, learnt: Sizes, retune: bool) -> list[Member]:
        """The source's members with new levels and columns, by the rows to learn from."""
        new = self._new_columns(learnt)
        scions = [self._scion(e, learnt) for e in new] if new else [None, None]
        encodings: dict[int, Encoding] = {}
        for member in self.source.members:
            old = member.encoding
            if id(old) not in encodings:
                own = self._retuned(old, learnt) if retune else old
                extra = new[old.kind == "raw"] if new else None
                encodings[id(old)] = widen(own, self.target, extra)
        return [
            widen_member(m, encodings[id(m.encoding)], scions[m.encoding.kind == "raw"])
            for m in self.source.members
        ]

    @cached_property
    def _new(self) -> Table | None:
        """The new columns alone."""
        n, schema = self.target.n_shared, self.table.schema
        if n == len(schema):
            return None
        own = Schema(schema.columns[n:], schema.container)
        return Table(own, self.table.n_rows, self.table.columns[n:])

    @cached_property
    def _new_whole(self) -> tuple[Encoding, Encoding]:
        """The encodings of the new columns by all rows."""
        assert self._new is not None
        return fit_encodings(self._new, self.weight, self.n_jobs)

    def _new_columns(self, learnt: Sizes) -> tuple[Encoding, Encoding] | None:
        if self._new is None:
            return None
        part, weight = self._new.take(learnt), self.weight[learnt]
        return fit_encodings(part, weight, self.n_jobs, self._new_whole[0].atoms)

    def _scion(self, encoding: Encoding, learnt: Sizes) -> LatentTree:
        """A small tree of the new columns: the blocks that all rows show, tables of some."""
        tree = self._scions[encoding.kind]
        part, weight = self._new_rows(encoding, learnt)
        found = expect(tree, part, np.arange(len(learnt)))
        few = Exponents.everywhere(SCION_SHARE, tree.n_blocks)
        return PowerPrior(tree, float(weight.sum())).lean(found, few)

    @cached_property
    def _scions(self) -> dict[str, LatentTree]:
        every = np.arange(self.table.n_rows)
        trees: dict[str, LatentTree] = {}
        for encoding in self._new_whole:
            rows = self._new_rows(encoding, every)[0]
            plan = Plan(2, 4, tuple((j,) for j in rows.known_numeric))
            trees[encoding.kind] = pooled_tree(rows, plan, self.seed)
        return trees

    def _new_rows(self, encoding: Encoding, chosen: Sizes) -> tuple[Rows, Floats]:
        assert self._new is not None
        part, weight = self._new.take(chosen), self.weight[chosen]
        return encoded_rows(encoding, part.schema, encoding.encode(part, 1), weight), weight

    def _retuned(self, encoding: Encoding, learnt: Sizes) -> Encoding:
        """The encoding with marginals learnt from the target, and a little from the source."""
        marginals = list(encoding.marginals)
        points = ndtri((np.arange(MARGINAL_POINTS) + 0.5) / MARGINAL_POINTS)
        for j, column in enumerate(encoding.numeric):
            cells, weight = self.table.columns[column][learnt], self.weight[learnt]
            kept = ~np.isnan(cells) & ~np.isin(cells, encoding.atoms[j])
            if not kept.any():
                continue
            usual = marginals[j].inverse(points)
            own = np.full(MARGINAL_POINTS, MARGINAL_ROWS / MARGINAL_POINTS)
            values, rows = distinct(
                np.concatenate([usual, cells[kept]]), np.concatenate([own, weight[kept]])
            )
            if encoding.kind == "scores" and len(values) > 1:
                marginals[j] = fit_marginal(values, rows)
            elif len(values) > 1:
                mean, deviation = weighted_moments(values, rows)
                marginals[j] = standardising(mean, max(deviation, 1e-12 * abs(mean), 1e-300))
        return replace(encoding, marginals=tuple(marginals))

    # ---- trees of the target alone ----

    def alone(self, splits: Sequence[Split]) -> Candidate:
        """Trees that owe nothing to the source but its measure."""
        log_prob = [self._score(self._bag(split.learnt), split.held_out) for split in splits]
        members = self._bag(np.arange(self.table.n_rows))
        return Candidate(members, np.concatenate(log_prob) if log_prob else np.empty(0))

    def _bag(self, learnt: Sizes) -> tuple[Member, ...]:
        part, weight = self.table.take(learnt), self.weight[learnt]
        views = views_of(part, weight, None, self.seed, self.n_jobs, self.atoms())
        return fit_bag(views, seed=self.seed, n_jobs=self.n_jobs)

    def _score(self, members: tuple[Member, ...], held_out: Sizes) -> Floats:
        part = self.table.take(held_out)
        return Joint(part.schema, members)._log_prob(Given(part), self.n_jobs)


def _log_prob(tree: LatentTree, rows: tuple[Rows, Floats], chosen: NDArray[np.int64]) -> Floats:
    part = rows[0].take(chosen)
    return tree.log_prob(part.codes, part.z, 1) + rows[1][chosen]
