"""JEPARegressor draft"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state

from jointprob.predict.folds import ordered_rows
from jointprob.predict.numbers import fit_numbers
from jointprob.progress import reporting
from jointprob.table import check_sample_weight, conform, read_table

NAME = "JEPARegressor"


class JEPARegressor(RegressorMixin, BaseEstimator):
    def __init__(self, *, categorical_features: Any = "from_dtype", random_state: Any = None, n_jobs: int | None = None, verbose: int = 0) -> None:
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        y = np.asarray(y, float)
        weight = check_sample_weight(sample_weight, table.n_rows)
        rows, weight = ordered_rows(table, y, weight)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with reporting(self.verbose) as progress:
            self.model_ = fit_numbers(table.take(rows), y[rows], weight, seed, self.n_jobs, progress)
        self.schema_ = table.schema
        return self

    def predict(self, X: Any):
        return self.model_.mean(conform(X, self.schema_, False, "X", NAME), self.n_jobs)

    def predict_distribution(self, X: Any):
        return self.model_.distribution(conform(X, self.schema_, False, "X", NAME), self.n_jobs)

    def predict_quantiles(self, X, q):
        return self.predict_distribution(X).quantile(q)
