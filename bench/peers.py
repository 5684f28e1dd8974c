"""The methods we are compared with, each fitted and tuned as its documentation suggests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from data import Split
from measure import Result, fitted, rows_per_second, timed
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

N_GAUSSIANS = (1, 4, 16, 64, 128)
REG_COVAR = (1e-6, 1e-4)
BANDWIDTHS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)  # columns are standardised
KERNEL_VALID_ROWS = 1000
KERNEL_TEST_ROWS = 2000


def independent_bits(split: Split) -> Result:
    """Two-level columns as if independent, each count smoothed by one row."""
    ones = split.train.sum(axis=0, dtype=np.int64) + 0.5
    log_odds = np.log(ones) - np.log(len(split.train) + 1 - ones)
    log_zeros = np.log1p(-ones / (len(split.train) + 1)).sum()
    return {"nats": float((split.test @ log_odds + log_zeros).mean())}


def gaussian_mixture_search(split: Split) -> Result:
    """Choose the number of Gaussians and the covariance floor on valid: seconds of it all."""
    failed: list[str] = []
    (n_gaussians, floor), seconds = timed(lambda: _search(split, failed))
    return {
        "search_seconds": seconds,
        "n_gaussians": n_gaussians,
        "floor": floor,
        "chosen": f"{n_gaussians}, {floor:g}",
        "failed": failed,
    }


def _search(split: Split, failed: list[str]) -> tuple[int, float]:
    scores = {}
    for choice in _grid(len(split.train)):
        try:
            scores[choice] = _gaussians(*choice, split.train).score(split.valid)
        except ValueError as why:
            failed.append(f"K={choice[0]}, reg_covar={choice[1]:g}: {str(why)[:75]}...")
    return max(scores, key=scores.__getitem__)


def gaussian_mixture(split: Split, n_gaussians: int, floor: float) -> Result:
    """The fit that the search chose."""
    model, cost = fitted(lambda: _gaussians(n_gaussians, floor, split.train))
    rate = rows_per_second(model.score_samples, split.test)
    return {**cost, "nats": float(model.score(split.test)), "rows_per_second": rate}


def _grid(n_rows: int) -> Iterator[tuple[int, float]]:
    return ((k, floor) for k in N_GAUSSIANS if k <= n_rows / 10 for floor in REG_COVAR)


def _gaussians(n_gaussians: int, floor: float, rows: np.ndarray) -> GaussianMixture:
    model = GaussianMixture(n_gaussians, reg_covar=floor, random_state=0)
    try:
        return model.fit(rows)
    except ValueError:
        return model.fit(rows.astype(np.float64))  # float32 is faster but breaks down on some sets


def gaussian_mixture_speed(split: Split, n_gaussians: int) -> Result:
    """Rows per second at `n_gaussians`; the time does not depend on the parameters' values."""
    n_cols = split.train.shape[1]
    picked = np.random.default_rng(0).integers(len(split.train), size=n_gaussians)
    model = GaussianMixture(n_gaussians)
    model.weights_ = np.full(n_gaussians, 1 / n_gaussians, split.train.dtype)
    model.means_ = split.train[picked]
    model.precisions_cholesky_ = np.tile(
        np.eye(n_cols, dtype=split.train.dtype), (n_gaussians, 1, 1)
    )
    model.n_features_in_ = n_cols
    return {"rows_per_second": rows_per_second(model.score_samples, split.test)}


def kernel_density(split: Split) -> Result:
    """Choose the bandwidth on rows of valid; score the first rows of test, for it is slow."""
    valid, test = split.valid[:KERNEL_VALID_ROWS], split.test[:KERNEL_TEST_ROWS]

    def search() -> KernelDensity:
        models = [KernelDensity(bandwidth=width).fit(split.train) for width in BANDWIDTHS]
        return max(models, key=lambda model: model.score(valid))

    _, cost = fitted(lambda: KernelDensity(bandwidth=BANDWIDTHS[0]).fit(split.train))
    model, seconds = timed(search)
    scores, score_seconds = timed(lambda: model.score_samples(test))
    return {
        **cost,
        "nats": float(scores.mean()),
        "search_seconds": seconds,
        "rows_per_second": len(test) / score_seconds,
        "chosen": f"{model.bandwidth:g}",
    }
