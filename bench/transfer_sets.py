"""The tables that transfer is measured on: many rows of one kind, few of another."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

MOST_SOURCE_ROWS, MOST_TEST_ROWS = 5000, 2000
BATCH_SPLIT = 6  # gas_drift: earlier batches are the source, later ones the target
POOLED = 4  # mnist_test: pixels are means of 4 x 4


class Pair(NamedTuple):
    """Rows of the source, rows of the target, and the column to predict."""

    source: pd.DataFrame
    target: pd.DataFrame
    label: str

    @property
    def is_classification(self) -> bool:
        return not pd.api.types.is_float_dtype(self.source[self.label])


def load(name: str, folder: Path) -> Pair:
    """Source and target of one set, shuffled by `default_rng(0)`."""
    return Pair(*SETS[name](folder))


def for_nats(pair: Pair) -> Pair:
    """Features of both halves, on which every way's density has the same base measure.

    Numeric cells get uniform noise of one grid step, so that no value is an atom and no density can
    gain by a spike on the grid. Columns that are constant in either half stay out.
    """
    halves = [half.drop(columns=pair.label) for half in (pair.source, pair.target)]
    kept = [c for c in halves[0] if min(half[c].nunique() for half in halves) > 1]
    both = pd.concat([half[kept] for half in halves], ignore_index=True)
    noise = np.random.default_rng(1)
    for name in both.select_dtypes("number"):
        step = np.diff(np.unique(both[name].dropna())).min()
        both[name] = both[name].astype(float) + step * noise.uniform(-0.5, 0.5, len(both))
    n = len(halves[0])
    return Pair(both[:n], both[n:].reset_index(drop=True), "")


def _read(folder: Path, name: str) -> pd.DataFrame:
    table = pd.read_parquet(folder / "tables" / f"{name}.parquet")
    return table.iloc[np.random.default_rng(0).permutation(len(table))].reset_index(drop=True)


def _divided(table: pd.DataFrame, is_source: pd.Series, is_target: pd.Series, drop: list[str]):
    source, target = (table[rows].drop(columns=drop) for rows in (is_source, is_target))
    return source.iloc[:MOST_SOURCE_ROWS], target


def _adult_workclass(folder: Path):
    table = _read(folder, "adult")
    kind = table["workclass"].astype(object)
    return *_divided(table, kind == "Private", kind == "Self-emp-not-inc", ["workclass"]), "income"


def _adult_country(folder: Path):
    table = _read(folder, "adult")
    country = table["native_country"].astype(object)
    home = country == "United-States"
    return *_divided(table, home, ~home & country.notna(), ["native_country"]), "income"


def _california(folder: Path):
    table = _read(folder, "california_housing")
    kind = table["ocean_proximity"].astype(object)
    halves = _divided(table, kind == "INLAND", kind == "NEAR OCEAN", ["ocean_proximity"])
    return *halves, "median_house_value"


def _gas_drift(folder: Path):
    table = _read(folder, "gas_drift")
    batch = table["batch"].astype(float)
    label = next(c for c in table if c.lower() in ("gas", "class", "target", "label"))
    drop = [c for c in table if c in ("batch", "concentration")]
    table[label] = table[label].astype(str)
    # 16 of the 128 columns: the first feature of each sensor
    numbers = [c for c in table if c not in (*drop, label)][::8]
    table = table[[*numbers, *drop, label]]
    return *_divided(table, batch < BATCH_SPLIT, batch > BATCH_SPLIT, drop), label


def _letter(folder: Path):
    table = _read(folder, "letter")
    name = table["class"].astype(str)
    table["class"] = name
    order = np.sort(name.unique())
    first = name.isin(order[: len(order) // 2])
    return *_divided(table, first, ~first, []), "class"


def _mnist(folder: Path):
    with np.load(folder / "images" / "mnist_test.npz") as stored:
        keys = sorted(stored, key=lambda k: stored[k].ndim)
        digit, images = stored[keys[0]].astype(int), stored[keys[-1]]
    images = images.reshape(len(digit), 28, 28).astype(float)
    small = images.reshape(-1, 28 // POOLED, POOLED, 28 // POOLED, POOLED).mean(axis=(2, 4))
    table = pd.DataFrame(small.reshape(len(digit), -1)).add_prefix("pixel_")
    table["digit"] = digit.astype(str)
    table = table.iloc[np.random.default_rng(0).permutation(len(table))].reset_index(drop=True)
    first = table["digit"] < "5"
    return *_divided(table, first, ~first, []), "digit"


SETS = {
    "adult_workclass": _adult_workclass,
    "adult_country": _adult_country,
    "california_housing": _california,
    "gas_drift": _gas_drift,
    "letter": _letter,
    "mnist_test": _mnist,
}
