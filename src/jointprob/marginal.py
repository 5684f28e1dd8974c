"""Marginal transform of one numeric column: x to a normal score z, and back.

A monotone cubic through knots (x, z) with given slopes (Fritsch & Carlson 1980,
doi:10.1137/0717021) between the extreme knots, logarithmic tails beyond them. It works on the
(x, z) plane, so the density phi(z) dz/dx is positive, finite and continuous everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from jointprob import _encode

Floats = npt.NDArray[np.float64]

FARTHEST = 1e300  # values beyond count as this; it leaves room to subtract and to double

FARTHEST_CELL = 3e38  # that a float32 holds


@dataclass(frozen=True, eq=False)
class Marginal:
    """Increasing transform of a numeric column, x to z.

    Parameters
    ----------
    x, z, slope : float64 (n_knots,)
        Knots, strictly increasing in `x` and in `z`, and dz/dx there; at least two.
    tail : float64 (2,)
        Scale a of the lower and of the upper tail: beyond an extreme knot (x_k, z_k),
        abs(z - z_k) = a log(1 + slope abs(x - x_k) / a). A large scale is a Gaussian tail,
        a small one a heavy tail.

    Examples
    --------
    >>> from jointprob.marginal import standardising
    >>> marginal = standardising(mean=10.0, deviation=2.0)
    >>> z, log_slope = marginal.forward(np.array([10.0, 14.0]))
    >>> z.round(6).tolist()
    [0.0, 2.0]
    >>> marginal.inverse(z).round(6).tolist()
    [10.0, 14.0]
    """

    x: Floats
    z: Floats
    slope: Floats
    tail: Floats

    @cached_property
    def pieces(self) -> Floats:
        """Cubic pieces as the kernels read them, (n_knots - 1, 8): see ``jp_piece``."""
        dx, dz = np.diff(self.x), np.diff(self.z)
        left, right = self.slope[:-1] * dx, self.slope[1:] * dx
        c2, c3 = 3 * dz - 2 * left - right, left + right - 2 * dz
        columns = (self.x[:-1], 1 / dx, -np.log(dx), self.z[:-1], left, c2, c3, dx)
        return np.ascontiguousarray(np.stack(columns, axis=1))

    @cached_property
    def keys(self) -> Floats:
        """Left ends of the pieces, padded with infinity to a power of two."""
        n_pieces = len(self.x) - 1
        padding = (1 << (n_pieces - 1).bit_length()) - n_pieces
        return np.concatenate([self.x[:-1], np.full(padding, np.inf)])

    @cached_property
    def tails(self) -> Floats:
        """Extreme knots and tail scales as the kernels read them, (2, 4): see ``jp_tail``."""
        ends = [0, -1]
        return np.stack([self.x[ends], self.z[ends], self.slope[ends], self.tail], axis=1)

    def forward(self, x: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Transform values.

        Parameters
        ----------
        x : float64 (n,)
            Values in the column's unit; NaN stays NaN, values beyond 1e300 count as 1e300.

        Returns
        -------
        z, log_dz_dx : float64 (n,)
            Normal scores and the log of the transform's derivative; the marginal log density
            (nats) is log phi(z) + log_dz_dx.
        """
        values = np.ascontiguousarray(x, dtype=np.float64)
        z, log_slope = np.empty_like(values), np.empty_like(values)
        _encode.forward(values, self.keys, self.pieces, self.tails, z, log_slope)
        return z, log_slope

    def inverse(self, z: npt.ArrayLike) -> Floats:
        """Transform back: the x of every z, float64 (n,), within 1e300 of zero."""
        scores = np.ascontiguousarray(z, dtype=np.float64)
        x = np.empty_like(scores)
        _encode.inverse(scores, self.keys, self.pieces, self.tails, x)
        return x

    def log_density(self, x: npt.ArrayLike) -> Floats:
        """Marginal log density in nats per unit of x, float64 (n,)."""
        z, log_slope = self.forward(x)
        return log_normal(z) + log_slope


@dataclass(frozen=True, eq=False)
class AsItIs(Marginal):
    """The column as it is: its densities are of a family of the user's own.

    Parameters
    ----------
    family : jointprob.jit.Family
    name : str or int
        Of the column.
    """

    family: Any
    name: str | int

    @classmethod
    def of(cls, family: Any, name: str | int) -> AsItIs:
        """With knots that mean nothing."""
        unused = standardising(0.0, 1.0)
        return cls(unused.x, unused.z, unused.slope, unused.tail, family, name)

    def cells(self, x: Floats) -> npt.NDArray[np.float32]:
        """The values as trees read them; those beyond 3e38 count as that."""
        return np.clip(x, -FARTHEST_CELL, FARTHEST_CELL).astype(np.float32)

    def forward(self, x: npt.ArrayLike) -> tuple[Floats, Floats]:
        """The values themselves, and a slope of 1."""
        values = np.array(x, np.float64)
        return values, np.zeros_like(values)

    def inverse(self, z: npt.ArrayLike) -> Floats:
        """The values themselves."""
        return np.array(z, np.float64)


def log_normal(z: Floats) -> Floats:
    """Log density of the standard normal."""
    return -0.5 * z * z - 0.9189385332046727


def standardising(
    mean: float, deviation: float, reach: float = 64.0, tail: float = 64.0
) -> Marginal:
    """Transform (x - mean) / deviation, linear for abs(z) <= reach and logarithmic beyond.

    The logarithm keeps z finite in float32 for every x.
    """
    z = np.array([-reach, reach])
    slope = np.full(2, 1 / deviation)
    return Marginal(mean + z * deviation, z, slope, np.full(2, tail))


def weighted_moments(values: Floats, weight: Floats) -> tuple[float, float]:
    """Mean and standard deviation, free of overflow for values up to 1e300.

    Sums, not dot products: BLAS would start threads here and round as it pleases.
    """
    unit = float(np.abs(values).max()) or 1.0
    scaled, share = values / unit, weight / weight.sum()
    mean = float(np.sum(share * scaled))
    return mean * unit, float(np.sqrt(np.sum(share * (scaled - mean) ** 2))) * unit
