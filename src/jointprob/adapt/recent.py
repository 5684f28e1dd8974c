"""The joint of a stream that keeps its recent rows, learnt when it is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np

from jointprob.adapt.forest import ForestStream
from jointprob.adapt.reservoir import Reservoir
from jointprob.adapt.stream import JointStream
from jointprob.estimators.density import JEPADensity, fit_joint
from jointprob.query import Joint
from jointprob.schema import Schema
from jointprob.table import Table


def recent_joint(rows: Reservoir, before: Joint | None, seed: int, n_jobs: int | None) -> Joint:
    """The joint of recent rows, or one from before moved by them.

    Parameters
    ----------
    rows : Reservoir
        Its table may hold columns that no schema knows after those of the joint.
    before : Joint, optional
        A mixture, each tree of which learns the rows it is likeliest to have brought forth.
    seed : int
    n_jobs : int, optional
    """
    schema = rows.table.schema
    table = Table(schema, len(rows), rows.table.columns[: len(schema)])
    if before is None:
        random = np.random.RandomState(seed)
        return fit_joint(JEPADensity(n_jobs=n_jobs), table.relearnt(), rows.weight, random)
    if not len(rows):
        return before
    return JointStream.of(before, divided=True).learn(table, rows.weight, None, n_jobs).joint


class RecentJoint:
    """An attribute of an estimator: after `partial_fit` the stream's joint, after `fit` its own.

    What `fit` sets on the estimator goes before this, which is no data descriptor.
    """

    def __get__(self, estimator: Any, owner: type) -> Any:
        if estimator is None:
            return self
        stream = vars(estimator).get("_model")
        if not hasattr(stream, "joint"):
            raise AttributeError(f"this {owner.__name__} is not fitted and has no joint_")
        return stream.joint(estimator.n_jobs)


class KeepsJoint:
    """A stream beside the model from before it, which goes once it is hardly believed.

    The joint is learnt once, when it is asked for, and is no part of the stream's state.
    """

    forest: ForestStream
    fitted: Joint | None
    before: Any

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_learnt"}

    @property
    def schema(self) -> Schema:
        return self.forest.schema

    def joint(self, n_jobs: int | None = None) -> Joint:
        """Of the recent rows, or that of the model from before, moved by them."""
        known = vars(self)
        if "_learnt" not in known:
            forest = self.forest
            known["_learnt"] = recent_joint(forest.window, self.fitted, forest.seed, n_jobs)
        found: Joint = known["_learnt"]
        return found

    def _without_the_outdone(self) -> Self:
        """Without the model from before, once it is hardly believed."""
        if self.before is None or not self.forest.last_is_outdone:
            return self
        forest = replace(self.forest, others=self.forest.others[:-1])
        # Both subclasses are data classes.
        return replace(self, forest=forest, before=None)  # type: ignore[type-var]
