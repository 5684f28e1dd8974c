"""The classifiers we are compared with: default settings, and 300 trees a forest."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from plain_tables import as_codes, categories_of, codes, numbers_of, one_hot
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline

N_TREES = 300
N_JOBS = 2
VARIANCE_SMOOTHING = 1e-9  # of the largest variance, as in scikit-learn's GaussianNB


def lightgbm() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(random_state=0, n_jobs=N_JOBS, verbose=-1)


def hist_gradient_boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)


def random_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return make_pipeline(as_codes(), RandomForestClassifier(N_TREES, random_state=0, n_jobs=N_JOBS))


def extra_trees() -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return make_pipeline(as_codes(), ExtraTreesClassifier(N_TREES, random_state=0, n_jobs=N_JOBS))


def logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return make_pipeline(one_hot(), LogisticRegression(max_iter=1000))


def naive_bayes() -> Any:
    return MixedNaiveBayes()


class MixedNaiveBayes(ClassifierMixin, BaseEstimator):
    """A Gaussian for each numeric column, smoothed counts for each categorical one, one prior.

    A missing cell is left out of its row's sum, and of its column's estimates.
    """

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        self.classes_, of_class = np.unique(y, return_inverse=True)
        members = [of_class == k for k in range(len(self.classes_))]
        self.prior_ = np.log(np.bincount(of_class) / len(y))
        numbers = X[numbers_of(X)].to_numpy(float)
        self._fit_gaussians(numbers, members)
        self.counts_ = {
            name: np.array([_log_shares(X[name][rows]) for rows in members])
            for name in categories_of(X)
        }
        return self

    def _fit_gaussians(self, numbers: np.ndarray, members: list[np.ndarray]) -> None:
        """A class without any observed cell of a column gets the column's own Gaussian."""
        mean, variance = _moments(numbers)
        moments = [_moments(numbers[rows]) for rows in members]
        self.mean_ = np.array([np.where(np.isnan(own), mean, own) for own, _ in moments])
        self.variance_ = np.array([np.where(np.isnan(own), variance, own) for _, own in moments])
        self.variance_ += VARIANCE_SMOOTHING * np.nanmax(variance, initial=1e-9)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        numbers = X[numbers_of(X)].to_numpy(float)
        plain = codes(X)
        score = np.tile(self.prior_, (len(X), 1))
        for k, (mean, variance) in enumerate(zip(self.mean_, self.variance_, strict=True)):
            log_density = -0.5 * (np.log(2 * np.pi * variance) + (numbers - mean) ** 2 / variance)
            score[:, k] += np.nansum(log_density, axis=1)
        for name, log_shares in self.counts_.items():
            code = plain[name].to_numpy(int)
            score += np.where(code[:, None] >= 0, log_shares[:, code].T, 0)
        return softmax(score, axis=1)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _moments(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each column's observed cells; NaN where there are none."""
    seen = ~np.isnan(numbers)
    n_seen = np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
    mean = np.where(seen, numbers, 0).sum(axis=0) / n_seen
    return mean, np.where(seen, (numbers - mean) ** 2, 0).sum(axis=0) / n_seen


def _log_shares(column: pd.Series) -> np.ndarray:
    """Log share of each level, one row added to each."""
    counts = column.value_counts(sort=False).reindex(column.cat.categories).to_numpy() + 1.0
    return np.log(counts / counts.sum())
