"""Class probabilities of a stream: a forest that keeps up, and the model from before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jointprob.adapt.forest import ForestStream
from jointprob.adapt.generation import Codes, Shares
from jointprob.adapt.recent import KeepsJoint, recent_joint
from jointprob.joint.tree import Floats
from jointprob.predict.labels import LabelModel, explain_classes
from jointprob.predict.source import recast
from jointprob.query import Joint
from jointprob.schema import Schema
from jointprob.table import Table


@dataclass(frozen=True, eq=False)
class LabelStream(KeepsJoint):
    """p(c | x) under way. Immutable: `learn` returns the next one.

    Parameters
    ----------
    forest : ForestStream
    fitted : Joint, optional
        Of the columns of X, from before the stream.
    before : LabelModel, optional
        From before the stream, as long as it predicts better than the worst generation.
    """

    forest: ForestStream
    fitted: Joint | None = None
    before: LabelModel | None = None

    @classmethod
    def of(cls, model: LabelModel, joint: Joint, seed: int) -> LabelStream:
        """A stream that goes on from a fit."""
        none = Table(joint.schema, 0, [np.empty(0)] * len(joint.schema))
        class_rows = np.exp(model.pool.log_prior) * joint.n_rows
        empty = ForestStream.empty(none, len(class_rows), seed)
        return cls(empty.after(class_rows), joint, model)

    @property
    def schema(self) -> Schema:
        return self.forest.schema

    def log_proba(self, table: Table, n_jobs: int | None = None) -> Floats:
        """Log probability of each class, (n_rows, n_classes), nats."""
        n_classes = len(self.forest.class_rows)
        return self.forest.log_proba(table, n_jobs, self._before(table, n_classes, n_jobs))

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
        said = self._before(table, n_classes, n_jobs)
        forest = self.forest.learn(table, label, weight, n_classes, half_life, n_jobs, said)
        return replace(self, forest=forest, before=None if forest.before is None else self.before)

    def _before(self, table: Table, n_classes: int, n_jobs: int | None) -> Shares | None:
        """What the model from before says; it knows no class that came later."""
        if self.before is None or self.fitted is None:
            return None
        own = np.exp(self.before.log_proba(recast(table, self.fitted.schema), n_jobs))
        return np.pad(own, ((0, 0), (0, n_classes - own.shape[1]))).astype(np.float32)

    def _learn_joint(self, n_jobs: int | None) -> Joint:
        return recent_joint(self.forest.window, self.fitted, self.forest.seed, n_jobs)
