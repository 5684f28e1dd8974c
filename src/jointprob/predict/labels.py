"""Class probabilities: every member is fitted, judged on rows it has not seen, and pooled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from jointprob.forest.bagging import Bag, GrowingBag
from jointprob.forest.bins import Binned, Binning, fit_binning
from jointprob.forest.boosting import Boosted, Loss, boosting_for, fit_boosted
from jointprob.forest.targets import Labels, growth_for, log_shares, spread, trees_for
from jointprob.joint.classes import ClassJoints, fit_class_joints
from jointprob.predict.belief import beliefs_of, fit_believed, log_prior_of
from jointprob.predict.folds import assign_folds, judged_rows, scaled
from jointprob.predict.graph import Graph, fit_graph
from jointprob.predict.holes import make_holes, take_away
from jointprob.predict.patterns import Patterns
from jointprob.predict.pool import Pool
from jointprob.predict.source import LabelSource, LogShares, own_classes, placed
from jointprob.progress import Progress, silent
from jointprob.table import Table

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

FEW_CLASSES, IMPOSSIBLE = 2, 9.0  # nats below the likeliest class, from which joints are not asked
STUDENTS = 1 / 3  # weight of students beside their teacher


@dataclass(frozen=True, eq=False)
class LabelModel:
    """p(c | x), pooled.

    Parameters
    ----------
    binning : Binning
    bags : tuple of Bag
        Of best splits, and of random ones.
    boosted : Boosted
    joints : ClassJoints
    pool, strange_pool : Pool
        Members in the order of `bags`, `boosted`, `joints`; the second for rows that miss cells as
        no row did in fit.
    prior : float32 (n_classes,)
        Of the classes that rows of the fit belong to.
    patterns : Patterns
        Which cells rows missed in fit.
    source : LabelSource, optional
        A model of other rows: the last member of the pools.
    graph : Graph, optional
        Of rows with a class and without: the member after `joints`.
    students : tuple of LabelModel
        Of rows to which this model gave classes; they are pooled with it.
    """

    binning: Binning
    bags: tuple[Bag, ...]
    boosted: Boosted
    joints: ClassJoints
    pool: Pool
    strange_pool: Pool
    prior: NDArray[np.float32]
    patterns: Patterns
    source: LabelSource | None = None
    graph: Graph | None = None
    students: tuple[LabelModel, ...] = ()

    @property
    def n_classes(self) -> int:
        """Those of a source among them."""
        return len(self.pool.log_prior)

    @property
    def importances(self) -> Floats:
        """What the splits on each column gain out of bag, (n_columns,), nats."""
        return self.bags[0].gains

    def log_proba(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Log probability of each class, (n_rows, n_classes), nats."""
        own = self._own_log_proba(table, n_jobs)
        if not self.students:
            return own
        taught = np.mean([s.log_proba(table, n_jobs) for s in self.students], axis=0)
        pooled = (1 - STUDENTS) * own + STUDENTS * taught
        return np.asarray(log_softmax(pooled, axis=1))

    def _own_log_proba(self, table: Table, n_jobs: int | None) -> Floats:
        binned = self.binning.bin(table, n_jobs)
        strange = self.patterns.strange(binned)
        if not strange.any():
            return self._pooled(self.pool, table, binned, False, n_jobs)
        # Of a row that misses every cell nothing is known but the prior.
        out = np.tile(self.pool.log_prior, (table.n_rows, 1))
        known = ~binned.missing.all(axis=0)
        for rows, pool in ((~strange, self.pool), (strange & known, self.strange_pool)):
            chosen = np.flatnonzero(rows)
            if len(chosen):
                part = table.take(chosen), binned.take(chosen)
                out[chosen] = self._pooled(pool, *part, pool is self.strange_pool, n_jobs)
        return out

    def explain(
        self, table: Table, asked: NDArray[np.int64] | None, n_jobs: int | None = None
    ) -> Floats:
        """log p(c | x) - log p(c | x without the cell) of every cell, (n_rows, n_columns), nats."""
        return explain_classes(self.log_proba, table, asked, n_jobs)

    def _pooled(
        self, pool: Pool, table: Table, binned: Binned, both_ways: bool, n_jobs: int | None
    ) -> Floats:
        asked, by_row = pool.weights > 0, binned.by_row

        own_prior = pool.log_prior if self.source is None else np.log(self.prior.astype(float))

        def place(said: LogShares) -> LogShares:
            return placed(self.source, said, own_prior, pool.log_prior)

        members: list[LogShares | None] = [
            place(log_shares(spread(bag.means(by_row, n_jobs, both_ways)), self.prior))
            if a
            else None
            for bag, a in zip(self.bags, asked, strict=False)
        ]
        n = len(members)
        scores = self.boosted.scores(by_row, n_jobs, both_ways) if asked[n] else None
        members += [None if scores is None else place(log_odds(scores)), None]
        if self.graph is not None:
            said = self.graph.evidence(table, n_jobs) + own_prior if asked[n + 2] else None
            members.append(None if said is None else place(said))
        if self.source is not None:
            said = self.source.evidence(table, n_jobs) + pool.log_prior if asked[-1] else None
            members.append(said)
        if asked[n + 1]:
            alone = all(member is None for member in members)
            so_far = None if alone else pool.log_proba(members, binned.n_rows)
            members[n + 1] = place(self._by_joints(table, so_far, n_jobs) + own_prior)
        return pool.log_proba(members, binned.n_rows)

    def _by_joints(self, table: Table, so_far: Floats | None, n_jobs: int | None) -> Floats:
        """Evidence of the joints, of the classes that the other members leave possible.

        Any other class keeps the odds to the likeliest one that these members give it.
        """
        if so_far is None or self.joints.n_classes <= FEW_CLASSES:
            return self.joints.evidence(table, n_jobs)
        so_far = so_far[:, own_classes(self.source)]
        rows, likeliest = np.arange(len(so_far)), so_far.argmax(axis=1)
        possible = so_far > so_far[rows, likeliest, None] - IMPOSSIBLE
        said = self.joints.evidence(table, n_jobs, possible)
        return np.where(possible, said, said[rows, likeliest, None])


