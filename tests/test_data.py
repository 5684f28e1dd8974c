"""How far the data goes: laws fitted to curves that obey them, rows chosen, faults found."""

import numpy as np
import pandas as pd
import pytest
from joints import mixed_table
from scipy.optimize import least_squares
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier

from jointprob import JEPADensity
from jointprob.data import diverse, exhaustion, learning_curve, quality, repetition, select
from jointprob.data.growth import _splits
from jointprob.data.law import Curve, fit_law, law_at
from jointprob.data.repetition import _fit_value, _value

# ---- exhaustion ----


def test_without_doubt_the_date_is_the_formula():
    assert exhaustion(1000.0, 0.5, 10.0, start=2000.0).median == pytest.approx(2004.0)
    assert exhaustion(1000.0, 0.5, 10.0, stock_growth=0.1, start=0).median == pytest.approx(5.0)
    assert exhaustion(10.0, 0.5, 20.0, start=2000.0).median == 2000.0
    assert exhaustion(10.0, 0.1, 1.0, stock_growth=0.1).median == np.inf


def test_public_text_comes_out_again():
    found = exhaustion((320, 65, 1700), (0.38, 0.2, 0.5), 15, start=2024.3, random_state=0)
    low, high = found.interval(0.9)
    assert 2027 <= found.median < 2029
    assert 2025 <= low <= 2027
    assert 2029 <= high <= 2033
    assert found.probability(found.median) == pytest.approx(0.5, abs=0.01)


def test_interval_ends_are_reached_as_often_as_stated():
    found = exhaustion((100.0, 10.0, 1000.0), 1.0, 1.0, start=0.0, coverage=0.8, random_state=0)
    np.testing.assert_allclose(found.interval(0.8), (1.0, 3.0), atol=0.03)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"stock": -1.0}, "stock is -1.0"),
        ({"use": (1.0, 2.0, 3.0)}, "use is"),
        ({"growth": np.nan}, "growth is nan"),
        ({"n_draws": 0}, "n_draws"),
        ({"coverage": 1.0}, "coverage"),
    ],
)
def test_exhaustion_refuses(changed, match):
    with pytest.raises(ValueError, match=match):
        exhaustion(**{"stock": 10.0, "growth": 0.3, "use": 1.0, **changed})


# ---- learning curves ----


class Lawful(BaseEstimator):
    """A density whose loss obeys a law but for its fit's noise."""

    def fit(self, X):
        self.n_ = len(X)
        self.noise_ = 0.002 * np.sin(1e4 * np.abs(X).sum())
        return self

    def score_samples(self, X):
        return np.full(len(X), -(1.5 + 3 * self.n_**-0.5 + self.noise_))


def test_the_law_is_found_again():
    X = np.random.default_rng(0).normal(size=(4000, 2))
    curve = learning_curve(Lawful(), X, random_state=0)
    assert curve.limit == pytest.approx(1.5, abs=0.02)
    assert curve.exponent == pytest.approx(0.5, abs=0.1)
    low, high = curve.interval(40_000, 0.99)
    assert low < 1.5 + 3 * 40_000**-0.5 < high
    n = curve.sizes[-1]
    want = 3 * (n**-0.5 - (2.0 * n) ** -0.5)
    assert curve.gain_of_doubling() == pytest.approx(want, rel=0.2)
    assert curve.rows_to_limit(0.01) == pytest.approx((3 / 0.015) ** 2, rel=0.6)
    assert curve.bound_by == "data"


def test_a_flat_curve_is_bound_by_the_model():
    n = np.geomspace(10, 1000, 7)
    limit, factor, _ = fit_law(n, np.full(7, 0.3))
    assert (limit, factor) == pytest.approx((0.3, 0.0), abs=1e-9)


