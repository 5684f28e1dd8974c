"""Class-conditional joints: a joint of its own for every class, adapted from one of all rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from jointprob.encode import Encoding, fit_encodings
from jointprob.joint.adaptation import Statistics, Strength, expect, lean, total
from jointprob.joint.em import Schedule, refine
from jointprob.joint.nursery import Member, mixture_weights
from jointprob.joint.rows import Rows, canonical_rows, hold_out, row_hash
from jointprob.joint.start import Plan, grow
from jointprob.joint.tree import BLOCK_ROWS, Floats, LatentTree, Points, Sizes
from jointprob.partition import numeric_blocks
from jointprob.schema import preview
from jointprob.table import Table
from jointprob.threads import run_blocks, run_tasks

N_FOLDS = 5
FOLD_STREAM, POOLED_STREAM = 21, 22  # second words of the key: no two uses of a seed share a stream
POOLED_ROWS = 10_000  # the structure, and the prior of every class, show on so many rows
POOLED_HELD_OUT = 2_000
APART_ROWS = 1_500  # up to here every fold gets a pooled tree that did not see it
VISITED_ROWS = 40_000  # rows times epochs of a pooled tree
CHOICE_ROWS = 3_000  # strengths and weights of trees are chosen on at most so many rows
MANY_CELLS = 8_000_000  # numbers in the transitions of all classes, at most
TABLES = ((0.5, 2.0), (2.0, 20.0), (5.0, 100.0), (10.0, 1000.0))  # marginal, state
GAUSSIANS = (2.0, 6.0, 20.0, 60.0)  # mean and covariance
COLDEST, HOTTEST = 0.02, 3.0  # exponents of the density that Bayes' rule may need


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
    out_of_fold : float64 (n_rows, n_classes)
        `log_prob` of the rows of the fit, each under tables adapted without the row's fold.
    out_of_fold_evidence : float64 (n_rows, n_classes)
        `evidence` of the same.
    """

    encoding: Encoding
    trees: tuple[ClassTrees, ...]
    log_weights: Floats
    out_of_fold: Floats
    out_of_fold_evidence: Floats

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
        return self._pool(table, n_jobs)[0]

    def evidence(self, table: Table, n_jobs: int | None = None) -> Floats:
        """The trees' log densities averaged: the log-linear pool.

        No density, but better than one in Bayes' rule: trees are all wrong in ways of their own,
        and the mean of their logarithms lets each of them speak on every row.

        Returns
        -------
        float64 (n_rows, n_classes)
            Nats.
        """
        return self._pool(table, n_jobs)[1]

    def both(self, table: Table, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """`log_prob` and `evidence` for the price of one."""
        return self._pool(table, n_jobs)

    def _pool(self, table: Table, n_jobs: int | None) -> tuple[Floats, Floats]:
        encoded = self.encoding.encode(table, n_jobs)
        scores = np.empty((len(self.trees), table.n_rows, self.n_classes))
        for m, trees in enumerate(self.trees):
            parts = trees.pooled.numeric_parts(encoded.z)

            def score(start: int, stop: int, m: int = m, parts: list[Points] = parts) -> None:
                rows = np.arange(start, stop)
                for c, tree in enumerate(self.trees[m].classes):
                    scores[m, start:stop, c] = _log_prob(tree, encoded.codes, parts, rows)

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
    unlabelled, pooled_weight = canonical_rows(table, weight)
    encoding = fit_encodings(table.take(unlabelled), pooled_weight, n_jobs)[0]
    every = _encoded(encoding, table, weight, n_jobs)
    prior = replace(every.take(unlabelled), weight=pooled_weight)
    order, order_weight = canonical_rows(_with_labels(table, labels), weight)
    rows = replace(every.take(order), weight=order_weight)
    task = _Task(rows, labels[order], _folds(table, labels, order, seed), n_classes, n_jobs)
    families = _grow_families(task, prior, _plans(prior, n_classes, n_trees), seed)
    strength = choose_strength(task, families)
    return _finish(table, encoding, task, families, strength, order)


def _finish(
    table: Table,
    encoding: Encoding,
    task: _Task,
    families: list[_Families],
    strength: Strength,
    order: Sizes,
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
    joints = ClassJoints(encoding, trees, log_weights, empty, empty.copy())
    scores += encoding.encode(table.take(order), task.n_jobs).log_jacobian[:, None]
    joints.out_of_fold[order] = _mixture(scores, log_weights)
    joints.out_of_fold_evidence[order] = scores.mean(axis=0)
    absent = np.setdiff1d(np.arange(table.n_rows), order)  # of weight 0: no tree saw them
    if len(absent):
        mixed, mean = joints.both(table.take(absent), task.n_jobs)
        joints.out_of_fold[absent], joints.out_of_fold_evidence[absent] = mixed, mean
    return joints


# ---- rows, folds, plans ----


def _with_labels(table: Table, labels: NDArray[np.int64]) -> Table:
    """Columns to sort and to tell rows by; no schema knows the last one."""
    return Table(table.schema, table.n_rows, [*table.columns, labels])


def _encoded(encoding: Encoding, table: Table, weight: Floats, n_jobs: int | None) -> Rows:
    columns = table.schema.columns
    encoded = encoding.encode(table, n_jobs)
    levels = tuple(
        0 if columns[c].empty else n
        for c, n in zip(encoding.columns, encoding.n_levels, strict=True)
    )
    numeric = tuple(j for j, c in enumerate(encoding.numeric) if not columns[c].empty)
    return Rows(encoded.codes, encoded.z, weight, levels, numeric, len(encoding.companions))


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
    n_subsets = _power_of_two(n / 64, 2, 16)
    n_gaussians = _power_of_two(n / (16 * max(4, d)), 1, 64)
    divided, whole = _blocks(rows, threshold=0.3), _blocks(rows, n_blocks=1)
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


def _blocks(rows: Rows, **how: float) -> tuple[tuple[int, ...], ...]:
    if not rows.known_numeric:
        return ()
    columns = np.array(rows.known_numeric)
    groups = numeric_blocks(rows.z[:, columns], rows.weight, **how)  # type: ignore[arg-type]
    return tuple(tuple(int(columns[j]) for j in group) for group in groups)


def _power_of_two(x: float, low: int, high: int) -> int:
    return int(np.clip(2 ** round(math.log2(max(x, 1))), low, high))


def _pooled_tree(rows: Rows, plan: Plan, seed: int) -> LatentTree:
    """One tree of all rows, or of a sample of them."""
    fitted, held_out = hold_out(len(rows), seed)
    random = np.random.Generator(np.random.Philox(key=[seed, POOLED_STREAM]))
    fitted = np.sort(random.permutation(fitted)[:POOLED_ROWS])
    held_out = np.sort(random.permutation(held_out)[:POOLED_HELD_OUT])
    train, n = rows.take(fitted), len(fitted)
    schedule = Schedule(
        n_epochs=int(np.clip(VISITED_ROWS // max(1, n), 4, 20)),
        first_step=float(np.clip(1536 / max(1, n), 0.3, 1.0)),
    )
    start = grow(train, plan, seed, 1)
    return refine(start, train, rows.take(held_out), plan, schedule, seed)


# ---- statistics by class and fold ----


@dataclass(frozen=True, eq=False)
class _Task:
    """Rows, their classes and folds."""

    rows: Rows
    labels: NDArray[np.int64]
    folds: Sizes
    n_classes: int
    n_jobs: int | None

    def prior(self) -> Floats:
        """Log share of each class, half a row added."""
        counts = np.bincount(self.labels, self.rows.weight, self.n_classes) + 0.5
        log_prior: Floats = np.log(counts / counts.sum())
        return log_prior


class _Family:
    """A pooled tree, and statistics under it of every class and fold."""

    def __init__(self, task: _Task, pooled: LatentTree, floor: float) -> None:
        self.task, self.pooled, self.floor = task, pooled, floor
        self.parts = pooled.numeric_parts(task.rows.z)
        keys = [(c, fold) for c in range(task.n_classes) for fold in range(N_FOLDS)]
        chosen = [np.flatnonzero((task.labels == c) & (task.folds == fold)) for c, fold in keys]
        tasks = [partial(expect, pooled, task.rows, rows, self.parts) for rows in chosen]
        self.known: list[dict[int, Statistics]] = [{} for _ in range(task.n_classes)]
        found = run_tasks(
            [t if len(r) else _nothing for t, r in zip(tasks, chosen, strict=True)], task.n_jobs
        )
        for (c, fold), statistics in zip(keys, found, strict=True):
            if statistics is not None:
                self.known[c][fold] = statistics

    def statistics(self, c: int, without: int | None = None) -> Statistics | None:
        """Of a class, in all its folds or all but one; None where it has no other rows."""
        folds = [s for fold, s in self.known[c].items() if fold != without]
        return total(folds) if folds else None

    def lean(self, statistics: Statistics | None, strength: Strength) -> LatentTree:
        """The tree of a class by its statistics."""
        return lean(self.pooled, statistics, strength, self.floor) if statistics else self.pooled

    def adapted(self, strength: Strength) -> tuple[LatentTree, ...]:
        def of_class(c: int) -> LatentTree:
            return self.lean(self.statistics(c), strength)

        tasks = [partial(of_class, c) for c in range(self.task.n_classes)]
        return tuple(run_tasks(tasks, self.task.n_jobs))

    def score(self, c: int, fold: int, strengths: Sequence[Strength], rows: Sizes) -> Floats:
        """Log density (without Jacobian) of rows by a class that did not see their fold.

        Returns
        -------
        float64 (n_strengths, n_rows)
        """
        statistics, codes = self.statistics(c, without=fold), self.task.rows.codes
        trees = (self.lean(statistics, strength) for strength in strengths)
        return np.stack([_log_prob(tree, codes, self.parts, rows) for tree in trees])


def _nothing() -> None:
    return None


class _Families:
    """A pooled tree of all rows and, for few rows, one of the rows outside each fold.

    A tree of few rows has learnt them, labels or none: it makes them likelier than new rows, and a
    temperature learnt on them too high. With many rows this does not show.
    """

    def __init__(
        self, task: _Task, whole: LatentTree, apart: list[LatentTree], floor: float
    ) -> None:
        self.task, self.whole = task, _Family(task, whole, floor)
        self.apart = [_Family(task, tree, floor) for tree in apart] or [self.whole] * N_FOLDS

    def out_of_fold(self, strengths: Sequence[Strength], chosen: Sizes) -> Floats:
        """Log densities (without Jacobian) of rows by classes that did not see their fold.

        Returns
        -------
        float64 (n_strengths, n_chosen, n_classes)
        """
        task = self.task
        out = np.empty((len(strengths), len(chosen), task.n_classes))

        def score(c: int, fold: int) -> None:
            places = np.flatnonzero(task.folds[chosen] == fold)
            if len(places):
                out[:, places, c] = self.apart[fold].score(c, fold, strengths, chosen[places])

        tasks = [partial(score, c, f) for c in range(task.n_classes) for f in range(N_FOLDS)]
        run_tasks(tasks, task.n_jobs)
        return out


def _grow_families(task: _Task, prior: Rows, plans: list[Plan], seed: int) -> list[_Families]:
    """Pooled trees of all rows and of all but each fold, side by side."""
    rest = [np.flatnonzero(task.folds != fold) for fold in range(N_FOLDS)]
    apart = len(prior) <= APART_ROWS and min(len(rows) for rows in rest) >= N_FOLDS
    samples = [prior, *(task.rows.take(rows) for rows in rest)] if apart else [prior]
    tasks = [
        partial(_pooled_tree, sample, plan, seed + i)
        for i, plan in enumerate(plans)
        for sample in samples
    ]
    trees, n = run_tasks(tasks, task.n_jobs), len(samples)
    return [
        _Families(task, trees[i * n], trees[i * n + 1 : (i + 1) * n], plan.floor)
        for i, plan in enumerate(plans)
    ]


def choose_strength(task: _Task, families: list[_Families]) -> Strength:
    """The strength with the least out-of-fold log loss of the class: tables first, then Gaussians.

    Each strength is judged at its own best temperature: what is left of over-confidence is for
    the temperature to mend.
    """
    chosen = np.arange(len(task.labels))
    if len(chosen) > CHOICE_ROWS:
        chosen = np.flatnonzero(task.folds == 0)
        chosen = chosen[:: -(-len(chosen) // CHOICE_ROWS)]
    best = Strength(*TABLES[1], GAUSSIANS[1], GAUSSIANS[1])
    if any(family.whole.pooled.n_blocks > 1 for family in families):
        tries = [replace(best, marginal=marginal, state=state) for marginal, state in TABLES]
        best = _best_strength(task, families, tries, chosen)
    if task.rows.known_numeric:
        tries = [replace(best, mean=rows, covariance=rows) for rows in GAUSSIANS]
        best = _best_strength(task, families, tries, chosen)
    return best


def _best_strength(
    task: _Task, families: list[_Families], strengths: list[Strength], chosen: Sizes
) -> Strength:
    labels, weight, prior = task.labels[chosen], task.rows.weight[chosen], task.prior()
    scores = np.mean([family.out_of_fold(strengths, chosen) for family in families], axis=0)
    losses = [best_loss(one, labels, weight, prior) for one in scores]
    return strengths[int(np.argmin(losses))]


def best_loss(
    scores: Floats, labels: NDArray[np.int64], weight: Floats, log_prior: Floats
) -> float:
    """Log loss of Bayes' rule at the best temperature, nats."""

    def loss(log_exponent: float) -> float:
        joint = math.exp(log_exponent) * scores + log_prior
        own = joint[np.arange(len(labels)), labels]
        return float(weight @ (logsumexp(joint, axis=1) - own) / weight.sum())

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    return float(minimize_scalar(loss, bounds=bounds, method="bounded").fun)


def _log_prob(
    tree: LatentTree, codes: NDArray[np.int32], parts: list[Points], rows: Sizes
) -> Floats:
    """Log density of some encoded rows, by one thread."""
    out, work = np.empty(len(rows)), tree.work()
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        leaf, log_scale = tree.leaves(parts, block)
        part = out[start : start + BLOCK_ROWS]
        tree.kernel.log_prob(tree.evidence(codes, block, leaf), 0, len(block), work, part)
        part += log_scale
    return out


def _mixture(scores: Floats, log_weights: Floats) -> Floats:
    mixed: Floats = logsumexp(scores + log_weights[:, None, None], axis=0)
    return mixed
