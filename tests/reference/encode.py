"""Marginal transforms in plain Python: the specification of csrc/encode.c."""

import math

import numpy as np


def forward(marginal, value):
    """z and log dz/dx of one value."""
    if math.isnan(value):
        return math.nan, math.nan
    value = min(max(value, -1e300), 1e300)
    x, z, slope = marginal.x, marginal.z, marginal.slope
    if value < x[0]:
        score, log_slope = tail(x[0] - value, slope[0], marginal.tail[0])
        return z[0] - score, log_slope
    if value > x[-1]:
        score, log_slope = tail(value - x[-1], slope[-1], marginal.tail[1])
        return z[-1] + score, log_slope
    i = max(k for k in range(len(x) - 1) if x[k] <= value)
    return hermite(value, *x[i : i + 2], *z[i : i + 2], *slope[i : i + 2])


def tail(excess, slope, scale):
    """Distance in z beyond an extreme knot, and log dz/dx."""
    stretch = np.logaddexp(0.0, math.log(slope) - math.log(scale) + math.log(excess))
    return scale * stretch, math.log(slope) - stretch


def hermite(value, x0, x1, z0, z1, slope0, slope1):
    """Cubic with given values and slopes at both ends: Hermite's basis, written out."""
    dx = x1 - x0
    t = (value - x0) / dx
    z = (
        (2 * t**3 - 3 * t**2 + 1) * z0
        + (t**3 - 2 * t**2 + t) * dx * slope0
        + (3 * t**2 - 2 * t**3) * z1
        + (t**3 - t**2) * dx * slope1
    )
    rise = (
        6 * t * (1 - t) * (z1 - z0)
        + (3 * t**2 - 4 * t + 1) * slope0 * dx
        + (3 * t**2 - 2 * t) * slope1 * dx
    )
    return z, math.log(max(rise, 1e-12)) - math.log(dx)


def inverse(marginal, score):
    """The value of one z, by bisection."""
    low, high = -1e300, 1e300
    for _ in range(3000):
        middle = 0.5 * low + 0.5 * high
        if forward(marginal, middle)[0] < score:
            low = middle
        else:
            high = middle
    return 0.5 * low + 0.5 * high


def encode(encoding, columns):
    """Codes, z and log-Jacobian, cell by cell."""
    n_rows, n_categorical = len(columns[0]), len(encoding.categorical)
    codes = np.full((n_rows, len(encoding.n_levels)), -1, dtype=np.int32)
    z = np.full((n_rows, len(encoding.numeric)), np.nan)
    log_jacobian = np.zeros(n_rows)
    for row in range(n_rows):
        for i, column in enumerate(encoding.categorical):
            codes[row, i] = columns[column][row]
        place = n_categorical
        for j, column in enumerate(encoding.numeric):
            value, atoms = columns[column][row], encoding.atoms[j].tolist()
            is_atom = value in atoms
            if atoms:
                known = atoms.index(value) + 1 if is_atom else 0
                codes[row, place] = -1 if math.isnan(value) else known
                place += 1
            if not is_atom and not math.isnan(value):
                z[row, j], log_slope = forward(encoding.marginals[j], value)
                log_jacobian[row] += log_slope
    return codes, z, log_jacobian


def polya_density(points, n_rows_of, depth, least, prior, pseudo_rows):
    """Posterior mean density at points of (0, 1), by recursion over dyadic intervals."""
    from scipy.special import betaln

    def evidence(low, high, level):
        """Log evidence of an interval's rows relative to a uniform density, and P(split)."""
        rows = n_rows_of(low, high)
        if level == depth or (level > 0 and rows < least):
            return 0.0, 0.0
        middle = 0.5 * (low + high)
        left, right = n_rows_of(low, middle), n_rows_of(middle, high)
        by_prior = [betaln(left + a, right + a) - betaln(a, a) for a in pseudo_rows]
        split = np.log(prior) + np.log(np.mean(np.exp(by_prior))) + rows * np.log(2)
        split += evidence(low, middle, level + 1)[0] + evidence(middle, high, level + 1)[0]
        total = np.logaddexp(np.log(1 - prior), split)
        return total, np.exp(split - total)

    def density(point, low, high, level):
        splits = evidence(low, high, level)[1]
        if splits == 0.0:
            return 1.0
        middle = 0.5 * (low + high)
        left, right = n_rows_of(low, middle), n_rows_of(middle, high)
        by_prior = np.exp([betaln(left + a, right + a) - betaln(a, a) for a in pseudo_rows])
        mean = [(left + a) / (left + right + 2 * a) for a in pseudo_rows]
        share = float(by_prior @ mean / by_prior.sum())
        if point < middle:
            return 1 - splits + splits * 2 * share * density(point, low, middle, level + 1)
        return 1 - splits + splits * 2 * (1 - share) * density(point, middle, high, level + 1)

    return np.array([density(point, 0.0, 1.0, 0) for point in points])
