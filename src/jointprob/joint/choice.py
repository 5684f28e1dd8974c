"""What a tree should look like: a climb on the held-out score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from jointprob.joint.nursery import Nursery, Wish
from jointprob.joint.rows import Rows
from jointprob.joint.start import Plan
from jointprob.partition import numeric_blocks

SEARCH_SHARE = 0.6  # of the work of a fit
DIVIDED_GAUSSIANS = 128  # of each of several blocks: an edge between blocks costs their product


def choose_plan(nursery: Nursery, n_subsets: int | None = None) -> Wish:
    """Grow trees of several plans in every view; return the best plan and its view.

    Parameters
    ----------
    nursery : Nursery
        Trees grown on the way stay in it.
    n_subsets : int, optional
        Fixed number of subsets and Gaussians.
    """
    rows = nursery.views[0].rows
    start = first_plan(rows, n_subsets)
    nursery.add([(start, view) for view in range(len(nursery.views))])
    climb = _Climb(nursery)
    if len(rows.known_numeric) > 1:
        climb.divide(rows, n_subsets or min(DIVIDED_GAUSSIANS, start.n_gaussians))
    if n_subsets is None:
        climb.resize()
    plan = climb.plan
    if any(rows.n_levels):
        less, more = plan.smoothing / 3, plan.smoothing * 3
        climb.attempt(replace(plan, smoothing=less), replace(plan, smoothing=more))
    if rows.known_numeric:
        plan = climb.plan
        less, more = plan.shrinkage / 2.5, plan.shrinkage * 4
        climb.attempt(replace(plan, shrinkage=less), replace(plan, shrinkage=more))
        climb.attempt(replace(climb.plan, floor=1e-8), replace(climb.plan, floor=1e-5))
    return climb.plan, climb.view


class _Climb:
    """The best plan so far. Plans are tried in pairs, so that two threads share the work."""

    def __init__(self, nursery: Nursery) -> None:
        self.nursery = nursery
        self.view = nursery.best().view

    @property
    def plan(self) -> Plan:
        return self.nursery.best(self.view).plan

    def attempt(self, *plans: Plan) -> bool:
        """Try those plans that are new and affordable; is one of them the best now?

        Subsets beyond the number of rows are never tried: there is nothing to put into them.
        """
        nursery, wishes = self.nursery, []
        left = SEARCH_SHARE * nursery.budget - nursery.work
        tried = [g.plan for g in nursery.grown if g.view == self.view]
        most = max(len(nursery.views[0].rows), self.plan.most_subsets)
        for plan in dict.fromkeys(plans):
            cost = nursery.cost(plan, self.view)
            if plan not in tried and plan.most_subsets <= most and cost <= left:
                wishes.append((plan, self.view))
                left -= cost
        before = nursery.best(self.view).score
        if wishes:
            nursery.add(wishes)
        return nursery.best(self.view).score > before

    def divide(self, rows: Rows, n_gaussians: int) -> None:
        """One block of numeric columns, or several by correlation; then finer or coarser ones."""
        whole = self.plan
        loose, tight = (_divided(whole, rows, t, n_gaussians) for t in (0.1, 0.3))
        self.attempt(loose, tight)
        if self.plan.numeric_blocks == tight.numeric_blocks:
            self.attempt(*(_divided(whole, rows, t, n_gaussians) for t in (0.2, 0.6)))

    def resize(self) -> None:
        """More or fewer subsets, as long as it helps; beside it, the other structure."""
        start = self.plan
        grew = self.attempt(start.scaled(2.0), start.scaled(0.5))
        factor = 2.0 if self.plan == start.scaled(2.0) else 0.5
        while grew and self.plan.structure == "mutual":
            grew = self.attempt(self.plan.scaled(factor), self.plan.with_other_structure())
        self.attempt(self.plan.with_other_structure(), self.plan.with_more_gaussians())


def first_plan(rows: Rows, n_subsets: int | None = None) -> Plan:
    """Sizes that suit the number of rows and columns."""
    n, d = float(rows.weight.sum()), len(rows.known_numeric)
    return Plan(
        n_subsets=n_subsets or power_of_two(n / 600, 2, 32),
        n_gaussians=n_subsets or power_of_two(n / (8 * max(4, d)), 2, 256),
        numeric_blocks=blocks_of(rows, n_blocks=1),
    )


def _divided(plan: Plan, rows: Rows, threshold: float, n_gaussians: int) -> Plan:
    """The numeric columns in several blocks by correlation."""
    blocks = blocks_of(rows, threshold=threshold)
    return replace(plan, n_gaussians=n_gaussians, numeric_blocks=blocks)


def blocks_of(rows: Rows, **how: Any) -> tuple[tuple[int, ...], ...]:
    """The numeric columns in blocks, as `numeric_blocks` gathers them."""
    if not rows.known_numeric:
        return ()
    columns = np.array(rows.known_numeric)
    groups = numeric_blocks(rows.z[:, columns], rows.weight, **how)
    return tuple(tuple(int(columns[j]) for j in group) for group in groups)


def power_of_two(x: float, low: int, high: int) -> int:
    """The nearest power of two, within bounds."""
    return int(np.clip(2 ** round(math.log2(max(x, 1))), low, high))
