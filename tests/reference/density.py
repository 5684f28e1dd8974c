"""Gaussians with missing cells in plain NumPy: the specification of csrc/density.c.

NaN marks a missing cell. All in float64, one row and one state at a time.
"""

import numpy as np


def log_density(row, mean, covariance):
    """log N(known cells; their part of mean and covariance); 0 where nothing is known."""
    known = ~np.isnan(row)
    part = covariance[np.ix_(known, known)]
    centred = row[known] - mean[known]
    square = centred @ np.linalg.solve(part, centred)
    return -0.5 * (square + np.linalg.slogdet(part)[1] + known.sum() * np.log(2 * np.pi))


def log_densities(z, means, covariances):
    """(n_rows, n_states)"""
    states = list(zip(means, covariances, strict=True))
    return np.array([[log_density(row, *state) for state in states] for row in z.astype(float)])


def leaf(z, means, covariances, negligible=60):
    """Likelihoods whose largest is 1 in each row, and the log scale taken out of it."""
    log_likelihood = log_densities(z, means, covariances)
    log_scale = log_likelihood.max(axis=1)
    below = log_likelihood - log_scale[:, None]
    return np.where(below > -negligible, np.exp(below), 0), log_scale


def completed(row, mean, covariance):
    """E[x] and E[x x'] of a row given its known cells."""
    known, missing = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
    regression = np.linalg.solve(
        covariance[np.ix_(known, known)], covariance[np.ix_(known, missing)]
    ).T
    x = row.copy()
    x[missing] = mean[missing] + regression @ (row[known] - mean[known])
    square = np.outer(x, x)
    square[np.ix_(missing, missing)] += (
        covariance[np.ix_(missing, missing)] - regression @ covariance[np.ix_(known, missing)]
    )
    return x, square


def sums(z, posterior, means, covariances, least_share=3e-4):
    """Each state's number of rows, sum of x and sum of x x', every row by its posterior.

    States with less than `least_share` of a row leave their share to its others.
    """
    n_states, n_columns = means.shape
    weight, total = np.zeros(n_states), np.zeros((n_states, n_columns))
    square = np.zeros((n_states, n_columns, n_columns))
    for row, shares in zip(z.astype(float), posterior.astype(float), strict=True):
        kept = np.where(shares > least_share * shares.sum(), shares, 0)
        shares = kept * (shares.sum() / kept.sum()) if kept.any() else kept
        weight += shares
        for s in np.flatnonzero(shares):
            x, xx = completed(row, means[s], covariances[s])
            total[s] += shares[s] * x
            square[s] += shares[s] * xx
    return weight, total, square


def maximise(weight, total, square, means, rows, shrinkage, floor):
    """Means and covariances from sums that are shares of a row; `rows` turns these into counts.

    (n S + nu D^1/2 P D^1/2) / (n + nu): P is the pooled within-state correlation, D the state's own
    variances, which lean on the pooled ones by one row. N rows shrink the correlations of d columns
    by N^2 / (N^2 + d^2). A state without rows keeps its mean.
    """
    seen = weight > 1e-12
    share = np.divide(1, weight, where=seen, out=np.zeros_like(weight))
    means = np.where(seen[:, None], total * share[:, None], means)
    within = square * share[:, None, None] - means[:, :, None] * means[:, None, :]
    within[~seen] = 0
    pooled = np.einsum("s,sij->ij", weight, within) / weight.sum()
    pooled_variance = np.diag(pooled)
    n, d = weight.sum() * rows, len(pooled)
    pooled = np.where(np.eye(d) > 0, pooled, pooled * n**2 / (n**2 + d**2))
    covariances = []
    for n, own in zip(weight * rows, within, strict=True):
        variance = (n * np.diag(own) + pooled_variance) / (n + 1)
        scale = np.sqrt(variance / pooled_variance)
        target = pooled * np.outer(scale, scale)
        shrunk = (n * own + shrinkage * target) / (n + shrinkage)
        covariances.append(shrunk + floor * np.eye(len(own)))
    return means, np.array(covariances)
