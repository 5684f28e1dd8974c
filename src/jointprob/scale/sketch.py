"""A mergeable summary of a column's values: exact while it is small, quantiles when it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jointprob.encode import distinct
from jointprob.marginal import FARTHEST, Floats

CAPACITY = 65_536  # values that are told apart
EXTREMES = 512  # of either end, kept as they are: tails are fitted to them
GOLDEN = 0.6180339887498949  # offsets that are spread evenly over (0, 1)


@dataclass(frozen=True, eq=False)
class Sketch:
    """Distinct values of a column, ascending, and the weight of each in rows.

    Parameters
    ----------
    values, weight : float64 (n_values,)
        At most `CAPACITY` of them.
    exact : bool
        Are these all values?

    Notes
    -----
    Up to `CAPACITY` distinct values, the weights are exact. Beyond, values of much weight (atoms)
    and the extremes stay as they are, and of the others a systematic sample by cumulated weight is
    kept, each of equal weight: a rank is then off by 1 / `CAPACITY` of the rows at most, each time
    that a summary is thinned out, to either side alike. Merging in a tree, as `Reduction` does, a
    value meets few such times (Agarwal et al. 2013, doi:10.1145/2500128, section 3, who draw one of
    two offsets where the golden ratio spreads them here).

    Examples
    --------
    >>> sketch = Sketch.of(np.array([2.0, 1.0, np.nan, 2.0])).merged(Sketch.of(np.array([3.0])))
    >>> sketch.values.tolist(), sketch.weight.tolist()
    ([1.0, 2.0, 3.0], [1.0, 2.0, 1.0])
    """

    values: Floats
    weight: Floats
    exact: bool = True

    @classmethod
    def of(cls, column: Floats) -> Sketch:
        """Summary of the cells of a column; missing ones (NaN) do not count."""
        known = column[~np.isnan(column)]
        return cls(*distinct(np.clip(known, -FARTHEST, FARTHEST), np.ones(len(known)))).thinned()

    @property
    def n_rows(self) -> float:
        """Rows that it stands for."""
        return float(self.weight.sum())

    def merged(self, other: Sketch) -> Sketch:
        """Summary of the rows of both."""
        values = np.concatenate([self.values, other.values])
        weight = np.concatenate([self.weight, other.weight])
        return Sketch(*distinct(values, weight), self.exact and other.exact).thinned()

    @property
    def evidence(self) -> Floats:
        """Weights that a fit may take for those of rows: a value drawn is one row at most.

        It stands for many, but its place is that of one of them: taken for so many rows, what
        drawing left uneven would look like steps of the density.
        """
        return self.weight if self.exact else self.weight * min(1.0, CAPACITY / self.n_rows)

    def thinned(self) -> Sketch:
        """No more than `CAPACITY` values, of the same total weight."""
        if len(self.values) <= CAPACITY:
            return self
        kept = self.weight > 2 * self.n_rows / CAPACITY
        kept[:EXTREMES] = kept[-EXTREMES:] = True
        n_points = CAPACITY - int(kept.sum())
        below = np.cumsum(np.where(kept, 0.0, self.weight))
        step = below[-1] / n_points
        points = (np.arange(n_points) + self.n_rows * GOLDEN % 1.0) * step
        drawn = np.bincount(np.searchsorted(below, points, side="right"), minlength=len(below))
        weight = np.where(kept, self.weight, drawn[: len(below)] * step)
        return Sketch(self.values[weight > 0], weight[weight > 0], exact=False)
