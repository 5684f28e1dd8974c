"""Have the means of streams of bounded numbers changed, and since when?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUCKET_ROWS = 32
MOST_BUCKETS = 512
TINY = 1e-9
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Adwin:
    """A window that drops its older part when the means of two parts differ. Immutable.

    Parameters
    ----------
    false_alarm : float
        Probability that rows of numbers in [0, 1], independent and all of one distribution, ever
        raise an alarm.
    buckets : float64 (n_buckets, 3, n_series)
        Numbers in each bucket of the window, their sum and their sum of squares, oldest first; the
        first series has a number for each row.
    n_checks : int
        How often the window was looked at.
    least : float, optional
        What the mean of the first series should not lie below even where it has never changed;
        None once an alarm was raised.

    Notes
    -----
    ADWIN (Bifet & Gavalda 2007, doi:10.1137/1.9781611972771.42), with a bound by the window's
    variance v: parts of n0 and n1 numbers differ if their means do by more than
    L / (3 m) + sqrt((L / (3 m))^2 + 2 v L / m), where 1 / m = 1 / n0 + 1 / n1 and L = log(2 / d):
    Bernstein's inequality solved exactly, where the source has the larger
    2 L / (3 m) + sqrt(2 v L / m). What else differs: the rate is that of a whole stream, not of
    each look at it. Look k spends 6 / (pi k)^2 of it, shared by the series and by the ends of
    buckets at which the window may be cut; the series are cut together, where the one that shows it
    most clearly has changed; buckets are of 32 rows, the two oldest of which become one where
    there are more than 512; and before the first alarm the first series' mean over the whole window
    may be held against a known one, `least`, which counts as one more place to cut, before which
    there are more numbers than can be counted.
    """

    false_alarm: float
    buckets: Floats
    n_checks: int = 0
    least: float | None = None

    @classmethod
    def empty(cls, false_alarm: float, n_series: int = 1, least: float | None = None) -> Adwin:
        return cls(false_alarm, np.empty((0, 3, n_series)), least=least)

    @property
    def n_rows(self) -> int:
        """Rows in the window."""
        return int(self.buckets[:, 0, 0].sum())

    def extended(self, numbers: Floats) -> Adwin:
        """The window after more rows that are taken as they are, without a look at it.

        Parameters
        ----------
        numbers : float64 (n, n_series)
            In [0, 1]; NaN, but for the first series, where nothing is known.
        """
        known = ~np.isnan(numbers)
        cells = np.where(known, numbers, 0.0)
        starts = np.arange(0, len(numbers), BUCKET_ROWS)
        new = np.add.reduceat(np.stack([known, cells, cells**2], axis=1), starts, axis=0)
        buckets = np.vstack([self.buckets, new])
        return replace(self, buckets=_bounded(buckets))

    def update(self, numbers: Floats) -> tuple[Adwin, int | None]:
        """The window after more rows, and with an alarm how many of them it has left.

        Parameters
        ----------
        numbers : float64 (n, n_series)
            In [0, 1]; NaN, but for the first series, where nothing is known.
        """
        window, n_checks = self.extended(numbers), self.n_checks + 1
        false_alarm = 6 / (np.pi * n_checks) ** 2 * self.false_alarm
        cut = _cut(window.buckets, false_alarm, self.least)
        least = self.least if cut is None else None
        left = Adwin(self.false_alarm, window.buckets[cut or 0 :], n_checks, least)
        return left, None if cut is None else left.n_rows


def _bounded(buckets: Floats) -> Floats:
    while len(buckets) > MOST_BUCKETS:
        buckets = np.vstack([buckets[:1] + buckets[1:2], buckets[2:]])
    return buckets


def _cut(buckets: Floats, false_alarm: float, least: float | None) -> int | None:
    """Buckets before the clearest change of a mean, 0 if the first was too low from the start.

    None where there is no change.
    """
    below = np.cumsum(buckets, axis=0)
    (n, total, square), before = below[-1], below[:-1]
    n = np.maximum(n, 1)
    n_places = max(len(before) + (least is not None), 1)
    log_odds = float(np.log(2 * n_places * len(n) / false_alarm))
    variance = np.maximum(square / n - (total / n) ** 2, 0.0)
    found = _change(before, n, total, variance, log_odds) if len(before) else None
    if found is None and least is not None:
        too_low = least - total[0] / n[0] > _bound(variance[0], log_odds, n[0])
        return 0 if too_low else None
    return found


def _bound(variance: Any, log_odds: float, m: Any) -> Any:
    """How far apart two means may be by chance."""
    third = log_odds / (3 * m)
    return third + np.sqrt(third**2 + 2 * variance * log_odds / m)


def _change(
    before: Floats, n: Floats, total: Floats, variance: Floats, log_odds: float
) -> int | None:
    n0, n1 = before[:, 0], n - before[:, 0]
    m = np.maximum(n0 * n1 / n, TINY)  # parts without numbers tell nothing
    n0, n1 = np.maximum(n0, 1), np.maximum(n1, 1)
    apart = np.abs(before[:, 1] / n0 - (total - before[:, 1]) / n1)
    clear = (apart / _bound(variance, log_odds, m)).max(axis=0)
    if clear.max() <= 1:
        return None
    series = int(np.argmax(clear))
    return int(np.argmax((apart * np.sqrt(m))[:, series])) + 1
