"""Our bags of trees alone, at scikit-learn's settings: what growing and descending cost."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from jointprob.forest import bagging
from jointprob.forest.bins import fit_binning
from jointprob.forest.targets import Growth, Labels, spread
from jointprob.table import conform, read_table

N_TREES = 300


class Forest:
    """Shares of classes by one bag: the root of the columns at a node, leaves of one row."""

    def __init__(self, random_splits: bool, n_jobs: int) -> None:
        self.random_splits, self.n_jobs = random_splits, n_jobs

    def fit(self, X: Any, y: np.ndarray) -> Self:
        table = read_table(X)
        self.schema, weight = table.schema, np.ones(table.n_rows)
        self.classes_, label = np.unique(y, return_inverse=True)
        self.binning = fit_binning(table, weight)
        shares = np.bincount(label) / len(label)
        target = Labels(
            label.astype(np.uint16), weight.astype(np.float32), shares.astype(np.float32)
        )
        bagging.MOST_DRAWN = table.n_rows  # a bag is as large as the table, as the others' are
        growth = Growth(self.random_splits, (max(1, int(np.sqrt(len(table.columns)))),))
        binned = self.binning.bin(table, self.n_jobs)
        self.bag, _ = bagging.fit_bag(binned, target, growth, N_TREES, 0, self.n_jobs)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        binned = self.binning.bin(conform(X, self.schema), self.n_jobs)
        return spread(self.bag.means(binned.by_row, self.n_jobs))


def best_splits(n_jobs: int) -> Forest:
    return Forest(False, n_jobs)


def random_splits(n_jobs: int) -> Forest:
    return Forest(True, n_jobs)
