"""How good predictions are: log loss, calibration, CRPS, cells restored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

LEAST_PROBABILITY = 1e-15
N_BINS = 15
ROUNDING = 0.99  # share of a method's own probabilities where classes are absent from few rows


def whole_table(proba: np.ndarray, known: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Probabilities of all `classes`, in order: zero for those that fit did not see."""
    wide = np.zeros((len(proba), len(classes)))
    wide[:, np.searchsorted(classes, np.asarray(known).astype(str))] = proba
    return wide


def log_loss(proba: np.ndarray, truth: np.ndarray) -> float:
    """Mean negative log probability of the true class, nats; no probability is below 1e-15."""
    clipped = np.clip(proba, LEAST_PROBABILITY, 1)
    own = clipped[np.arange(len(truth)), truth] / clipped.sum(axis=1)
    return float(-np.log(own).mean())


def with_floor(proba: np.ndarray) -> np.ndarray:
    """0.99 p + 0.01 / n_classes: a class absent from few rows then costs no method everything."""
    return ROUNDING * proba + (1 - ROUNDING) / proba.shape[1]


def calibration_error(proba: np.ndarray, truth: np.ndarray) -> float:
    """Expected calibration error: 15 equal bins of the probability of the likeliest class."""
    confidence, right = proba.max(axis=1), proba.argmax(axis=1) == truth
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=N_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def crps(quantiles: np.ndarray, levels: Sequence[float], y: np.ndarray) -> float:
    """Continuous ranked probability score: twice the mean pinball loss over evenly spread levels.

    `quantiles` has shape (n_rows, n_levels).
    """
    error = y[:, None] - quantiles
    return float(2 * np.maximum(error * levels, error * (np.asarray(levels) - 1)).mean())


def rmse(prediction: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((prediction - y) ** 2)))


def covered(lower: np.ndarray, upper: np.ndarray, y: np.ndarray) -> float:
    """Share of rows inside their interval."""
    return float(((lower <= y) & (y <= upper)).mean())


def restored(
    filled: pd.DataFrame, truth: pd.DataFrame, chosen: np.ndarray, spread: pd.Series
) -> dict[str, float]:
    """Errors on the `chosen` cells that were observed: numeric ones in units of `spread`."""
    errors, right = [], []
    for position, name in enumerate(truth):
        rows = chosen[:, position] & truth[name].notna().to_numpy()
        found, true = filled[name][rows], truth[name][rows]
        if name in spread:
            errors.append((found.to_numpy(float) - true.to_numpy(float)) / spread[name])
        else:
            right.append(found.astype(str).to_numpy() == true.astype(str).to_numpy())
    error = np.concatenate(errors)
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.abs(error).mean()),
        "right": float(np.concatenate(right).mean()),
    }
