"""Fit the marginal of a numeric column: knots, slopes and tails chosen on held-out rows.

Everything here works on the distinct values of a column with their total weights, so a row of
weight w and w equal rows are the same thing, also when rows are held out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr, ndtri

from jointprob.marginal import Floats, Marginal, log_normal, standardising, weighted_moments
from jointprob.polya import sharpen

N_PIECES = (4, 8, 16, 32, 64)  # finer structure is the Polya tree's part
TAIL_SCALES = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 64.0])
MIN_TAIL_ROWS = 4.0  # rows beyond the extreme knots: fewer would leave their slope to chance
N_FOLDS = 5
ROWS_HELD_OUT = 5_000  # enough to tell candidates apart: no further folds
MAX_RANKS = 1 << 20  # ranks that are told apart when rows are held out
OUTLIER_ROWS = 0.1  # held out in each tail, unseen: a Gaussian tail must earn its thinness
OUTLIER_DISTANCE = 20.0  # beyond the extreme knot, in units of 1 / slope there
MIN_SPACING = 1e-300  # between knots: its inverse is finite


def fit_marginal(values: Floats, weight: Floats) -> Marginal:
    """Fit the transform of one column to normal scores.

    Parameters
    ----------
    values : float64 (n_distinct,)
        Distinct values, ascending, finite.
    weight : float64 (n_distinct,)
        Their weights in rows, positive.

    Returns
    -------
    Marginal
        The candidate with the best held-out log density: a Gaussian with its own tails, or a
        monotone cubic through 4 to 64 equally filled pieces; sharpened by a
        Polya tree unless held-out rows speak against it.

    Notes
    -----
    Knots stand midway between neighbouring distinct values, where the empirical CDF is unbiased:
    columns on a grid are thus smoothed over their step.

    Examples
    --------
    >>> marginal = fit_marginal(np.arange(100.0), np.ones(100))
    >>> bool(abs(marginal.forward([49.5])[0][0]) < 0.05)
    True
    """
    if len(values) == 1:
        return broad(values[0], values[0])
    parts = list(folds(weight))
    choice, tail = choose(values, parts)
    smooth = fit_choice(values, weight, choice, tail)
    vetoed = sharpening_hurts(values, parts, choice, tail)
    return smooth if vetoed else sharpen(smooth, values, np.cumsum(weight))


def choose(values: Floats, parts: list[tuple[Floats, Floats]]) -> tuple[int, Floats]:
    """Number of the candidate that holds out best, and the scales of its tails."""
    held_out = np.zeros(1 + len(N_PIECES))
    tails = np.zeros((1 + len(N_PIECES), 2, len(TAIL_SCALES)))
    for train, test in parts:
        known, asked = train > 0, test > 0
        rows = values[asked], test[asked]
        for c, candidate in enumerate(candidates(values[known], train[known])):
            body, ends = score(candidate, *rows)
            held_out[c] += body
            tails[c] += ends
    best = int(np.argmax(held_out + tails.max(axis=2).sum(axis=1)))
    return best, TAIL_SCALES[tails[best].argmax(axis=1)]


def fit_choice(values: Floats, weight: Floats, choice: int, tail: Floats) -> Marginal:
    """The chosen candidate fitted to these rows; the Gaussian where they are too few for it."""
    every = list(candidates(values, weight))
    fitted = every[choice] or every[0]
    assert fitted is not None  # two distinct values always have a Gaussian
    return Marginal(fitted.x, fitted.z, fitted.slope, tail)


def sharpening_hurts(
    values: Floats, parts: list[tuple[Floats, Floats]], choice: int, tail: Floats
) -> bool:
    """Whether the Polya tree loses held-out log density by more than two standard errors.

    The tree weighs its own evidence; held-out rows only catch what its dyadic cells cannot say.
    """
    gain, variance = 0.0, 0.0
    for train, test in parts:
        known, asked = train > 0, test > 0
        smooth = fit_choice(values[known], train[known], choice, tail)
        sharp = sharpen(smooth, values[known], np.cumsum(train[known]))
        change = sharp.log_density(values[asked]) - smooth.log_density(values[asked])
        gain += float(np.sum(test[asked] * change))
        variance += float(np.sum(test[asked] * change**2))
    return bool(gain < -2 * variance**0.5)


def broad(low: float, high: float) -> Marginal:
    """Default transform of a column without continuous rows: finite, centred on [low, high]."""
    middle = 0.5 * low + 0.5 * high
    spread = max(0.5 * high - 0.5 * low, 0.1 * abs(middle))
    return standardising(middle, spread if spread > MIN_SPACING else 1.0, reach=1.0, tail=2.0)


def folds(weight: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Split the weights into train and test, fold by fold.

    Rows are drawn by their rank in the column: unit w of weight is a row, wherever it comes from,
    and fractions of a row are shared out in proportion.
    """
    ends = np.concatenate([[0.0], np.cumsum(weight)])
    n_rows = ends[-1]
    unit = max(1.0, n_rows / MAX_RANKS)
    n_ranks = int(np.ceil(n_rows / unit))
    fold_of_rank = np.random.Generator(np.random.Philox(key=7)).integers(
        N_FOLDS, size=n_ranks, dtype=np.uint8
    )
    for fold in range(int(np.clip(np.ceil(ROWS_HELD_OUT * N_FOLDS / n_rows), 1, N_FOLDS))):
        counts = np.concatenate([[0.0], np.cumsum(fold_of_rank == fold)])
        test = np.diff(np.interp(ends / unit, np.arange(n_ranks + 1.0), counts)) * unit
        train = weight - test
        if (test > 0).any() and np.count_nonzero(train > 0) > 1:
            yield train, test


