"""Class-conditional joints: a joint of its own for every class, adapted from one of all rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from jointprob.encode import Encoding, fit_encodings
from jointprob.joint.adaptation import Strength
from jointprob.joint.choice import blocks_of, power_of_two
from jointprob.joint.families import (
    CHOICE_ROWS,
    N_FOLDS,
    Families,
    Task,
    choose_strength,
    grow_families,
    log_prob_of,
)
from jointprob.joint.nursery import Member, mixture_weights
from jointprob.joint.rows import Rows, canonical_rows, encoded_rows, row_hash
from jointprob.joint.start import Plan
from jointprob.joint.tree import BLOCK_ROWS, Floats, LatentTree, Points, Sizes
from jointprob.schema import preview
from jointprob.table import Table
from jointprob.threads import run_blocks

FOLD_STREAM = 21  # second word of the key: no two uses of a seed share a stream
MANY_CELLS = 8_000_000  # numbers in the transitions of all classes, at most


@dataclass(frozen=True, eq=False)
class ClassTrees:
    """One pooled tree and what it became for each class.

    Parameters
    ----------
    pooled : LatentTree
        Fitted to the rows of all classes, without their labels.
    classes : tuple of LatentTree
    strength : Strength
        By which the classes lean on the pooled tree.
    """

    pooled: LatentTree
    classes: tuple[LatentTree, ...]
    strength: Strength


@dataclass(frozen=True, eq=False)
class ClassJoints:
    """p(x | class): for every class the same bag of trees, each with tables of the class's own.

    Parameters
    ----------
    encoding : Encoding
    trees : tuple of ClassTrees
    log_weights : float64 (n_trees,)
        Log weights of the trees in the mixture p(x | c), the same for all classes, nats.
    """

    encoding: Encoding
    trees: tuple[ClassTrees, ...]
    log_weights: Floats

    @property
    def n_classes(self) -> int:
        return len(self.trees[0].classes)

    def log_prob(self, table: Table, n_jobs: int | None = None) -> Floats:
        """log p(x | class) of rows, exact for the mixture of trees; missing cells integrated out.

        Returns
        -------
        float64 (n_rows, n_classes)
            Nats.
        """
        return self.both(table, n_jobs)[0]

    def evidence(
        self, table: Table, n_jobs: int | None = None, asked: NDArray[np.bool_] | None = None
    ) -> Floats:
        """The trees' log densities averaged: the log-linear pool.

        No density, but better than one in Bayes' rule: trees are all wrong in ways of their own,
        and the mean of their logarithms lets each of them speak on every row.

        Parameters
        ----------
        asked : bool (n_rows, n_classes), optional
            Of which classes; all if not given.

        Returns
        -------
        float64 (n_rows, n_classes)
            Nats; 0 where not asked.
        """
        return np.asarray(self._scores(table, n_jobs, asked).mean(axis=0))

    def both(self, table: Table, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """`log_prob` and `evidence` for the price of one."""
        scores = self._scores(table, n_jobs)
        return _mixture(scores, self.log_weights), scores.mean(axis=0)

    def _scores(
        self, table: Table, n_jobs: int | None, asked: NDArray[np.bool_] | None = None
    ) -> Floats:
        """Log densities by each tree, (n_trees, n_rows, n_classes); 0 where not asked."""
        encoded = self.encoding.encode(table, n_jobs)
        scores = np.zeros((len(self.trees), table.n_rows, self.n_classes))
        for m, trees in enumerate(self.trees):
            parts = trees.pooled.numeric_parts(encoded.z)

            def score(start: int, stop: int, m: int = m, parts: list[Points] = parts) -> None:
                for c, tree in enumerate(self.trees[m].classes):
                    rows = np.arange(start, stop)
                    if asked is not None:
                        rows = rows[asked[start:stop, c]]
                    own = log_prob_of(tree, encoded.codes, parts, rows)
                    scores[m, rows, c] = own + encoded.log_jacobian[rows]

            run_blocks(score, table.n_rows, BLOCK_ROWS, n_jobs)
        return scores

    def members(self, log_prior: Floats) -> tuple[Member, ...]:
        """The mixture over classes as the members of a joint: p(x) = sum_c p(c) p(x | c).

        Parameters
        ----------
        log_prior : float64 (n_classes,)
            Log probabilities of the classes, nats; classes of -inf are left out.
        """
        return tuple(
            Member(tree, self.encoding, float(log_prior[c] + log_weight))
            for log_weight, trees in zip(self.log_weights, self.trees, strict=True)
            for c, tree in enumerate(trees.classes)
            if log_prior[c] > -np.inf
        )


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What class joints say of rows of the fit, each under tables adapted without its fold.

    Parameters
    ----------
    table : Table
        Of the fit.
    joints : ClassJoints
    task : Task
    families : tuple of Families
    strength : Strength
    place : int64 (n_rows,)
        Of each row of the table among the rows of the task; -1 for rows of weight 0.
    """

    table: Table
    joints: ClassJoints
    task: Task
    families: tuple[Families, ...]
    strength: Strength
    place: Sizes

    def log_prob(self, rows: Sizes) -> Floats:
        """`ClassJoints.log_prob` of rows at these positions, (n_rows, n_classes)."""
        return self.both(rows, self.table.take(rows))[0]

    def evidence(self, rows: Sizes, holed: Table | None = None) -> Floats:
        """`ClassJoints.evidence` of rows at these positions, (n_rows, n_classes).

        Parameters
        ----------
        holed : Table, optional
            What is left of each of the rows, where cells were taken away.
        """
        return self.both(rows, self.table.take(rows) if holed is None else holed)[1]

    def both(self, rows: Sizes, cells: Table) -> tuple[Floats, Floats]:
        """The two for the price of one."""
        mixed, mean = (np.empty((len(rows), self.task.n_classes)) for _ in range(2))
        place = self.place[rows]
        absent, known = np.flatnonzero(place < 0), np.flatnonzero(place >= 0)
        if len(absent):
            mixed[absent], mean[absent] = self.joints.both(cells.take(absent), self.task.n_jobs)
        encoded = self.joints.encoding.encode(cells.take(known), self.task.n_jobs)
        scores = np.concatenate(
            [f.out_of_fold([self.strength], place[known], encoded) for f in self.families]
        )
        scores += encoded.log_jacobian[:, None]
        mixed[known] = _mixture(scores, self.joints.log_weights)
        mean[known] = scores.mean(axis=0)
        return mixed, mean


