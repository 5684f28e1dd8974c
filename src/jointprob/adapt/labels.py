"""Class probabilities of a stream: a forest that keeps up, and the model from before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jointprob.adapt.discriminant import HALF_LIVES, MOST_COLUMNS, Discriminant
from jointprob.adapt.forest import FRESH, ForestStream, pieces
from jointprob.adapt.generation import Codes, Shares
from jointprob.adapt.recent import KeepsJoint
from jointprob.adapt.reservoir import no_rows
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
        n_classes = len(self.forest.class_rows)
        said = self._others(table, self._seen(table), n_classes, n_jobs)
        return self.forest.log_proba(table, n_jobs, said)

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
            piece = table.take(rows), label[rows], weight[rows]
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
        seen = self._seen(table)
        ready = self._ready(seen, n_classes)
        said = ready._others(table, seen, n_classes, n_jobs)
        forest = ready.forest.learn(
            table, label, weight, n_classes, half_life, n_jobs, said, self.before is not None
        )
        moved = [d.after(s, label, weight) for d, s in zip(ready.discriminants, seen, strict=True)]
        return replace(ready, forest=forest, discriminants=tuple(moved))._without_the_outdone()

    def _ready(self, seen: list[Floats], n_classes: int) -> LabelStream:
        """With discriminants that know all classes, the first ones if there are none."""
        if self.discriminants or not seen:
            known = tuple(d.widened(n_classes) for d in self.discriminants)
            return replace(self, discriminants=known)
        new = [
            Discriminant.empty(cells, n_classes, half_life)
            for cells, half_life in zip(seen, HALF_LIVES, strict=True)
        ]
        start = 0.0 if self.before is None else self.forest.others[-1] + np.log(FRESH / len(new))
        weights = np.concatenate([np.full(len(new), start), self.forest.others])
        return replace(self, discriminants=tuple(new), forest=replace(self.forest, others=weights))

    def _seen(self, table: Table) -> list[Floats]:
        """Cells that each discriminant sees."""
        numeric = table.schema.numeric
        own = [table.columns[j] for j in numeric]
        if not own or len(own) > MOST_COLUMNS:
            return []
        cells = np.stack([*own, *self.forest.trend.distances(table)], axis=1)
        return [cells[:, : len(own)], cells[:, : len(own)], cells]

    def _others(
        self, table: Table, seen: list[Floats], n_classes: int, n_jobs: int | None
    ) -> list[Shares]:
        """What the discriminants say, and at last the model from before."""
        said = [d.shares(cells) for d, cells in zip(self.discriminants, seen, strict=False)]
        if self.before is None or self.fitted is None:
            return said
        own = np.exp(self.before.log_proba(recast(table, self.fitted.schema), n_jobs))
        more = n_classes - own.shape[1]  # it knows no class that came later
        return [*said, np.pad(own, ((0, 0), (0, more))).astype(np.float32)]
