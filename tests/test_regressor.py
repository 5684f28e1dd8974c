"""Predictive distributions of numbers: what they promise, what they refuse, how good they are."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import frame

from jointprob import JEPARegressor

NAN = np.nan


def small(**settings):
    return JEPARegressor(**{"random_state": 0, **settings})


def numbers(X, seed=0):
    """A number that the length and the label of a row tell something about."""
    noise = np.random.default_rng(seed).normal(size=len(X))
    label = (X["label"] == "x").to_numpy()
    return 2 * X["length"].fillna(1).to_numpy(float) + label + 0.5 * noise


def bits(model, X):
    """All that is said of rows as bytes, to compare bit for bit."""
    d = model.predict_distribution(X)
    said = [model.predict(X), d.std(), d.cdf(1.0), d.log_prob(1.0), *d.quantile([0.01, 0.5, 0.9]).T]
    assert np.isfinite(said).all()
    return np.array(said).tobytes()


@pytest.fixture(scope="module")
def fitted():
    X = frame()
    return small().fit(X, numbers(X))


@parametrize_with_checks([small()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---- fitted state ----


def test_only_fit_adds_attributes(fitted):
    model = small()
    assert set(vars(model)) == set(model.get_params())
    assert {name for name in vars(fitted) if name.endswith("_")} == {
        "feature_importances_", "feature_names_in_", "joint_", "n_features_in_",
    }  # fmt: skip
    assert list(fitted.feature_names_in_) == ["length", "count", "label"]


def test_copies_predict_alike(fitted):
    X = frame(seed=1)
    expected = bits(fitted, X)
    assert bits(pickle.loads(pickle.dumps(fitted)), X) == expected
    assert bits(clone(fitted).fit(frame(), numbers(frame())), X) == expected


@pytest.mark.parametrize("question", ["predict", "predict_distribution", "predict_quantiles"])
def test_unfitted_models_say_so(question):
    more = (0.5,) if question == "predict_quantiles" else ()
    with pytest.raises(NotFittedError):
        getattr(small(), question)(frame(), *more)


@pytest.mark.parametrize("kind", ["mixed", "categorical"])
def test_neither_threads_nor_the_order_of_rows_matter(kind):
    X, query = frame(kind), frame(kind, seed=1)
    y = numbers(frame())
    one = small(n_jobs=1).fit(X, y)
    order = np.random.default_rng(0).permutation(len(X))
    two = small(n_jobs=2).fit(X.iloc[order], y[order])
    assert bits(two, query) == bits(one, query)
    np.testing.assert_array_equal(two.feature_importances_, one.feature_importances_)
    order = np.random.default_rng(1).permutation(len(query))
    for rows in (order, np.arange(5, 6), np.arange(50)):
        assert one.predict(query.iloc[rows]).tobytes() == one.predict(query)[rows].tobytes()
        some = one.predict_quantiles(query.iloc[rows], [0.05, 0.7])
        assert some.tobytes() == one.predict_quantiles(query, [0.05, 0.7])[rows].tobytes()
        some = one.predict_distribution(query.iloc[rows]).log_prob(2.0)
        assert some.tobytes() == one.predict_distribution(query).log_prob(2.0)[rows].tobytes()


def test_a_weight_means_repeats():
    X, weight = frame(), np.random.default_rng(0).integers(0, 3, 120)
    y = numbers(X)
    weighted = small().fit(X, y, sample_weight=weight)
    repeated = small().fit(X.loc[X.index.repeat(weight)], np.repeat(y, weight))
    assert bits(weighted, frame(seed=1)) == bits(repeated, frame(seed=1))


def test_rows_of_weight_zero_are_not_there():
    X, y = frame(), numbers(frame())
    X.loc[X.index[:20], "label"] = "only here"
    y[:20] = 1e9
    one = small().fit(X, y, sample_weight=np.arange(120) >= 20)
    assert bits(one, frame(seed=1)) == bits(small().fit(X[20:], y[20:]), frame(seed=1))


def test_fractional_weights():
    X = frame()
    model = small().fit(X, numbers(X), sample_weight=np.linspace(0.1, 2, 120))
    bits(model, frame(seed=1))


def test_input_is_never_modified():
    X = frame()
    y = numbers(X)
    before, y_before = X.copy(), y.copy()
    small().fit(X, y).predict(X)
    pd.testing.assert_frame_equal(X, before)
    np.testing.assert_array_equal(y, y_before)


def test_containers_give_the_same_bits():
    X, query = frame(n_rows=30), frame(n_rows=30, seed=1)
    y = numbers(X)
    fitted = small().fit(X, y)
    expected = bits(fitted, query)
    columns = {name: X[name].astype(object).where(X[name].notna(), None).tolist() for name in X}
    for given, target in (
        (pl.from_pandas(X), pl.Series(y)),
        (pa.Table.from_pandas(X), pa.array(y)),
        (columns, y.tolist()),
        (X, pd.Series(y, index=X.index[::-1])),
        (X, y.astype(object)),
    ):
        assert bits(small().fit(given, target), query) == expected
    assert bits(fitted, query[["label", "count", "length"]]) == expected
    assert bits(fitted, pl.from_pandas(query)) == expected
    assert bits(fitted, query.to_numpy()) == expected


# ---- targets ----


@pytest.mark.parametrize("value", [0.0, -3.5, 1e9, 1e-9])
def test_a_constant_target_is_predicted(value):
    X = frame()
    model = small().fit(X, np.full(120, value))
    np.testing.assert_array_equal(model.predict(X), value)
    d = model.predict_distribution(X)
    np.testing.assert_array_equal(d.quantile([0.05, 0.5, 0.95]), value)
    assert (d.log_prob(value) > -0.1).all() and (d.std() == 0).all()
    np.testing.assert_array_equal(d.cdf(value - 1 - abs(value)), 0)
    np.testing.assert_array_equal(d.cdf(value + 1 + abs(value)), 1)
    assert (model.feature_importances_ == 0).all()


@pytest.mark.parametrize(
    "y",
    [
        np.random.default_rng(0).poisson(3, 120),
        np.arange(120) % 2 == 0,
        np.r_[np.zeros(119), 1e6],
        1e12 + np.random.default_rng(0).normal(size=120),
        np.random.default_rng(0).normal(size=120) * 1e90,
        np.random.default_rng(0).normal(size=120) * 1e-90,
        np.random.default_rng(0).normal(size=120).astype(np.float32),
        pd.Series(np.arange(120) % 5, dtype="Int64"),
    ],
)
def test_odd_targets_work(y):
    X = frame()
    model = small().fit(X, y)
    bits(model, X)
    low, high = np.min(np.asarray(y, float)), np.max(np.asarray(y, float))
    middle = model.predict_quantiles(X, 0.5)
    assert (middle >= low).all() and (middle <= high).all()
    mean, width = model.predict(X), high - low
    assert (mean > low - width / 2).all() and (mean < high + width / 2).all()
    assert (model.predict_distribution(X).std() > 0).all()


@pytest.mark.parametrize("n_rows", [2, 3, 5, 9])
def test_few_rows(n_rows):
    X = frame(n_rows=n_rows, seed=3)
    y = np.arange(n_rows) * 2.0
    model = small().fit(X, y)
    bits(model, frame(seed=1))
    assert (model.predict(frame(seed=1)) > -n_rows).all()


def test_counts_are_probabilities_of_values():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 1))
    y = rng.poisson(np.exp(0.7 * X[:, 0] + 0.5))
    d = small().fit(X, y).predict_distribution(X[:30])
    mass = np.exp(d.log_prob(np.tile(np.unique(y), (30, 1))))
    np.testing.assert_allclose(mass.sum(axis=1), 1, atol=0.006)
    assert np.isin(d.quantile([0.1, 0.5, 0.9]), y).all()


# ---- what is refused ----

Y = np.linspace(0, 1, 120)


def changed(value, dtype=object):
    y = Y.astype(dtype)
    y[3] = value
    return y


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (changed(np.inf, float), "inf in row 3"),
        (changed(NAN, float), "nan in row 3"),
        (changed(None), "None in row 3"),
        (changed(pd.NA), "<NA> in row 3"),
        (changed("7"), "y must hold numbers: '7'"),
        (changed(10**400), "y must hold numbers"),
        (changed(1e101, float), "y holds 1e\\+101 in row 3; allowed are numbers from -1e\\+100"),
        (np.array(["1", "2"] * 60), "y must hold numbers, and has dtype <U1"),
        (np.array(["2020-01-01"] * 120, "M8[D]"), "has dtype datetime64"),
        (Y * 1j, "Complex data not supported"),
        (pd.Series([1.0, None] * 60, dtype="Float64"), "nan in row 1"),
        (Y[:7], "X has 120 rows and y has 7"),
        (np.c_[Y, Y], "1d array"),
        (None, "y is None"),
    ],
)
def test_targets_that_are_refused(fitted, y, message):
    before, expected = dict(vars(fitted)), bits(fitted, frame(seed=1))
    with pytest.raises(ValueError, match=message):
        fitted.fit(frame(), y)
    assert vars(fitted) == before
    assert bits(fitted, frame(seed=1)) == expected


def test_one_row_is_not_enough():
    with pytest.raises(ValueError, match="holds one row only; at least two"):
        small().fit([[1.0]], [1.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_jobs": 0}, "n_jobs is 0; allowed are"),
        ({"random_state": "x"}, "'x' cannot be used to seed"),
        ({"categorical_features": ["colour"]}, "categorical_features holds 'colour'"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings).fit(frame(), Y)


@pytest.mark.parametrize("weight", [-np.ones(120), np.zeros(120), np.full(120, NAN), np.ones(3)])
def test_weights_that_are_refused(weight):
    with pytest.raises(ValueError, match=r"ample.weight"):
        small().fit(frame(), Y, sample_weight=weight)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (frame("numeric"), "seen at fit time, yet now missing: 'label'"),
        (frame().assign(length=np.inf), "column 'length', row 0: inf is infinity"),
        (frame().assign(label=2.5), "column 'label', row 0: 2.5 is a float"),
        (frame().iloc[:0], "X is empty"),
        (np.ones((3, 2)), "X has 2 features, but JEPARegressor is expecting 3"),
    ],
)
def test_queries_that_are_refused(fitted, X, message):
    with pytest.raises(ValueError, match=message):
        fitted.predict(X)
    with pytest.raises(ValueError, match=message):
        fitted.predict_distribution(X)


@pytest.mark.parametrize("q", [0, 1, -0.1, NAN, [0.5, 2.0], [[0.5]]])
def test_levels_that_are_refused(fitted, q):
    with pytest.raises(ValueError, match=r"q is .*inside \(0, 1\)"):
        fitted.predict_quantiles(frame(), q)


# ---- distributions ----


def wedge(n, seed=0):
    """A line whose noise grows along it."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, size=(n, 2))
    return X, 3 * X[:, 0] + (0.1 + X[:, 0]) * rng.normal(size=n)


