"""Has the mean of a stream of bounded numbers changed, and since when?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUCKET_ROWS = 32
MOST_BUCKETS = 512
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Adwin:
    """A window that drops its older part when the means of two parts differ. Immutable.

    Parameters
    ----------
    false_alarm : float
        Probability that a stream of independent numbers in [0, 1], all of one distribution, ever
        raises an alarm.
    buckets : float64 (n_buckets, 3)
        Numbers in each bucket of the window, their sum and their sum of squares, oldest first.
    n_checks : int
        How often the window was looked at.
    least : float, optional
        What the mean should not lie below even where it has never changed; None once an alarm was
        raised.

    Notes
    -----
    ADWIN (Bifet & Gavalda 2007, doi:10.1137/1.9781611972771.42), with its bound by the window's
    variance v: parts of n0 and n1 numbers differ if their means do by more than
    sqrt(2 v L / m) + 2 L / (3 m), where 1 / m = 1 / n0 + 1 / n1 and L = log(2 / d). What differs:
    the rate is that of a whole stream, not of each look at it. Look k spends 6 / (pi k)^2 of it,
    shared by the ends of buckets at which the window may be cut; buckets are of 32 numbers, the
    two oldest of which become one where there are more than 512; and before the first alarm the
    mean of the whole window may be held against a known one, `least`, which counts as one more
    place to cut, before which there are more numbers than can be counted.
    """

    false_alarm: float
    buckets: Floats
    n_checks: int = 0
    least: float | None = None

    @classmethod
    def empty(cls, false_alarm: float, least: float | None = None) -> Adwin:
        return cls(false_alarm, np.empty((0, 3)), least=least)

    @property
    def n_rows(self) -> int:
        """Numbers in the window."""
        return int(self.buckets[:, 0].sum())

    def update(self, numbers: Floats) -> tuple[Adwin, int | None]:
        """The window after more numbers, and with an alarm how many of them it has left.

        Parameters
        ----------
        numbers : float64 (n,)
            In [0, 1].
        """
        starts = np.arange(0, len(numbers), BUCKET_ROWS)
        sizes = np.diff(np.append(starts, len(numbers)))
        sums = [np.add.reduceat(part, starts) for part in (numbers, numbers**2)]
        buckets = _bounded(np.vstack([self.buckets, np.stack([sizes, *sums], axis=1)]))
        n_checks = self.n_checks + 1
        cut = _cut(buckets, 6 / (np.pi * n_checks) ** 2 * self.false_alarm, self.least)
        least = self.least if cut is None else None
        left = Adwin(self.false_alarm, buckets[cut or 0 :], n_checks, least)
        return left, None if cut is None else left.n_rows


def _bounded(buckets: Floats) -> Floats:
    while len(buckets) > MOST_BUCKETS:
        buckets = np.vstack([buckets[:1] + buckets[1:2], buckets[2:]])
    return buckets


def _cut(buckets: Floats, false_alarm: float, least: float | None) -> int | None:
    """Buckets before the clearest change of the mean, 0 if it was too low from the first number.

    None where there is no change.
    """
    below = np.cumsum(buckets, axis=0)
    (n, total, square), before = below[-1], below[:-1]
    log_odds = np.log(2 * max(len(before) + (least is not None), 1) / false_alarm)
    variance = max(square / n - (total / n) ** 2, 0.0)
    found = _change(before, n, total, variance, log_odds) if len(before) else None
    if found is None and least is not None:
        return 0 if least - total / n > _bound(variance, log_odds, n) else None
    return found


def _bound(variance: float, log_odds: float, m: Any) -> Any:
    """How far apart two means may be by chance."""
    return np.sqrt(2 * variance * log_odds / m) + 2 * log_odds / (3 * m)


def _change(before: Floats, n: float, total: float, variance: float, log_odds: float) -> int | None:
    n0, n1 = before[:, 0], n - before[:, 0]
    apart = np.abs(before[:, 1] / n0 - (total - before[:, 1]) / n1)
    m = 1 / (1 / n0 + 1 / n1)
    if (apart - _bound(variance, log_odds, m)).max() <= 0:
        return None
    return int(np.argmax(apart * np.sqrt(m))) + 1
