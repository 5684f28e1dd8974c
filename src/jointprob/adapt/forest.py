"""A forest that keeps up with a stream: leaves are counted on, the worst trees grown anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from jointprob.adapt.generation import Codes, Generation, Shares, fit_bins, grow
from jointprob.adapt.logs import log_sum_exp, softmax
from jointprob.adapt.reservoir import Reservoir
from jointprob.adapt.stream import kept_share
from jointprob.adapt.trend import Trend, with_distances
from jointprob.forest.bins import Binned, Binning
from jointprob.joint.tree import Floats
from jointprob.schema import Schema
from jointprob.table import Table

MOST_GENERATIONS = 8
GROW_ROWS = 200  # between two generations, once there are many rows
GROWTH = 1.25  # of the rows seen between two generations, before that
WINDOW_ROWS = 8000  # recent rows, that generations are grown on,
PARTS = (1.0, 0.25)  # by turns all of them and fewer: drift may be slow or sudden
LEAST_ROWS = 200
SAME_BINS = 8  # generations that share their bins, once there are so many rows
OTHER_TURNS = (3, 6)  # of eight, in which the kind of generation of less weight grows
LEAST_PACE = 0.25  # of the usual pace of growth
PRIOR_ROWS = 1.0  # of all classes together
RATE = 8.0  # nats of mean loss, times this, by which generations lose weight,
NUMBER_RATE = 40.0  # and the same for numbers, whose loss is a share of the prior's
SHARE = 0.02  # of its weight that every generation gives to all, a batch
SHARE_ROWS = 100.0  # of such a batch: a smaller one gives less, in proportion
FRESH = 0.05  # weight beside a fitted model of what has learnt nothing yet
FASTER = 4.0  # rates beside a fitted model: what starts at little weight must soon earn more
PIECE_ROWS = 200  # of a large batch, each predicted before it is learnt
RECENT_ROWS = 500.0  # half-life of what is known of losses
DRAW_STREAM = 2**40  # second word of the key, and on from there: no two uses share a stream
POWERS = np.array([1.0, 1.4, 2.0, 2.8, 4.0])  # averages of trees are timid
TIMID = 0.05  # nats, times the log of a power, that it must gain at first


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
        In the order of their growth.
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

    trend : Trend
        Recent means of numeric columns: every other generation also sees how far rows are from
        them.
    ordered : bool
        Are the classes cells of a number?
    others : float64 (n_others,)
        Log weights, beside those of the generations, of others that predict the same rows.

    Notes
    -----
    Every batch is predicted before it is learnt, a large one piece by piece. Generations and others
    are mixed by exponential weights on the mean log loss of each batch, with a fixed share of the
    weight given to all (Herbster & Warmuth 1998, doi:10.1023/A:1007424614876). A generation that is
    left with hardly more than that share goes, and where there are many the one of least weight
    gives way to the next one. Beside a model from before the stream, the first one starts at a
    weight of 0.05 and later ones at what their kind has earned, and weights move four times as
    fast. Trees are grown on bootstraps of all recent rows, and of the last quarter of those that
    may be kept, by turns.
    """

    schema: Schema
    seed: int
    window: Reservoir
    generations: tuple[Generation, ...]
    class_rows: Floats
    losses: Floats
    trend: Trend
    n_rows: float = 0.0
    next_growth: float = 0.0
    n_grown: int = 0
    ordered: bool = False
    others: Floats = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def empty(cls, table: Table, n_classes: int, seed: int, ordered: bool = False) -> ForestStream:
        """Before the first batch; its table is like this one."""
        none, trend = np.empty(0, np.int64), Trend.empty(table.schema)
        window = Reservoir(_kept(trend.beside(table.take(none)), none), np.empty(0))
        return cls(
            table.schema, seed, window, (), np.zeros(n_classes), TIMID * np.log(POWERS), trend,
            ordered=ordered,
        )  # fmt: skip

    def after(self, class_rows: Floats) -> ForestStream:
        """Going on from a model that was fitted to rows of these classes."""
        return replace(self, class_rows=class_rows, next_growth=float(LEAST_ROWS))

    @property
    def prior(self) -> Floats:
        """Share of each class, with a row of prior."""
        n = len(self.class_rows)
        return np.asarray((self.class_rows + PRIOR_ROWS / n) / (self.class_rows.sum() + PRIOR_ROWS))

    def is_due(self, more: float = 0.0) -> bool:
        """Is another generation due, after so many more rows?"""
        return self.n_rows + more >= self.next_growth

    def log_proba(
        self, seen: Table, n_jobs: int | None = None, others: Sequence[Shares] = ()
    ) -> Floats:
        """Log probability of each class, (n_rows, n_classes), nats.

        Parameters
        ----------
        seen : Table
            Rows beside the trend.
        n_jobs : int, optional
        others : sequence of float32 (n_rows, n_classes)
            What each of the others says.
        """
        binned = self._binned(seen, n_jobs)
        logs = self._mixed(self._said(binned, others, n_jobs), seen.n_rows)
        logs *= POWERS[int(np.argmin(self.losses))]
        return np.asarray(logs - log_sum_exp(logs))

    def _binned(self, seen: Table, n_jobs: int | None) -> list[Binned]:
        """The rows as each generation sees them; many share bins, and some see fewer columns."""
        binnings = sorted((g.binning for g in self.generations), key=lambda b: len(b.edges))
        widest = {id(binning.edges[0]): binning for binning in binnings}
        binned = {
            key: binning.bin(_first(seen, len(binning.edges)), n_jobs)
            for key, binning in widest.items()
        }
        return [binned[id(g.binning.edges[0])] for g in self.generations]

    def _said(
        self, binned: list[Binned], others: Sequence[Shares], n_jobs: int | None
    ) -> list[Shares]:
        """Shares by each generation, and by the others."""
        said = [g.shares(b, n_jobs) for g, b in zip(self.generations, binned, strict=True)]
        return [*said, *others]

    @property
    def _log_weights(self) -> Floats:
        """Of the generations, and of the others."""
        return np.array([*(g.log_weight for g in self.generations), *self.others])

    def _mixed(self, said: list[Shares], n_rows: int) -> Floats:
        """Logs of the mixture of generations, with a little of the prior."""
        mixed = np.tile(self.prior, (n_rows, 1))
        if said:
            mixed *= 1e-3
            for weight, one in zip(softmax(self._log_weights), said, strict=True):
                mixed += (1 - 1e-3) * weight * one
        return np.asarray(np.log(mixed))

    def learn(
        self,
        seen: Table,
        label: Codes,
        weight: Floats,
        n_classes: int,
        half_life: float | None = None,
        n_jobs: int | None = None,
        others: Sequence[Shares] = (),
        fitted: bool = False,
    ) -> ForestStream:
        """The stream after a batch.

        Parameters
        ----------
        seen : Table
            Rows beside the trend.
        label : int64 (n_rows,)
        weight : float64 (n_rows,)
            Above 0.
        n_classes : int
            At least as many as before.
        half_life : float, optional
            Rows after which a row counts half in leaves; None never forgets.
        n_jobs : int, optional
        others : sequence of float32 (n_rows, n_classes)
            As in `log_proba`.
        fitted : bool
            Is the last of the others a model from before the stream?
        """
        stream, n = self._widened(n_classes), float(weight.sum())
        binned = stream._binned(seen, n_jobs)
        said = stream._said(binned, others, n_jobs)
        kept = kept_share(n, half_life)
        log_weights = stream._shared(said, label, weight, fitted)
        least = _outdone(log_weights)
        generations = tuple(
            replace(g.counted(b, label, weight, kept), log_weight=w)
            for g, b, w in zip(stream.generations, binned, log_weights.tolist(), strict=False)
            if w > least
        )
        after = replace(
            stream,
            schema=seen.schema,
            window=stream.window.add(_kept(seen, label), weight, kept).latest(WINDOW_ROWS),
            generations=generations,
            class_rows=stream.class_rows * kept + np.bincount(label, weight, n_classes),
            losses=stream._judged(said, label, weight),
            trend=stream.trend.after(seen, weight),
            n_rows=stream.n_rows + n,
            others=log_weights[len(stream.generations) :],
        )
        return after._grown(half_life is not None, fitted) if after.is_due() else after

    @property
    def last_is_outdone(self) -> bool:
        """Is the last of the others hardly believed any more?"""
        return bool(self.others[-1] <= _outdone(self._log_weights))

    def _widened(self, n_classes: int) -> ForestStream:
        more = n_classes - len(self.class_rows)
        if not more:
            return self
        generations = tuple(g.widened(n_classes) for g in self.generations)
        rows = np.pad(self.class_rows, (0, more))
        return replace(self, generations=generations, class_rows=rows)

    def relabelled(self, shared: Floats, label: Codes) -> ForestStream:
        """With other classes.

        Parameters
        ----------
        shared : float64 (n_classes, n_new)
            Share of each class that comes to each new one.
        label : int64 (n_window,)
            New classes of the rows kept.
        """
        part, table = shared.astype(np.float32), self.window.table
        columns = [*table.columns[:-1], label]
        return replace(
            self,
            generations=tuple(g.saying(g.counts @ part, g.grown @ part) for g in self.generations),
            class_rows=self.class_rows @ shared,
            window=replace(self.window, table=Table(table.schema, table.n_rows, columns)),
        )

    def _judged(self, said: list[Shares], label: Codes, weight: Floats) -> Floats:
        """Recent mean log losses with these rows, of each power."""
        if not said:
            return self.losses
        logs = self._mixed(said, len(label))
        own = logs[np.arange(len(label)), label]
        total = log_sum_exp(POWERS[:, None, None] * logs)[..., 0]
        new = [weight @ (t - a * own) / weight.sum() for a, t in zip(POWERS, total, strict=True)]
        kept = kept_share(float(weight.sum()), RECENT_ROWS)
        return np.asarray(kept * self.losses + (1 - kept) * np.array(new))

    def _shared(self, said: list[Shares], label: Codes, weight: Floats, fitted: bool) -> Floats:
        """Log weights of the generations after these rows."""
        if not said:
            return np.zeros(0)
        lost = [self._loss(one, label) @ weight / weight.sum() for one in said]
        n = float(weight.sum())
        scale = (NUMBER_RATE if self.ordered else RATE) * (1 - kept_share(n, RECENT_ROWS))
        scale *= FASTER if fitted else 1.0
        weights = softmax(self._log_weights - scale * np.array(lost))
        share = SHARE * min(n / SHARE_ROWS, 1.0)
        return np.asarray(np.log((1 - share) * weights + share / len(weights)))

    def _loss(self, said: Shares, label: Codes) -> Floats:
        """Log loss of each row; of a number the ranked probability score beside the prior's.

        A leaf of few rows says well about where a number lies and little about the cell.
        """
        if not self.ordered:
            floor = 1e-3 * self.prior[label]
            return -np.log(said[np.arange(len(label)), label] + floor)
        above = np.arange(len(self.prior)) >= label[:, None]
        own, usual = (
            np.square(np.cumsum(one, axis=-1) - above).sum(axis=1) for one in (said, self.prior)
        )
        return np.asarray(own / max(float(usual.mean()), 1e-9))

    def _grown(self, forgets: bool, fitted: bool) -> ForestStream:
        """With a new generation in the place of the worst."""
        part = PARTS[self.n_grown % len(PARTS)]
        recent = self.window.latest(max(LEAST_ROWS, int(part * WINDOW_ROWS)))
        recent = self._drawn(recent) if forgets else recent
        label, schema = recent.table.columns[-1], self.schema
        schema = with_distances(schema) if self._next_is_wide() else schema
        seen = Table(schema, len(recent), recent.table.columns[: len(schema)])
        binning = self._kept_bins(len(seen.schema)) or fit_bins(seen, recent.weight)
        new = grow(
            seen, label, recent.weight, binning, self.prior, self.ordered, self.seed, self.n_grown
        )
        return self._with(new, fitted)

    def _drawn(self, rows: Reservoir) -> Reservoir:
        """Rows drawn by what is left of their weight: light ones would fill leaves of their own."""
        random = np.random.Generator(np.random.Philox(key=[self.seed, DRAW_STREAM + self.n_grown]))
        heaviest = float(rows.weight.max())
        chosen = np.flatnonzero(random.random(len(rows)) * heaviest <= rows.weight)
        return Reservoir(rows.table.take(chosen), np.full(len(chosen), heaviest))

    def _next_is_wide(self) -> bool:
        """Does the next generation see distances from the trend?

        Both kinds take turns at first; later the one that has more weight grows three times as
        often.
        """
        if not self.trend.sums.size:
            return False
        if self.n_grown < MOST_GENERATIONS or not self.generations:
            return self.n_grown // len(PARTS) % 2 == 1
        weights = softmax(np.array([g.log_weight for g in self.generations]))
        wide = [len(g.binning.edges) > len(self.schema) for g in self.generations]
        return bool(weights @ wide > 0.5) ^ (self.n_grown % 8 in OTHER_TURNS)

    def _kept_bins(self, n_columns: int) -> Binning | None:
        """Those of the latest generation that saw these columns, None where others are due."""
        if self.n_rows < LEAST_ROWS or self.n_grown % SAME_BINS == 0:
            return None
        alike = [g.binning for g in self.generations if len(g.binning.edges) >= n_columns]
        return alike[-1].first(n_columns) if alike else None

    def _with(self, new: Generation, fitted: bool) -> ForestStream:
        """With another generation; where there are many, the one of least weight gives way."""
        weights, old = self._log_weights, list(self.generations)
        if len(old) == MOST_GENERATIONS:
            old.pop(int(np.argmin(weights[:MOST_GENERATIONS])))
        if len(weights):
            new = replace(new, log_weight=_start(weights, fitted))
        # Trees that are hardly believed are seldom grown.
        believed = softmax(weights)[: len(self.generations)].sum() if len(weights) else 1.0
        pause = GROW_ROWS / max(float(believed), LEAST_PACE)
        following = min(GROWTH * self.n_rows, self.n_rows + pause)
        return replace(
            self, generations=(*old, new), next_growth=following, n_grown=self.n_grown + 1
        )