@pytest.mark.parametrize("least", [-np.inf, 0.0])
def test_no_other_law_fits_better(least):
    """Beside a search over all three parameters at once, where the limit is free and where not."""
    rng = np.random.default_rng(0)
    n = np.geomspace(30, 1000, 7)
    for limit, seed in ((0.3, 1), (-0.2, 2), (0.0, 3)):
        error = 0.02 * (n / n[-1]) ** -rng.uniform(0, 1)
        losses = limit + 3 * n**-0.5 + error * np.random.default_rng(seed).normal(size=7)

        def residual(law, losses=losses, error=error):
            return (law[0] + law[1] * (n / n[-1]) ** -np.exp(law[2]) - losses) / error

        bounds = ([least, 0.0, np.log(0.02)], [np.inf, np.inf, np.log(2.0)])
        others = [
            least_squares(residual, [0.1, 0.1, np.log(beta)], bounds=bounds).cost
            for beta in (0.1, 0.5, 1.5)
        ]
        law = fit_law(n, losses, error, (least, np.inf))
        cost = 0.5 * np.sum(((law_at(n, *law) - losses) / error) ** 2)
        assert law[0] >= least
        assert law[1] >= 0
        assert cost <= min(others) * (1 + 1e-6)


def noisy_curve(rng, limit=0.0, n_repeats=5, n_rows=320):
    """Losses of rows (exponential, as log losses are) times what draws of the fitted rows do."""
    sizes = np.geomspace(40, 1280, 7).astype(np.int64)
    means = limit + 26 * sizes**-0.56
    of_row = rng.exponential(size=n_rows)
    rows = tuple(np.array_split(rng.permutation(n_rows), n_repeats))
    draws = 1 + 0.05 * rng.normal(size=(n_repeats, 7)) * (sizes / 40) ** -0.3
    parts = [np.outer(means * f, of_row[r]) for f, r in zip(draws, rows, strict=True)]
    return Curve(sizes, rows, tuple(parts))


def test_losses_that_cannot_be_negative_are_not_expected_to_be():
    """Without the bound some laws of such curves are below 0 where rows are many."""
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(5):
        curve = noisy_curve(rng)
        ends = [
            np.array([law_at(1e6, *law) for law in curve.draw(least, 40, np.random.RandomState(0))])
            for least in (0.0, -np.inf)
        ]
        assert np.all(ends[0] >= 0)
        below += np.any(ends[1] < 0)
    assert below


@pytest.mark.parametrize("limit", [0.0, 0.3])
def test_intervals_hold_what_they_state(limit):
    rng = np.random.default_rng(0)
    n, inside = 16_000, 0
    for seed in range(20):
        laws = noisy_curve(rng, limit).draw(0.0, 40, np.random.RandomState(seed))
        low, high = np.quantile([law_at(n, *law) for law in laws], [0.05, 0.95])
        inside += low <= limit + 26 * n**-0.56 <= high
    assert inside >= 16


def test_errors_are_those_of_rows_and_of_draws():
    rng = np.random.default_rng(0)
    sizes = np.geomspace(40, 1280, 7).astype(np.int64)
    rows = tuple(np.array_split(rng.permutation(1000), 5))
    level = rng.normal(size=1000)
    still = Curve(sizes, rows, tuple(np.tile(level[r], (7, 1)) for r in rows))
    np.testing.assert_allclose(still.error, level.std() / np.sqrt(1000), rtol=0.1)
    np.testing.assert_allclose(still.mean, level.mean())
    moved = [part + rng.normal(size=(7, 1)) for part in still.losses]
    np.testing.assert_allclose(Curve(sizes, rows, tuple(moved)).error, 1 / np.sqrt(5), rtol=0.6)


def test_every_row_is_held_out_once_in_five_repeats():
    splits = _splits(103, 6, np.random.RandomState(0))
    assert np.array_equal(np.sort(np.concatenate([rows for rows, _ in splits[:5]])), np.arange(103))
    for rows, rest in splits:
        assert np.array_equal(np.sort(np.concatenate([rows, rest])), np.arange(103))


