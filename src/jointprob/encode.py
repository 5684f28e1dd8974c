"""Encode: table columns to integer codes, normal scores and their log-Jacobian, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from jointprob import _encode
from jointprob.knots import broad, fit_marginal
from jointprob.marginal import FARTHEST, AsItIs, Floats, Marginal, standardising, weighted_moments
from jointprob.schema import Schema
from jointprob.threads import run_blocks

if TYPE_CHECKING:
    from jointprob.table import Table

Codes = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]
Kind = Literal["scores", "raw"]

ATOM_SHARE = 0.05  # of a column's rows; commoner values are atoms
MIN_ATOM_ROWS = 5.0  # in a few rows every value has a large share
MAX_LEVELS = 16  # a column of so few values, each well filled, has atoms only
ROWS_PER_LEVEL = 20.0
BLOCK_ROWS = 8192  # z and log-Jacobian of a block stay in the second-level cache

MISSING = -1
CONTINUOUS = 0  # code of a companion column: the value is not an atom


@dataclass(frozen=True, eq=False)
class Encoded:
    """Rows as the later stages see them.

    Parameters
    ----------
    codes : int32 (n_rows, n_categorical), C-contiguous
        The table's categorical columns in order, then a companion column for every numeric
        column with atoms: 0 = continuous, 1.. = atom, -1 = missing.
    z : float32 (n_rows, n_numeric), C-contiguous
        NaN where the cell is missing or an atom.
    log_jacobian : float64 (n_rows,)
        Sum of log dz/dx over the row's continuous cells, nats.
    """

    codes: Codes
    z: Scores
    log_jacobian: Floats


@dataclass(frozen=True, eq=False)
class Encoding:
    """How the columns of a table are encoded; see `fit_encodings`.

    Parameters
    ----------
    kind : "scores" or "raw"
        Normal scores or standardised values.
    categorical, numeric : tuple of int
        Table columns behind the first columns of `codes` and behind the columns of `z`.
    levels : tuple of int
        Number of levels of each categorical column.
    marginals : tuple of Marginal
        Transform of each numeric column.
    atoms : tuple of float64 (n_atoms,)
        Atoms of each numeric column, ascending; often none.
    """

    kind: Kind
    categorical: tuple[int, ...]
    numeric: tuple[int, ...]
    levels: tuple[int, ...]
    marginals: tuple[Marginal, ...]
    atoms: tuple[Floats, ...]

    @cached_property
    def companions(self) -> tuple[int, ...]:
        """Numeric column (a column of z) behind each companion column."""
        return tuple(j for j, atoms in enumerate(self.atoms) if len(atoms))

    @cached_property
    def companion_of(self) -> tuple[int | None, ...]:
        """Companion column in `codes` of each numeric column, None where it has no atoms."""
        places = {j: len(self.categorical) + i for i, j in enumerate(self.companions)}
        return tuple(places.get(j) for j in range(len(self.numeric)))

    @cached_property
    def n_levels(self) -> tuple[int, ...]:
        """Number of known levels of each column of `codes`; a companion's atoms and one more."""
        return self.levels + tuple(1 + len(self.atoms[j]) for j in self.companions)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Table column behind each column of `codes`."""
        return self.categorical + tuple(self.numeric[j] for j in self.companions)

    @cached_property
    def families(self) -> dict[int, AsItIs]:
        """Columns of z whose densities are of the user's own."""
        return {j: m for j, m in enumerate(self.marginals) if isinstance(m, AsItIs)}

    def encode(self, table: Table, n_jobs: int | None = None) -> Encoded:
        """Encode the rows of a table.

        Parameters
        ----------
        table : Table
            Columns of the fitted kinds, in the fitted order.
        n_jobs : int, optional
            Number of threads; the result does not depend on it.
        """
        n_rows = table.n_rows
        codes = np.empty((n_rows, len(self.n_levels)), dtype=np.int32)
        for i, column in enumerate(self.categorical):
            codes[:, i] = table.columns[column]
        z = np.empty((n_rows, len(self.numeric)), dtype=np.float32)
        encoded = Encoded(codes, z, np.zeros(n_rows))
        inputs = [np.ascontiguousarray(table.columns[j], dtype=np.float64) for j in self.numeric]
        run_blocks(partial(self._encode_rows, inputs, encoded), n_rows, BLOCK_ROWS, n_jobs)
        return encoded

    def _encode_rows(self, inputs: list[Floats], encoded: Encoded, start: int, stop: int) -> None:
        for j, (x, marginal) in enumerate(zip(inputs, self.marginals, strict=True)):
            if isinstance(marginal, AsItIs):
                encoded.z[start:stop, j] = marginal.cells(x[start:stop])
                continue
            place = self.companion_of[j]
            _encode.encode_column(
                x, start, stop, marginal.keys, marginal.pieces, marginal.tails, self.atoms[j],
                encoded.codes, -1 if place is None else place, encoded.z, j, encoded.log_jacobian,
            )  # fmt: skip

    def decode(self, codes: Codes, z: Scores) -> list[npt.NDArray[np.int32] | Floats]:
        """Table columns of encoded rows, the inverse of `encode`.

        Parameters
        ----------
        codes : int32 (n_rows, n_categorical)
        z : float32 or float64 (n_rows, n_numeric)
            Where a companion names an atom, the atom is the value and z is not read.

        Returns
        -------
        list of int32 or float64 (n_rows,)
            One per table column, in the table's order.
        """
        decoded: dict[int, npt.NDArray[np.int32] | Floats] = {
            column: codes[:, i].copy() for i, column in enumerate(self.categorical)
        }
        for j, column in enumerate(self.numeric):
            decoded[column] = self._decode_numeric(j, codes, z)
        return [decoded[column] for column in range(len(decoded))]

    def _decode_numeric(self, j: int, codes: Codes, z: Scores) -> Floats:
        x = self.marginals[j].inverse(z[:, j])
        place = self.companion_of[j]
        if place is None:
            return x
        code = codes[:, place]
        x[code == MISSING] = np.nan
        is_atom = code > CONTINUOUS
        x[is_atom] = self.atoms[j][code[is_atom] - 1]
        return x

    def interval(
        self, j: int, low: float | None, high: float | None
    ) -> tuple[float, float, npt.NDArray[np.int64]]:
        """Encode low <= x <= high for numeric column `j` (a column of z).

        Parameters
        ----------
        low, high : float or None
            None is an open end.

        Returns
        -------
        z_low, z_high : float
            Range of the continuous part; infinite where the end is open.
        codes : int64 (n,)
            Codes of the atoms inside the interval.

        Raises
        ------
        ValueError
            If an end is NaN or `low` exceeds `high`.
        """
        left = -np.inf if low is None else float(low)
        right = np.inf if high is None else float(high)
        if not left <= right:
            raise ValueError(f"interval ({low}, {high}): low must be at most high, neither NaN")
        ends = np.array([left, right])
        z = np.where(np.isinf(ends), ends, self.marginals[j].forward(ends)[0])
        inside = (self.atoms[j] >= left) & (self.atoms[j] <= right)
        return float(z[0]), float(z[1]), np.flatnonzero(inside) + 1


