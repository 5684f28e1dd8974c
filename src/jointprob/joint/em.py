"""Mini-batch EM of a latent tree, stopped on held-out rows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob import _joint
from jointprob.joint.rows import Rows
from jointprob.joint.start import Plan, Start
from jointprob.joint.tree import LatentTree

logger = logging.getLogger("jointprob")

FORGET = 16.0  # nats below a row's best subset at which EM gives a subset up
EM_STREAM = 5  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True)
class Schedule:
    """How long and in what steps EM runs.

    An epoch without a better held-out score is undone, back to the best iterate, and halves the
    step. EM ends when the step falls below `last_step`, or after `n_epochs`, over the last two
    fifths of which the step falls there in any case.
    """

    n_epochs: int = 60
    batch_rows: int = 512
    first_step: float = 0.3
    last_step: float = 0.01

    def ceiling(self, epoch: int) -> float:
        """Largest step of an epoch."""
        left = (self.n_epochs - 1 - epoch) / max(1.0, 0.4 * self.n_epochs)
        return float(self.last_step * (self.first_step / self.last_step) ** min(1.0, left))


class Refinement:
    """A tree under mini-batch EM: running expected counts and the tables that follow from them.

    Stepwise EM of Cappe & Moulines (2009), doi:10.1111/j.1467-9868.2009.00698.x. Pseudo-counts
    are a prior over the whole table, not one per batch.

    Parameters
    ----------
    start : Start
        Its arrays are changed in place.
    rows : Rows
    plan : Plan
    total : float, optional
        Rows that the counts of a tree under way stand for; its tables are then taken as they are.
    """

    def __init__(self, start: Start, rows: Rows, plan: Plan, total: float | None = None) -> None:
        self.tree, self.rows, self.plan = start.tree, rows, plan
        self.total = float(rows.weight.sum()) if total is None else total
        self.transition, self.emission = start.transition, start.emission
        self.level_share, self.moments = start.level_share, start.moments
        tree = self.tree
        self._counts = [np.zeros_like(a) for a in (tree.transition, tree.emission, tree.message)]
        self._batch = _joint.Counts(*self._counts)
        self._batch_moments = [g.moments() for g in tree.gaussians]
        self._work = tree.work()
        self._m_step_work = np.empty(tree.kernel.maximise_work_size())
        self._parts = tree.numeric_parts(rows.z)
        if total is None:
            self.maximise(1.0, 0.0)

    def maximise(self, batch_rows: float, step: float) -> None:
        """Tables from the running counts, after moving these towards the batch's by `step`."""
        plan, tree = self.plan, self.tree
        tree.kernel.maximise(
            self._batch, self.transition, self.emission, self.level_share, self.total,
            plan.smoothing, plan.emission_smoothing, batch_rows, step, 0, tree.n_blocks,
            self._m_step_work,
        )  # fmt: skip
        for gaussians, batch, running in zip(
            tree.gaussians, self._batch_moments, self.moments, strict=True
        ):
            gaussians.kernel.maximise(
                batch.kernel, running.kernel, batch_rows, step, self.total, plan.shrinkage,
                plan.floor, gaussians.work(),
            )  # fmt: skip

    def expect(self, rows: NDArray[np.int64]) -> float:
        """Add the expected counts of these rows; return their weighted mean log density."""
        tree, n = self.tree, len(rows)
        leaf, log_prob = tree.leaves(self._parts, rows, FORGET)
        evidence = tree.evidence(self.rows.codes, rows, leaf)
        weight = self.rows.weight[rows]
        score = np.empty(n)
        tree.kernel.expect(evidence, weight, 0, n, self._work, score, self._batch, leaf)
        for block, gaussians, z, batch in zip(
            tree.numeric_blocks, tree.gaussians, self._parts, self._batch_moments, strict=True
        ):
            gaussians.kernel.expect(z, rows, leaf, int(tree.leaf_at[block]), 0, n, batch.kernel)
        return float((log_prob + score) @ weight / weight.sum())

    def state(self) -> list[NDArray[Any]]:
        """Every array that EM changes."""
        tree = self.tree
        arrays: list[NDArray[Any]] = [self.transition, self.emission]
        arrays += [tree.transition, tree.emission]
        for gaussians, moments in zip(tree.gaussians, self.moments, strict=True):
            arrays += [*moments.state, *gaussians.state]
        return arrays

    def snapshot(self) -> list[NDArray[Any]]:
        return [array.copy() for array in self.state()]

    def restore(self, snapshot: list[NDArray[Any]]) -> None:
        """Go back to an earlier state."""
        for array, earlier in zip(self.state(), snapshot, strict=True):
            array[...] = earlier
        self.tree.derive()

    def epoch(self, order: NDArray[np.int64], batch_rows: int, step: float) -> float:
        scores = []
        for batch in _batches(order, batch_rows):
            scores.append(self.expect(batch))
            self.maximise(float(self.rows.weight[batch].sum()), step)
        return float(np.mean(scores))


def _batches(order: NDArray[np.int64], batch_rows: int) -> list[NDArray[np.int64]]:
    return np.array_split(order, max(1, round(len(order) / batch_rows)))


def held_out_score(tree: LatentTree, rows: Rows, n_jobs: int | None = None) -> float:
    """Weighted mean log density of rows, nats."""
    log_prob = tree.log_prob(rows.codes, rows.z, n_jobs)
    return float(log_prob @ rows.weight / rows.weight.sum())


def refine(
    start: Start, rows: Rows, held_out: Rows, plan: Plan, schedule: Schedule, seed: int
) -> LatentTree:
    """Run EM from a start; return the best tree on the held-out rows.

    Parameters
    ----------
    rows, held_out : Rows
    plan : Plan
    schedule : Schedule
    seed : int
        Seed of the order of rows.
    """
    run = Refinement(start, rows, plan)
    random = np.random.Generator(np.random.Philox(key=[seed, EM_STREAM]))
    step = schedule.first_step
    best, best_score = run.snapshot(), held_out_score(run.tree, held_out, 1)
    for epoch in range(schedule.n_epochs):
        step = min(step, schedule.ceiling(epoch))
        fit = run.epoch(random.permutation(len(rows)), schedule.batch_rows, step)
        score = held_out_score(run.tree, held_out, 1)
        logger.debug("epoch %d: step %.3f, fit %.4f, held out %.4f", epoch, step, fit, score)
        if score > best_score:
            best, best_score = run.snapshot(), score
            continue
        run.restore(best)
        step /= 2
        if step < schedule.last_step:
            break
    run.restore(best)
    return run.tree