def test_a_classifier_is_never_expected_below_zero():
    """Few rows that are easily told apart: the curve falls steeply to nothing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    curve = learning_curve(LogisticRegression(C=10), X, X[:, 0] > 0, n_draws=50, random_state=0)
    assert np.all(curve.draws[:, 0] >= 0)
    assert curve.limit >= 0
    assert 0 <= curve.interval(1e5)[0] <= curve.predict(1e5) <= curve.losses[-1]


@pytest.mark.parametrize("frame", [False, True])
def test_classifiers_and_regressors_have_curves(frame):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = X @ [1.0, 0.5, 0.0] + rng.normal(size=600)
    table = pd.DataFrame(X, columns=list("abc")) if frame else X
    for model, target in ((LogisticRegression(), y > 0), (Ridge(), y)):
        curve = learning_curve(model, table, target, random_state=0)
        assert len(curve.sizes) >= 6
        assert curve.losses[-1] < curve.losses[0]


def test_curves_refuse():
    X = np.zeros((50, 2))
    with pytest.raises(ValueError, match="50 rows"):
        learning_curve(JEPADensity(), X)
    with pytest.raises(ValueError, match="n_sizes is 5"):
        learning_curve(JEPADensity(), np.zeros((100, 2)), n_sizes=5)


# ---- repetition ----


def test_the_value_of_repeats_is_found_again():
    repeats = np.arange(20.0)
    assert _fit_value((repeats, _value(repeats, 15.39))) == pytest.approx(15.39, rel=1e-3)
    assert _value(1e9, 15.39) == pytest.approx(16.39)


def test_passes_of_a_linear_model():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1600, 20))
    y = (X @ rng.normal(size=20) + 2 * rng.normal(size=1600)) > 0
    model = SGDClassifier(loss="log_loss", alpha=1e-6, random_state=0)
    found = repetition(model, X, y, n_passes=8, random_state=0)
    assert found.n_unique == 150
    assert len(found.losses) == 8
    assert found.effective_rows(1) == 150
    assert 150 <= found.effective_rows(8) <= 150 * 8
    assert found.overfits_after is None or 1 <= found.overfits_after < 8


def test_passes_of_a_density():
    X = np.random.default_rng(0).normal(size=(240, 2))
    X[:, 1] += 2 * X[:, 0]
    model = JEPADensity(n_subsets=1, n_trees=1, random_state=0, n_jobs=1)
    found = repetition(model, X, n_passes=3, random_state=0)
    assert found.n_unique == 22
    assert np.isfinite(found.losses).all()
    assert 22 <= found.effective_rows(3) <= 66
    assert not hasattr(model, "joint_")


def test_repetition_refuses():
    with pytest.raises(TypeError, match="no partial_fit"):
        repetition(Ridge(), np.zeros((100, 2)), np.zeros(100))
    with pytest.raises(ValueError, match="n_passes is 2"):
        repetition(SGDClassifier(), np.zeros((100, 2)), np.zeros(100), n_passes=2)


# ---- rows ----


def test_rows_like_the_target_are_selected():
    rng = np.random.default_rng(0)
    good, noise = mixed_table(150, seed=1), mixed_table(350, seed=2)
    noise = {name: rng.permutation(cells) for name, cells in noise.items()}
    noise["a"], noise["b"] = 4 * rng.normal(size=350), 4 * rng.normal(size=350)
    pool = {name: np.concatenate([good[name], noise[name]]) for name in good}
    rows = select(pool, mixed_table(60, seed=3), 100, random_state=0)
    assert len(set(rows.tolist())) == 100
    assert np.mean(rows < 150) > 0.6  # by chance .3
    again = select(pool, mixed_table(60, seed=3), 100, random_state=0, n_jobs=1)
    np.testing.assert_array_equal(rows, again)


def test_diverse_rows_hold_more_of_the_rare():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (570, 2)), rng.normal(7, 0.5, (30, 2))])
    rows = diverse(X, 60, random_state=0)
    assert len(set(rows.tolist())) == 60
    assert np.sum(rows >= 570) > 8  # by chance 3
    assert diverse(X, 600, random_state=0).tolist() == list(range(600))


@pytest.mark.parametrize("n", [0, 61, 2.0, True])
def test_numbers_of_rows_are_checked(n):
    with pytest.raises(ValueError, match="n is"):
        diverse(np.arange(60.0)[:, None], n)


def test_faults_are_found():
    rng = np.random.default_rng(0)
    x = rng.normal(size=1200)
    X = pd.DataFrame({"x": x, "y": x + 0.05 * rng.normal(size=1200)})
    X["sign"] = np.where(x > 0, "plus", "minus")
    X.loc[20], X.loc[31] = X.loc[10], X.loc[30]
    X.loc[31, "x"] += 1e-9
    X.loc[50, ["x", "y"]] = (1.5, -1.5)
    found = quality(X, random_state=0)
    assert [group.tolist() for group in found.duplicates] == [[10, 20]]
    assert [30, 31] in [group.tolist() for group in found.near_duplicates]
    assert 50 in [row for row, _, _ in found.implausible[:10]]
    assert len(found.implausible) < 100
    with pytest.raises(ValueError, match="false_alarms"):
        quality(X, false_alarms=0)