def fit_encodings(
    table: Table,
    weight: npt.ArrayLike | None = None,
    n_jobs: int | None = None,
    atoms: tuple[Floats | None, ...] | None = None,
) -> tuple[Encoding, Encoding]:
    """Fit the marginal transforms of a table.

    Parameters
    ----------
    table : Table
    weight : float64 (n_rows,), optional
        Non-negative row weights; a weight w means w equal rows. Weights that sum to less than
        the number of weighted rows (normalised ones) are scaled up to it.
    n_jobs : int, optional
        Number of threads, one column at a time each.
    atoms : tuple of float64 (n_atoms,) or None, optional
        Atoms of each numeric column, where they are settled: densities with the same atoms have
        one measure. None finds them.

    Returns
    -------
    scores, raw : Encoding
        Normal scores and standardised values, with the same atoms and codes.

    Notes
    -----
    A value that holds more than 5 % of a column's rows is an atom: it becomes a level of a
    companion column and leaves the continuous part. A column of at most 16 values with 20 rows
    for each on average, or of a single value, consists of atoms only; its continuous part is
    then a broad default. The log density of a row is with respect to counting measure on
    atoms and Lebesgue measure elsewhere.

    Examples
    --------
    >>> from jointprob.table import read_table
    >>> table = read_table(np.array([[0.0], [0.0], [0.0], [0.0], [0.0], [1.5], [2.5]]))
    >>> scores, raw = fit_encodings(table)
    >>> scores.atoms[0].tolist(), scores.encode(table).codes[:, 0].tolist()
    ([0.0], [1, 1, 1, 1, 1, 0, 0])
    """
    rows = _row_weights(table.n_rows, weight)

    def values_of(column: int) -> tuple[Floats, Floats]:
        return distinct(np.clip(table.columns[column], -FARTHEST, FARTHEST), rows)

    return encodings_of(table.schema, values_of, n_jobs, atoms)


