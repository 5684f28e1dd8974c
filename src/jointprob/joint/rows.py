"""Encoded rows, in an order that depends on their contents alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from jointprob.encode import Encoded, Encoding
from jointprob.joint.tree import Codes, Floats, Points
from jointprob.marginal import AsItIs
from jointprob.schema import Schema
from jointprob.table import Table

REPEATS, SPELT_ROWS = (
    4,
    100_000,
)  # whole weights are spelt out up to the larger of 4 n and 100,000 rows
HOLD_OUT_STREAM = 7  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded rows and their weights.

    Parameters
    ----------
    codes : int32 (n_rows, n_categorical)
    z : float32 (n_rows, n_numeric)
    weight : float64 (n_rows,)
    n_levels : tuple of int
        Known levels of each column of codes; 0 keeps the column out of the joint.
    numeric : tuple of int
        Columns of z that take part in the joint.
    n_companions : int
        Last columns of codes, which name atoms: their levels are all there are.
    families : mapping of int to AsItIs
        Columns of z whose densities are of the user's own.
    """

    codes: Codes
    z: Points
    weight: Floats
    n_levels: tuple[int, ...]
    numeric: tuple[int, ...]
    n_companions: int = 0
    families: Mapping[int, AsItIs] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def missing_share(self) -> float:
        """Share of rows with a missing cell in a numeric column that is more than atoms."""
        columns = list(self.known_numeric)
        return float(np.isnan(self.z[:, columns]).any(axis=1).mean()) if columns else 0.0

    @cached_property
    def known_numeric(self) -> tuple[int, ...]:
        """Numeric columns that are more than atoms, and may stand with others."""
        together = [j for j in self.numeric if j not in self.families]
        return tuple(j for j in together if (~np.isnan(self.z[:, j])).sum() > 1)

    @cached_property
    def points(self) -> Points:
        """z on one scale: columns left as they are by their normal scores."""
        if not self.families:
            return self.z
        points = self.z.copy()
        for j in self.families:
            points[:, j] = _scores(self.z[:, j], self.weight)
        return points

    @cached_property
    def grain(self) -> Floats:
        """Variance of a uniform distribution over the step of each column of z; 0 off a grid.

        A Gaussian narrower than the step would put spikes on the values that fit saw.
        """
        return np.array([_grain(self.z[:, j], self.weight) for j in range(self.z.shape[1])])

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """The rows at these positions."""
        return Rows(
            np.ascontiguousarray(self.codes[rows]),
            self.z[rows],
            self.weight[rows],
            self.n_levels,
            self.numeric,
            self.n_companions,
            self.families,
        )


def encoded_rows(encoding: Encoding, schema: Schema, encoded: Encoded, weight: Floats) -> Rows:
    """Rows of a table of this schema; columns that were empty in fit take no part."""
    columns = schema.columns
    levels = tuple(
        0 if columns[c].empty else n
        for c, n in zip(encoding.columns, encoding.n_levels, strict=True)
    )
    numeric = tuple(j for j, c in enumerate(encoding.numeric) if not columns[c].empty)
    return Rows(
        encoded.codes, encoded.z, weight, levels, numeric, len(encoding.companions),
        encoding.families,
    )  # fmt: skip


def _scores(z: Points, weight: Floats) -> Floats:
    """Normal scores of a column's ranks, NaN where missing."""
    known, scores = ~np.isnan(z), np.full(len(z), np.nan)
    _, place = np.unique(z[known], return_inverse=True)
    if len(place):
        rows = np.bincount(place, weight[known])
        scores[known] = ndtri((np.cumsum(rows) - rows / 2) / rows.sum())[place]
    return scores


def _grain(z: Points, weight: Floats) -> float:
    """Squared mean gap to the neighbouring values, over 12, where values repeat."""
    known = ~np.isnan(z)
    values, place = np.unique(z[known], return_inverse=True)
    counts = np.bincount(place, weight[known], len(values))
    if len(values) < 3:
        return 0.0
    gap = np.gradient(values.astype(np.float64))
    repeated = counts * (counts > 1)
    return float((repeated @ gap / counts.sum()) ** 2 / 12)


def canonical_rows(
    table: Table, weight: Floats, repeats: bool = True
) -> tuple[NDArray[np.int64], Floats]:
    """Rows to fit, in an order that does not depend on the order they came in.

    A weight means repeats: whole weights are spelt out as repeated rows, so that a weighted table
    and the table with its rows repeated give the same fit, bit for bit. Other weights, and whole
    ones that add up to more than four times the rows and 100,000, are carried along.

    Parameters
    ----------
    table : Table
    weight : float64 (n_rows,)
    repeats : bool
        False for weights that mean importance: they are all carried along.

    Returns
    -------
    rows : int64
        Positions in the table, equal rows side by side; rows of weight 0 are left out.
    weight : float64
        Weight of each.
    """
    order = np.lexsort((weight, row_hash(table)))
    order = order[weight[order] > 0]
    kept = weight[order]
    whole = repeats and (kept == np.floor(kept)).all()
    if whole and kept.sum() <= max(REPEATS * len(kept), SPELT_ROWS):
        rows = np.repeat(order, kept.astype(np.int64))
        return rows, np.ones(len(rows))
    return order, kept


def row_hash(table: Table) -> NDArray[np.uint64]:
    """A 64-bit hash of each row's cells (splitmix64 finaliser after every cell)."""
    state = np.zeros(table.n_rows, np.uint64)
    for column in table.columns:
        cells = column.astype(np.float64)
        cells = np.where(np.isnan(cells), np.nan, cells + 0.0)  # one NaN, one zero
        state ^= cells.view(np.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state ^= state >> np.uint64(shift)
            state *= np.uint64(factor)
        state ^= state >> np.uint64(31)
        state += np.uint64(0x9E3779B97F4A7C15)
    return state


def hold_out(n_rows: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions to fit on and to hold out: a tenth, up to a quarter of small tables.

    At most 20,000 are held out.

    A single row cannot be divided: it serves as both.
    """
    every = np.arange(n_rows)
    if n_rows < 2:
        return every, every
    n_held_out = int(min(max(0.1 * n_rows, min(100, max(1, n_rows // 4))), 20_000))
    random = np.random.Generator(np.random.Philox(key=[seed, HOLD_OUT_STREAM]))
    shuffled = random.permutation(n_rows)
    return np.sort(shuffled[n_held_out:]), np.sort(shuffled[:n_held_out])
