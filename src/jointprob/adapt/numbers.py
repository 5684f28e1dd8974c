"""The distribution of a number in a stream: a forest that keeps up counts cells of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jointprob.adapt.forest import ForestStream, pieces
from jointprob.adapt.generation import Shares
from jointprob.adapt.recent import KeepsJoint
from jointprob.adapt.reservoir import no_rows
from jointprob.adapt.stream import kept_share
from jointprob.joint.tree import Floats
from jointprob.predict.cells import Cells, make_cells
from jointprob.predict.numbers import NumberModel
from jointprob.predict.offset import TunedNumbers
from jointprob.predict.predictive import PredictiveDistribution
from jointprob.predict.source import recast
from jointprob.query import Joint
from jointprob.table import Table

MOST_CELLS = 64
LEVELS = (np.arange(256) + 0.5) / 256  # at which a model from before says where numbers lie
# New cells are made where so many recent numbers lie outside the old ones, where one of these holds
# so many times what the fullest new one would, or where there would be so many times as many.
OUTSIDE, CROWDED, MORE = 0.02, 4.0, 1.5


@dataclass(frozen=True, eq=False)
class NumberStream(KeepsJoint):
    """p(y | x) under way. Immutable: `learn` returns the next one.

    Parameters
    ----------
    forest : ForestStream
        Its classes are cells of the number.
    cells : Cells
    means : float64 (n_cells,)
        Of the numbers in each cell.
    numbers : float64 (n_window,)
        Of the rows in the forest's window.
    fitted : Joint, optional
        Of the columns of X, from before the stream.
    before : NumberModel or TunedNumbers, optional
        From before the stream, as long as it is believed.

    Notes
    -----
    Cells are of about equal weight. When a generation is due and recent numbers no longer fit the
    cells, new cells are made of the recent rows, and all counts are shared out among them as if
    they were uniform within the old ones.
    """

    forest: ForestStream
    cells: Cells
    means: Floats
    numbers: Floats
    fitted: Joint | None = None
    before: NumberModel | TunedNumbers | None = None

    @classmethod
    def empty(cls, table: Table, number: Floats, weight: Floats, seed: int) -> NumberStream:
        """Before the first batch, which is like this one."""
        cells = make_cells(number, weight, MOST_CELLS)[0]
        forest = ForestStream.empty(table, len(cells.low), seed, ordered=True)
        return cls(forest, cells, _middles(cells), np.empty(0))

    @classmethod
    def of(cls, model: NumberModel | TunedNumbers, joint: Joint, seed: int) -> NumberStream:
        """A stream that goes on from a fit."""
        number = _typical(model.alone if isinstance(model, TunedNumbers) else model)
        cells, cell = make_cells(number, np.ones(len(number)), MOST_CELLS)
        counts = np.bincount(cell, minlength=len(cells.low))
        means = np.bincount(cell, number, len(cells.low)) / counts
        forest = ForestStream.empty(no_rows(joint.schema), len(cells.low), seed, ordered=True)
        rows = counts / counts.sum() * joint.n_rows
        forest = replace(forest.after(rows), others=np.zeros(1))
        return cls(forest, cells, means, np.empty(0), joint, model)

    def mean(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Means, (n_rows,)."""
        return self.distribution(table, n_jobs).mean()

    def distribution(self, table: Table, n_jobs: int | None = None) -> PredictiveDistribution:
        """The predictive distribution of each row."""
        said = self._before(table, n_jobs)
        shares = np.exp(self.forest.log_proba(self.forest.trend.beside(table), n_jobs, said))
        # Row by row: a product's last bits would depend on where a row stands.
        mean = (shares * self.means).sum(axis=1)
        return PredictiveDistribution(self.cells, shares, np.zeros(table.n_rows), mean)

    def learn(
        self,
        table: Table,
        number: Floats,
        weight: Floats,
        half_life: float | None = None,
        n_jobs: int | None = None,
    ) -> NumberStream:
        """The stream after a batch.

        Parameters
        ----------
        table : Table
        number, weight : float64 (n_rows,)
            Weights above 0.
        half_life : float, optional
            Rows after which a row counts half in leaves; None never forgets.
        n_jobs : int, optional
        """
        stream = self
        for rows in pieces(table.n_rows):
            piece = table.part(rows), number[rows], weight[rows]
            stream = stream._learn_piece(*piece, half_life, n_jobs)
        return stream

    def _learn_piece(
        self,
        table: Table,
        number: Floats,
        weight: Floats,
        half_life: float | None,
        n_jobs: int | None,
    ) -> NumberStream:
        numbers = np.concatenate([self.numbers, number])
        due, ready = self.forest.is_due(float(weight.sum())), self
        if due:
            ready = self._fitting(numbers, np.concatenate([self.forest.window.weight, weight]))
        label, n = ready.cells.find(number), len(ready.cells.low)
        before, seen = ready._before(table, n_jobs), ready.forest.trend.beside(table)
        forest = ready.forest.learn(
            seen, label, weight, n, half_life, n_jobs, before, self.before is not None
        )
        kept = kept_share(float(weight.sum()), half_life)
        sums = ready.means * ready.forest.class_rows * kept + np.bincount(label, weight * number, n)
        known = forest.class_rows > 0
        means = np.divide(sums, forest.class_rows, out=ready.means.copy(), where=known)
        numbers = numbers[len(numbers) - len(forest.window) :]
        after = replace(ready, forest=forest, means=means, numbers=numbers)
        return after._without_the_outdone()

    def _fitting(self, numbers: Floats, weight: Floats) -> NumberStream:
        """With cells that fit recent numbers; these cells as long as they do."""
        if self.fitted is not None and len(numbers) < len(self.cells.low):
            return self
        cells = make_cells(numbers, weight, MOST_CELLS)[0]
        if not _misfits(self.cells, cells, numbers, weight):
            return self
        shared = _shared_out(self.cells, cells)
        forest = self.forest.relabelled(shared, cells.find(self.numbers))
        cell, n = cells.find(numbers), len(cells.low)
        held, sums = (np.bincount(cell, w, n) for w in (weight, weight * numbers))
        means = np.divide(sums, held, out=_middles(cells), where=held > 0)
        return replace(self, forest=forest, cells=cells, means=means)

    def _before(self, table: Table, n_jobs: int | None) -> list[Shares]:
        """Shares of the cells by the model from before, where there is one."""
        if self.before is None or self.fitted is None:
            return []
        said = self.before.distribution(recast(table, self.fitted.schema), n_jobs)
        below = said.cdf(np.tile(self.cells.high, (table.n_rows, 1)))
        below[:, -1] = 1
        return [np.diff(below, axis=1, prepend=0).astype(np.float32)]


