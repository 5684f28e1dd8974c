"""A forest that keeps up with a stream: leaves are counted on, the worst trees grown anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from jointprob import _forest
from jointprob.adapt.reservoir import Reservoir
from jointprob.adapt.stream import kept_share
from jointprob.forest.bins import Binned, Binning, fit_binning
from jointprob.forest.targets import Labels, growth_for
from jointprob.forest.trees import Nursery, Trees, pack
from jointprob.joint.tree import Floats
from jointprob.schema import Schema
from jointprob.table import Table

TREES = 4  # of a generation
MOST_GENERATIONS = 8
GROW_ROWS = 200  # between two generations, once there are many rows
GROWTH = 1.25  # of the rows seen between two generations, before that
WINDOW_ROWS = 8000  # recent rows, that generations are grown on,
PARTS = (1.0, 0.25)  # by turns all of them and fewer: drift may be slow or sudden
LEAST_ROWS = 200
BIN_ROWS = 1000  # that say where bins begin and end
SAME_BINS = 4  # generations that share their bins, once there are so many rows
LEAF_ROWS = 8.0  # that what a leaf said when it was grown is worth beside later ones
STRENGTH = 0.5  # of the shrinking of leaves towards their ancestors
PRIOR_ROWS = 1.0  # of all classes together
RATE = 20.0  # nats of mean loss, times this, by which generations lose weight
SHARE = 0.02  # of its weight that every generation gives to all, a batch
RECENT_ROWS = 500.0  # half-life of what is known of losses
POWERS = np.array([1.0, 1.4, 2.0, 2.8, 4.0])  # averages of trees are timid
BAG_STREAM = 32  # second word of the key: no two uses of a seed share a stream

Shares = NDArray[np.float32]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Generation:
    """Trees grown on the same rows.

    Parameters
    ----------
    binning : Binning
    trees : Trees
        Leaves hold shares of all classes.
    counts : float32 (n_leaves, n_classes)
        Rows that came to the leaves since they were grown, forgotten ones taken off.
    grown : float32 (n_leaves, n_classes)
        What the leaves said when they were grown.
    log_weight : float
        In the mixture of generations, nats, up to a constant.
    """

    binning: Binning
    trees: Trees
    counts: Shares
    grown: Shares
    log_weight: float

    def shares(self, binned: Binned, n_jobs: int | None) -> Shares:
        """Mean over the trees of the leaves' shares, (n_rows, n_classes)."""
        out = np.zeros((binned.n_rows, self.counts.shape[1]), np.float32)
        self.trees.add(binned.by_row, out, n_jobs)
        out /= np.float32(len(self.trees))
        return out

    def counted(self, binned: Binned, label: Codes, weight: Floats, kept: float) -> Generation:
        """With these rows in the leaves."""
        counts = self.counts * np.float32(kept)
        for tree in range(len(self.trees)):
            leaves = self.trees.leaves(tree, binned.by_row) + self.trees.leaf_at[tree]
            np.add.at(counts, (leaves, label), weight)
        total = counts.sum(axis=1, keepdims=True)
        said = (counts + LEAF_ROWS * self.grown) / (total + LEAF_ROWS)
        return replace(self, counts=counts, trees=replace(self.trees, values=said))

    def widened(self, n_classes: int) -> Generation:
        """With room for more classes."""
        more = ((0, 0), (0, n_classes - self.counts.shape[1]))
        trees = replace(self.trees, values=np.pad(self.trees.values, more))
        counts, grown = np.pad(self.counts, more), np.pad(self.grown, more)
        return replace(self, counts=counts, grown=grown, trees=trees)


