"""The law of learning curves, L(n) = L_inf + B n^-beta: its fit, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

Floats = NDArray[np.float64]
Law = tuple[float, float, float]
Bounds = tuple[float, float]

EXPONENTS = np.geomspace(0.02, 2.0, 60)  # those beyond belong to no law that data obey
N_PARAMETERS = 3
OFFSETS = np.array([0, 1 / 32, 1 / 16, 1 / 8, 1 / 4])  # of the sizes, in the largest of them
RELATIVE_ERROR = 1e-9  # of losses that do not scatter at all


def fit_law(
    sizes: Any, losses: Floats, error: Floats | None = None, bounds: Bounds = (-np.inf, np.inf)
) -> Law:
    """L_inf, B and beta of least squares, weighted by the errors of the losses.

    Parameters
    ----------
    sizes, losses : (n_sizes,)
    error : float64 (n_sizes,), optional
        Standard errors up to a factor; n^-1/4 unless given, as losses of few rows scatter more.
    bounds : (float, float)
        Of L_inf: the first is 0 where no loss is below it.

    Examples
    --------
    >>> n = np.array([10, 20, 40, 80, 160, 320])
    >>> [round(float(v), 3) for v in fit_law(n, 0.5 + 2 * n**-0.4)]
    [0.5, 2.0, 0.4]
    >>> [round(float(v), 3) for v in fit_law(n, 2 * n**-0.4 - 0.1, bounds=(0.0, np.inf))][0]
    0.0
    """
    n = np.asarray(sizes, np.float64)
    weight = n**0.5 if error is None else np.asarray(error, np.float64) ** -2.0
    weight = weight / weight.sum()
    k = int(np.argmin(_best_lines(EXPONENTS, n, losses, weight, bounds)[2]))
    around = np.log(EXPONENTS[[max(k - 1, 0), min(k + 1, len(EXPONENTS) - 1)]])

    def cost(log_beta: float) -> float:
        return float(_best_lines(np.exp([log_beta]), n, losses, weight, bounds)[2][0])

    found = minimize_scalar(cost, bounds=tuple(around), method="bounded", options={"xatol": 1e-9})
    beta = float(np.exp(found.x))
    limit, factor, _ = (float(v[0]) for v in _best_lines([beta], n, losses, weight, bounds))
    return limit, factor * float(n[-1]) ** beta, beta


def _best_lines(
    betas: Any, n: Floats, losses: Floats, weight: Floats, bounds: Bounds
) -> tuple[Floats, Floats, Floats]:
    """Limit, factor and cost of the best law of every exponent, the factor that of (n / n_max).

    A line in n^-beta by weighted least squares, its limit within bounds and its factor at least 0:
    more rows do not hurt.
    """
    x = (n / n[-1]) ** -np.asarray(betas, np.float64)[:, None]
    mean_x, mean = x @ weight, float(losses @ weight)
    apart = x - mean_x[:, None]
    factor = (apart * losses) @ weight / (apart**2 @ weight)
    free = mean - factor * mean_x
    limit = np.clip(free, *bounds)
    given = (x * (losses - limit[:, None])) @ weight / (x**2 @ weight)
    factor = np.where(limit == free, factor, given)
    flat = factor < 0
    limit, factor = np.where(flat, np.clip(mean, *bounds), limit), np.where(flat, 0.0, factor)
    return limit, factor, (limit[:, None] + factor[:, None] * x - losses) ** 2 @ weight


def law_at(n: Any, limit: Any, factor: Any, exponent: Any, offset: Any = 0.0) -> Any:
    """L_inf + B (n + n0)^-beta."""
    return limit + factor * (np.asarray(n, np.float64) + offset) ** -exponent


@dataclass(frozen=True)
class Form:
    """One way in which losses may obey the law.

    Parameters
    ----------
    start : int
        First of the sizes that do.
    offset : float
        n0 of L_inf + B (n + n0)^-beta.
    bounds : (float, float)
        Of L_inf.
    """

    start: int
    offset: float
    bounds: Bounds

    def fit(self, n: Floats, losses: Floats, error: Floats) -> tuple[float, ...]:
        """L_inf, B, beta and n0."""
        n, losses, error = (v[self.start :] for v in (n, losses, error))
        return *fit_law(n + self.offset, losses, error, self.bounds), self.offset

    def chi2(self, n: Floats, losses: Floats, error: Floats) -> float:
        """Squares of what the law lacks, in errors."""
        lack = (law_at(n, *self.fit(n, losses, error)) - losses) / error
        return float(np.sum(lack[self.start :] ** 2))

    def misfit(self, n: Floats, losses: Floats, error: Floats) -> float:
        """What the law lacks beyond the errors, in these: 0 where they explain it."""
        n_parameters = N_PARAMETERS - (self.bounds[0] == self.bounds[1])
        freedom = max(1, len(n) - self.start - n_parameters)
        return float(np.sqrt(max(self.chi2(n, losses, error) / freedom - 1, 0.0)))


def _forms(n: Floats, least: float) -> list[list[Form]]:
    """All that are tried, by start."""
    limits = [(least, np.inf), (least, least)] if np.isfinite(least) else [(least, np.inf)]
    return [
        [Form(k, float(offset), bounds) for offset in n[-1] * OFFSETS for bounds in limits]
        for k in range(max(1, len(n) - N_PARAMETERS))
    ]


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
        """Bootstrap of L_inf, B, beta and an offset n0 of the sizes, float64 (n_draws, 4).

        All sizes from which on the law may hold are as probable, and among those of one size a form
        is as probable as the losses under it.
        """
        n, mean, error = self.sizes.astype(np.float64), self.mean, self.error
        by_start, drawn = _forms(n, least), self._draw_variance()
        chi2 = np.array([[form.chi2(n, mean, error) for form in forms] for forms in by_start])
        likelihood = np.exp((chi2.min(axis=1, keepdims=True) - chi2) / 2)
        chance = likelihood / likelihood.sum(axis=1, keepdims=True) / len(chi2)
        forms = [form for forms in by_start for form in forms]
        misfits = [form.misfit(n, mean, error) for form in forms]
        draws = []
        for i in random.choice(len(forms), n_draws, p=chance.ravel()):
            losses = self._weighted(random.exponential(size=self._n_rows))
            spread = np.sqrt(drawn + (misfits[i] * error) ** 2)
            losses += spread * random.standard_normal(len(n))
            draws.append(forms[i].fit(n, losses, error))
        return np.array(draws)


def _as_power(sizes: NDArray[np.int64], variance: Floats) -> Floats:
    """Variances smoothed to a power of the size, with the same mean ratio to it."""
    if not variance.max() > 0:
        return variance
    log = np.log(variance + 1e-6 * variance.max())
    power = np.exp(np.polyval(np.polyfit(np.log(sizes), log, 1), np.log(sizes)))
    return np.asarray(power * np.mean(variance / power))
