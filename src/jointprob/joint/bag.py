"""A bag of latent trees: a mixture of members, each with its own encoding of numeric columns.

What a tree should look like is chosen on held-out rows; every tree grown on the way may join.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jointprob.joint.choice import choose_plan
from jointprob.joint.nursery import Member, Nursery, View, Wish
from jointprob.joint.start import Plan
from jointprob.joint.tree import Floats
from jointprob.progress import Progress, silent

SEARCH_ROWS = 20_000  # what a tree should look like shows on so many rows
ROUND = 2  # trees grown side by side, whatever the number of threads
BAG_ROUNDS = 6
LEAST_GAIN = 3e-4  # relative gain of a round of trees that is worth another round
OTHER_SHARE = 0.1  # weight at which the second encoding gets more trees
SAMPLE_STREAM = 6  # second word of the key: no two uses of a seed share a stream


def fit_bag(
    views: Sequence[View],
    n_subsets: int | None = None,
    n_trees: int | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress = silent,
    patient: bool = False,
) -> tuple[Member, ...]:
    """Choose a plan on held-out rows and grow a bag of trees by it.

    Parameters
    ----------
    views : sequence of View
        The table under each encoding, the likelier one first.
    n_subsets : int, optional
        Subsets of rows: states in a cell, and Gaussians of a numeric block. Chosen on held-out
        rows if not given.
    n_trees : int, optional
        Members at most; if not given, trees are added while their mixture gains.
    seed : int
    n_jobs : int, optional
        Threads; the result does not depend on it.
    progress : callable, optional
        Told of each tree that is grown.
    patient : bool
        Once the plan is chosen, grow as many trees from a table with missing cells as from a
        complete one, though they cost up to five times as much.

    Returns
    -------
    tuple of Member
        Heaviest first.
    """
    sample = [_sampled(view, seed) for view in views]
    whole = sample[0] is views[0]
    search = Nursery(sample, seed, n_jobs, progress)
    plan, view = choose_plan(search, n_subsets)
    nursery = search if whole else Nursery(views, seed, n_jobs, progress)
    nursery.patient = patient
    if n_trees is not None:
        nursery.grown = [nursery.best(view)] if whole else nursery.add([(plan, view)])
        _grow_exactly(nursery, plan, view, n_trees)
    else:
        if not whole:
            larger = plan if n_subsets is not None else plan.scaled(2.0)
            both = nursery.cost(plan, view) + nursery.cost(larger, view)
            affordable = both <= nursery.budget - nursery.work
            nursery.add([(plan, view), (larger if affordable else plan, view)])
        _grow_while_gaining(nursery)
    return nursery.members()


def _grow_exactly(nursery: Nursery, plan: Plan, view: int, n_trees: int) -> None:
    """Fill up to `n_trees`, every third in the other encoding."""
    other = len(nursery.views) - 1 - view
    wishes = [(plan, other if i % 3 == 1 else view) for i in range(1, n_trees)]
    for start in range(0, len(wishes), ROUND):
        nursery.add(wishes[start : start + ROUND])


def _grow_while_gaining(nursery: Nursery) -> None:
    """Add rounds of trees until the mixture stops gaining, or the work is done."""
    weights, score = nursery.mixture()
    for _ in range(BAG_ROUNDS):
        wishes = _next_round(nursery, weights)
        if nursery.work + sum(nursery.cost(*wish) for wish in wishes) > nursery.budget:
            return
        nursery.add(wishes)
        before = score
        weights, score = nursery.mixture()
        if score - before < LEAST_GAIN * abs(score):
            return


def _next_round(nursery: Nursery, weights: Floats) -> list[Wish]:
    """The best plan again, and once in the other encoding if that is new or carries weight."""
    plan, view = nursery.best().plan, nursery.best().view
    if len(nursery.views) == 1:
        return [(plan, view), (plan, view)]
    shares = [w for w, g in zip(weights, nursery.grown, strict=True) if g.view != view]
    tried = any(g.plan == plan for g in nursery.grown if g.view != view)
    other = 1 - view if sum(shares) > OTHER_SHARE or not tried else view
    return [(plan, view), (plan, other)]


def _sampled(view: View, seed: int) -> View:
    n = len(view.rows)
    if n <= 2 * SEARCH_ROWS:
        return view
    random = np.random.Generator(np.random.Philox(key=[seed, SAMPLE_STREAM]))
    rows: NDArray[np.int64] = np.sort(random.permutation(n)[:SEARCH_ROWS])
    return replace(view, rows=view.rows.take(rows))
