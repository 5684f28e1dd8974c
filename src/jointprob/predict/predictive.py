"""The predictive distribution of a number, one for each row."""

from __future__ import annotations

from functools import cached_property
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jointprob.predict.cells import Cells

Floats = NDArray[np.float64]

SAMPLE_STREAM = 17  # second word of the key: no two uses of a seed share a stream


class PredictiveDistribution:
    """Distributions of a number, one for each row of a query.

    Each is a mixture of points and of uniform pieces, with exponential tails of mass 1 / (n + 1)
    beyond the ends, n being the training rows. Densities are with respect to length, those of
    points with respect to counting.

    Attributes
    ----------
    n_rows : int
    """

    def __init__(self, cells: Cells, weight: NDArray[np.floating], shift: Floats, center: Floats):
        self._cells, self._shift, self._center = cells, shift, center
        self._weight = np.asarray(weight, np.float64)
        self.n_rows = len(shift)

    def __repr__(self) -> str:
        return f"<predictive distribution of {self.n_rows} rows>"

    @cached_property
    def _below(self) -> Floats:
        """Probability below each cell, and at last below the upper tail, (n_rows, n_cells + 1)."""
        start = np.full((self.n_rows, 1), self._cells.tail_mass)
        inside = 1 - 2 * self._cells.tail_mass
        return np.hstack([start, self._cells.tail_mass + inside * np.cumsum(self._weight, axis=1)])

    def mean(self) -> Floats:
        """Means, float64 (n_rows,)."""
        return self._center.copy()

    def std(self) -> Floats:
        """Standard deviations about the means, float64 (n_rows,)."""
        low, high = (edge[None, :] + self._shift[:, None] for edge in self._ends)
        off_low, off_high = low - self._center[:, None], high - self._center[:, None]
        square = (off_low**2 + off_low * off_high + off_high**2) / 3
        mass = 1 - 2 * self._cells.tail_mass
        scale, tail = self._cells.tail_scale, self._cells.tail_mass
        lower, upper = (
            end**2 + 2 * end * scale + 2 * scale**2 for end in (-off_low[:, 0], off_high[:, -1])
        )
        inside = np.sum(self._weight * square, axis=1)
        return np.asarray(np.sqrt(mass * inside + tail * (lower + upper)))

    @property
    def _ends(self) -> tuple[Floats, Floats]:
        return self._cells.low, self._cells.high

    def cdf(self, y: ArrayLike) -> Floats:
        """P(target <= y).

        Parameters
        ----------
        y : float, (n_rows,) or (n_rows, k)
            NaN gives NaN.

        Returns
        -------
        float64 (n_rows,) or (n_rows, k)
        """
        t, cell = self._locate(y)
        low, high = self._cells.low[cell], self._cells.high[cell]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            part = np.where(high > low, (t - low) / (high - low), t >= low)
        rows = np.arange(self.n_rows).reshape(-1, *[1] * (t.ndim - 1))
        below, above = self._below[rows, cell], self._below[rows, cell + 1]
        inside = below + np.clip(part, 0, 1) * (above - below)
        scale, tail = self._cells.tail_scale, self._cells.tail_mass
        first, last = self._cells.low[0], self._cells.high[-1]
        with np.errstate(over="ignore"):
            lower = tail * np.exp(np.minimum((t - first) / scale, 0))
            upper = 1 - tail * np.exp(np.minimum((last - t) / scale, 0))
        out = np.where(t < first, lower, np.where(t > last, upper, inside))
        return np.asarray(np.where(np.isnan(t), np.nan, out))

    def log_prob(self, y: ArrayLike) -> Floats:
        """Log density at y, nats (of a point: log probability).

        Parameters
        ----------
        y : float, (n_rows,) or (n_rows, k)

        Returns
        -------
        float64 (n_rows,) or (n_rows, k)
        """
        t, cell = self._locate(y)
        rows = np.arange(self.n_rows).reshape(-1, *[1] * (t.ndim - 1))
        width = self._cells.high[cell] - self._cells.low[cell]
        scale, tail = self._cells.tail_scale, self._cells.tail_mass
        first, last = self._cells.low[0], self._cells.high[-1]
        with np.errstate(over="ignore"):
            beyond = np.maximum(first - t, t - last)
            outside = np.log(tail) - np.log(scale) - np.maximum(beyond, 0) / scale
        mass = (1 - 2 * tail) * self._weight[rows, cell]
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = np.log(np.where(width > 0, mass / width, mass))
        # Between two points there is nothing to see, and the tails' height stands in.
        hit = (t >= self._cells.low[cell]) & (t <= self._cells.high[cell])
        out = np.where(hit & (beyond <= 0), inside, outside)
        return np.asarray(np.where(np.isnan(t), np.nan, out))

    def quantile(self, q: ArrayLike) -> Floats:
        """Quantiles.

        Parameters
        ----------
        q : float or (k,)
            Inside (0, 1).

        Returns
        -------
        float64 (n_rows,) or (n_rows, k)

        Raises
        ------
        ValueError
            If a level is not inside (0, 1).
        """
        levels = check_levels(q)
        found = self._quantile(np.broadcast_to(levels.ravel(), (self.n_rows, levels.size)))
        return found.reshape(self.n_rows, *levels.shape)

    def interval(self, coverage: float = 0.9) -> Floats:
        """Lower and upper end of the central interval of this coverage, (n_rows, 2)."""
        if not (isinstance(coverage, Real) and 0 < coverage < 1):
            raise ValueError(f"coverage is {coverage!r}; allowed are numbers inside (0, 1)")
        return self.quantile([(1 - coverage) / 2, (1 + coverage) / 2])

    def sample(self, n_per_row: int = 1, random_state: int | None = None) -> Floats:
        """Draws, float64 (n_rows, n_per_row)."""
        if not (isinstance(n_per_row, Integral) and n_per_row >= 0):
            raise ValueError(f"n_per_row={n_per_row!r}; allowed are whole numbers of at least 0")
        seed = np.random.SeedSequence(random_state).generate_state(1, np.uint64)[0]
        random = np.random.Generator(np.random.Philox(key=[seed, SAMPLE_STREAM]))
        uniform = random.random((self.n_rows, n_per_row))
        return self._quantile(np.clip(uniform, 2.0**-54, 1 - 2.0**-53))

    def _locate(self, y: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
        """Numbers less each row's shift, and their cells."""
        y = np.asarray(y, np.float64)
        if y.ndim > 2 or (y.ndim and y.shape[0] != self.n_rows):
            raise ValueError(
                f"y has shape {y.shape}; allowed are a number, ({self.n_rows},) and "
                f"({self.n_rows}, k)"
            )
        t = y - (self._shift[:, None] if y.ndim == 2 else self._shift)
        return t, self._cells.find(t)

    def _quantile(self, levels: Floats) -> Floats:
        """Of levels (n_rows, k)."""
        below = self._below
        n_edges = below.shape[1]
        edge = _count_below(below, levels)
        cell = np.clip(edge - 1, 0, n_edges - 2)
        start, stop = (np.take_along_axis(below, cell + k, axis=1) for k in (0, 1))
        low, high = self._cells.low[cell], self._cells.high[cell]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(stop > start, (levels - start) / (stop - start), 0.0)
        t = low + np.clip(part, 0, 1) * (high - low)
        tail, scale = self._cells.tail_mass, self._cells.tail_scale
        with np.errstate(divide="ignore"):
            t = np.where(edge == 0, self._cells.low[0] + scale * np.log(levels / tail), t)
            upper = self._cells.high[-1] - scale * np.log((1 - levels) / tail)
        t = np.where(edge == n_edges, upper, t)
        return np.asarray(t + self._shift[:, None])


def _count_below(edges: Floats, levels: Floats) -> NDArray[np.int64]:
    """How many edges of its row each level lies above, (n_rows, k); each row searched by halves.

    Levels are compared as they are: no row's answer depends on where it stands.
    """
    n_edges = edges.shape[1]
    found = np.zeros(levels.shape, np.int64)
    for bit in reversed(range(n_edges.bit_length())):
        tried = found + (1 << bit)
        last = np.take_along_axis(edges, np.minimum(tried, n_edges) - 1, axis=1)
        found = np.where((tried <= n_edges) & (last < levels), tried, found)
    return found


def check_levels(q: ArrayLike) -> Floats:
    """Levels of quantiles as float64.

    Raises
    ------
    ValueError
        If one is not inside (0, 1).
    """
    levels = np.asarray(q, np.float64)
    bad = levels[~((levels > 0) & (levels < 1))]
    if bad.size or levels.ndim > 1:
        shown = bad.ravel()[0] if bad.size else f"of shape {levels.shape}"
        raise ValueError(f"q is {shown}; allowed are a number, or a list of them, inside (0, 1)")
    return levels