def score(marginal: Marginal | None, values: Floats, weight: Floats) -> tuple[float, Floats]:
    """Held-out log density: of the values between the extreme knots, and of each tail by scale."""
    ends = np.zeros((2, len(TAIL_SCALES)))
    if marginal is None:
        return -np.inf, ends
    low, high = values < marginal.x[0], values > marginal.x[-1]
    inside = ~(low | high)
    for end, outside in ((0, low), (-1, high)):
        excess = np.abs(values[outside] - marginal.x[end])
        outlier = OUTLIER_DISTANCE / marginal.slope[end]
        rows = np.append(weight[outside], OUTLIER_ROWS)[:, None]
        log_density = tail_log_density(marginal, end, np.append(excess, outlier)[:, None])
        ends[end] = np.sum(rows * log_density, axis=0)
    return float(np.sum(weight[inside] * marginal.log_density(values[inside]))), ends


def tail_log_density(marginal: Marginal, end: int, excess: Floats) -> Floats:
    """Log density beyond the first (0) or last (-1) knot, (n_rows, 1) to (n_rows, n_scales)."""
    log_slope = np.log(marginal.slope[end])
    stretch = np.logaddexp(0.0, log_slope + np.log(excess) - np.log(TAIL_SCALES))
    distance = TAIL_SCALES * stretch
    z = marginal.z[end] + (distance if end else -distance)
    log_density: Floats = log_normal(z) + log_slope - stretch
    return log_density


def candidates(values: Floats, weight: Floats) -> Iterator[Marginal | None]:
    """Transforms to choose from, in a fixed order; None where the rows are too few."""
    yield gaussian(values, weight)
    cumulative = np.cumsum(weight)
    for n_pieces in N_PIECES:
        yield through_quantiles(values, cumulative, n_pieces)


def gaussian(values: Floats, weight: Floats) -> Marginal | None:
    """A Gaussian between -1.5 and 1.5 deviations, with tails of a free scale."""
    if len(values) < 2:
        return None
    mean, deviation = weighted_moments(values, weight)
    return standardising(mean, max(deviation, MIN_SPACING, 1e-12 * abs(mean)), reach=1.5)


def through_quantiles(values: Floats, cumulative: Floats, n_pieces: int) -> Marginal | None:
    """A monotone cubic through equally filled pieces, halving towards both tails."""
    n_rows = cumulative[-1]
    if n_rows < 2 * MIN_TAIL_ROWS * n_pieces:
        return None
    targets = n_rows * quantile_levels(n_pieces, MIN_TAIL_ROWS / n_rows)
    after = np.searchsorted(cumulative, targets - 0.5)
    after = np.unique(np.clip(after, 0, len(values) - 2))
    x = 0.5 * values[after] + 0.5 * values[after + 1]
    apart = np.diff(x, prepend=-np.inf) > np.maximum(MIN_SPACING, 1e-14 * np.abs(x))
    apart &= cumulative[after] < n_rows  # a last weight may vanish in the sum
    x, below = x[apart], cumulative[after[apart]] / n_rows
    if len(x) < 2:
        return None
    z = ndtri(below)
    return Marginal(x, z, slopes(x, z, *outer_secants(values, cumulative, x, z)), np.ones(2))


def quantile_levels(n_pieces: int, least: float) -> Floats:
    """Levels j / n_pieces, and half the outermost again and again down to `least`."""
    inner = np.arange(1, n_pieces) / n_pieces
    outer = 0.5 ** np.arange(1, 60) / n_pieces
    outer = outer[outer >= least]
    return np.concatenate([outer[::-1], inner, 1 - outer])


def outer_secants(values: Floats, cumulative: Floats, x: Floats, z: Floats) -> tuple[float, float]:
    """Slope from each extreme knot to the median of the rows beyond it."""
    n_rows = cumulative[-1]
    beyond = np.array([ndtr(z[0]), 1 - ndtr(z[-1])]) * 0.5
    low = values[np.searchsorted(cumulative, beyond[0] * n_rows)]
    high = values[np.searchsorted(cumulative, (1 - beyond[1]) * n_rows)]
    rise_low, rise_high = z[0] - ndtri(beyond[0]), ndtri(1 - beyond[1]) - z[-1]
    return rise_low / max(x[0] - low, MIN_SPACING), rise_high / max(high - x[-1], MIN_SPACING)


def slopes(x: Floats, z: Floats, below: float, above: float) -> Floats:
    """Harmonic means of neighbouring secants: positive, and at most twice the smaller one.

    Fritsch & Butland 1984, doi:10.1137/0905021; a cubic is monotone when the slopes at its ends
    are at most thrice its secant.
    """
    secants = np.concatenate([[below], np.diff(z) / np.diff(x), [above]])
    smaller = np.minimum(secants[:-1], secants[1:])
    means: Floats = 2 * smaller / (1 + smaller / np.maximum(secants[:-1], secants[1:]))
    return means
