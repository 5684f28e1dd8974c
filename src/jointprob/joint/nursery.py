"""Where trees are grown, compared on held-out rows, and mixed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from scipy.special import logsumexp

from jointprob.encode import Encoding
from jointprob.joint.em import Schedule, refine
from jointprob.joint.rows import Rows
from jointprob.joint.start import Plan, grow
from jointprob.joint.tree import Floats, LatentTree
from jointprob.progress import Progress, silent
from jointprob.threads import run_tasks

logger = logging.getLogger("jointprob")

BATCH_ROWS = 512
EDGE = 5000  # FLOPs that would take the time an edge of the tree takes beside its products
TABLE_ROWS = 64  # rows that an epoch takes as long as at least, for tables are written anew
SMALL_GROUPS = 2  # rows of many levels meet few alike: products of small groups are slower
LEAST_EPOCHS = 3
VISITED_ROWS = 400_000  # rows times epochs of one tree, at most
LEAST_WEIGHT = 0.01  # lighter members are dropped
WORK_OF_A_CELL = 2e6  # FLOPs of a fit for each cell of the table,
LEAST_WORK, MOST_WORK = 3e11, 2.5e12  # at least (a second or two) and at most (a minute)

Wish = tuple[Plan, int]  # a plan, and the view to grow it in


@dataclass(frozen=True, eq=False)
class Member:
    """One tree of the bag.

    Parameters
    ----------
    tree : LatentTree
    encoding : Encoding
        What turns table cells into the tree's codes and z.
    log_weight : float
        Log of its mixture weight, nats.
    plan : Plan
        Its pseudo-counts are those of later updates.
    """

    tree: LatentTree
    encoding: Encoding
    log_weight: float
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True, eq=False)
class View:
    """The same rows under one encoding, in training and held out.

    Parameters
    ----------
    encoding : Encoding
    rows, held_out : Rows
    log_jacobian : float64 (n_held_out,)
        Of the held-out rows, nats.
    """

    encoding: Encoding
    rows: Rows
    held_out: Rows
    log_jacobian: Floats


@dataclass(frozen=True, eq=False)
class Grown:
    """A tree that was grown, and how it does on the held-out rows."""

    tree: LatentTree
    plan: Plan
    view: int
    log_prob: Floats
    score: float


class Nursery:
    """Grows trees and keeps them all.

    Parameters
    ----------
    views : sequence of View
        One per encoding; the first is tried first.
    seed : int
    n_jobs : int, optional
    progress : callable
        Told of each tree that is grown.
    """

    def __init__(
        self, views: Sequence[View], seed: int, n_jobs: int | None, progress: Progress = silent
    ) -> None:
        self.views, self.seed, self.n_jobs, self.progress = views, seed, n_jobs, progress
        self.patient = False  # or rows with missing cells count as if they were complete
        self.grown: list[Grown] = []
        self.n_grown = 0
        self.work = 0.0
        rows = views[0].rows
        cells = len(rows) * (len(rows.n_levels) + rows.z.shape[1])
        self.budget = float(np.clip(WORK_OF_A_CELL * cells, LEAST_WORK, MOST_WORK))

    def add(self, wishes: Sequence[Wish]) -> list[Grown]:
        """Grow trees of these plans and views side by side, each from a seed of its own."""
        first = self.seed + self.n_grown
        tasks = [
            partial(self._grow, plan, view, first + i) for i, (plan, view) in enumerate(wishes)
        ]
        new = run_tasks(tasks, self.n_jobs)
        self.grown += new
        self.n_grown += len(new)
        self.work += sum(self.cost(plan, view) for plan, view in wishes)
        for tree in new:
            logger.debug("view %d, %s: held out %.4f", tree.view, tree.plan, tree.score)
        if self.progress is not silent:
            self.progress(f"{self.n_grown} trees, held out {self.mixture()[1]:.4f} nats")
        return new

    def _grow(self, plan: Plan, view: int, seed: int) -> Grown:
        v = self.views[view]
        schedule = schedule_for(len(v.rows))
        tree = refine(grow(v.rows, plan, seed, 1), v.rows, v.held_out, plan, schedule, seed)
        log_prob = tree.log_prob(v.held_out.codes, v.held_out.z, 1) + v.log_jacobian
        weight = v.held_out.weight
        return Grown(tree, plan, view, log_prob, float(log_prob @ weight / weight.sum()))

    def cost(self, plan: Plan, view: int) -> float:
        """Work of growing one tree, in FLOPs of a matrix product that would take as long."""
        rows = self.views[view].rows
        k, g = plan.n_subsets, plan.n_gaussians
        blocks = plan.numeric_blocks + tuple((j,) for j in rows.families)
        states = [plan.states(block) for block in blocks]
        gaussians = sum(
            3 * len(block) * (len(block) + 12) * n for block, n in zip(blocks, states, strict=True)
        )
        edges = sum(3 * k * k * (1 if n <= 2 else SMALL_GROUPS) + EDGE for n in rows.n_levels)
        edges += 6 * sum(sorted(states)[:-1]) * g + 2 * EDGE * (1 + len(states))
        if states and rows.n_levels:
            edges += 6 * k * g
        visits = schedule_for(len(rows)).n_epochs * max(len(rows), TABLE_ROWS)
        missing_share = 0.0 if self.patient else rows.missing_share
        return float(visits * (gaussians * (1 + 4 * missing_share) + edges))

    def best(self, view: int | None = None) -> Grown:
        """The tree with the best held-out score."""
        return max((g for g in self.grown if view in (None, g.view)), key=lambda g: g.score)

    def mixture(self) -> tuple[Floats, float]:
        """Weights of all trees by EM on the held-out rows, and the score of their mixture."""
        log_probs = np.stack([g.log_prob for g in self.grown], axis=1)
        return mixture_weights(log_probs, self.views[0].held_out.weight)

    def members(self) -> tuple[Member, ...]:
        """The mixture's members, heaviest first; those of little weight are dropped."""
        weights, _ = self.mixture()
        kept = np.flatnonzero(weights >= min(LEAST_WEIGHT, weights.max()))
        kept = kept[np.argsort(-weights[kept], kind="stable")]
        total = weights[kept].sum()
        return tuple(
            Member(
                self.grown[i].tree,
                self.views[self.grown[i].view].encoding,
                float(np.log(weights[i] / total)),
                self.grown[i].plan,
            )
            for i in kept
        )


