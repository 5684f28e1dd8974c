"""The imputers we are compared with: `fit` and `transform` of a table with missing cells."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from classifiers import N_JOBS
from plain_tables import categories_of, codes, numbers_of
from sklearn.impute import KNNImputer

MOST_NEIGHBOUR_ROWS = 5_000  # KNNImputer compares every row with every training row


def mean_or_commonest() -> Any:
    return MeanOrCommonest()


def iterative() -> Any:
    return IterativeCodes()


def nearest_neighbours() -> Any:
    return NeighbourRows()


def lightgbm() -> Any:
    return BoostedColumns()


class MeanOrCommonest:
    """One value for all missing cells of a column."""

    def fit(self, X: pd.DataFrame) -> Self:
        means = {name: X[name].mean() for name in numbers_of(X)}
        self.fill_ = means | {name: X[name].mode()[0] for name in categories_of(X)}
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.fillna(self.fill_)


class IterativeCodes:
    """scikit-learn's IterativeImputer on numbers and codes; codes go to the nearest."""

    def fit(self, X: pd.DataFrame) -> Self:
        from sklearn.experimental import enable_iterative_imputer  # noqa: F401
        from sklearn.impute import IterativeImputer

        self.imputer_ = IterativeImputer(max_iter=10, random_state=0).fit(codes(X, np.nan))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        cells = pd.DataFrame(self.imputer_.transform(codes(X, np.nan)), columns=X.columns)
        nearest = {
            name: _decoded(cells[name].round().clip(0, len(X[name].cat.categories) - 1), X[name])
            for name in categories_of(X)
        }
        return cells.assign(**nearest)


class NeighbourRows:
    """scikit-learn's KNNImputer: standardised numbers, a 0/1 column for every category."""

    def fit(self, X: pd.DataFrame) -> Self:
        rows = X.sample(min(len(X), MOST_NEIGHBOUR_ROWS), random_state=0)
        self.mean_, self.spread_ = X[numbers_of(X)].mean(), X[numbers_of(X)].std()
        self.imputer_ = KNNImputer(keep_empty_features=True).fit(self._indicators(rows))
        return self

    def _indicators(self, X: pd.DataFrame) -> pd.DataFrame:
        numbers = (X[numbers_of(X)] - self.mean_) / self.spread_
        flags = [
            pd.get_dummies(X[name], prefix=name, dtype=float).mask(X[name].isna())
            for name in categories_of(X)
        ]
        return pd.concat([numbers, *flags], axis=1)

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        flags = self._indicators(X)
        cells = pd.DataFrame(self.imputer_.transform(flags), columns=flags.columns)
        filled = cells[numbers_of(X)] * self.spread_ + self.mean_
        for name in categories_of(X):
            votes = cells[[f"{name}_{level}" for level in X[name].cat.categories]]
            filled[name] = _decoded(votes.to_numpy().argmax(axis=1), X[name])
        return filled[X.columns]


class BoostedColumns:
    """For each column a LightGBM from all the others; it takes missing cells as they are."""

    def fit(self, X: pd.DataFrame) -> Self:
        from lightgbm import LGBMClassifier, LGBMRegressor

        self.models_ = {}
        for name in X:
            kind = LGBMRegressor if name in numbers_of(X) else LGBMClassifier
            rows = X[X[name].notna()]
            model = kind(random_state=0, n_jobs=N_JOBS, verbose=-1)
            self.models_[name] = model.fit(rows.drop(columns=name), rows[name].to_numpy())
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        filled = X.copy()
        for name, model in self.models_.items():
            rows = X[name].isna()
            if rows.any():
                filled.loc[rows, name] = model.predict(X[rows].drop(columns=name))
        return filled


def _decoded(code: Any, like: pd.Series) -> pd.Categorical:
    return pd.Categorical.from_codes(np.asarray(code, dtype=int), dtype=like.dtype)
