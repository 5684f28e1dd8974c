"""Boosted trees, one run for each fold of the rows, stopped on the rows it does not see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob import _forest
from jointprob.forest.bins import Binned
from jointprob.forest.trees import Nursery, Tree, Trees, pack, padded
from jointprob.threads import run_tasks

Scores = NDArray[np.float32]

MOST_STEP = 5.0  # of a leaf before the rate: separable leaves would run away
SKETCH_STREAM = 13  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True)
class Boosting:
    """How boosted trees grow.

    Parameters
    ----------
    rate : float
        Part of each Newton step that is taken.
    most_leaves, most_trees, patience : int
        Leaves of a tree, trees of a run, and trees without gain on the held-out rows after which
        a run ends.
    least_rows, penalty : float
        Rows of a leaf; curvature added to every leaf.
    level_penalty, level_rows : float
        More curvature where levels are divided, and the rows that a level must have.
    """

    rate: float = 0.1
    most_leaves: int = 31
    most_trees: int = 400
    patience: int = 25
    least_rows: float = 20.0
    penalty: float = 1.0
    level_penalty: float = 10.0
    level_rows: float = 10.0
    most_depth: int = 32


def boosting_for(n_rows: int, n_scores: int = 1) -> Boosting:
    """Smaller steps and smaller leaves for few rows, where both cost little.

    Of many classes a tree sees a sketch of the gradients, and larger steps lose nothing. Runs are
    averaged, which allows of larger steps than for a run alone.
    """
    few, sketched = n_rows < 5000, n_scores >= 2 * _forest.SLOPES_MANY
    return Boosting(
        rate=0.075 if few else 0.2 if sketched else 0.12,
        most_trees=400 if few else 300,
        patience=30 if few else 15,
        least_rows=float(np.clip(n_rows / 100, 3, 20)),
    )


@dataclass(frozen=True, eq=False)
class Loss:
    """What is boosted: the log loss of labels, or the squared error of numbers.

    Parameters
    ----------
    target : uint16 (n_rows,) or float32 (n_rows,)
    weight : float32 (n_rows,)
    start : float32 (n_scores,)
        Scores before the first tree.
    """

    target: NDArray[np.uint16] | NDArray[np.float32]
    weight: NDArray[np.float32]
    start: NDArray[np.float32]

    @property
    def n_scores(self) -> int:
        return len(self.start)

    @property
    def of_labels(self) -> bool:
        return self.target.dtype == np.uint16

    def take(self, rows: NDArray[np.int64]) -> Loss:
        """The rows at these positions."""
        return Loss(self.target[rows], self.weight[rows], self.start)

    def start_scores(self) -> Scores:
        """Of every row, (n_rows, n_scores)."""
        return np.tile(self.start, (len(self.target), 1))

    def value(self, scores: Scores) -> float:
        """Weighted mean loss at these scores."""
        target, weight = self.target, self.weight
        if not self.of_labels:
            losses = (scores[:, 0] - target) ** 2
        elif self.n_scores == 1:
            losses = np.logaddexp(0, np.where(target == 1, -scores[:, 0], scores[:, 0]))
        else:
            most = scores.max(axis=1)
            total = np.log(np.exp(scores - most[:, None]).sum(axis=1)) + most
            losses = total - scores[np.arange(len(target)), target]
        return float(np.dot(losses, weight) / weight.sum())


@dataclass(frozen=True, eq=False)
class Boosted:
    """Boosted runs; their scores are averaged.

    Parameters
    ----------
    trees : Trees or None
        Values already divided by the number of runs. None where no tree helped.
    start : float32 (n_scores,)
    run_at : int64 (n_runs + 1,)
        First tree of each run.
    """

    trees: Trees | None
    start: NDArray[np.float32]
    run_at: NDArray[np.int64]

    def scores(
        self, by_row: NDArray[np.uint8], n_jobs: int | None = None, both_ways: bool = False
    ) -> Scores:
        """Scores, (n_rows, n_scores): the log odds of the second of two classes, or one a class.

        Parameters
        ----------
        by_row : uint8 (n_rows, n_columns)
            Bins.
        both_ways : bool
            Rows descend both ways where they miss a cell.
        """
        out = np.tile(self.start, (len(by_row), 1))
        if self.trees is not None:
            self.trees.add(by_row, out, n_jobs, both_ways)
        return out

    def out_of_fold(
        self,
        by_row: NDArray[np.uint8],
        folds: NDArray[np.int64],
        n_jobs: int | None = None,
        both_ways: bool = False,
    ) -> Scores:
        """Scores of training rows by the run that did not see each.

        Parameters
        ----------
        by_row : uint8 (n_rows, n_columns)
            Bins; cells may have been taken away since the fit.
        folds : int64 (n_rows,)
        both_ways : bool
            Rows descend both ways where they miss a cell.
        """
        out = np.tile(self.start, (len(by_row), 1))
        n_runs = len(self.run_at) - 1
        for run in range(n_runs):
            first, last = self.run_at[run : run + 2]
            rows = np.flatnonzero(folds == run)
            if self.trees is None or first == last or not len(rows):
                continue
            said = np.zeros((len(rows), len(self.start)), np.float32)
            self.trees.some(first, last).add(by_row[rows], said, n_jobs, both_ways)
            out[rows] += said * np.float32(n_runs)
        return out


@dataclass(frozen=True, eq=False)
class _Run:
    trees: list[Tree]
    values: list[NDArray[np.float32]]
    losses: list[float]  # on the rows held out, before the first tree and after each
    n_rows: int

    @property
    def losses_since_best(self) -> int:
        return len(self.losses) - int(np.argmin(self.losses))


def fit_boosted(
    binned: Binned,
    loss: Loss,
    folds: NDArray[np.int64],
    how: Boosting,
    seed: int,
    n_jobs: int | None,
) -> tuple[Boosted, Scores]:
    """Boost once for each fold, on the other folds.

    Returns
    -------
    boosted : Boosted
    scores : float32 (n_rows, n_scores)
        Of each row by the run that did not see it.
    """
    n_folds = int(folds.max()) + 1
    tasks = [partial(_boost, binned, loss, folds, fold, how, seed) for fold in range(n_folds)]
    runs = run_tasks(tasks, n_jobs)
    n_trees = _best_length(runs)
    trees = [tree for run in runs for tree in run.trees[:n_trees]]
    values = [value / np.float32(n_folds) for run in runs for value in run.values[:n_trees]]
    run_at = np.cumsum([0, *(min(n_trees, len(run.trees)) for run in runs)])
    boosted = Boosted(pack(trees, values) if trees else None, loss.start, run_at)
    return boosted, boosted.out_of_fold(binned.by_row, folds, n_jobs, both_ways=False)


def _best_length(runs: list[_Run]) -> int:
    """Number of trees, one for all runs, of least loss on the rows held out.

    A length for each run would be chosen on the very rows that judge it: of few rows, too many
    would be believed.
    """
    longest = max(len(run.losses) for run in runs)
    total = np.zeros(longest)
    for run in runs:
        padded = run.losses + run.losses[-1:] * (longest - len(run.losses))
        total += run.n_rows * np.array(padded)
    return int(np.argmin(total))


def _boost(
    binned: Binned, loss: Loss, folds: NDArray[np.int64], fold: int, how: Boosting, seed: int
) -> _Run:
    inside, outside = (np.flatnonzero(side) for side in (folds != fold, folds == fold))
    random = np.random.Generator(np.random.Philox(key=[seed, SKETCH_STREAM]))
    grower = _Grower(binned.take(inside), loss.take(inside), how)
    judge = _Judge(binned.take(outside), loss.take(outside))
    run = _Run([], [], [judge.loss()], len(outside))
    while len(run.trees) < how.most_trees and run.losses_since_best <= how.patience:
        value = grower.grow(_sketch(loss.n_scores, random))
        if len(value) == 1:
            break
        judge.move(grower.nursery, value)
        run.trees.append(grower.nursery.tree())
        run.values.append(value)
        run.losses.append(judge.loss())
    return run


class _Grower:
    """The rows that trees are grown on, and their scores."""

    def __init__(self, binned: Binned, loss: Loss, how: Boosting) -> None:
        n, k = binned.n_rows, loss.n_scores
        self.kernel, self.loss, self.how = binned.kernel, loss, how
        self.nursery = Nursery(how.most_leaves, 2)
        self.rows, self.leaf_of = np.arange(n, dtype=np.uint32), np.empty(n, np.int32)
        width = _forest.SLOPES_ONE if k == 1 else _forest.SLOPES_MANY
        self.slopes = np.empty((n, width), np.float32)
        self.gradient, self.curvature = (
            np.empty((n if k > 1 else 0, k), np.float32) for _ in range(2)
        )
        self.scores = loss.start_scores()
        self.work = np.empty(self.kernel.boost_work_size(n, width, how.most_leaves), np.uint8)
        self.sums = np.empty(2 * how.most_leaves * k)

    def grow(self, sketch: Scores | None) -> Scores:
        """Grow a tree in the nursery; returns the values of its leaves, (n_leaves, n_scores)."""
        how, loss, grown = self.how, self.loss, self.nursery.kernel
        target: NDArray[Any] = loss.target
        if loss.of_labels:
            _forest.log_loss_slopes(
                target, loss.weight, self.scores, sketch, self.gradient, self.curvature,
                self.slopes,
            )  # fmt: skip
        else:
            _forest.square_loss_slopes(target, loss.weight, self.scores, self.slopes)
        grown.boost(
            self.kernel, self.rows, self.slopes, how.most_leaves, how.most_depth, how.least_rows,
            how.penalty, how.level_penalty, how.level_rows, 1e-6, self.leaf_of, self.work,
        )  # fmt: skip
        value = np.empty((grown.n_leaves, loss.n_scores), np.float32)
        most = MOST_STEP if loss.of_labels else np.inf
        if loss.n_scores == 1:
            grown.steps(how.penalty, how.rate, most, value)
        else:
            _forest.leaf_values(
                self.leaf_of, self.gradient, self.curvature, how.penalty, how.rate, most,
                self.sums, value,
            )  # fmt: skip
        _forest.move(self.leaf_of, value, self.scores)
        return value


class _Judge:
    """The rows held out, and their scores."""

    def __init__(self, binned: Binned, loss: Loss) -> None:
        self.target, self.by_column = loss, padded(binned.by_column)
        self.leaf, self.scores = np.empty(binned.n_rows, np.int32), loss.start_scores()

    def move(self, nursery: Nursery, value: Scores) -> None:
        """Add what the tree grown last says."""
        nursery.small_leaves(self.by_column, self.leaf)
        _forest.move(self.leaf, value, self.scores)

    def loss(self) -> float:
        return self.target.value(self.scores)


def _sketch(n_scores: int, random: np.random.Generator) -> Scores | None:
    """Directions in which a tree sees the gradients of many classes: seven at most."""
    if n_scores == 1:
        return None
    sketch = np.zeros((n_scores, _forest.SLOPES_MANY), np.float32)
    n = _forest.SLOPES_MANY - 1
    if n_scores <= n:
        sketch[:, :n_scores] = np.eye(n_scores)
    else:
        sketch[:, :n] = random.normal(size=(n_scores, n)) / np.sqrt(n)
    return sketch
