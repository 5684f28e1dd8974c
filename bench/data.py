"""The tables that the comparisons run on: files under ``--data DIR``, and one seeded generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

BINARY = (
    "nltcs",
    "msnbc",
    "plants",
    "baudio",
    "jester",
    "dna",
    "accidents",
    "tretail",
    "book",
    "bbc",
)
CONTINUOUS = ("california_housing", "magic", "elevators", "compactiv", "htru2", "shuttle", "bsds")
MIXED = ("adult", "fars", "german_credit", "hypothyroid")

ATOM_SHARE = 0.05  # a value that holds more of its column than this counts as discrete


class Split(NamedTuple):
    """Rows to fit on, rows to choose on, rows to report."""

    train: Any
    valid: Any
    test: Any

    def map(self, change: Any) -> Split:
        return Split(*(change(part) for part in self))


def load(kind: str, name: str, folder: Path) -> Split:
    """Read set `name` of `kind` 'binary', 'continuous', 'mixed' or 'comparable' from `folder`."""
    if kind == "binary":
        return _arrays(folder / "debd" / f"{name}.npz").map(lambda part: part.astype(bool))
    if kind == "continuous":
        return _arrays(folder / "continuous" / f"{name}.npz")
    table = pd.read_parquet(folder / "tables" / f"{name}.parquet")
    return split(comparable(table) if kind == "comparable" else table)


def _arrays(path: Path) -> Split:
    with np.load(path) as stored:
        return Split(stored["train"], stored["valid"], stored["test"])


def split(table: pd.DataFrame) -> Split:
    """Shuffle by ``default_rng(0)`` and cut 70/10/20."""
    order = np.random.default_rng(0).permutation(len(table))
    cuts = [int(0.7 * len(table)), int(0.8 * len(table))]
    return Split(*(table.iloc[rows].reset_index(drop=True) for rows in np.split(order, cuts)))


def comparable(table: pd.DataFrame) -> pd.DataFrame:
    """The part of a mixed table on which every method's log density has the same base measure.

    Categorical columns, and numeric columns without atoms, both at least half observed; complete
    rows only. Numeric cells get uniform noise of one grid step, so that no density can gain
    by a spike on the grid.
    """
    kept = [
        name for name in table if table[name].isna().mean() < 0.5 and not has_atoms(table[name])
    ]
    rows = table[kept].dropna().reset_index(drop=True)
    noise = np.random.default_rng(1)
    for name in rows.select_dtypes("number"):
        step = np.diff(np.unique(rows[name])).min()
        rows[name] += step * noise.uniform(-0.5, 0.5, len(rows))
    return rows


def has_atoms(column: pd.Series) -> bool:
    """Whether one value holds more than 5 % of a numeric column's observed rows."""
    is_numeric = pd.api.types.is_numeric_dtype(column)
    return bool(is_numeric and column.value_counts(normalize=True).iloc[0] > ATOM_SHARE)


def synthetic(n_rows: int, n_cols: int, seed: int = 0) -> pd.DataFrame:
    """Half numeric, half categorical columns (2 to 30 levels), 5 % of the cells missing.

    Every column has a score: a share of its parent's score (a random tree over columns),
    a shift by one of 8 hidden subsets of rows, and noise. Numeric columns show the score or its
    exponential, categorical ones the interval it falls into. The structure depends on `n_cols`
    alone, `seed` draws the rows.
    """
    structure, rows = np.random.default_rng(n_cols), np.random.default_rng([seed, n_rows])
    subset = rows.integers(8, size=n_rows)
    scores: list[np.ndarray] = []
    columns = {}
    for position in range(n_cols):
        parent = scores[structure.integers(position)] if position else np.zeros(n_rows)
        shift = structure.normal(size=8)[subset]
        scores.append(0.7 * parent + 0.5 * shift + 0.5 * rows.normal(size=n_rows))
        shown = _category if position % 2 else _number
        columns[f"column_{position}"] = shown(scores[-1], rows.random(n_rows) < 0.05, structure)
    return pd.DataFrame(columns)


def _number(score: np.ndarray, missing: np.ndarray, structure: np.random.Generator) -> np.ndarray:
    shown = np.exp(score) if structure.random() < 0.5 else score
    return np.where(missing, np.nan, shown)


def _category(
    score: np.ndarray, missing: np.ndarray, structure: np.random.Generator
) -> pd.Categorical:
    edges = np.sort(structure.normal(size=structure.integers(1, 30)))
    codes = np.where(missing, -1, np.searchsorted(edges, score))
    return pd.Categorical.from_codes(codes, [f"level_{k:02}" for k in range(len(edges) + 1)])
