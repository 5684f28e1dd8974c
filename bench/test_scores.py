"""The measures of predictions, beside closed forms and scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
import scores
from scipy.stats import norm
from sklearn.metrics import log_loss
from trials import LEVELS


@pytest.fixture
def proba():
    return np.random.default_rng(0).dirichlet(np.full(3, 0.3), size=200)


def test_log_loss_is_scikit_learns(proba):
    truth = np.random.default_rng(1).integers(3, size=200)
    assert scores.log_loss(proba, truth) == pytest.approx(log_loss(truth, proba, labels=range(3)))


def test_a_class_that_fit_did_not_see_costs_the_clip():
    wide = scores.whole_table(np.array([[0.25, 0.75]]), np.array(["a", "c"]), np.array(list("abc")))
    np.testing.assert_array_equal(wide, [[0.25, 0, 0.75]])
    assert scores.log_loss(wide, np.array([1])) == pytest.approx(-np.log(1e-15))
    assert scores.log_loss(scores.with_floor(wide), np.array([1])) == pytest.approx(np.log(300))


def test_calibration_error_is_the_gap_of_one_bin():
    sure = np.tile([0.9, 0.1], (10, 1))
    truth = np.array([0] * 6 + [1] * 4)
    assert scores.calibration_error(sure, truth) == pytest.approx(0.3)


def test_calibration_error_is_small_for_classes_drawn_from_the_probabilities():
    rng = np.random.default_rng(2)
    proba = rng.dirichlet(np.ones(3), size=50_000)
    truth = (rng.random((50_000, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    assert scores.calibration_error(proba, truth) < 0.01


def test_crps_of_a_gaussian():
    """Gneiting and Raftery (2007), https://doi.org/10.1198/016214506000001437, section 4.2."""
    y = np.random.default_rng(3).normal(size=500)
    exact = (y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)).mean()
    quantiles = np.tile(norm.ppf(LEVELS), (500, 1))
    assert scores.crps(quantiles, LEVELS, y) == pytest.approx(exact, rel=0.01)


def test_restored_counts_only_cells_that_were_observed_and_taken_out():
    truth = pd.DataFrame({"size": [1.0, np.nan, 3.0], "kind": pd.Categorical(["a", "b", "a"])})
    filled = pd.DataFrame({"size": [2.0, 9.0, 9.0], "kind": pd.Categorical(["a", "a", "b"])})
    chosen = np.array([[True, True], [True, True], [False, False]])
    found = scores.restored(filled, truth, chosen, pd.Series({"size": 2.0}))
    assert found == {"rmse": 0.5, "mae": 0.5, "right": 0.5}
