"""The query stage in plain NumPy: slow, obvious, and read as its specification."""

import numpy as np
from scipy.stats import multivariate_normal, norm


def log_density(z, mean, covariance):
    """Of the known cells of z under one Gaussian."""
    known = ~np.isnan(z)
    if not known.any():
        return 0.0
    part = np.ix_(known, known)
    return float(multivariate_normal(mean[known], covariance[part]).logpdf(z[known]))


def condition(z, mean, covariance, target):
    """Mean and covariance of the target columns given the other known cells of z."""
    known = ~np.isnan(z)
    known[list(target)] = False
    t = np.array(target)
    pull = np.linalg.solve(covariance[np.ix_(known, known)], covariance[np.ix_(known, t)]).T
    return (
        mean[t] + pull @ (z[known] - mean[known]),
        covariance[np.ix_(t, t)] - pull @ covariance[np.ix_(known, t)],
    )


def leave_one_out(z, means, covariances, prior):
    """log sum_s prior_s N(z; s), and the same without each known cell."""

    def mixed(row):
        terms = [
            np.log(p) + log_density(row, m, c)
            for p, m, c in zip(prior, means, covariances, strict=True)
        ]
        return np.logaddexp.reduce(terms)

    rest = np.full(len(z), np.nan)
    for j in np.flatnonzero(~np.isnan(z)):
        row = z.copy()
        row[j] = np.nan
        rest[j] = mixed(row)
    return mixed(z), rest


def rectangle(mean, covariance, low, high):
    """P(low <= x <= high) by a fine Riemann sum over all but the last column."""
    if len(mean) == 1:
        deviation = np.sqrt(covariance[0, 0])
        return norm.cdf((high[0] - mean[0]) / deviation) - norm.cdf((low[0] - mean[0]) / deviation)
    deviation = np.sqrt(covariance[0, 0])
    ends = np.clip([low[0], high[0]], mean[0] - 9 * deviation, mean[0] + 9 * deviation)
    edges = np.linspace(*ends, 401)
    middle = 0.5 * (edges[1:] + edges[:-1])
    total = 0.0
    for x, mass in zip(middle, np.diff(norm.cdf(edges, mean[0], deviation)), strict=True):
        row = np.full(len(mean), np.nan)
        row[0] = x
        rest = condition(row, mean, covariance, list(range(1, len(mean))))
        total += mass * rectangle(*rest, low[1:], high[1:])
    return total
