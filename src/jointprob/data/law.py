"""The law of learning curves, L(n) = L_inf + B n^-beta: its fit, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

Floats = NDArray[np.float64]
Law = tuple[float, float, float]

EXPONENTS = np.geomspace(0.02, 2.0, 60)  # those beyond belong to no law that data obey
N_PARAMETERS = 3
RELATIVE_ERROR = 1e-9  # of losses that do not scatter at all


def fit_law(sizes: Any, losses: Floats, error: Floats | None = None, least: float = -np.inf) -> Law:
    """L_inf, B and beta of least squares, weighted by the errors of the losses.

    Parameters
    ----------
    sizes, losses : (n_sizes,)
    error : float64 (n_sizes,), optional
        Standard errors up to a factor; n^-1/4 unless given, as losses of few rows scatter more.
    least : float
        L_inf is not below: 0 where no loss can be.

    Examples
    --------
    >>> n = np.array([10, 20, 40, 80, 160, 320])
    >>> [round(float(v), 3) for v in fit_law(n, 0.5 + 2 * n**-0.4)]
    [0.5, 2.0, 0.4]
    >>> [round(float(v), 3) for v in fit_law(n, 2 * n**-0.4 - 0.1, least=0.0)][0]
    0.0
    """
    n = np.asarray(sizes, np.float64)
    weight = n**0.5 if error is None else np.asarray(error, np.float64) ** -2.0
    weight = weight / weight.sum()
    k = int(np.argmin(_best_lines(EXPONENTS, n, losses, weight, least)[2]))
    around = np.log(EXPONENTS[[max(k - 1, 0), min(k + 1, len(EXPONENTS) - 1)]])

    def cost(log_beta: float) -> float:
        return float(_best_lines(np.exp([log_beta]), n, losses, weight, least)[2][0])

    found = minimize_scalar(cost, bounds=tuple(around), method="bounded", options={"xatol": 1e-9})
    beta = float(np.exp(found.x))
    limit, factor, _ = (float(v[0]) for v in _best_lines([beta], n, losses, weight, least))
    return limit, factor * float(n[-1]) ** beta, beta


def _best_lines(
    betas: Any, n: Floats, losses: Floats, weight: Floats, least: float
) -> tuple[Floats, Floats, Floats]:
    """Limit, factor and cost of the best law of every exponent, the factor that of (n / n_max).

    A line in n^-beta by weighted least squares, its limit at least what it must be and its factor
    at least 0: more rows do not hurt.
    """
    x = (n / n[-1]) ** -np.asarray(betas, np.float64)[:, None]
    mean_x, mean = x @ weight, float(losses @ weight)
    apart = x - mean_x[:, None]
    factor = (apart * losses) @ weight / (apart**2 @ weight)
    limit = mean - factor * mean_x
    low = limit < least
    if low.any():
        factor = np.where(low, x @ (weight * (losses - least)) / (x**2 @ weight), factor)
        limit = np.where(low, least, limit)
    flat = factor < 0
    limit, factor = np.where(flat, max(mean, least), limit), np.where(flat, 0.0, factor)
    return limit, factor, (limit[:, None] + factor[:, None] * x - losses) ** 2 @ weight


def law_at(law: Law, n: Any) -> Any:
    """What a law says of sizes."""
    limit, factor, beta = law
    return limit + factor * np.asarray(n, np.float64) ** -beta


@dataclass(frozen=True, eq=False)
class Curve:
    """Losses of held-out rows under fits of several sizes.

    Parameters
    ----------
    sizes : int64 (n_sizes,)
    rows : tuple of int64 (n_held_out,)
        Of each repeat.
    losses : tuple of float64 (n_sizes, n_held_out)
        Of each repeat.
    """

    sizes: NDArray[np.int64]
    rows: tuple[NDArray[np.int64], ...]
    losses: tuple[Floats, ...]

    @property
    def mean(self) -> Floats:
        """float64 (n_sizes,)."""
        return self._weighted(np.ones(self._n_rows))

    @property
    def error(self) -> Floats:
        """Standard error of the mean: of the held-out rows, and of what was drawn to be fitted."""
        floor = RELATIVE_ERROR * np.abs(self.mean).max() + np.finfo(float).tiny
        return np.asarray(np.sqrt(self._row_variance() + self._draw_variance()) + floor)

    @property
    def _n_rows(self) -> int:
        return 1 + max(int(rows.max()) for rows in self.rows)

    def _weighted(self, weight: Floats) -> Floats:
        parts = zip(self.losses, self.rows, strict=True)
        total = np.sum([losses @ weight[rows] for losses, rows in parts], axis=0)
        return np.asarray(total / sum(weight[rows].sum() for rows in self.rows))

    def _row_variance(self) -> Floats:
        """Of the mean, as other rows might have been held out."""
        n_distinct = len(np.unique(np.concatenate(self.rows)))
        variance = np.mean([part.var(axis=1) for part in self.losses], axis=0)
        return np.asarray(variance / n_distinct)

    def _draw_variance(self) -> Floats:
        """Of the mean, as other rows might have been fitted.

        By how far repeats differ, less what their held-out rows explain; few repeats say little of
        one size, so as a power of the size.
        """
        n_repeats = len(self.losses)
        if n_repeats == 1:
            return np.zeros(len(self.sizes))
        between = np.var([part.mean(axis=1) for part in self.losses], axis=0, ddof=1)
        within = np.mean([part.var(axis=1) / part.shape[1] for part in self.losses], axis=0)
        return np.asarray(np.maximum(_as_power(self.sizes, between) - within, 0.0) / n_repeats)

    def draw(self, least: float, n_draws: int, random: np.random.RandomState) -> Floats:
        """Bootstrap of the law, float64 (n_draws, 3)."""
        n, mean, error = self.sizes.astype(np.float64), self.mean, self.error
        drawn = self._draw_variance()
        starts = range(max(1, len(n) - N_PARAMETERS))
        misfits = [_misfit(n[k:], mean[k:], error[k:], least) for k in starts]
        draws = []
        for _ in range(n_draws):
            k = random.randint(len(starts))
            losses = self._weighted(random.exponential(size=self._n_rows))
            spread = np.sqrt(drawn + (misfits[k] * error) ** 2)
            losses += spread * random.standard_normal(len(n))
            draws.append(fit_law(n[k:], losses[k:], error[k:], least))
        return np.array(draws)


def _as_power(sizes: NDArray[np.int64], variance: Floats) -> Floats:
    """Variances smoothed to a power of the size, with the same mean ratio to it."""
    if not variance.max() > 0:
        return variance
    log = np.log(variance + 1e-6 * variance.max())
    power = np.exp(np.polyval(np.polyfit(np.log(sizes), log, 1), np.log(sizes)))
    return np.asarray(power * np.mean(variance / power))


def _misfit(n: Floats, losses: Floats, error: Floats, least: float) -> float:
    """What a law lacks, in errors: 0 where the losses lie no farther from it than these say."""
    law = fit_law(n, losses, error, least)
    chi2 = float(np.sum(((law_at(law, n) - losses) / error) ** 2))
    return float(np.sqrt(max(chi2 / max(1, len(n) - N_PARAMETERS) - 1, 0.0)))
