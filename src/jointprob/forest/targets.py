"""What trees are grown for: classes, or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jointprob import _forest
from jointprob.forest.bins import Binned
from jointprob.forest.trees import SHARE_UNITS, Nursery

Means = NDArray[np.float32]
Floats = NDArray[np.float64]

MANY_ROWS = 10_000  # from which bags hold fewer trees
FLOOR = 1e-3  # rows of the prior for each row that leaves hold: no class is ever ruled out
GAINS_STRENGTH = 2.0  # of the shrinking under which a tree's splits are valued
GROW_STREAM = 11  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True)
class Growth:
    """How the trees of a bag grow.

    Parameters
    ----------
    random_splits : bool
        One random split for each candidate column (Geurts et al. 2006,
        doi:10.1007/s10994-006-6226-1), not the best one.
    n_candidates : tuple of int
        Columns tried at a node, by trees in turn.
    least_rows : int
        Of a leaf.
    """

    random_splits: bool
    n_candidates: tuple[int, ...]
    least_rows: int = 1
    most_depth: int = 64

    def candidates(self, tree: int) -> int:
        """Columns that this tree tries at a node."""
        return self.n_candidates[tree % len(self.n_candidates)]


def growth_for(n_columns: int, random_splits: bool, least_rows: int = 1) -> Growth:
    """Trees that try the root of the number of columns take turns with those that try half of it:
    which does better differs from table to table."""
    sizes = {max(1, int(np.sqrt(n_columns))), max(1, (n_columns + 1) // 2)}
    return Growth(random_splits, tuple(sorted(sizes)), least_rows)


def trees_for(n_rows: int) -> int:
    """Trees of a bag: more where they cost little, and where leaves of few rows say little."""
    return 200 if n_rows <= MANY_ROWS else 100


class Target(Protocol):
    """What a bag of trees is grown for."""

    @property
    def weight(self) -> NDArray[np.float32]:
        """Of each row."""

    @property
    def n_outputs(self) -> int:
        """Values of a node while a tree grows."""

    @property
    def n_classes(self) -> int:
        """Classes, 0 for numbers."""

    @property
    def baseline(self) -> Means:
        """What is said of a row without any tree, (n_kept,)."""

    def grow(
        self, nursery: Nursery, binned: Binned, rows: NDArray[np.uint32], weight: Means,
        growth: Growth, seed: int, tree: int, work: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        """Grow one tree on rows."""

    def leaf_values(
        self, nursery: Nursery, strength: float, nodes: NDArray[np.int64]
    ) -> NDArray[Any]:
        """What the leaves at these nodes say, shrunk, as it is kept: (n_leaves, n_kept)."""

    def gains(
        self, nursery: Nursery, rows: NDArray[np.int64], leaves: NDArray[np.int32], n_columns: int
    ) -> NDArray[np.float64]:
        """What the last tree's splits on each column gain on rows that it has not seen, a row."""

    def loss(self, means: Means) -> float:
        """Of what is said of every row, (n_rows, n_kept)."""

    def take(self, rows: NDArray[np.int64]) -> Any:
        """The rows at these positions."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Classes. Leaves hold their shares, of two classes that of the second, in 1 / 65535.

    Parameters
    ----------
    label : uint16 (n_rows,)
    weight : float32 (n_rows,)
    prior : float32 (n_classes,)
        Share of each class.
    """

    label: NDArray[np.uint16]
    weight: NDArray[np.float32]
    prior: NDArray[np.float32]

    @property
    def n_classes(self) -> int:
        return len(self.prior)

    @property
    def n_outputs(self) -> int:
        return len(self.prior)

    @property
    def baseline(self) -> Means:
        return np.asarray(kept(self.prior[None, :])[0])

    def take(self, rows: NDArray[np.int64]) -> Labels:
        return Labels(self.label[rows], self.weight[rows], self.prior)

    def grow(
        self, nursery: Nursery, binned: Binned, rows: NDArray[np.uint32], weight: Means,
        growth: Growth, seed: int, tree: int, work: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        nursery.kernel.grow_classes(
            binned.kernel, rows, self.label[rows], weight, growth.candidates(tree),
            growth.least_rows, growth.most_depth, growth.random_splits, seed, GROW_STREAM, tree,
            work,
        )  # fmt: skip

    def leaf_values(
        self, nursery: Nursery, strength: float, nodes: NDArray[np.int64]
    ) -> NDArray[Any]:
        shares = nursery.means(self.prior, strength)[nodes]
        return np.rint(kept(shares) * SHARE_UNITS).astype(np.uint16)

    def gains(
        self, nursery: Nursery, rows: NDArray[np.int64], leaves: NDArray[np.int32], n_columns: int
    ) -> NDArray[np.float64]:
        log_share = log_shares(nursery.means(self.prior, GAINS_STRENGTH), self.prior)
        label, weight = self.label[rows].astype(np.int64), self.weight[rows]
        shape = nursery.kernel.n_nodes, self.n_classes
        place = nursery.leaf_nodes[leaves] * self.n_classes + label
        sums = np.bincount(place, weight, shape[0] * shape[1]).astype(np.float64)
        out = np.zeros(n_columns)
        _forest.gains(nursery.nodes, log_share, sums.reshape(shape), out)
        return out / max(float(weight.sum()), np.finfo(float).tiny)

    def loss(self, means: Means) -> float:
        """Log loss after the best power of the shares: averages of trees are timid."""
        log_share = log_shares(spread(means), self.prior)
        own = log_share[np.arange(len(means)), self.label]
        losses = []
        for power in (1.0, 1.5, 2.25):
            total = np.log(np.exp(power * log_share).sum(axis=1))
            losses.append(np.average(total - power * own, weights=self.weight))
        return float(min(losses))


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers, of mean 0 and deviation 1. Leaves hold their means.

    Parameters
    ----------
    number : float32 (n_rows,)
    weight : float32 (n_rows,)
    """

    number: NDArray[np.float32]
    weight: NDArray[np.float32]

    n_classes = 0
    n_outputs = 2

    @property
    def baseline(self) -> Means:
        return np.zeros(1, np.float32)

    def take(self, rows: NDArray[np.int64]) -> Numbers:
        return Numbers(self.number[rows], self.weight[rows])

    def grow(
        self, nursery: Nursery, binned: Binned, rows: NDArray[np.uint32], weight: Means,
        growth: Growth, seed: int, tree: int, work: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        nursery.kernel.grow_means(
            binned.kernel, rows, self.number[rows], weight, growth.candidates(tree),
            growth.least_rows, growth.most_depth, growth.random_splits, seed, GROW_STREAM, tree,
            work,
        )  # fmt: skip

    def leaf_values(
        self, nursery: Nursery, strength: float, nodes: NDArray[np.int64]
    ) -> NDArray[Any]:
        return nursery.means(None, strength)[nodes]

    def gains(
        self, nursery: Nursery, rows: NDArray[np.int64], leaves: NDArray[np.int32], n_columns: int
    ) -> NDArray[np.float64]:
        weight, n = self.weight[rows].astype(np.float64), nursery.kernel.n_nodes
        place = nursery.leaf_nodes[leaves]
        parts = [np.bincount(place, w, n) for w in (weight, weight * self.number[rows])]
        out = np.zeros(n_columns)
        means = nursery.means(None, GAINS_STRENGTH)
        sums = np.stack(parts, axis=1).astype(np.float64)  # whole numbers where no row is left out
        _forest.gains(nursery.nodes, means, sums, out)
        return out / max(float(weight.sum()), np.finfo(float).tiny)

    def loss(self, means: Means) -> float:
        return float(np.average((means[:, 0] - self.number) ** 2, weights=self.weight))


def spread(shares: Means) -> Means:
    """Shares of all classes, where only the second of two was kept."""
    return np.hstack([1 - shares, shares]) if shares.shape[1] == 1 else shares


def kept(shares: Means) -> Means:
    """The shares that are kept: of two classes only the second."""
    return shares[:, 1:] if shares.shape[1] == 2 else shares


def log_shares(shares: Means, prior: Means) -> Means:
    """Logs of a forest's shares with a little of the prior."""
    return np.log(shares + np.float32(FLOOR) * prior)
