"""Predictive distributions of several models of a number, mixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from jointprob.predict.predictive import PredictiveDistribution

Floats = NDArray[np.float64]

HALVINGS = 60  # of the range between the parts' quantiles


class MixedDistribution(PredictiveDistribution):
    """A mixture of predictive distributions of the same rows.

    Parameters
    ----------
    parts : sequence of PredictiveDistribution
    weights : float64 (n_parts,)
        They add up to 1.
    """

    def __init__(self, parts: Sequence[PredictiveDistribution], weights: Floats) -> None:
        self._parts, self._weights = tuple(parts), weights
        self.n_rows = parts[0].n_rows

    def mean(self) -> Floats:
        """Means, float64 (n_rows,)."""
        return np.asarray(self._weights @ [part.mean() for part in self._parts])

    def std(self) -> Floats:
        """Standard deviations, float64 (n_rows,)."""
        mean = self.mean()
        square = [part.std() ** 2 + (part.mean() - mean) ** 2 for part in self._parts]
        return np.asarray(np.sqrt(self._weights @ square))

    def cdf(self, y: ArrayLike) -> Floats:
        """P(target <= y); see `PredictiveDistribution.cdf`."""
        parts = np.stack([part.cdf(y) for part in self._parts])
        return np.asarray(np.tensordot(self._weights, parts, axes=1))

    def log_prob(self, y: ArrayLike) -> Floats:
        """Log density at y, nats; see `PredictiveDistribution.log_prob`."""
        parts = np.stack([part.log_prob(y) for part in self._parts])
        weights = np.log(self._weights).reshape(-1, *[1] * (parts.ndim - 1))
        return np.asarray(logsumexp(parts + weights, axis=0))

    def _quantile(self, levels: Floats) -> Floats:
        ends = np.stack([part._quantile(levels) for part in self._parts])
        low, high = ends.min(axis=0), ends.max(axis=0)
        for _ in range(HALVINGS):
            middle = low + (high - low) / 2
            enough = self.cdf(middle) >= levels
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return np.asarray(high)


class ShiftedDistribution(PredictiveDistribution):
    """A predictive distribution with something added to every row's target."""

    def __init__(self, part: PredictiveDistribution, offset: Floats) -> None:
        super().__init__(part._cells, part._weight, part._shift + offset, part._center + offset)