@pytest.fixture(scope="module")
def wedged():
    return small().fit(*wedge(300))


def test_intervals_cover_what_they_say(wedged):
    X, y = wedge(2000, seed=1)
    d = wedged.predict_distribution(X)
    for coverage in (0.5, 0.9):
        low, high = d.interval(coverage).T
        inside = (low <= y) & (y <= high)
        assert abs(inside.mean() - coverage) < 0.08
    width = high - low
    assert width[X[:, 0] > 0.8].mean() > 2 * width[X[:, 0] < 0.2].mean()
    assert d.std()[X[:, 0] > 0.8].mean() > 1.7 * d.std()[X[:, 0] < 0.2].mean()
    np.testing.assert_allclose(np.quantile(d.cdf(y), [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.08)


def test_predictions_agree_with_the_distribution(wedged):
    X, y = wedge(500, seed=2)
    d = wedged.predict_distribution(X)
    np.testing.assert_array_equal(d.mean(), wedged.predict(X))
    np.testing.assert_array_equal(wedged.predict_quantiles(X, [0.1, 0.9]), d.quantile([0.1, 0.9]))
    assert wedged.predict_quantiles(X, 0.5).shape == (500,)
    draws = d.sample(400, random_state=0)
    assert np.abs(draws.mean(axis=1) - d.mean()).mean() < 0.3 * d.std().mean()
    np.testing.assert_allclose(draws.std(axis=1).mean(), d.std().mean(), rtol=0.1)
    assert wedged.score(X, y) > 0.5
    flat = np.log(np.std(y)) + 0.5 * np.log(2 * np.pi * np.e)
    assert -d.log_prob(y).mean() < flat - 0.2


def test_densities_of_a_fit_integrate_to_one(wedged):
    d = wedged.predict_distribution(wedge(4, seed=3)[0])
    y = np.linspace(-15, 20, 200_001)
    mass = np.exp(d.log_prob(np.tile(y, (4, 1)))) * (y[1] - y[0])
    np.testing.assert_allclose(mass.sum(axis=1), 1, atol=0.02)


def test_a_real_table_with_cells_missing():
    X, y = load_diabetes(return_X_y=True)
    model = small().fit(X[::2], y[::2])
    X, y = X[1::2], y[1::2]
    assert model.score(X, y) > 0.35
    holed = np.where(np.random.default_rng(0).random(X.shape) < 0.3, NAN, X)
    before = holed.copy()
    assert model.score(holed, y) > 0.15
    np.testing.assert_array_equal(holed, before)
    low, high = model.predict_distribution(holed).interval(0.9).T
    assert abs(np.mean((low <= y) & (y <= high)) - 0.9) < 0.1


def test_rows_without_cells_get_all_targets(wedged):
    """Though they are far apart: the mean of all, and their spread."""
    y = wedge(300)[1]
    d = wedged.predict_distribution([[NAN, NAN]])
    assert d.mean()[0] == pytest.approx(y.mean(), abs=0.2 * y.std())
    assert d.std()[0] == pytest.approx(y.std(), rel=0.25)
    expected = np.quantile(y, [0.05, 0.5, 0.95])
    np.testing.assert_allclose(d.quantile([0.05, 0.5, 0.95])[0], expected, atol=0.5 * y.std())


def test_that_a_cell_is_missing_may_tell_the_target():
    rng = np.random.default_rng(0)
    gone = rng.random(200) < 0.5
    X = rng.normal(size=(200, 2))
    X[gone, 0] = NAN
    model = small().fit(X, 10.0 * gone + rng.normal(size=200))
    near, far = model.predict([[0.0, 0.0], [NAN, 0.0]])
    assert near < 1.5 and far > 8.5


def test_importances(wedged):
    gains = wedged.feature_importances_
    assert gains.dtype == np.float64 and gains.shape == (2,)
    assert gains[0] > 0.3 and gains[1] < 0.05


def test_unseen_levels_are_possible(fitted):
    X = frame(seed=1).assign(label="never seen")
    assert np.corrcoef(fitted.predict(X), X["length"].fillna(1))[0, 1] > 0.5
