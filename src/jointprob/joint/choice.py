"""What a tree should look like: a climb on the held-out score."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from jointprob.joint.nursery import Nursery
from jointprob.joint.rows import Rows
from jointprob.joint.start import Plan
from jointprob.partition import numeric_blocks

SEARCH_SHARE = 0.6  # of the work of a fit
APART_GAUSSIANS = 128  # of which a single numeric column has a quarter


def choose_plan(nursery: Nursery, n_subsets: int | None = None) -> Plan:
    """Grow trees of several plans; return the plan with the best held-out score.

    Parameters
    ----------
    nursery : Nursery
        Its first view is the one to choose for. Trees grown on the way stay in it.
    n_subsets : int, optional
        Fixed number of subsets and Gaussians.
    """
    rows = nursery.views[0].rows
    start = first_plan(rows, n_subsets)
    climb = _Climb(nursery)
    climb.attempt(start, *other_blocks(start, rows, n_subsets))
    if n_subsets is None:
        climb.resize()
    plan = climb.plan
    if any(rows.n_levels):
        climb.attempt(
            replace(plan, smoothing=plan.smoothing / 3), replace(plan, smoothing=plan.smoothing * 3)
        )
    if rows.known_numeric:
        plan = climb.plan
        less, more = plan.shrinkage / 2.5, plan.shrinkage * 4
        climb.attempt(replace(plan, shrinkage=less), replace(plan, shrinkage=more))
        climb.attempt(replace(climb.plan, floor=1e-8), replace(climb.plan, floor=1e-5))
    return climb.plan


class _Climb:
    """The best plan so far. Plans are tried in pairs, so that two threads share the work."""

    def __init__(self, nursery: Nursery) -> None:
        self.nursery = nursery

    @property
    def plan(self) -> Plan:
        return self.nursery.best(0).plan

    def attempt(self, *plans: Plan) -> bool:
        """Try plans; is one of them the best now?"""
        nursery = self.nursery
        known = [g.plan for g in nursery.grown]
        new = [plan for plan in dict.fromkeys(plans) if plan not in known]
        cost = sum(nursery.cost(plan, 0) for plan in new)
        if not new or (known and nursery.work + cost > SEARCH_SHARE * nursery.budget):
            return False
        before = nursery.best(0).score if known else -math.inf
        nursery.add([(plan, 0) for plan in new])
        return nursery.best(0).score > before

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
        n_subsets=n_subsets or _power_of_two(n / 600, 2, 32),
        n_gaussians=n_subsets or _power_of_two(n / (8 * max(4, d)), 2, 256),
        numeric_blocks=_blocks(rows, n_blocks=1),
    )


def other_blocks(plan: Plan, rows: Rows, n_subsets: int | None = None) -> list[Plan]:
    """The numeric columns in several blocks by correlation, and each on its own."""
    if len(rows.known_numeric) < 2:
        return []
    half = n_subsets or max(2, min(128, plan.n_gaussians // 2))
    few = n_subsets or min(APART_GAUSSIANS, 2 * plan.n_gaussians)
    several = replace(plan, n_gaussians=half, numeric_blocks=_blocks(rows))
    apart = replace(plan, n_gaussians=few, numeric_blocks=tuple((j,) for j in rows.known_numeric))
    return [several, apart]


def _blocks(rows: Rows, n_blocks: int | None = None) -> tuple[tuple[int, ...], ...]:
    if not rows.known_numeric:
        return ()
    columns = np.array(rows.known_numeric)
    groups = numeric_blocks(rows.z[:, columns], rows.weight, n_blocks=n_blocks)
    return tuple(tuple(int(columns[j]) for j in group) for group in groups)


def _power_of_two(x: float, low: int, high: int) -> int:
    return int(np.clip(2 ** round(math.log2(max(x, 1))), low, high))
