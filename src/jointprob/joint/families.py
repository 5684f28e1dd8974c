"""Families of class trees: a pooled tree, and how far each class moves away from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from jointprob.encode import Encoded
from jointprob.joint.adaptation import Statistics, Strength, expect, lean, total
from jointprob.joint.em import Schedule, refine
from jointprob.joint.rows import Rows, hold_out
from jointprob.joint.start import Plan, grow
from jointprob.joint.tree import BLOCK_ROWS, Floats, LatentTree, Points, Sizes
from jointprob.threads import run_tasks

N_FOLDS = 5
POOLED_STREAM = 22  # second word of the key: no two uses of a seed share a stream
POOLED_ROWS = 10_000  # the structure, and the prior of every class, show on so many rows
POOLED_HELD_OUT = 2_000
APART_ROWS = 1_500  # up to here every fold gets a pooled tree that did not see it
VISITED_ROWS = 40_000  # rows times epochs of a pooled tree
CHOICE_ROWS = 1_500  # strengths and weights of trees are chosen on at most so many rows
TABLES = ((0.5, 2.0), (2.0, 20.0), (5.0, 100.0), (10.0, 1000.0))  # marginal, state
GAUSSIANS = (2.0, 6.0, 20.0, 60.0)  # mean and covariance
COLDEST, HOTTEST = 0.02, 3.0  # exponents of the density that Bayes' rule may need


def pooled_tree(rows: Rows, plan: Plan, seed: int) -> LatentTree:
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


@dataclass(frozen=True, eq=False)
class Task:
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


class Family:
    """A pooled tree, and statistics under it of every class and fold."""

    def __init__(self, task: Task, pooled: LatentTree, floor: float) -> None:
        self.task, self.pooled, self.floor = task, pooled, floor
        self.parts = pooled.numeric_parts(task.rows.z)
        keys = [(c, fold) for c in range(task.n_classes) for fold in range(N_FOLDS)]
        chosen = [np.flatnonzero((task.labels == c) & (task.folds == fold)) for c, fold in keys]
        tasks = [partial(expect, pooled, task.rows, rows, self.parts) for rows in chosen]
        self.known: list[dict[int, Statistics]] = [{} for _ in range(task.n_classes)]
        self.kept: dict[tuple[int, int, Strength], LatentTree] = {}
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

    def score(
        self,
        c: int,
        fold: int,
        strengths: Sequence[Strength],
        rows: Sizes,
        others: Encoded | None = None,
    ) -> Floats:
        """Log density (without Jacobian) of rows by a class that did not see their fold.

        Parameters
        ----------
        rows : int64
            Positions among the rows of the fit, or among `others`.
        others : Encoded, optional
            Other rows to score.

        Returns
        -------
        float64 (n_strengths, n_rows)
        """
        codes = self.task.rows.codes if others is None else others.codes
        parts = self.parts if others is None else self.pooled.numeric_parts(others.z)
        trees = self._without(c, fold, strengths)
        return np.stack([log_prob_of(tree, codes, parts, rows) for tree in trees])

    def _without(self, c: int, fold: int, strengths: Sequence[Strength]) -> Iterator[LatentTree]:
        """Trees of a class without a fold; where one strength is asked for, it is kept."""
        if len(strengths) == 1 and (c, fold, strengths[0]) in self.kept:
            yield self.kept[c, fold, strengths[0]]
            return
        statistics = self.statistics(c, without=fold)
        for strength in strengths:
            tree = self.lean(statistics, strength)
            if len(strengths) == 1:
                self.kept[c, fold, strength] = tree
            yield tree


def _nothing() -> None:
    return None


class Families:
    """A pooled tree of all rows and, for few rows, one of the rows outside each fold.

    A tree of few rows has learnt them, labels or none: it makes them likelier than new rows, and a
    temperature learnt on them too high. With many rows this does not show.
    """

    def __init__(
        self, task: Task, whole: LatentTree, apart: list[LatentTree], floor: float
    ) -> None:
        self.task, self.whole = task, Family(task, whole, floor)
        self.apart = [Family(task, tree, floor) for tree in apart] or [self.whole] * N_FOLDS

    def out_of_fold(
        self, strengths: Sequence[Strength], chosen: Sizes, others: Encoded | None = None
    ) -> Floats:
        """Log densities (without Jacobian) of rows by classes that did not see their fold.

        Parameters
        ----------
        chosen : int64 (n_chosen,)
            Positions among the rows of the fit.
        others : Encoded, optional
            What is scored in the place of these rows, one for each.

        Returns
        -------
        float64 (n_strengths, n_chosen, n_classes)
        """
        task, folds = self.task, self.task.folds[chosen]
        out = np.empty((len(strengths), len(chosen), task.n_classes))

        def score(c: int, fold: int) -> None:
            places = np.flatnonzero(folds == fold)
            if len(places):
                rows = chosen[places] if others is None else places
                out[:, places, c] = self.apart[fold].score(c, fold, strengths, rows, others)

        tasks = [partial(score, c, f) for c in range(task.n_classes) for f in range(N_FOLDS)]
        run_tasks(tasks, task.n_jobs)
        return out

    def own(self, strength: Strength, chosen: Sizes) -> Floats:
        """Log density (without Jacobian) of each row by its own class, out of fold, (n_chosen,)."""
        task, folds, labels = self.task, self.task.folds[chosen], self.task.labels[chosen]
        out = np.empty(len(chosen))

        def score(c: int, fold: int) -> None:
            places = np.flatnonzero((folds == fold) & (labels == c))
            if len(places):
                out[places] = self.apart[fold].score(c, fold, [strength], chosen[places])[0]

        tasks = [partial(score, c, f) for c in range(task.n_classes) for f in range(N_FOLDS)]
        run_tasks(tasks, task.n_jobs)
        return out


def grow_families(task: Task, prior: Rows, plans: list[Plan], seed: int) -> list[Families]:
    """Pooled trees of all rows and of all but each fold, side by side."""
    rest = [np.flatnonzero(task.folds != fold) for fold in range(N_FOLDS)]
    apart = len(prior) <= APART_ROWS and min(len(rows) for rows in rest) >= N_FOLDS
    samples = [prior, *(task.rows.take(rows) for rows in rest)] if apart else [prior]
    tasks = [
        partial(pooled_tree, sample, plan, seed + i)
        for i, plan in enumerate(plans)
        for sample in samples
    ]
    trees, n = run_tasks(tasks, task.n_jobs), len(samples)
    return [
        Families(task, trees[i * n], trees[i * n + 1 : (i + 1) * n], plan.floor)
        for i, plan in enumerate(plans)
    ]


def choose_strength(task: Task, families: list[Families]) -> Strength:
    """The strength with the least out-of-fold log loss of the class: tables first, then Gaussians.

    Each strength is judged at its own best temperature: what is left of over-confidence is for
    the temperature to mend.
    """
    chosen = _judged(task)
    best = Strength(*TABLES[1], GAUSSIANS[1], GAUSSIANS[1])
    if any(family.whole.pooled.n_blocks > 1 for family in families):
        tries = [replace(best, marginal=marginal, state=state) for marginal, state in TABLES]
        best = _best_strength(task, families, tries, chosen)
    if task.rows.known_numeric:
        tries = [replace(best, mean=rows, covariance=rows) for rows in GAUSSIANS]
        best = _best_strength(task, families, tries, chosen)
    return best


def _judged(task: Task) -> Sizes:
    """Rows that strengths are compared on."""
    chosen = np.arange(len(task.labels))
    if len(chosen) > CHOICE_ROWS:
        chosen = np.flatnonzero(task.folds == 0)
        chosen = chosen[:: -(-len(chosen) // CHOICE_ROWS)]
    return chosen


def _best_strength(
    task: Task, families: list[Families], strengths: list[Strength], chosen: Sizes
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


def log_prob_of(
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
