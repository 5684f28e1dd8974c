"""What says the mean of a number: boosted trees, bags and the joint, on rows each has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.forest.bagging import Bag, GrowingBag
from jointprob.forest.bins import Binned, Bytes
from jointprob.forest.leaves import LeafRows
from jointprob.forest.targets import Numbers, growth_for, trees_for
from jointprob.predict.stack import fit_stack

Floats = NDArray[np.float64]
Means = NDArray[np.float32]

MANY_ROWS, FINE_LEAF = 10_000, 3  # rows of the leaves of other bags, when rows are many
WIDE_LEAF = 5  # rows of the leaves of a bag grown for the spread of its targets
FIRST_SHARE = 3  # one in so many trees says whether a bag is worth growing on


class Members:
    """The members of a stack; bags start with a third of their trees.

    Parameters
    ----------
    binned, target : Binned, Numbers
        Rows of the fit.
    boosted : float32 (n_rows,)
        What boosted trees say of each.
    joint : float64 (n_judged,)
        What the joint says of the rows judged.
    ask_joint : callable
        What it says of all rows.
    judged : int64 (n_judged,)
    seed, n_jobs : int
    """

    def __init__(
        self, binned: Binned, target: Numbers, boosted: Means, joint: Floats,
        ask_joint: Callable[[], Floats], judged: NDArray[np.int64], seed: int, n_jobs: int | None,
    ) -> None:  # fmt: skip
        self.binned, self.target, self.boosted, self.joint = binned, target, boosted, joint
        self.ask_joint, self.judged, self.seed, self.n_jobs = ask_joint, judged, seed, n_jobs
        self.n_trees = trees_for(binned.n_rows)
        fine = 1 if binned.n_rows <= MANY_ROWS else FINE_LEAF
        kinds = ((False, fine), (False, WIDE_LEAF), (True, fine))
        growths = [growth_for(binned.n_columns, splits, rows) for splits, rows in kinds]
        self.growing = [
            GrowingBag(binned, target, g, seed + i, n_jobs) for i, g in enumerate(growths)
        ]
        for bag in self.growing:
            bag.grow(self.n_trees // FIRST_SHARE)

    @cached_property
    def bags(self) -> tuple[Bag, ...]:
        """All bags, once none grows any more."""
        return tuple(bag.bag() for bag in self.growing)

    @cached_property
    def _joint_of_all(self) -> Floats:
        return self.ask_joint()

    def stack(self, bags: Sequence[int]) -> tuple[Floats, Floats]:
        """Weights of the boosted trees, these bags and the joint, and the mean of every row."""
        means = [self.boosted, *(self.growing[i].means()[:, 0] for i in bags)]
        said: list[NDArray[np.floating[Any]]] = [one[self.judged] for one in means]
        said.append(self.joint)
        part = self.target.take(self.judged)
        found = fit_stack(said, part.number, part.weight)
        mean = np.stack(means, axis=1) @ found[:-1]
        if found[-1] > 0:
            mean += found[-1] * self._joint_of_all
        weights = np.zeros(len(self.growing) + 2)
        weights[[0, *(1 + i for i in bags), -1]] = found
        return weights, mean

    def grow_on(self, bag: int) -> None:
        """Grow all trees of a bag."""
        self.growing[bag].grow(self.n_trees)

    def leaf_rows(self, bag: int) -> LeafRows:
        """Rows of a bag's leaves, of the trees grown so far."""
        grown, seed = self.growing[bag].bag(), self.seed + bag
        return LeafRows(grown, self.binned, self.target.weight, seed, self.n_jobs)

    def out_of_bag(self, by_row: Bytes, rows: NDArray[np.int64]) -> list[Means]:
        """What each bag says of rows of the fit from which cells were taken away."""
        n, nothing = self.binned.n_rows, self.target.baseline
        return [
            bag.out_of_bag(by_row, rows, n, self.seed + i, nothing, self.n_jobs)[:, 0]
            for i, bag in enumerate(self.bags)
        ]
