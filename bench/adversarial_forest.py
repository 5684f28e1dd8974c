"""Adversarial random forests (arfpy): the density that ``forde`` describes, evaluated here.

arfpy 0.1.1 fits and samples but has no likelihood. Its parameters define one (arXiv 2205.09435,
section 4): the mean over trees of a leaf's coverage times the product of the leaf's densities,
truncated normals and tables of levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from data import Split
from measure import Result, fitted, rows_per_second
from scipy.stats import truncnorm

PSEUDO_COUNTS = (0.01, 0.1, 1.0)  # arfpy's own `alpha` fails on columns of unequal level counts
NARROWEST = 1e-3  # of the column's spread: a leaf of equal values has no spread of its own


def adversarial_forest(split: Split) -> Result:
    """Fit on train, choose the pseudo-count of levels on valid, report test."""
    forest, cost = fitted(lambda: _fit(split.train))
    valid, test = _codes(split.valid), _codes(split.test)
    densities = [LeafDensity(forest, split.train, pseudo_count) for pseudo_count in PSEUDO_COUNTS]
    best = max(densities, key=lambda density: density.score_samples(valid).mean())
    return {
        **cost,
        "nats": float(best.score_samples(test).mean()),
        "rows_per_second": rows_per_second(best.score_samples, test),
        "chosen": f"pseudo-count {best.pseudo_count:g}",
    }


def _fit(rows: pd.DataFrame) -> Any:
    np.random.seed(0)  # noqa: NPY002  arfpy draws from NumPy's global state
    if not hasattr(np, "in1d"):
        np.in1d = np.isin  # noqa: NPY201  gone from NumPy 2.4, yet arfpy 0.1.1 calls it
    from arfpy import arf

    forest = arf.arf(rows, verbose=False, random_state=0, n_jobs=-1)
    forest.forde()
    return forest


def _codes(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.apply(lambda column: column.cat.codes if column.dtype == "category" else column)


def _by_tree_and_column(table: pd.DataFrame, index: list[str]) -> dict[Any, pd.DataFrame]:
    if table.empty:
        return {}
    parts = table.groupby(["tree", "variable"])
    return {key: part.set_index(index) for key, part in parts}


class LeafDensity:
    """log p(row) of a fitted forest, levels smoothed by `pseudo_count` rows per level."""

    def __init__(self, forest: Any, train: pd.DataFrame, pseudo_count: float) -> None:
        self.forest, self.pseudo_count, self.n_rows = forest, pseudo_count, len(train)
        self.n_levels = {name: len(levels) for name, levels in forest.levels.items()}
        self.bounds = _by_tree_and_column(forest.bnds, ["nodeid"])
        self.normals = _by_tree_and_column(forest.params, ["nodeid"])
        self.tables = _by_tree_and_column(forest.class_probs, ["nodeid", "value"])
        self.narrowest = NARROWEST * train.select_dtypes("number").std()

    def score_samples(self, rows: pd.DataFrame) -> np.ndarray:
        leaves = self.forest.clf.apply(rows)
        trees = [self._tree(t, leaves[:, t], rows) for t in range(self.forest.num_trees)]
        return np.logaddexp.reduce(trees, axis=0) - np.log(self.forest.num_trees)

    def _tree(self, tree: int, leaf: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
        bounds = self.bounds[tree, rows.columns[0]]
        coverage = bounds["cvg"].reindex(leaf, fill_value=0).to_numpy()
        with np.errstate(divide="ignore"):
            score = np.log(coverage)
        for name in rows:
            term = self._table if name in self.n_levels else self._normal
            score = score + term(name, tree, leaf, coverage, rows[name].to_numpy())
        return np.where(coverage > 0, score, -np.inf)

    def _table(
        self, name: str, tree: int, leaf: np.ndarray, coverage: np.ndarray, codes: np.ndarray
    ) -> np.ndarray:
        probability = self.tables[tree, name]["prob"]
        cells = pd.MultiIndex.from_arrays([leaf, codes])
        counts = probability.reindex(cells, fill_value=0).to_numpy() * coverage * self.n_rows
        reachable = self._reachable_levels(name, tree).reindex(leaf, fill_value=1).to_numpy()
        total = coverage * self.n_rows + self.pseudo_count * reachable
        return np.log(counts + self.pseudo_count) - np.log(total)

    def _reachable_levels(self, name: str, tree: int) -> pd.Series:
        # levels split away above a leaf get none of its mass, or the total would stay below 1
        bounds = self.bounds[tree, name]
        low = bounds["min"].clip(lower=-1)
        high = bounds["max"].clip(upper=self.n_levels[name] - 1)
        return np.floor(high) - np.floor(low)

    def _normal(
        self, name: str, tree: int, leaf: np.ndarray, coverage: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        table = self.normals[tree, name].reindex(leaf)
        low, high, mean, spread = (
            table[field].to_numpy() for field in ("min", "max", "mean", "sd")
        )
        spread = np.fmax(spread, self.narrowest[name])
        limits = (low - mean) / spread, (high - mean) / spread
        return truncnorm.logpdf(values, *limits, loc=mean, scale=spread)
