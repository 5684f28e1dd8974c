"""The regressors we are compared with, each with `predict_quantiles(X, levels)` of its own.

A method that predicts only a mean gets a Gaussian around it, as wide as its errors on valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from classifiers import N_JOBS, N_TREES
from plain_tables import as_codes, one_hot
from predict_sets import Labelled
from scipy.stats import norm
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

TRAINED_LEVELS = tuple(np.linspace(0.05, 0.95, 10).round(2))  # LightGBM: a model for each


def lightgbm() -> Any:
    from lightgbm import LGBMRegressor

    return WithGaussian(LGBMRegressor(random_state=0, n_jobs=N_JOBS, verbose=-1))


def hist_gradient_boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return WithGaussian(
        HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
    )


def ridge() -> Any:
    from sklearn.linear_model import Ridge

    return WithGaussian(make_pipeline(one_hot(), Ridge()))


def random_forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return make_pipeline(as_codes(), RandomForestRegressor(N_TREES, random_state=0, n_jobs=N_JOBS))


def extra_trees() -> Any:
    from sklearn.ensemble import ExtraTreesRegressor

    return make_pipeline(as_codes(), ExtraTreesRegressor(N_TREES, random_state=0, n_jobs=N_JOBS))


def quantile_forest() -> Any:
    from quantile_forest import RandomForestQuantileRegressor

    return QuantileForest(RandomForestQuantileRegressor(N_TREES, random_state=0, n_jobs=N_JOBS))


def quantile_extra_trees() -> Any:
    from quantile_forest import ExtraTreesQuantileRegressor

    return QuantileForest(ExtraTreesQuantileRegressor(N_TREES, random_state=0, n_jobs=N_JOBS))


def lightgbm_quantiles() -> Any:
    return BoostedQuantiles()


class WithGaussian:
    """A regressor of the mean, with Gaussian quantiles around it."""

    def __init__(self, regressor: Any) -> None:
        self.regressor = regressor

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        self.regressor.fit(X, y)
        return self

    def calibrate(self, valid: Labelled) -> None:
        self.spread_ = float(np.std(valid.y - self.predict(valid.X)))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.regressor.predict(X)

    def predict_quantiles(self, X: pd.DataFrame, levels: Sequence[float]) -> np.ndarray:
        return self.predict(X)[:, None] + self.spread_ * norm.ppf(levels)


class QuantileForest:
    """A quantile forest on codes and medians, for it takes no missing cell; gives no mean."""

    def __init__(self, forest: Any) -> None:
        self.forest, self.encoder = (
            forest,
            make_pipeline(as_codes(), SimpleImputer(strategy="median")),
        )

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        self.forest.fit(self.encoder.fit_transform(X), y)
        return self

    def predict_quantiles(self, X: pd.DataFrame, levels: Sequence[float]) -> np.ndarray:
        return self.forest.predict(self.encoder.transform(X), quantiles=list(levels))


class BoostedQuantiles:
    """LightGBM with the pinball loss, one model a level; crossing quantiles are sorted."""

    levels = TRAINED_LEVELS

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        from lightgbm import LGBMRegressor

        shared = {"objective": "quantile", "random_state": 0, "n_jobs": N_JOBS, "verbose": -1}
        self.models_ = [LGBMRegressor(alpha=level, **shared).fit(X, y) for level in self.levels]
        return self

    def predict_quantiles(self, X: pd.DataFrame, levels: Sequence[float]) -> np.ndarray:
        """At `levels`, which must be those trained."""
        chosen = [self.models_[self.levels.index(level)] for level in levels]
        return np.sort(np.column_stack([model.predict(X) for model in chosen]), axis=1)
