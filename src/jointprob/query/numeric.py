"""The distribution of one numeric column, row by row: transformed normals and atoms, mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from jointprob.joint.tree import Floats, Sizes
from jointprob.marginal import Marginal, log_normal
from jointprob.query.intervals import draw_inside, lattice

HEAVY = 1e-3  # weight of a normal from which its mean takes all nodes
MAX_STEPS = 80
TOLERANCE = 1e-11  # of a quantile, in normal scores
N_TRIALS = 64
CUT_NODES = 64


def normal_nodes(step: float, end: float) -> tuple[Floats, Floats]:
    """Midpoints and weights for the expectation of a function of a standard normal number.

    On the whole line equal steps converge exponentially for smooth functions (Trefethen & Weideman
    2014, doi:10.1137/130932132), and unlike Gauss-Hermite nodes they bear the kinks of a spline.
    """
    x = np.arange(-end + 0.5 * step, end, step)
    weight = np.exp(-0.5 * x * x)
    return x, weight / weight.sum()


FINE, COARSE = normal_nodes(0.25, 6.0), normal_nodes(1.0, 5.0)


@dataclass(frozen=True, eq=False)
class Normals:
    """Weighted normals of one encoding's z, several for each row.

    Parameters
    ----------
    marginal : Marginal
        Turns z into the column's unit.
    row : int64 (n,)
        Ascending.
    weight : float64 (n,)
    which : int64 (n,)
        Which of the distinct normals: rows that know nothing of a block share those of its states.
    means, deviations : float64 (n_distinct,)
    low, high : float
        Interval of z outside which there is no mass; a normal's weight is that before the cut.
    reach : float
        Scores beyond it count as `reach` in means.
    n_shared : int
        How many of the distinct normals, from the first, may stand for several rows.
    """

    marginal: Marginal
    row: Sizes
    weight: Floats
    which: Sizes
    means: Floats
    deviations: Floats
    low: float = -np.inf
    high: float = np.inf
    reach: float = np.inf
    n_shared: int = 0

    @cached_property
    def mean(self) -> Floats:
        """float64 (n,)"""
        return self.means[self.which]

    @cached_property
    def deviation(self) -> Floats:
        """float64 (n,)"""
        return self.deviations[self.which]

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
        moments = self._cut_moments() if self.is_cut else self._moments()
        return self.sum(moments[self.which], n_rows)

    def _moments(self) -> Floats:
        """E[x] of each distinct normal; one that weighs little in its only row by fewer nodes."""
        heavy = np.zeros(len(self.means), np.bool_)
        heavy[self.which[self.weight > HEAVY]] = True
        heavy[: self.n_shared] = True
        moments = np.empty(len(self.means))
        for some, (nodes, weights) in ((heavy, FINE), (~heavy, COARSE)):
            z = self.means[some, None] + self.deviations[some, None] * nodes
            moments[some] = (self._to_x(z) * weights).sum(axis=1)
        return moments

    def _cut_moments(self) -> Floats:
        """E[x; low < z < high] of each distinct normal."""
        nodes = lattice(1, CUT_NODES)
        ends = [
            (end - self.means[:, None]) / self.deviations[:, None] for end in (self.low, self.high)
        ]
        score, mass = draw_inside(ends[0], ends[1], nodes.u[0])
        x = self._to_x(self.means[:, None] + self.deviations[:, None] * np.nan_to_num(score))
        return np.asarray(mass[:, 0] * (x * nodes.weight).mean(axis=1))

    def span(self, n_rows: int) -> tuple[Floats, Floats]:
        """Range of x that holds a row's mass but 1e-18, float64 (n_rows,); (inf, -inf) if none."""
        low, high = np.full(n_rows, np.inf), np.full(n_rows, -np.inf)
        np.minimum.at(low, self.row, np.clip(self.mean - 9 * self.deviation, self.low, self.high))
        np.maximum.at(high, self.row, np.clip(self.mean + 9 * self.deviation, self.low, self.high))
        some = low <= high
        low[some], high[some] = self.marginal.inverse(low[some]), self.marginal.inverse(high[some])
        return low, high

    def _to_x(self, z: Floats) -> Floats:
        return self.marginal.inverse(np.clip(z, -self.reach, self.reach).ravel()).reshape(z.shape)


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
        """Expectation, float64 (n_rows,): by quadrature of each normal."""
        moment = (self.atom_weight * self.atoms).sum(axis=1)
        for normals in self.normals:
            moment = moment + normals.first_moment(self.n_rows)
        return np.asarray(moment / self.total)

    def quantile(self, q: float) -> Floats:
        """Smallest x with P(column <= x) >= q, float64 (n_rows,)."""
        x = self._atom_at(q)
        if not self.normals:
            return self._atom_quantile(q)
        marginal = self.normals[0].marginal
        low, high = self._span()
        t = solve(
            lambda t: self.cdf(marginal.inverse(t)) - q,
            marginal.forward(low)[0], marginal.forward(high)[0], done=~np.isnan(x),
        )  # fmt: skip
        return np.asarray(np.where(np.isnan(x), marginal.inverse(t), x))

    def _span(self) -> tuple[Floats, Floats]:
        """Range of x that holds all of a row's mass, atoms included."""
        lows, highs = zip(*(normals.span(self.n_rows) for normals in self.normals), strict=True)
        low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
        if len(self.atoms):
            low, high = np.minimum(low, self.atoms[0]), np.maximum(high, self.atoms[-1])
        return low, high

    def _atom_at(self, q: float) -> Floats:
        """The atom at which the CDF jumps past q, NaN in rows where it passes q elsewhere."""
        x = np.full(self.n_rows, np.nan)
        for a, atom in enumerate(self.atoms):
            up_to = self.cdf(np.full(self.n_rows, atom))
            before = up_to - self.atom_weight[:, a] / self.total
            x[(before < q) & (up_to >= q) & (self.atom_weight[:, a] > 0)] = atom
        return x

    def _atom_quantile(self, q: float) -> Floats:
        reached = np.cumsum(self.atom_weight, axis=1) >= q * self.total[:, None] * (1 - 1e-12)
        return np.asarray(self.atoms[reached.argmax(axis=1)])

    def mode(self) -> Floats:
        """The commonest atom where atoms hold at least half of the mass, else a most likely number.

        That number has the largest density of 64 between the quantiles of 1 % and 99 %. A density
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


def solve(
    f: Callable[[Floats], Floats], low: Floats, high: Floats, done: NDArray[np.bool_]
) -> Floats:
    """Where increasing functions pass zero, within 1e-11, each row on its own.

    Chandrupatla (1997), doi:10.1016/S0965-9978(96)00051-8: inverse quadratic interpolation where it
    can be trusted, else bisection.

    Parameters
    ----------
    f : callable
        Of all rows' points, float64 (n_rows,).
    low, high : float64 (n_rows,)
        Ends of the search.
    done : bool (n_rows,)
        Rows that need no answer.
    """
    a, b, t = high, low, np.full(len(low), 0.5)
    fa, fb = f(a), f(b)
    for _ in range(MAX_STEPS):
        least = TOLERANCE / np.maximum(np.abs(b - a), TOLERANCE)
        done = done | (least >= 0.5) | (fa == 0)
        if done.all():
            break
        step = np.where(done, 0, np.clip(t, np.minimum(least, 0.5), np.maximum(1 - least, 0.5)))
        x = a + step * (b - a)
        fx = f(x)
        turn = ~done & ((fx >= 0) != (fa >= 0))
        c, fc = np.where(turn, b, a), np.where(turn, fb, fa)
        b, fb = np.where(turn, a, b), np.where(turn, fa, fb)
        a, fa = np.where(done, a, x), np.where(done, fa, fx)
        t = interpolate(a, b, c, fa, fb, fc)
    return np.asarray(np.where(fa >= 0, a, b))


def interpolate(a: Floats, b: Floats, c: Floats, fa: Floats, fb: Floats, fc: Floats) -> Floats:
    """Next step from a towards b as a share of their distance."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        t = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        trusted = (phi * phi < xi) & ((1 - phi) ** 2 < 1 - xi) & np.isfinite(t)
    return np.where(trusted, t, 0.5)
