"""Class probabilities of a stream: a forest that keeps up, and the model from before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jointprob.adapt.discriminant import HALF_LIVES, MOST_COLUMNS, Discriminant, Sums
from jointprob.adapt.forest import FRESH, ForestStream, pieces
from jointprob.adapt.generation import Codes, Shares
from jointprob.adapt.recent import KeepsJoint
from jointprob.adapt.reservoir import no_rows
from jointprob.adapt.trend import stacked
from jointprob.joint.tree import Floats
from jointprob.predict.labels import LabelModel, explain_classes
from jointprob.predict.source import recast
from jointprob.query import Joint
from jointprob.table import Table


@dataclass(frozen=True, eq=False)
class LabelStream(KeepsJoint):
    """p(c | x) under way. Immutable: `learn` returns the next one.

    Parameters
    ----------
    forest : ForestStream
    discriminants : tuple of Discriminant
        Of numeric columns; the last one of their distances from the trend as well.
    fitted : Joint, optional
        Of the columns of X, from before the stream.
    before : LabelModel, optional
        From before the stream, as long as it is believed.

    Notes
    -----
    The forest mixes what they all say.
    """

    forest: ForestStream
    discriminants: tuple[Discriminant, ...] = ()
    fitted: Joint | None = None
    before: LabelModel | None = None

    @classmethod
    def of(cls, model: LabelModel, joint: Joint, seed: int) -> LabelStream:
        """A stream that goes on from a fit."""
        class_rows = np.exp(model.pool.log_prior) * joint.n_rows
        forest = ForestStream.empty(no_rows(joint.schema), len(class_rows), seed)
        return cls(replace(forest.after(class_rows), others=np.zeros(1)), (), joint, model)

    def log_proba(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Log probability of each class, (n_rows, n_classes), nats."""
        n_classes, seen = len(self.forest.class_rows), self.forest.trend.beside(table)
        said = self._others(table, self._units(seen), n_classes, n_jobs)
        return self.forest.log_proba(seen, n_jobs, said)

    def explain(
        self, table: Table, asked: NDArray[np.int64] | None, n_jobs: int | None = None
    ) -> Floats:
        """log p(c | x) - log p(c | x without the cell) of every cell, (n_rows, n_columns), nats."""
        return explain_classes(self.log_proba, table, asked, n_jobs)

    def learn(
        self,
        table: Table,
        label: Codes,
        weight: Floats,
        n_classes: int,
        half_life: float | None = None,
        n_jobs: int | None = None,
    ) -> LabelStream:
        """The stream after a batch; see `ForestStream.learn`."""
        stream = self
        for rows in pieces(table.n_rows):
            piece = table.part(rows), label[rows], weight[rows]
            stream = stream._learn_piece(*piece, n_classes, half_life, n_jobs)
        return stream

    def _learn_piece(
        self,
        table: Table,
        label: Codes,
        weight: Floats,
        n_classes: int,
        half_life: float | None,
        n_jobs: int | None,
    ) -> LabelStream:
        seen = self.forest.trend.beside(table)
        ready = self._ready(seen, n_classes)
        z = ready._units(seen)
        said = ready._others(table, z, n_classes, n_jobs)
        forest = ready.forest.learn(
            seen, label, weight, n_classes, half_life, n_jobs, said, self.before is not None
        )
        new = [Sums.of(z, label, weight, n_classes)] if ready.discriminants else []
        moved = tuple(d.after(*new) for d in ready.discriminants)
        return replace(ready, forest=forest, discriminants=moved)._without_the_outdone()

    def _ready(self, seen: Table, n_classes: int) -> LabelStream:
        """With discriminants that know all classes, the first ones if there are none."""
        n_numeric = len(seen.schema.numeric)
        if self.discriminants or not 0 < n_numeric <= MOST_COLUMNS:
            known = tuple(d.widened(n_classes) for d in self.discriminants)
            return replace(self, discriminants=known)
        cells, widths = _cells(seen), (n_numeric, n_numeric, 2 * n_numeric)
        new = [
            Discriminant.empty(cells[:, :width], n_classes, half_life)
            for width, half_life in zip(widths, HALF_LIVES, strict=True)
        ]
        start = 0.0 if self.before is None else self.forest.others[-1] + np.log(FRESH / len(new))
        weights = np.concatenate([np.full(len(new), start), self.forest.others])
        return replace(self, discriminants=tuple(new), forest=replace(self.forest, others=weights))

    def _units(self, seen: Table) -> Floats:
        """Numbers and their distances in units, which all discriminants share."""
        return (
            self.discriminants[-1].units(_cells(seen)) if self.discriminants else np.empty((0, 0))
        )

    def _others(self, table: Table, z: Floats, n_classes: int, n_jobs: int | None) -> list[Shares]:
        """What the discriminants say, and at last the model from before."""
        said = [d.shares(z[:, : len(d.center)]) for d in self.discriminants]
        if self.before is None or self.fitted is None:
            return said
        own = np.exp(self.before.log_proba(recast(table, self.fitted.schema), n_jobs))
        more = n_classes - own.shape[1]  # it knows no class that came later
        return [*said, np.pad(own, ((0, 0), (0, more))).astype(np.float32)]


def _cells(seen: Table) -> Floats:
    """Numbers of rows beside the trend, and their distances from it, (n_rows, 2 n_numeric)."""
    own = [seen.columns[j] for j in seen.schema.numeric]
    return np.ascontiguousarray(stacked([*own, *seen.columns[len(seen.schema) :]]).T)
