"""JEPAClassifier: class probabilities from forests, boosted trees and joints."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_random_state, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from jointprob.predict.folds import ordered_rows
from jointprob.predict.labels import fit_labels
from jointprob.progress import reporting
from jointprob.table import check_sample_weight, conform, read_table

NAME = "JEPAClassifier"


class JEPAClassifier(ClassifierMixin, BaseEstimator):
    """draft"""

    def __init__(self, *, categorical_features: Any = "from_dtype", class_weight: Any = None,
                 random_state: Any = None, n_jobs: int | None = None, verbose: int = 0) -> None:
        self.categorical_features = categorical_features
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        y = column_or_1d(y, warn=True)
        classes, label = np.unique(y, return_inverse=True)
        weight = check_sample_weight(sample_weight, table.n_rows)
        rows, weight = ordered_rows(table, label, weight)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with reporting(self.verbose) as progress:
            model = fit_labels(table.take(rows), label[rows], weight, len(classes), seed, self.n_jobs, progress)
        self.model_, self.classes_, self.schema_ = model, classes, table.schema
        return self

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        return self.model_.log_proba(conform(X, self.schema_, False, "X", NAME), self.n_jobs)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> NDArray[Any]:
        return self.classes_[self.predict_log_proba(X).argmax(axis=1)]