@dataclass(frozen=True, eq=False)
class ForestStream:
    """p(c | x) under way. Immutable: `learn` returns the next one.

    Parameters
    ----------
    schema : Schema
    seed : int
    window : Reservoir
        Recent rows; the last column of its table holds their labels.
    generations : tuple of Generation
    class_rows : float64 (n_classes,)
        Rows of each class, forgotten ones taken off.
    losses : float64 (n_powers,)
        Recent mean log loss of the mixture of generations, raised to each of several powers.
    n_rows : float
        Rows seen.
    next_growth : float
        Rows at which the next generation grows.
    n_grown : int
        Generations so far.

    Notes
    -----
    Every batch is predicted before it is learnt. Generations are mixed by exponential weights on
    the mean log loss of each batch, with a fixed share of the weight given to all (Herbster &
    Warmuth 1998, doi:10.1023/A:1007424614876), and the generation of least weight gives way to the
    next one. Trees are grown on bootstraps of all recent rows, and of the last quarter of those
    that are kept, by turns.
    """

    schema: Schema
    seed: int
    window: Reservoir
    generations: tuple[Generation, ...]
    class_rows: Floats
    losses: Floats
    n_rows: float = 0.0
    next_growth: float = 0.0
    n_grown: int = 0

    @classmethod
    def empty(cls, table: Table, n_classes: int, seed: int) -> ForestStream:
        """Before the first batch; its table is like this one."""
        none = np.empty(0, np.int64)
        window = Reservoir(_labelled(table.take(none), none), np.empty(0))
        return cls(table.schema, seed, window, (), np.zeros(n_classes), np.zeros(len(POWERS)))

    @property
    def prior(self) -> Floats:
        """Share of each class, with a row of prior."""
        n = len(self.class_rows)
        return np.asarray((self.class_rows + PRIOR_ROWS / n) / (self.class_rows.sum() + PRIOR_ROWS))

    def log_proba(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Log probability of each class, (n_rows, n_classes), nats."""
        binned = self._binned(table, n_jobs)
        said = [g.shares(b, n_jobs) for g, b in zip(self.generations, binned, strict=True)]
        logs = self._mixed(said, table.n_rows) * POWERS[int(np.argmin(self.losses))]
        return np.asarray(logs - logsumexp(logs, axis=1, keepdims=True))

    def _binned(self, table: Table, n_jobs: int | None) -> list[Binned]:
        """The rows as each generation sees them; many share their bins."""
        binnings = {id(g.binning): g.binning for g in self.generations}
        binned = {key: binning.bin(table, n_jobs) for key, binning in binnings.items()}
        return [binned[id(g.binning)] for g in self.generations]

    def _mixed(self, said: list[Shares], n_rows: int) -> Floats:
        """Logs of the mixture of generations, with a little of the prior."""
        mixed = np.tile(self.prior, (n_rows, 1))
        if said:
            weights = softmax([g.log_weight for g in self.generations])
            mixed *= 1e-3
            for weight, shares in zip(weights, said, strict=True):
                mixed += (1 - 1e-3) * weight * shares
        return np.asarray(np.log(mixed))

    def learn(
        self,
        table: Table,
        label: Codes,
        weight: Floats,
        n_classes: int,
        half_life: float | None = None,
        n_jobs: int | None = None,
    ) -> ForestStream:
        """The stream after a batch.

        Parameters
        ----------
        table : Table
        label : int64 (n_rows,)
        weight : float64 (n_rows,)
            Above 0.
        n_classes : int
            At least as many as before.
        half_life : float, optional
            Rows after which a row counts half in leaves; None never forgets.
        n_jobs : int, optional
        """
        stream, n = self._widened(n_classes), float(weight.sum())
        binned = stream._binned(table, n_jobs)
        said = [g.shares(b, n_jobs) for g, b in zip(stream.generations, binned, strict=True)]
        losses = stream._judged(said, label, weight)
        log_weights = stream._shared(said, label, weight)
        kept = kept_share(n, half_life)
        generations = tuple(
            replace(g.counted(b, label, weight, kept), log_weight=w)
            for g, b, w in zip(stream.generations, binned, log_weights.tolist(), strict=True)
        )
        class_rows = stream.class_rows * kept + np.bincount(label, weight, n_classes)
        window = stream.window.add(_labelled(table, label), weight).latest(WINDOW_ROWS)
        after = replace(
            stream, generations=generations, class_rows=class_rows, losses=losses,
            window=window, n_rows=stream.n_rows + n, schema=table.schema,
        )  # fmt: skip
        return after._grown() if after.n_rows >= after.next_growth else after

    def _widened(self, n_classes: int) -> ForestStream:
        more = n_classes - len(self.class_rows)
        if not more:
            return self
        generations = tuple(g.widened(n_classes) for g in self.generations)
        rows = np.pad(self.class_rows, (0, more))
        return replace(self, generations=generations, class_rows=rows)

    def _judged(self, said: list[Shares], label: Codes, weight: Floats) -> Floats:
        """Recent mean log losses with these rows, of each power."""
        if not said:
            return self.losses
        logs = self._mixed(said, len(label))
        own = logs[np.arange(len(label)), label]
        new = [weight @ (logsumexp(a * logs, axis=1) - a * own) / weight.sum() for a in POWERS]
        kept = kept_share(float(weight.sum()), RECENT_ROWS)
        return np.asarray(kept * self.losses + (1 - kept) * np.array(new))

    def _shared(self, said: list[Shares], label: Codes, weight: Floats) -> Floats:
        """Log weights of the generations after these rows."""
        if not said:
            return np.zeros(0)
        rows, floor = np.arange(len(label)), 1e-3 * self.prior[label]
        logs = np.array([weight @ np.log(s[rows, label] + floor) / weight.sum() for s in said])
        scale = RATE * (1 - kept_share(float(weight.sum()), RECENT_ROWS))
        weights = softmax(np.array([g.log_weight for g in self.generations]) + scale * logs)
        return np.asarray(np.log((1 - SHARE) * weights + SHARE / len(weights)))

    def _grown(self) -> ForestStream:
        """With a new generation in the place of the worst."""
        part = PARTS[self.n_grown % len(PARTS)]
        recent = self.window.latest(max(LEAST_ROWS, int(part * WINDOW_ROWS)))
        again = self.n_rows < BIN_ROWS or self.n_grown % SAME_BINS == 0
        binning = None if again else self.generations[-1].binning
        new = _grow(recent, binning, self.prior, self.seed, self.n_grown)
        old = sorted(self.generations, key=lambda g: -g.log_weight)[: MOST_GENERATIONS - 1]
        if old:
            new = replace(new, log_weight=float(np.mean([g.log_weight for g in old])))
        following = min(GROWTH * self.n_rows, self.n_rows + GROW_ROWS)
        return replace(
            self, generations=(*old, new), next_growth=following, n_grown=self.n_grown + 1
        )


def _grow(
    rows: Reservoir, binning: Binning | None, prior: Floats, seed: int, number: int
) -> Generation:
    """Trees on bootstraps of rows, in bins of their own if none are given."""
    table, label = _unlabelled(rows.table)
    if binning is None:
        some = np.arange(0, len(rows), -(-len(rows) // BIN_ROWS))
        binning = fit_binning(table.take(some), rows.weight[some])
    binned = binning.bin(table, 1)
    scale = rows.weight / rows.weight.mean()
    share = np.asarray(prior, np.float32)
    target = Labels(label.astype(np.uint16), scale.astype(np.float32), share)
    nursery = Nursery(len(rows), len(prior))
    work = np.empty(binned.kernel.work_size(len(rows), len(prior)), np.uint8)
    growths = [growth_for(binned.n_columns, random_splits) for random_splits in (False, True)]
    trees, values = [], []
    for tree in range(number * TREES, (number + 1) * TREES):
        times = np.empty(len(rows), np.uint8)
        _forest.bootstrap(seed, BAG_STREAM, tree, len(rows), times)
        drawn = np.flatnonzero(times).astype(np.uint32)
        weight = target.weight[drawn] * times[drawn]
        growth = growths[(tree // 2) % 2]
        target.grow(nursery, binned, drawn, weight, growth, seed, tree, work)
        trees.append(nursery.tree())
        values.append(nursery.means(share, STRENGTH)[trees[-1].leaves])
    packed = pack(trees, values)
    counts = np.zeros(packed.values.shape, np.float32)
    return Generation(binning, packed, counts, packed.values, 0.0)


def _labelled(table: Table, label: Codes) -> Table:
    """Rows with their labels; no schema knows the last column."""
    return Table(table.schema, table.n_rows, [*table.columns, label])


def _unlabelled(table: Table) -> tuple[Table, Codes]:
    return Table(table.schema, table.n_rows, table.columns[:-1]), table.columns[-1]
