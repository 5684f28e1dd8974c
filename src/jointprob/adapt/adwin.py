"""Has the mean of a stream of bounded numbers changed, and since when?"""

from __future__ import annotations

from dataclasses import dataclass

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

    Notes
    -----
    ADWIN (Bifet & Gavalda 2007, doi:10.1137/1.9781611972771.42), with its bound by the window's
    variance v: parts of n0 and n1 numbers differ if their means do by more than
    sqrt(2 v L / m) + 2 L / (3 m), where 1 / m = 1 / n0 + 1 / n1 and L = log(2 / d). What differs:
    the rate is that of a whole stream, not of each look at it. Look k spends 6 / (pi k)^2 of it,
    shared by the ends of buckets at which the window may be cut; and buckets are of 32 numbers,
    the two oldest of which become one where there are more than 512.
    """

    false_alarm: float
    buckets: Floats
    n_checks: int = 0

    @classmethod
    def empty(cls, false_alarm: float) -> Adwin:
        return cls(false_alarm, np.empty((0, 3)))

    @property
    def n_rows(self) -> int:
        """Numbers in the window."""
        return int(self.buckets[:, 0].sum())

    def update(self, numbers: Floats) -> tuple[Adwin, int | None]:
        """The window after more numbers, and how many of them it has left if it was cut.

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
        cut = _cut(buckets, 6 / (np.pi * n_checks) ** 2 * self.false_alarm)
        left = Adwin(self.false_alarm, buckets[cut or 0 :], n_checks)
        return left, None if cut is None else left.n_rows


def _bounded(buckets: Floats) -> Floats:
    while len(buckets) > MOST_BUCKETS:
        buckets = np.vstack([buckets[:1] + buckets[1:2], buckets[2:]])
    return buckets


def _cut(buckets: Floats, false_alarm: float) -> int | None:
    """Buckets before the clearest change of the mean; None where there is none."""
    below = np.cumsum(buckets, axis=0)
    (n, total, square), before = below[-1], below[:-1]
    if not len(before):
        return None
    n0, n1 = before[:, 0], n - before[:, 0]
    apart = np.abs(before[:, 1] / n0 - (total - before[:, 1]) / n1)
    m = 1 / (1 / n0 + 1 / n1)
    log_odds = np.log(2 * len(before) / false_alarm)
    variance = max(square / n - (total / n) ** 2, 0.0)
    excess = apart - np.sqrt(2 * variance * log_odds / m) - 2 * log_odds / (3 * m)
    if excess.max() <= 0:
        return None
    return int(np.argmax(apart * np.sqrt(m))) + 1
