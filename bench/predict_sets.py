"""The tables that the comparison of predictions runs on: rows to fit on, and rows to report."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from data import Split

TARGETS = {
    "adult": "income", "german_credit": "class", "magic": "class", "letter": "class",
    "phoneme": "class", "fars": "INJURY_SEVERITY", "hypothyroid": "class", "soybean": "class",
    "california_housing": "median_house_value", "abalone": "rings", "concrete": "strength",
    "compactiv": "usr", "wine_quality": "quality", "flights": "arr_delay",
    "shuttle": "anomaly", "annthyroid": "anomaly", "mammography": "anomaly", "cardio": "anomaly",
    "htru2": "pulsar",
}  # fmt: skip
CLASSIFICATION = (
    "adult",
    "german_credit",
    "magic",
    "letter",
    "phoneme",
    "fars",
    "hypothyroid",
    "soybean",
)
REGRESSION = (
    "california_housing",
    "abalone",
    "concrete",
    "compactiv",
    "wine_quality",
    "flights",
)
OUTLIERS = ("shuttle", "annthyroid", "mammography", "cardio", "htru2")
IMPUTATION = ("california_housing", "adult")
LEAKS = {"flights": ["dep_delay", "dep_time", "arr_time", "air_time"]}  # known after the landing

MOST_TRAIN_ROWS = 50_000
MOST_TEST_ROWS = 20_000
FEW_ROWS = 100
OUTLIER = "1"
CONTAMINATION = 0.03


class Labelled(NamedTuple):
    """Columns to predict from, and the column to predict."""

    X: pd.DataFrame
    y: np.ndarray

    def take(self, rows: np.ndarray) -> Labelled:
        return Labelled(self.X.iloc[rows].reset_index(drop=True), self.y[rows])


def load(name: str, folder: Path) -> pd.DataFrame:
    """Set `name` without leaks and without rows whose target is missing."""
    table = pd.read_parquet(folder / "tables" / f"{name}.parquet")
    table = table.drop(columns=LEAKS.get(name, []))
    return table[table[TARGETS[name]].notna()].reset_index(drop=True)


def split(table: pd.DataFrame) -> Split:
    """Shuffle by ``default_rng(0)``, cut 60/20/20, then keep the first rows of each part."""
    order = np.random.default_rng(0).permutation(len(table))
    train, valid, test = np.split(order, [int(0.6 * len(table)), int(0.8 * len(table))])
    kept = Split(train[:MOST_TRAIN_ROWS], valid[:MOST_TEST_ROWS], test[:MOST_TEST_ROWS])
    return kept.map(lambda rows: table.iloc[rows].reset_index(drop=True))


def labelled(name: str, folder: Path) -> Split:
    """Three `Labelled` parts; classes are strings, numbers float64."""
    target = TARGETS[name]
    kind = str if name not in REGRESSION else np.float64
    return split(load(name, folder)).map(
        lambda part: Labelled(part.drop(columns=target), part[target].to_numpy().astype(kind))
    )


def few(part: Labelled, seed: int) -> Labelled:
    """The first hundred rows of a permutation by `seed`."""
    return part.take(np.random.default_rng(seed).permutation(len(part.y))[:FEW_ROWS])


def normal(part: Labelled) -> Labelled:
    """The rows that are no outliers."""
    return part.take(np.flatnonzero(part.y != OUTLIER))


def contaminated(part: Labelled) -> Labelled:
    """Outliers by ``default_rng(0)`` among the normal rows: 3 % of all, or as many as there are."""
    regular, outliers = (np.flatnonzero((part.y == OUTLIER) == odd) for odd in (False, True))
    n_outliers = round(CONTAMINATION / (1 - CONTAMINATION) * len(regular))
    rng = np.random.default_rng(0)
    chosen = rng.permutation(outliers)[:n_outliers]
    return part.take(rng.permutation(np.r_[regular, chosen]))


def knock_out(table: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The table without a random `share` of its cells, and the mask of the cells chosen."""
    chosen = np.random.default_rng(seed).random(table.shape) < share
    return table.mask(chosen), chosen