def _middles(cells: Cells) -> Floats:
    return np.asarray(cells.low + (cells.high - cells.low) / 2)


def _typical(model: NumberModel) -> Floats:
    """Numbers at equal steps of probability, over all rows of a fit."""
    joint = model.joint
    weight, nothing = np.exp(joint.pool.log_prior) @ joint.shares, np.zeros(1)
    whole = PredictiveDistribution(joint.cells, weight[None], nothing, nothing)
    return np.asarray(whole.quantile(LEVELS)[0])


def _misfits(old: Cells, new: Cells, numbers: Floats, weight: Floats) -> bool:
    """Do numbers lie outside the old cells, or crowd in one, or are there many more cells now?"""
    cell = old.find(numbers)
    outside = (numbers < old.low[cell]) | (numbers > old.high[cell])
    beyond = weight[outside].sum() > OUTSIDE * weight.sum()
    fullest = [_fullest(cells, numbers, weight) for cells in (old, new)]
    return bool(beyond or fullest[0] > CROWDED * fullest[1] or len(new.low) >= MORE * len(old.low))


def _fullest(cells: Cells, numbers: Floats, weight: Floats) -> float:
    """Share of the numbers in the fullest cell."""
    return float(np.bincount(cells.find(numbers), weight).max() / weight.sum())


def _shared_out(old: Cells, new: Cells) -> Floats:
    """Share of each old cell that comes to lie in each new one, (n_old, n_new)."""
    low, width = old.low[:, None], (old.high - old.low)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        below = np.where(width > 0, (new.high - low) / width, new.high >= low)
    below = np.clip(below, 0, 1)
    below[:, -1] = 1
    return np.asarray(np.diff(below, axis=1, prepend=0))
