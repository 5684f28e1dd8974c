"""When does a growing use meet a stock?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.utils import check_random_state

Floats = NDArray[np.float64]
Quantity = float | tuple[float, float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Exhaustion:
    """Draws of the date at which all of a stock is used.

    Attributes
    ----------
    dates : float64 (n_draws,)
        Ascending, in years; infinite where use never catches up.
    """

    dates: Floats

    @property
    def median(self) -> float:
        """The date that is as likely to be too early as too late."""
        return float(np.quantile(self.dates, 0.5, method="inverted_cdf"))

    def interval(self, coverage: float = 0.9) -> tuple[float, float]:
        """Central interval of the date."""
        if not 0 < coverage < 1:
            raise ValueError(f"coverage is {coverage!r}; allowed are numbers inside (0, 1)")
        ends = [(1 - coverage) / 2, (1 + coverage) / 2]
        low, high = np.quantile(self.dates, ends, method="inverted_cdf")
        return float(low), float(high)

    def probability(self, date: float) -> float:
        """Probability that the stock is used up by a date."""
        return float(np.searchsorted(self.dates, date, side="right") / len(self.dates))

    def __repr__(self) -> str:
        low, high = self.interval()
        return f"Exhaustion(median {self.median:.1f}, 90 % from {low:.1f} to {high:.1f})"


def exhaustion(
    stock: Quantity,
    growth: Quantity,
    use: Quantity,
    *,
    stock_growth: Quantity = 0.0,
    start: float = 2024.0,
    coverage: float = 0.95,
    n_draws: int = 100_000,
    random_state: Any = None,
) -> Exhaustion:
    """When a use that grows by orders of magnitude meets a stock that may grow too.

    Parameters
    ----------
    stock, use : float, or (median, low, high)
        At `start`, in one unit. An interval of this `coverage` makes it random: two halves of
        log-normal distributions that meet at the median.
    growth, stock_growth : float, or (median, low, high)
        Orders of magnitude a year, of the use and of the stock: .38 is a factor of 2.4. An interval
        makes it random: two halves of normal distributions.
    start : float
        Date of `stock` and `use`, in years.
    coverage : float
        Of all intervals given.
    n_draws : int
    random_state : None, int, RandomState

    Returns
    -------
    Exhaustion

    Raises
    ------
    ValueError
        Naming the argument that is not a number, not positive (stock and use) or not in order.

    Notes
    -----
    The date is start + log10(stock / use) / (growth - stock_growth); `start` itself where use is
    the larger one already, never where it does not grow faster.

    Examples
    --------
    Public text as projected by Villalobos et al. (2024, arXiv:2211.04325): a stock of 320T tokens
    [65T, 1700T], and sets that grow by .38 orders of magnitude a year. Sets of 15T tokens in spring
    2024, and the growth's interval [.2, .5], are assumptions of this example; the paper's dates are
    2028, and 2026 to 2032 (80 %).

    >>> text = exhaustion((320, 65, 1700), (0.38, 0.2, 0.5), 15, start=2024.3, random_state=0)
    >>> round(text.median)
    2028
    >>> [round(date) for date in text.interval(0.8)]
    [2027, 2030]
    """
    _check_count(n_draws)
    if not 0 < coverage < 1:
        raise ValueError(f"coverage is {coverage!r}; allowed are numbers inside (0, 1)")
    random = check_random_state(random_state)
    reach = float(ndtri((1 + coverage) / 2))
    have, used = (
        _draw(name, given, n_draws, reach, random, log=True)
        for name, given in (("stock", stock), ("use", use))
    )
    faster, more = (
        _draw(name, given, n_draws, reach, random, log=False)
        for name, given in (("growth", growth), ("stock_growth", stock_growth))
    )
    gap, speed = np.maximum(have - used, 0.0), faster - more
    with np.errstate(divide="ignore", invalid="ignore"):
        years = np.where(gap == 0, 0.0, np.where(speed > 0, gap / speed, np.inf))
    return Exhaustion(np.sort(start + years))


def _check_count(n_draws: int) -> None:
    if isinstance(n_draws, bool) or not isinstance(n_draws, int | np.integer) or n_draws < 1:
        raise ValueError(f"n_draws is {n_draws!r}; allowed are whole numbers from 1")


def _draw(
    name: str, given: Quantity, n: int, reach: float, random: np.random.RandomState, log: bool
) -> Floats:
    """Draws of a quantity, log10 of it where `log`."""
    values = np.atleast_1d(np.asarray(given, np.float64))
    ordered = values.shape == (1,) or (values.shape == (3,) and values[1] <= values[0] <= values[2])
    if not (ordered and np.isfinite(values).all() and not (log and values.min() <= 0)):
        kind = "a positive number" if log else "a number"
        raise ValueError(f"{name} is {given!r}; allowed are {kind}, or (median, low, high)")
    values = np.log10(values) if log else values
    if len(values) == 1:
        return np.full(n, values[0])
    normal = random.standard_normal(n)
    below, above = values[0] - values[1], values[2] - values[0]
    return np.asarray(values[0] + normal / reach * np.where(normal < 0, below, above))