def schedule_for(n_rows: int) -> Schedule:
    """Fewer epochs for many rows; steps near plain EM's where an epoch holds few batches."""
    return Schedule(
        n_epochs=int(np.clip(VISITED_ROWS // max(1, n_rows), LEAST_EPOCHS, 24)),
        first_step=float(np.clip(3 * BATCH_ROWS / max(1, n_rows), 0.3, 1.0)),
        batch_rows=BATCH_ROWS if n_rows < 50 * BATCH_ROWS else 2 * BATCH_ROWS,
    )


def mixture_weights(log_probs: Floats, weight: Floats, n_iter: int = 100) -> tuple[Floats, float]:
    """Mixture weights by EM with half a row of prior for each member.

    Parameters
    ----------
    log_probs : float64 (n_rows, n_members)
    weight : float64 (n_rows,)

    Returns
    -------
    weights : float64 (n_members,)
    score : float
        Weighted mean log density of the mixture, nats.
    """
    n = log_probs.shape[1]
    shares = np.full(n, 1 / n)
    for _ in range(n_iter):
        joint = log_probs + np.log(shares)
        counts = weight @ np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        shares = (counts + 0.5) / (counts + 0.5).sum()
    total = logsumexp(log_probs + np.log(shares), axis=1)
    return shares, float(total @ weight / weight.sum())
