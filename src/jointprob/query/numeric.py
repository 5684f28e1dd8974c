"""The distribution of one numeric column, row by row: transformed normals and atoms, mixed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import ndtr

from jointprob.joint.tree import Floats, Sizes
from jointprob.marginal import Marginal, log_normal
from jointprob.query.intervals import draw_inside, lattice

N_HERMITE = 32
N_BISECTIONS = 64
N_TRIALS = 128
FARTHEST_SCORE = 1e3  # beyond it a marginal's inverse is at the largest number anyway
NODES, NODE_WEIGHTS = hermegauss(N_HERMITE)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


@dataclass(frozen=True, eq=False)
class Normals:
    """Weighted normals of one encoding's z, several for each row.

    Parameters
    ----------
    marginal : Marginal
        Turns z into the column's unit.
    row : int64 (n,)
    weight, mean, deviation : float64 (n,)
    low, high : float
        Interval of z outside which there is no mass; a normal's weight is that before the cut.
    """

    marginal: Marginal
    row: Sizes
    weight: Floats
    mean: Floats
    deviation: Floats
    low: float = -np.inf
    high: float = np.inf

    @property
    def is_cut(self) -> bool:
        return bool(np.isfinite(self.low) or np.isfinite(self.high))

    def sum(self, values: Floats, n_rows: int) -> Floats:
        """Row sums of weight * values."""
        sums: Floats = np.bincount(self.row, self.weight * values, n_rows).astype(np.float64)
        return sums

    def below(self, z: Floats) -> Floats:
        """Mass below z of each normal, float64 (n,); z (n_rows,) or a number."""
        ends = np.clip(z, self.low, self.high)
        at = ends[self.row] if np.ndim(ends) else ends
        mass: Floats = ndtr((at - self.mean) / self.deviation)
        if self.is_cut:
            mass -= ndtr((self.low - self.mean) / self.deviation)
        return mass

    def cdf(self, x: Floats) -> Floats:
        """Mass at or below x, float64 (n_rows,)."""
        return self.sum(self.below(self.marginal.forward(x)[0]), len(x))

    def density(self, x: Floats) -> Floats:
        """Density at x, float64 (n_rows,), per unit of x."""
        z, log_slope = self.marginal.forward(x)
        score = (z[self.row] - self.mean) / self.deviation
        values = np.exp(log_normal(score) + log_slope[self.row]) / self.deviation
        inside = (z >= self.low) & (z <= self.high)
        return self.sum(values, len(x)) * inside

    def first_moment(self, n_rows: int) -> Floats:
        """Row sums of weight * E[x], by quadrature."""
        if self.is_cut:
            return self._first_moment_cut(n_rows)
        z = self.mean[:, None] + self.deviation[:, None] * NODES
        return self.sum((self._to_x(z) * NODE_WEIGHTS).sum(axis=1), n_rows)

    def _first_moment_cut(self, n_rows: int) -> Floats:
        nodes = lattice(1, 2 * N_HERMITE)
        ends = [
            (end - self.mean[:, None]) / self.deviation[:, None] for end in (self.low, self.high)
        ]
        score, mass = draw_inside(ends[0], ends[1], nodes.u[0])
        x = self._to_x(self.mean[:, None] + self.deviation[:, None] * np.nan_to_num(score))
        return self.sum(mass[:, 0] * (x * nodes.weight).mean(axis=1), n_rows)

    def _to_x(self, z: Floats) -> Floats:
        return self.marginal.inverse(z.ravel()).reshape(z.shape)


@dataclass(frozen=True, eq=False)
class Mixture:
    """The distribution of one numeric column for each of n_rows rows.

    Parameters
    ----------
    n_rows : int
    normals : list of Normals
    atoms : float64 (n_atoms,)
        Values that have a probability.
    atom_weight : float64 (n_rows, n_atoms)
    """

    n_rows: int
    normals: list[Normals]
    atoms: Floats
    atom_weight: Floats

    @property
    def continuous(self) -> Floats:
        """Mass of the continuous part before normalisation, float64 (n_rows,)."""
        mass = np.zeros(self.n_rows)
        for normals in self.normals:
            mass += normals.sum(normals.below(np.array(np.inf)), self.n_rows)
        return mass

    @cached_property
    def total(self) -> Floats:
        """What the weights sum to: near 1, but for negligible states that were left out."""
        return np.asarray(self.continuous + self.atom_weight.sum(axis=1))

    def cdf(self, x: Floats) -> Floats:
        """P(column <= x), float64 (n_rows,)."""
        mass = (self.atom_weight * (self.atoms <= x[:, None])).sum(axis=1)
        for normals in self.normals:
            mass = mass + normals.cdf(x)
        return np.asarray(np.clip(mass / self.total, 0, 1))

    def mean(self) -> Floats:
        """Expectation, float64 (n_rows,): Gauss-Hermite quadrature of each normal with 32 nodes."""
        moment = (self.atom_weight * self.atoms).sum(axis=1)
        for normals in self.normals:
            moment = moment + normals.first_moment(self.n_rows)
        return np.asarray(moment / self.total)

    def quantile(self, q: float) -> Floats:
        """Smallest x with P(column <= x) >= q, float64 (n_rows,), by bisection of the CDF."""
        if not self.normals:
            return self._atom_quantile(q)
        marginal = self.normals[0].marginal
        low = np.full(self.n_rows, -FARTHEST_SCORE)
        high = -low
        for _ in range(N_BISECTIONS):
            middle = 0.5 * (low + high)
            enough = self.cdf(marginal.inverse(middle)) >= q
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return self._snap(marginal.inverse(high), q)

    def _snap(self, x: Floats, q: float) -> Floats:
        """Where the CDF jumps past q at an atom, the quantile is that atom exactly."""
        for a, atom in enumerate(self.atoms):
            up_to = self.cdf(np.full(self.n_rows, atom))
            before = up_to - self.atom_weight[:, a] / self.total
            x = np.where((before < q) & (up_to >= q) & (self.atom_weight[:, a] > 0), atom, x)
        return x

    def _atom_quantile(self, q: float) -> Floats:
        reached = np.cumsum(self.atom_weight, axis=1) >= q * self.total[:, None] * (1 - 1e-12)
        return np.asarray(self.atoms[reached.argmax(axis=1)])

    def mode(self) -> Floats:
        """The commonest atom where atoms hold at least half of the mass, else a most likely number.

        That number has the largest density of 128 between the quantiles of 1 % and 99 %. A density
        through quantile knots has a spike wherever values crowd, and its very top says little.
        """
        best = np.full(self.n_rows, np.nan)
        top = np.full(self.n_rows, -1.0)
        for x in self._trials():
            density = sum((normals.density(x) for normals in self.normals), np.zeros(self.n_rows))
            best, top = np.where(density > top, x, best), np.maximum(density, top)
        if not len(self.atoms):
            return best
        mostly_atoms = self.atom_weight.sum(axis=1) >= 0.5 * self.total
        commonest = self.atoms[self.atom_weight.argmax(axis=1)]
        return np.asarray(np.where(mostly_atoms, commonest, best))

    def _trials(self) -> Iterator[Floats]:
        """Numbers whose scores are equally spaced."""
        if self.normals:
            marginal = self.normals[0].marginal
            low, high = (marginal.forward(self.quantile(q))[0] for q in (0.01, 0.99))
            for share in (np.arange(N_TRIALS) + 0.5) / N_TRIALS:
                yield marginal.inverse(low + share * (high - low))
