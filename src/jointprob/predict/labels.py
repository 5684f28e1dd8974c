"""Class probabilities: every member is fitted, judged on rows it has not seen, and pooled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from jointprob.forest.bagging import Bag, fit_bag
from jointprob.forest.bins import Binned, Binning, fit_binning
from jointprob.forest.boosting import Boosted, Boosting, Loss, fit_boosted
from jointprob.forest.targets import Labels, growth_for, log_shares, spread
from jointprob.joint.classes import ClassJoints, fit_class_joints
from jointprob.predict.folds import assign_folds
from jointprob.predict.patterns import Patterns
from jointprob.predict.pool import Pool, fit_pool
from jointprob.progress import Progress, silent
from jointprob.table import Table

Floats = NDArray[np.float64]

N_TREES = 200  # of each kind
PRIOR_ROWS = 0.5  # of every class


@dataclass(frozen=True, eq=False)
class LabelModel:
    """p(c | x), pooled.

    Parameters
    ----------
    binning : Binning
    bags : tuple of Bag
    boosted : Boosted
    joints : ClassJoints
    pool : Pool
        Members in the order of `bags`, `boosted`, `joints`.
    prior : float32 (n_classes,)
    patterns : Patterns
        Which cells rows missed in fit.
    """

    binning: Binning
    bags: tuple[Bag, ...]
    boosted: Boosted
    joints: ClassJoints
    pool: Pool
    prior: NDArray[np.float32]
    patterns: Patterns

    def log_proba(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Log probability of each class, (n_rows, n_classes), nats."""
        binned = self.binning.bin(table, n_jobs)
        out = np.empty((table.n_rows, len(self.prior)))
        strange = self.patterns.strange(binned)
        for rows, both_ways in ((~strange, False), (strange, True)):
            if rows.any():
                chosen = np.flatnonzero(rows)
                by_row = np.ascontiguousarray(binned.by_row[chosen])
                out[rows] = self._pooled(table.take(chosen), by_row, both_ways, n_jobs)
        return out

    def _pooled(
        self, table: Table, by_row: NDArray[np.uint8], both_ways: bool, n_jobs: int | None
    ) -> Floats:
        asked = self.pool.weights > 0
        members: list[NDArray[np.floating[Any]] | None] = [
            self._of_bag(bag, by_row, both_ways, n_jobs) if a else None
            for bag, a in zip(self.bags, asked, strict=False)
        ]
        boosted, joints = asked[-2:]
        members.append(
            log_odds(self.boosted.scores(by_row, n_jobs, both_ways)) if boosted else None
        )
        evidence = self.joints.evidence(table, n_jobs) if joints else None
        members.append(evidence + self.pool.log_prior if evidence is not None else None)
        return self.pool.log_proba(members)

    def _of_bag(
        self, bag: Bag, by_row: NDArray[np.uint8], both_ways: bool, n_jobs: int | None
    ) -> NDArray[np.floating[Any]]:
        return log_shares(spread(bag.means(by_row, n_jobs, both_ways)), self.prior)


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
) -> LabelModel:
    """Fit forests and boosted trees, and pool them by what they say of rows they have not seen."""
    binning = fit_binning(table, weight)
    binned = binning.bin(table, n_jobs)
    counts = np.bincount(label, weight, n_classes) + PRIOR_ROWS
    log_prior = np.log(counts / counts.sum())
    prior = np.exp(log_prior).astype(np.float32)
    # Mean weight 1: how much leaves shrink must not depend on the unit of the weights.
    target = Labels(label.astype(np.uint16), (weight / weight.mean()).astype(np.float32), prior)
    boosted, scores = _boost(binned, target, seed, n_jobs)
    progress("boosted trees")
    bags, members = [], []
    for i, random_splits in enumerate((False, True)):
        growth = growth_for(binned.n_columns, random_splits)
        bag, shares = fit_bag(binned, target, growth, N_TREES, seed + i, n_jobs)
        bags.append(bag)
        members.append(log_shares(spread(shares), prior))
        progress(f"forest {i + 1}")
    members.append(log_odds(scores))
    joints = fit_class_joints(table, label, weight, n_classes, seed, n_jobs)
    members.append(joints.out_of_fold_evidence + log_prior)
    progress("joints of classes")
    pool = fit_pool([log_softmax(m, axis=1) for m in members], log_prior, label, weight)
    patterns = Patterns.of(binned)
    return LabelModel(binning, tuple(bags), boosted, joints, pool, prior, patterns)


def _boost(
    binned: Binned, target: Labels, seed: int, n_jobs: int | None
) -> tuple[Boosted, NDArray[np.float32]]:
    log_prior = np.log(target.prior)
    start = log_prior[1:] - log_prior[:1] if target.n_classes == 2 else log_prior
    loss = Loss(target.label, target.weight, start)
    folds = assign_folds(target.label, seed)
    return fit_boosted(binned, loss, folds, boosting_for(binned.n_rows), seed, n_jobs)


def boosting_for(n_rows: int) -> Boosting:
    """Smaller steps and smaller leaves for few rows, where both cost little."""
    few = n_rows < 5000
    return Boosting(
        rate=0.05 if few else 0.1,
        most_trees=600 if few else 400,
        patience=40 if few else 25,
        least_rows=float(np.clip(n_rows / 100, 3, 20)),
    )
