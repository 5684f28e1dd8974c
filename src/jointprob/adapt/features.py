"""JointFeatures: what a joint makes of a row, as numbers for any other model."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from jointprob.estimators.density import keep_names
from jointprob.estimators.tags import TakesTables
from jointprob.query import Joint
from jointprob.query.evidence import Given, blank_empty
from jointprob.query.explain import explain_rows
from jointprob.query.impute import fill
from jointprob.table import Table, conform

NAME = "JointFeatures"
Floats = NDArray[np.float64]


class JointFeatures(TakesTables, TransformerMixin, BaseEstimator):
    """Features of rows by a joint that was fitted before, often to many more rows.

    Parameters
    ----------
    joint : Joint
    posterior : bool
        Probability of each subset of rows given the row (`Joint.subsets`).
    surprise : bool
        -log p(cell | other cells) of every cell, nats; 0 where it is missing.
    cells : bool
        The row with its gaps filled: numbers by their conditional median, one column for each
        level of a category, 1 for the level that is there or is likeliest.
    n_jobs : int or None
        Threads, None for all cores. No result depends on it.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where all column names are strings.

    Notes
    -----
    `fit` learns nothing: the joint is there already. Columns that were all missing when the joint
    was fitted say nothing, and have no features.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from jointprob import JEPADensity, JointFeatures
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 2))
    >>> y = X[:, 0] * X[:, 1] > 0
    >>> joint = JEPADensity(n_subsets=16, n_trees=1, random_state=0).fit(X).joint_
    >>> model = make_pipeline(JointFeatures(joint), LogisticRegression(max_iter=1000))
    >>> model.fit(X[:100], y[:100]).score(X[100:], y[100:]) > 0.7
    True
    """

    def __init__(
        self,
        joint: Joint,
        *,
        posterior: bool = True,
        surprise: bool = True,
        cells: bool = True,
        n_jobs: int | None = None,
    ) -> None:
        self.joint = joint
        self.posterior = posterior
        self.surprise = surprise
        self.cells = cells
        self.n_jobs = n_jobs

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check that the joint can read the rows.

        Raises
        ------
        TypeError
            If `joint` is no Joint.
        ValueError
            If X has other columns than the joint, or no kind of feature is asked for.
        """
        self._checked()
        self._read(X)
        keep_names(self, self.joint.schema)
        return self

    def transform(self, X: Any) -> Floats:
        """Features of rows, float64 (n_rows, n_features), without missing cells."""
        self._checked()
        table = self._read(X)
        parts = []
        if self.posterior:
            parts.append(self.joint._subsets(table, self.n_jobs))
        passes = self.joint._passes(Given(table), self.n_jobs)
        if self.surprise:
            cells = explain_rows(passes, table, self.n_jobs)
            parts.append(np.nan_to_num(cells[:, self._known()], nan=0.0, posinf=np.inf))
        if self.cells:
            filled = fill(passes, table, "median", 0, self.n_jobs)
            parts += [self._values(j, filled[j]) for j in self._known()]
        return np.hstack(parts)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names: ``subset_k``, ``surprise_column``, ``column`` and ``column_level``."""
        self._checked()
        columns = [self.joint.schema.columns[j] for j in self._known()]
        names: list[str] = []
        if self.posterior:
            n_subsets = int(self.joint._heaviest().tree.n_states[0])
            names += [f"subset_{k}" for k in range(n_subsets)]
        if self.surprise:
            names += [f"surprise_{c.name}" for c in columns]
        if self.cells:
            names += [n for c in columns for n in _value_names(c.name, c.levels)]
        return np.array(names, dtype=object)

    def _values(self, j: int, cells: NDArray[Any]) -> Floats:
        column = self.joint.schema.columns[j]
        if not column.is_categorical:
            return np.asarray(cells, np.float64)[:, None]
        values: Floats = (cells[:, None] == np.arange(len(column.levels))).astype(np.float64)
        return values

    def _known(self) -> list[int]:
        return [j for j, column in enumerate(self.joint.schema) if not column.empty]

    def _read(self, X: Any) -> Table:
        table = conform(X, self.joint.schema, estimator_name=NAME)
        return Table(table.schema, table.n_rows, blank_empty(table.columns, table.schema))

    def _checked(self) -> None:
        if not isinstance(self.joint, Joint):
            raise TypeError(
                f"joint is a {type(self.joint).__name__}; allowed is a Joint, as in "
                "JEPADensity().fit(X).joint_"
            )
        if not (self.posterior or self.surprise or self.cells):
            raise ValueError("posterior, surprise and cells are all False; one must be asked for")


def _value_names(name: str | int, levels: tuple[Any, ...]) -> list[str]:
    return [f"{name}_{level}" for level in levels] if levels else [str(name)]