def pieces(n_rows: int) -> list[slice]:
    """Rows of a batch that are learnt together, one piece after the other."""
    n_pieces = max(1, -(-n_rows // PIECE_ROWS))
    least, more = divmod(n_rows, n_pieces)
    bounds = [
        i * least + min(i, more) for i in range(n_pieces + 1)
    ]  # the first ones have a row more
    return [slice(*pair) for pair in pairwise(bounds)]


def _start(log_weights: Floats, fitted: bool) -> float:
    """Log weight of a new generation: the mean of all, but for the fitted model at the end."""
    if not fitted:
        return float(log_weights.mean())
    if len(log_weights) == 1:
        return float(log_weights[0] + np.log(FRESH))
    return float(log_weights[:-1].mean())


def _outdone(log_weights: Floats) -> float:
    """Log weight at and below which one is no longer worth asking: twice the least there can be."""
    if not len(log_weights):
        return -np.inf
    return float(log_sum_exp(log_weights)[0] + np.log(2 * SHARE / len(log_weights)))


def _first(table: Table, n_columns: int) -> Table:
    """The first columns."""
    return Table(table.schema, table.n_rows, table.columns[:n_columns])


def _kept(seen: Table, label: Codes) -> Table:
    """What is kept of rows: their labels as the last column, unknown to the schema."""
    return Table(seen.schema, seen.n_rows, [*seen.columns, label])
