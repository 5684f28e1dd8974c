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
    out_of_fold_loss,
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
class Holes:
    """Some rows of the fit with fewer cells, to be scored out of fold as well.

    Parameters
    ----------
    rows : int64 (n_holed,)
        Positions in the table of the fit.
    table : Table
        What is left of each of them.
    """

    rows: Sizes
    table: Table


@dataclass(frozen=True, eq=False)
class ClassJoints:
    """p(x | class): for every class the same bag of trees, each with tables of the class's own.

    Parameters
    ----------
    encoding : Encoding
    trees : tuple of ClassTrees
    log_weights : float64 (n_trees,)
        Log weights of the trees in the mixture p(x | c), the same for all classes, nats.
    out_of_fold : float64 (n_rows, n_classes)
        `log_prob` of the rows of the fit, each under tables adapted without the row's fold.
    out_of_fold_evidence : float64 (n_rows, n_classes)
        `evidence` of the same.
    holed_evidence : float64 (n_holed, n_classes)
        `evidence` of the rows with holes, each without the row's fold.
    """

    encoding: Encoding
    trees: tuple[ClassTrees, ...]
    log_weights: Floats
    out_of_fold: Floats
    out_of_fold_evidence: Floats
    holed_evidence: Floats

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

    def evidence(self, table: Table, n_jobs: int | None = None) -> Floats:
        """The trees' log densities averaged: the log-linear pool.

        No density, but better than one in Bayes' rule: trees are all wrong in ways of their own,
        and the mean of their logarithms lets each of them speak on every row.

        Returns
        -------
        float64 (n_rows, n_classes)
            Nats.
        """
        return self.both(table, n_jobs)[1]

    def both(self, table: Table, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """`log_prob` and `evidence` for the price of one."""
        encoded = self.encoding.encode(table, n_jobs)
        scores = np.empty((len(self.trees), table.n_rows, self.n_classes))
        for m, trees in enumerate(self.trees):
            parts = trees.pooled.numeric_parts(encoded.z)

            def score(start: int, stop: int, m: int = m, parts: list[Points] = parts) -> None:
                rows = np.arange(start, stop)
                for c, tree in enumerate(self.trees[m].classes):
                    scores[m, start:stop, c] = log_prob_of(tree, encoded.codes, parts, rows)

            run_blocks(score, table.n_rows, BLOCK_ROWS, n_jobs)
        scores += encoded.log_jacobian[:, None]
        return _mixture(scores, self.log_weights), scores.mean(axis=0)

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


def fit_class_joints(
    table: Table,
    labels: NDArray[np.int64],
    weight: Floats,
    n_classes: int,
    seed: int = 0,
    n_jobs: int | None = None,
    n_trees: int | None = None,
    holes: Holes | None = None,
    unlabelled: Table | None = None,
) -> ClassJoints:
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
    holes : Holes, optional
        Rows with fewer cells to score out of fold; of positive weight.
    unlabelled : Table, optional
        Rows of the same schema without a class: what all classes lean on is fitted to them too.

    Returns
    -------
    ClassJoints

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
    both, both_weight = table, weight
    if unlabelled is not None:
        both = table.stacked(unlabelled)
        both_weight = np.concatenate([weight, np.ones(unlabelled.n_rows)])
    pooled, pooled_weight = canonical_rows(both, both_weight)
    encoding = fit_encodings(both.take(pooled), pooled_weight, n_jobs)[0]
    every = encoded_rows(encoding, both.schema, encoding.encode(both, n_jobs), both_weight)
    prior = replace(every.take(pooled), weight=pooled_weight)
    order, order_weight = canonical_rows(_with_labels(table, labels), weight)
    rows = replace(every.take(order), weight=order_weight)
    task = Task(rows, labels[order], _folds(table, labels, order, seed), n_classes, n_jobs)
    others = None if unlabelled is None else every.take(pooled[pooled >= table.n_rows])
    families = grow_families(task, prior, _plans(prior, n_classes, n_trees), seed, others)
    strength = choose_strength(task, families)
    if others is not None:  # they may be more than rows with a class can move
        alone = grow_families(task, rows, _plans(rows, n_classes, n_trees), seed)
        other = choose_strength(task, alone)
        loss = out_of_fold_loss(task, families, strength)
        if out_of_fold_loss(task, alone, other) < loss:
            families, strength = alone, other
    return _finish(table, encoding, task, families, strength, order, holes)


def _finish(
    table: Table,
    encoding: Encoding,
    task: Task,
    families: list[Families],
    strength: Strength,
    order: Sizes,
    holes: Holes | None,
) -> ClassJoints:
    """Adapt for good, score every row out of its fold, weigh the trees."""
    every = np.arange(len(task.labels))
    scores = np.concatenate([family.out_of_fold([strength], every) for family in families])
    some = every[:: -(-len(every) // CHOICE_ROWS)]
    own = scores[:, some, task.labels[some]].T
    log_weights = np.log(mixture_weights(own, task.rows.weight[some])[0])
    trees = tuple(
        ClassTrees(family.whole.pooled, family.whole.adapted(strength), strength)
        for family in families
    )
    empty = np.empty((table.n_rows, task.n_classes))
    holed = _score_holes(holes, encoding, task, families, strength, order)
    joints = ClassJoints(encoding, trees, log_weights, empty, empty.copy(), holed)
    scores += encoding.encode(table.take(order), task.n_jobs).log_jacobian[:, None]
    joints.out_of_fold[order] = _mixture(scores, log_weights)
    joints.out_of_fold_evidence[order] = scores.mean(axis=0)
    absent = np.setdiff1d(np.arange(table.n_rows), order)  # of weight 0: no tree saw them
    if len(absent):
        mixed, mean = joints.both(table.take(absent), task.n_jobs)
        joints.out_of_fold[absent], joints.out_of_fold_evidence[absent] = mixed, mean
    return joints


def _score_holes(
    holes: Holes | None,
    encoding: Encoding,
    task: Task,
    families: list[Families],
    strength: Strength,
    order: Sizes,
) -> Floats:
    """Evidence of the rows with holes, out of fold."""
    if holes is None:
        return np.empty((0, task.n_classes))
    place = np.empty(int(order.max()) + 1, np.int64)
    place[order] = np.arange(len(order))  # of repeats any one: they share a fold
    encoded = encoding.encode(holes.table, task.n_jobs)
    chosen = place[holes.rows]
    scores = [family.out_of_fold([strength], chosen, encoded)[0] for family in families]
    return np.asarray(np.mean(scores, axis=0) + encoded.log_jacobian[:, None])


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