def fit_class_joints(
    table: Table,
    labels: NDArray[np.int64],
    weight: Floats,
    n_classes: int,
    seed: int = 0,
    n_jobs: int | None = None,
    n_trees: int | None = None,
) -> tuple[ClassJoints, OutOfFold]:
    """Fit p(x | class) for every class.

    Trees are fitted to the rows of all classes together; the tables of each class lean on theirs
    by pseudo-rows, so that a class of two rows has a density as well. How many pseudo-rows is
    chosen by the out-of-fold log loss of the class.

    Parameters
    ----------
    table : Table
        At least one known cell in the rows of positive weight.
    labels : int (n_rows,)
        Class of each row, 0 to n_classes - 1; a class without rows gets the pooled trees.
    weight : float64 (n_rows,)
        A weight says how often its row stands in the table; rows of weight 0 are not there.
    n_classes : int
    seed : int
    n_jobs : int, optional
        Threads; the result does not depend on it, nor on the order of the rows.
    n_trees : int, optional
        Trees of the bag; by the size of the table if not given.

    Returns
    -------
    joints : ClassJoints
    out_of_fold : OutOfFold
        To ask what they say of the rows of the fit.

    Raises
    ------
    ValueError
        Labels outside 0 to n_classes - 1, no known cell.

    Notes
    -----
    One expectation over the rows under the pooled tree, class by class and fold by fold, serves
    all folds, strengths and classes: statistics of rows add up. See `jointprob.joint.adapt`
    for how tables lean on the pooled ones.
    """
    labels = np.asarray(labels)
    if len(labels) and not (labels.min() >= 0 and labels.max() < n_classes):
        raise ValueError(
            f"labels are {labels.min()} to {labels.max()}; allowed are 0 to {n_classes - 1}"
        )
    if all(column.empty for column in table.schema):
        raise ValueError(
            f"the table holds no value: every cell of the columns {preview(table.schema.names)} "
            "is missing; at least one must be known"
        )
    pooled, pooled_weight = canonical_rows(table, weight)
    encoding = fit_encodings(table.take(pooled), pooled_weight, n_jobs)[0]
    every = encoded_rows(encoding, table.schema, encoding.encode(table, n_jobs), weight)
    prior = replace(every.take(pooled), weight=pooled_weight)
    order, order_weight = canonical_rows(_with_labels(table, labels), weight)
    rows = replace(every.take(order), weight=order_weight)
    task = Task(rows, labels[order], _folds(table, labels, order, seed), n_classes, n_jobs)
    families = grow_families(task, prior, _plans(prior, n_classes, n_trees), seed)
    strength = choose_strength(task, families)
    place = np.full(table.n_rows, -1)
    place[order] = np.arange(len(order))  # of repeats any one: they share a fold
    joints = _finish(encoding, task, families, strength)
    return joints, OutOfFold(table, joints, task, tuple(families), strength, place)