def explain_classes(
    log_proba: Callable[[Table, int | None], Floats],
    table: Table,
    asked: NDArray[np.int64] | None,
    n_jobs: int | None = None,
) -> Floats:
    """log p(c | x) - log p(c | x without the cell) of every cell, (n_rows, n_columns), nats.

    Parameters
    ----------
    log_proba : callable
        Of (table, n_jobs): log probability of each class, (n_rows, n_classes).
    table : Table
    asked : int64 (n_rows,), optional
        Class of each row; the likeliest if not given.
    n_jobs : int, optional
    """
    whole = log_proba(table, n_jobs)
    label = whole.argmax(axis=1) if asked is None else asked
    out = np.zeros((table.n_rows, len(table.columns)))
    for column, cells in enumerate(table.columns):
        known = np.flatnonzero(cells >= 0 if cells.dtype.kind == "i" else ~np.isnan(cells))
        if not len(known):
            continue
        less = take_away(table.take(known), np.arange(len(table.columns)) == column)
        without, own = log_proba(less, n_jobs), label[known]
        out[known, column] = whole[known, own] - without[np.arange(len(known)), own]
    return out


def log_odds(scores: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    """A score for each class, where there was one for the second of two."""
    return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores


def fit_labels(
    table: Table,
    label: NDArray[np.int64],
    weight: Floats,
    n_classes: int,
    seed: int,
    n_jobs: int | None,
    progress: Progress = silent,
    source: LabelSource | None = None,
    unlabelled: Table | None = None,
) -> LabelModel:
    """Fit forests and boosted trees, and pool them by what they say of rows they have not seen.

    Rows without a class, `unlabelled`, make a graph with the others.
    """
    binning = fit_binning(table, weight)
    binned = binning.bin(table, n_jobs)
    counts: Floats = np.bincount(label, weight, n_classes).astype(np.float64)
    log_prior = log_prior_of(counts)
    own_prior = log_prior if source is None else log_prior_of(counts[source.present])
    prior = np.exp(own_prior).astype(np.float32)
    own_label = label if source is None else np.searchsorted(source.present, label)
    target = Labels(own_label.astype(np.uint16), scaled(weight), prior)
    folds, judged = assign_folds(target.label, seed), judged_rows(len(label))
    boosted, scores = _boost(binned, target, folds, seed, n_jobs)
    progress("boosted trees")
    joints, seen = fit_class_joints(table, own_label, weight, len(prior), seed, n_jobs)

    def place(said: LogShares) -> LogShares:
        return placed(source, said, own_prior, log_prior)

    others = [place(log_odds(scores[judged])), place(seen.evidence(judged) + own_prior)]
    progress("joints of classes")
    graph = None
    if unlabelled is not None:
        graph = fit_graph(table, own_label, weight, np.exp(own_prior), folds, unlabelled, n_jobs)
    if graph is not None:
        said = graph[1].evidence(judged, table.take(judged), n_jobs)
        others.append(place(said + own_prior))
    if source is not None:
        others.append(source.evidence(table.take(judged), n_jobs) + log_prior)
    beliefs = beliefs_of(source, graph is not None, n_classes)

    def pooled(shares: list[Floats32], others: list[LogShares], rows: NDArray[np.int64]) -> Pool:
        """Weights by what the members say of some rows of the fit."""
        members = [*(place(log_shares(spread(one), prior)) for one in shares), *others]
        return fit_believed(members, counts, label[rows], weight[rows], beliefs)

    # A third of the trees say which bags are worth growing on.
    n_trees = trees_for(binned.n_rows)
    kinds = [growth_for(binned.n_columns, random_splits) for random_splits in (False, True)]
    growing = [GrowingBag(binned, target, k, seed + i, n_jobs) for i, k in enumerate(kinds)]
    for bag in growing:
        bag.grow(n_trees // 3)
    worth = pooled([bag.means()[judged] for bag in growing], others, judged).weights > 0
    for i, bag in enumerate(growing):
        if worth[i]:
            bag.grow(n_trees)
        progress(f"forest {i + 1}")
    pool = pooled([bag.means()[judged] for bag in growing], others, judged)
    bags = tuple(bag.bag() for bag in growing)

    # The same members, of rows from which cells were taken away.
    holes = make_holes(table, seed)
    by_row, rows = binning.bin(holes.table, n_jobs).by_row, holes.rows
    shares = [
        bag.out_of_bag(by_row, rows, len(label), seed + i, target.baseline, n_jobs)
        for i, bag in enumerate(bags)
    ]
    others = [
        place(log_odds(boosted.out_of_fold(by_row, folds[rows], n_jobs, both_ways=True))),
        place(seen.evidence(rows, holes.table) + own_prior),
    ]
    if graph is not None:
        others.append(place(graph[1].evidence(rows, holes.table, n_jobs) + own_prior))
    if source is not None:
        others.append(source.evidence(holes.table, n_jobs) + log_prior)
    strange_pool = pooled(shares, others, rows)
    return LabelModel(
        binning,
        bags,
        boosted,
        joints,
        pool,
        strange_pool,
        prior,
        Patterns.of(binned),
        source,
        None if graph is None else graph[0],
    )


def _boost(
    binned: Binned, target: Labels, folds: NDArray[np.int64], seed: int, n_jobs: int | None
) -> tuple[Boosted, NDArray[np.float32]]:
    log_prior = np.log(target.prior)
    start = log_prior[1:] - log_prior[:1] if target.n_classes == 2 else log_prior
    loss = Loss(target.label, target.weight, start)
    return fit_boosted(
        binned, loss, folds, boosting_for(binned.n_rows, loss.n_scores), seed, n_jobs
    )