def encodings_of(
    schema: Schema,
    values_of: Callable[[int], tuple[Floats, Floats]],
    n_jobs: int | None = None,
    atoms: tuple[Floats | None, ...] | None = None,
) -> tuple[Encoding, Encoding]:
    """As `fit_encodings`, where the rows themselves are not at hand.

    Parameters
    ----------
    schema : Schema
    values_of : callable
        Of the position of a numeric column: its distinct values, ascending, within 1e300 of zero,
        and the weight of each in rows, positive.
    n_jobs, atoms
        As `fit_encodings`.
    """
    kinds = [column.kind for column in schema.columns]
    categorical = tuple(j for j, kind in enumerate(kinds) if kind == "categorical")
    numeric = tuple(j for j, kind in enumerate(kinds) if kind == "numeric")
    levels = tuple(len(schema.columns[j].levels) for j in categorical)
    settled = atoms or (None,) * len(numeric)
    fits = run_blocks(
        lambda i, _: _fit_column(*values_of(numeric[i]), settled[i]), len(numeric), 1, n_jobs
    )
    found, scores, raw = zip(*fits, strict=True) if fits else ((), (), ())
    return (
        Encoding("scores", categorical, numeric, levels, scores, found),
        Encoding("raw", categorical, numeric, levels, raw, found),
    )


def _row_weights(n_rows: int, weight: npt.ArrayLike | None) -> Floats:
    if weight is None:
        return np.ones(n_rows)
    rows = np.asarray(weight, dtype=np.float64)
    total = rows.sum()
    return rows * (max(1.0, np.count_nonzero(rows) / total) if total > 0 else 1.0)


def _fit_column(
    values: Floats, weight: Floats, settled: Floats | None = None
) -> tuple[Floats, Marginal, Marginal]:
    """Atoms and the two marginals of one column, by its distinct values."""
    if len(values) == 0:
        none = np.empty(0) if settled is None else settled
        return none, broad(-1.0, 1.0), broad(-1.0, 1.0)
    is_atom = find_atoms(weight) if settled is None else np.isin(values, settled)
    atoms = values[is_atom] if settled is None else settled
    rest, rest_weight = values[~is_atom], weight[~is_atom]
    if len(rest) < 2:  # of no or one value nothing about the scale is known but the atoms' range
        default = broad(values[0], values[-1])
        return atoms, default, default
    mean, deviation = weighted_moments(rest, rest_weight)
    raw = standardising(mean, max(deviation, 1e-12 * abs(mean), 1e-300))
    return atoms, fit_marginal(rest, rest_weight), raw


def distinct(x: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Distinct values of the observed cells, ascending, and the weight of each."""
    observed = ~np.isnan(x) & (rows > 0)
    if observed.all() and (rows == 1.0).all():
        values, counts = np.unique(x, return_counts=True)
        return values, counts.astype(np.float64)
    values, place = np.unique(x[observed], return_inverse=True)
    weight = np.bincount(place, rows[observed], minlength=len(values))
    return values, weight.astype(np.float64, copy=False)


def find_atoms(weight: Floats) -> npt.NDArray[np.bool_]:
    """Which of a column's distinct values are atoms, by their weights in rows."""
    n_rows, n_values = weight.sum(), len(weight)
    if n_values == 1 or (n_values <= MAX_LEVELS and n_rows >= ROWS_PER_LEVEL * n_values):
        return np.ones(n_values, dtype=np.bool_)
    common: npt.NDArray[np.bool_] = (weight > ATOM_SHARE * n_rows) & (weight >= MIN_ATOM_ROWS)
    return common
