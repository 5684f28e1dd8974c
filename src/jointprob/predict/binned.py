"""The joint's conditional distribution of a number, in bins: Bayes' rule over joints of bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from jointprob.joint.classes import ClassJoints, OutOfFold, fit_class_joints
from jointprob.predict.cells import Cells
from jointprob.predict.holes import Holes
from jointprob.predict.pool import Pool, fit_pool
from jointprob.predict.predictive import PredictiveDistribution
from jointprob.table import Table

Floats = NDArray[np.float64]

LEAST_BINS, MOST_BINS = 4, 16
ROWS_A_BIN = 40
EXPECTED = np.array([0.5])  # exponent of the density in Bayes' rule, without evidence


@dataclass(frozen=True, eq=False)
class BinnedJoint:
    """p(y | x) proportional to p(bin of y) p(x | bin of y), and within a bin as overall.

    Parameters
    ----------
    joints : ClassJoints
        Of the rows of each bin.
    pool, strange_pool : Pool
        The exponent of p(x | bin) that predicts best; the second where cells were taken away.
    cells : Cells
    shares : float64 (n_bins, n_cells)
        Of the cells in each bin.
    means : float64 (n_bins,)
    """

    joints: ClassJoints
    pool: Pool
    strange_pool: Pool
    cells: Cells
    shares: Floats
    means: Floats

    def bins(self, table: Table, strange: bool, n_jobs: int | None = None) -> Floats:
        """Probability of each bin, (n_rows, n_bins)."""
        pool = self.strange_pool if strange else self.pool
        said = self.joints.evidence(table, n_jobs) + pool.log_prior
        return np.exp(pool.log_proba([said], table.n_rows))

    def mean(self, bins: Floats) -> Floats:
        """Mean, (n_rows,)."""
        return _weighted_sum(bins, self.means[:, None])[:, 0]

    def below(self, bins: Floats, cells: Cells, shift: Floats) -> Floats:
        """Probability below other cells, of the number less each row's shift, (n_rows, n_cells)."""
        own = PredictiveDistribution(
            self.cells, _weighted_sum(bins, self.shares), np.zeros(len(bins)), shift
        )
        below = own.cdf(cells.high[None, :] + shift[:, None])
        below[:, -1] = 1
        return below


def _weighted_sum(bins: Floats, values: Floats) -> Floats:
    """Bins times values, bin by bin: a product's last bits would depend on where a row stands."""
    out = np.zeros((len(bins), values.shape[1]))
    for b in range(len(values)):
        out += bins[:, b, None] * values[b]
    return out


@dataclass(frozen=True, eq=False)
class Seen:
    """Probabilities of the bins for rows of the fit, each without its fold.

    Parameters
    ----------
    model : BinnedJoint
    joints : OutOfFold
    rows : int64
        Positions of the rows judged.
    judged, holed : float64 (n_rows, n_bins)
        Of the rows judged, and of those with holes.
    """

    model: BinnedJoint
    joints: OutOfFold
    rows: NDArray[np.int64]
    judged: Floats
    holed: Floats

    def all(self, n_rows: int) -> Floats:
        """Of every row of the fit, (n_rows, n_bins)."""
        out = np.empty((n_rows, self.judged.shape[1]))
        others = np.setdiff1d(np.arange(n_rows), self.rows)
        out[self.rows] = self.judged
        if len(others):
            pool = self.model.pool
            said = self.joints.evidence(others) + pool.log_prior
            out[others] = np.exp(pool.log_proba([said], len(others)))
        return out


def fit_binned(
    table: Table,
    number: Floats,
    weight: Floats,
    cells: Cells,
    cell: NDArray[np.uint8],
    holes: Holes,
    judged: NDArray[np.int64],
    seed: int,
    n_jobs: int | None,
) -> tuple[BinnedJoint, Seen]:
    """Fit a joint for each bin of about equal weight.

    Parameters
    ----------
    cells, cell : Cells, uint8 (n_rows,)
        Cells of the number, and that of each row.
    judged : int64
        Rows that say which exponent predicts best.
    """
    n_bins = int(np.clip(len(number) // ROWS_A_BIN, LEAST_BINS, MOST_BINS))
    label = _bin_of_row(cell, weight, len(cells.low), n_bins)
    n_bins = int(label.max()) + 1
    joints, out_of_fold = fit_class_joints(table, label, weight, n_bins, seed, n_jobs)
    counts = np.bincount(label, weight, n_bins)
    log_prior = np.log(counts / counts.sum())
    whole = out_of_fold.evidence(judged) + log_prior
    holed = out_of_fold.evidence(holes.rows, holes.table) + log_prior
    pool, strange_pool = (
        fit_pool([log_softmax(said, axis=1)], log_prior, EXPECTED, label[rows], weight[rows])
        for said, rows in ((whole, judged), (holed, holes.rows))
    )
    shares = np.zeros((n_bins, len(cells.low)))
    np.add.at(shares, (label, cell), weight)
    shares /= shares.sum(axis=1, keepdims=True)
    means = np.bincount(label, weight * number, n_bins) / counts
    model = BinnedJoint(joints, pool, strange_pool, cells, shares, means)
    judged_bins = np.exp(pool.log_proba([whole], len(whole)))
    holed_bins = np.exp(strange_pool.log_proba([holed], len(holed)))
    return model, Seen(model, out_of_fold, judged, judged_bins, holed_bins)


def _bin_of_row(
    cell: NDArray[np.uint8], weight: Floats, n_cells: int, n_bins: int
) -> NDArray[np.int64]:
    """Neighbouring cells share a bin."""
    counts = np.bincount(cell, weight, n_cells)
    middle = np.cumsum(counts) - counts / 2
    wanted = np.minimum((middle / counts.sum() * n_bins).astype(np.int64), n_bins - 1)
    return np.asarray(np.unique(wanted[cell], return_inverse=True)[1].ravel())
