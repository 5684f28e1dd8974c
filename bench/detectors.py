"""The outlier detectors we are compared with, on standardised columns; higher is more normal."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from classifiers import N_JOBS, N_TREES
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def isolation_forest() -> Any:
    from sklearn.ensemble import IsolationForest

    return _standardised(IsolationForest(n_estimators=N_TREES, random_state=0, n_jobs=N_JOBS))


def local_outlier_factor() -> Any:
    from sklearn.neighbors import LocalOutlierFactor

    return _standardised(LocalOutlierFactor(n_neighbors=20, novelty=True, n_jobs=N_JOBS))


def nearest_neighbours() -> Any:
    return _standardised(NeighbourDistance())


def gaussian_mixture() -> Any:
    from sklearn.mixture import GaussianMixture

    return _standardised(GaussianMixture(16, reg_covar=1e-6, random_state=0))


def ecod() -> Any:
    return _standardised(Ecod())


def _standardised(detector: Any) -> Any:
    return make_pipeline(StandardScaler(), detector)


class NeighbourDistance(BaseEstimator):
    """Minus the mean distance to the five nearest training rows."""

    def fit(self, X: np.ndarray, y: None = None) -> Self:
        self.neighbours_ = NearestNeighbors(n_neighbors=5, n_jobs=N_JOBS).fit(X)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.neighbours_.kneighbors(X)[0].mean(axis=1)


class Ecod(BaseEstimator):
    """pyod's ECOD, with the sign turned."""

    def fit(self, X: pd.DataFrame, y: None = None) -> Self:
        from pyod.models.ecod import ECOD

        self.detector_ = ECOD().fit(X)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.detector_.decision_function(X)