def _finish(
    encoding: Encoding, task: Task, families: list[Families], strength: Strength
) -> ClassJoints:
    """Adapt for good, and weigh the trees."""
    some = np.arange(len(task.labels))[:: -(-len(task.labels) // CHOICE_ROWS)]
    log_weights = np.zeros(1)
    if len(families) > 1:
        own = np.stack([family.own(strength, some) for family in families], axis=1)
        log_weights = np.log(mixture_weights(own, task.rows.weight[some])[0])
    trees = tuple(
        ClassTrees(family.whole.pooled, family.whole.adapted(strength), strength)
        for family in families
    )
    return ClassJoints(encoding, trees, log_weights)


# ---- rows, folds, plans ----


def _with_labels(table: Table, labels: NDArray[np.int64]) -> Table:
    """Columns to sort and to tell rows by; no schema knows the last one."""
    return Table(table.schema, table.n_rows, [*table.columns, labels])


def _folds(table: Table, labels: NDArray[np.int64], order: Sizes, seed: int) -> Sizes:
    """Fold of each row, by class and by contents: rows that are equal share a fold."""
    taken = _with_labels(table.take(order), labels[order])
    _, first, group = np.unique(row_hash(taken), return_index=True, return_inverse=True)
    random = np.random.Generator(np.random.Philox(key=[seed, FOLD_STREAM]))
    fold_of_group = np.empty(len(first), np.int64)
    of_class = labels[order][first]
    for c in np.unique(of_class):
        groups = np.flatnonzero(of_class == c)
        shuffled = random.permutation(len(groups)) + random.integers(N_FOLDS)
        fold_of_group[groups] = shuffled % N_FOLDS
    return fold_of_group[group]


def _plans(rows: Rows, n_classes: int, n_trees: int | None) -> list[Plan]:
    """Trees that differ: numeric columns divided and whole, more and fewer subsets."""
    n, d = float(rows.weight.sum()), len(rows.known_numeric)
    n_subsets = power_of_two(n / 64, 2, 16)
    n_gaussians = power_of_two(n / (16 * max(4, d)), 1, 64)
    divided, whole = blocks_of(rows, threshold=0.3), blocks_of(rows, n_blocks=1)
    start = Plan(n_subsets=n_subsets, n_gaussians=n_gaussians)
    factors = (1.0, 0.5, 1.0, 0.25, 0.5, 2.0)
    plans = [
        replace(
            start.scaled(f), n_gaussians=n_gaussians, numeric_blocks=whole if i % 2 else divided
        )
        for i, f in enumerate(factors)
    ]
    work = len(rows) * n_classes * (len(rows.n_levels) + d)
    wanted = n_trees or (4 if work < 4e5 else 2 if work < 3e6 else 1)
    return [_bounded(plans[i % len(plans)], rows, n_classes) for i in range(wanted)]


def _bounded(plan: Plan, rows: Rows, n_classes: int) -> Plan:
    """Fewer subsets where the tables of many classes would grow beyond all bounds."""
    cells = sum(min(n, plan.n_cells) ** 2 for n in rows.n_levels)
    while plan.n_subsets > 1 and n_classes * cells * plan.n_subsets**2 > MANY_CELLS:
        plan = replace(plan, n_subsets=plan.n_subsets // 2)
    return plan


def _mixture(scores: Floats, log_weights: Floats) -> Floats:
    mixed: Floats = logsumexp(scores + log_weights[:, None, None], axis=0)
    return mixed
