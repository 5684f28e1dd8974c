"""Class probabilities: what they promise, what they refuse, and how good they are."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import frame

from jointprob import JEPAClassifier

NAN = np.nan


def small(**settings):
    return JEPAClassifier(**{"random_state": 0, **settings})


def labels(X, seed=0):
    """Labels that the length of a row tells something about."""
    length = X["length"].fillna(0).to_numpy(float)
    noise = np.random.default_rng(seed).normal(size=len(X))
    return np.where(length + noise > 1.5, "yes", "no")


def bits(model, X):
    """Log probabilities as bytes, to compare bit for bit."""
    log_p = model.predict_log_proba(X)
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, atol=1e-12)
    return log_p.tobytes()


@pytest.fixture(scope="module")
def fitted():
    X = frame()
    return small().fit(X, labels(X))


@parametrize_with_checks([small()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---- fitted state ----


def test_only_fit_adds_attributes(fitted):
    model = small()
    assert set(vars(model)) == set(model.get_params())
    assert {name for name in vars(fitted) if name.endswith("_")} == {
        "classes_", "feature_importances_", "feature_names_in_", "joint_", "n_features_in_",
    }  # fmt: skip
    assert list(fitted.feature_names_in_) == ["length", "count", "label"]
    assert fitted.feature_importances_.shape == (3,)


def test_copies_predict_alike(fitted):
    X = frame(seed=1)
    expected = bits(fitted, X)
    assert bits(pickle.loads(pickle.dumps(fitted)), X) == expected
    assert bits(clone(fitted).fit(frame(), labels(frame())), X) == expected


@pytest.mark.parametrize("question", ["predict", "predict_proba", "score_samples", "explain"])
def test_unfitted_models_say_so(question):
    with pytest.raises(NotFittedError):
        getattr(small(), question)(frame())


@pytest.mark.parametrize("kind", ["mixed", "categorical"])
def test_neither_threads_nor_the_order_of_rows_matter(kind):
    X, query = frame(kind, n_rows=80), frame(kind, seed=1)
    y = labels(frame(n_rows=80))
    one = small(n_jobs=1).fit(X, y)
    expected = one.predict_log_proba(query)
    order = np.random.default_rng(0).permutation(len(X))
    two = small(n_jobs=2).fit(X.iloc[order], y[order])
    assert bits(two, query) == expected.tobytes()
    np.testing.assert_array_equal(two.feature_importances_, one.feature_importances_)
    order = np.random.default_rng(1).permutation(len(query))
    np.testing.assert_array_equal(one.predict_log_proba(query.iloc[order]), expected[order])
    for rows in (slice(5, 6), slice(0, 50)):
        np.testing.assert_array_equal(one.predict_log_proba(query[rows]), expected[rows])
    np.testing.assert_array_equal(one.explain(query)[7:9], two.explain(query[7:9]))


def test_a_weight_means_repeats():
    X, weight = frame(), np.random.default_rng(0).integers(0, 3, 120)
    y = labels(X)
    weighted = small().fit(X, y, sample_weight=weight)
    repeated = small().fit(X.loc[X.index.repeat(weight)], np.repeat(y, weight))
    assert bits(weighted, frame(seed=1)) == bits(repeated, frame(seed=1))
    np.testing.assert_array_equal(weighted.feature_importances_, repeated.feature_importances_)


def test_rows_of_weight_zero_are_not_there():
    X, y = frame(), labels(frame()).astype(object)
    X.loc[X.index[:20], "label"] = "only here"
    y[:20] = "another class"
    one = small().fit(X, y, sample_weight=np.arange(120) >= 20)
    two = small().fit(X[20:], y[20:])
    assert list(one.classes_) == ["no", "yes"]
    assert bits(one, frame(seed=1)) == bits(two, frame(seed=1))


def test_balanced_classes_are_weights_of_rows():
    X = frame()
    y = labels(X)
    one = small(class_weight="balanced").fit(X, y)
    two = small().fit(X, y, sample_weight=compute_sample_weight("balanced", y))
    assert bits(one, frame(seed=1)) == bits(two, frame(seed=1))
    three = small(class_weight={"no": 2.5, "yes": 1}).fit(X, y)
    four = small().fit(X, y, sample_weight=np.where(y == "no", 2.5, 1))
    assert bits(three, frame(seed=1)) == bits(four, frame(seed=1))
    # Importance is no repeat: no row is held out whose copy is fitted on.
    five = small(class_weight={"no": 2, "yes": 1}).fit(X, y)
    repeats = small().fit(X, y, sample_weight=np.where(y == "no", 2, 1))
    assert bits(five, frame(seed=1)) != bits(repeats, frame(seed=1))


def test_input_is_never_modified(fitted):
    X = frame()
    y = labels(X)
    before, y_before = X.copy(), y.copy()
    small().fit(X, y).explain(X)
    pd.testing.assert_frame_equal(X, before)
    np.testing.assert_array_equal(y, y_before)


def test_containers_give_the_same_bits():
    X, query = frame(n_rows=30), frame(n_rows=30, seed=1)
    y = labels(X)
    fitted = small().fit(X, y)
    expected = bits(fitted, query)
    columns = {name: X[name].astype(object).where(X[name].notna(), None).tolist() for name in X}
    for given, target in (
        (pl.from_pandas(X), pl.Series(y)),
        (pa.Table.from_pandas(X), pa.array(y)),
        (columns, y.tolist()),
        (X, pd.Series(y, dtype="category")),
    ):
        model = small().fit(given, target)
        assert bits(model, query) == expected
        assert list(model.classes_) == ["no", "yes"]
    assert bits(fitted, query[["label", "count", "length"]]) == expected
    assert bits(fitted, pl.from_pandas(query)) == expected
    assert bits(fitted, pa.Table.from_pandas(query)) == expected
    assert bits(fitted, query.to_numpy()) == expected


def test_numpy_and_pandas_numbers_give_the_same_bits():
    X = frame("numeric")
    y = labels(frame())
    model = small().fit(X.to_numpy(float), y)
    assert bits(model, X.to_numpy(float)) == bits(small().fit(X, y), X)


# ---- labels ----


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.array(["b", "a", "c"]), ["a", "b", "c"]),
        (np.array(["b", "a", "c"], object), ["a", "b", "c"]),
        (np.array([True, False, True]), [False, True]),
        (np.array([7, -2, 300]), [-2, 7, 300]),
        (np.array([2, 1, 3], np.uint8), [1, 2, 3]),
        (np.array([2.0, 1.0, 3.0]), [1.0, 2.0, 3.0]),
        (np.array([2**64 - 1, 0, 5], np.uint64), [0, 5, 2**64 - 1]),
        (pd.Series(pd.Categorical(["b", "a", "c"], ["c", "b", "a", "never"])), ["a", "b", "c"]),
        (pd.Series([3, 1, 2], dtype="Int64"), [1, 2, 3]),
        (pd.Series(["b", "a", "c"], dtype="string"), ["a", "b", "c"]),
        (pd.Series([True, False, True], dtype="boolean"), [False, True]),
    ],
)
def test_kinds_of_labels(y, classes):
    X = np.array([[0.0], [5.0], [10.0]])
    rows = np.repeat(np.arange(3), 8)
    target = y.iloc[rows] if isinstance(y, pd.Series) else y[rows]
    X = X[rows] + np.linspace(0, 1, 24)[:, None]
    model = small().fit(X, target)
    assert model.classes_.tolist() == classes
    predicted = model.predict(X)
    assert predicted.dtype == model.classes_.dtype and model.classes_.dtype != object
    assert (predicted == np.asarray(target)).mean() > 0.9
    assert model.score(X, target) > 0.9


def test_a_hundred_classes():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(100), 2)
    X = y[:, None] + 0.1 * rng.normal(size=(200, 1))
    model = small().fit(X, y)
    p = model.predict_proba(X + 0.01)
    assert p.shape == (200, 100) and log_loss(y, p) < np.log(100) - 1


def test_classes_of_one_and_two_rows():
    rng = np.random.default_rng(0)
    y = np.array(["many"] * 57 + ["two"] * 2 + ["one"])
    X = rng.normal(size=(60, 2)) + 8 * (y != "many")[:, None]
    p = small().fit(X, y).predict_proba(X)
    assert (p > 0).all() and p[:57, 0].min() > 0.5
    assert p[57:, 1:].sum(axis=1).mean() > p[:57, 1:].sum(axis=1).mean()


@pytest.mark.parametrize("n_rows", [2, 3, 5])
def test_few_rows(n_rows):
    X = frame(n_rows=n_rows, seed=3)
    bits(small().fit(X, np.arange(n_rows) % 2), frame(seed=1))


@pytest.mark.parametrize(
    "X",
    [
        np.tile([1.0, 2.0], (40, 1)),
        np.random.default_rng(0).normal(size=(40, 2)) * [1e300, 1e-300],
        np.c_[np.full(40, NAN), np.arange(40.0)],
        pd.DataFrame({"a": [f"{i}" for i in range(40)], "b": [None] * 40}),
        np.random.default_rng(0).normal(size=(40, 45)),
        pd.DataFrame({"a": [True, False] * 20}),
    ],
)
def test_odd_tables_work(X):
    model = small().fit(X, np.arange(40) // 20)
    bits(model, X)
    assert np.isfinite(model.explain(X)).all() and np.isfinite(model.feature_importances_).all()


# ---- what is refused ----

LABELS = np.array(["a", "b"] * 60)


def changed(value, dtype=object):
    y = LABELS.astype(dtype)
    y[3] = value
    return y


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(120, int), "one class only, 0; at least two"),
        (changed(None), "None in row 3"),
        (changed(NAN), "nan in row 3"),
        (changed(pd.NA), "<NA> in row 3"),
        (changed(pd.NaT), "NaT in row 3"),
        (changed(1), "mixes labels of the kinds 'number', 'str'"),
        (changed(True), "mixes labels of the kinds 'bool', 'str'"),
        (pd.Series([(1, 2), (3, 4)] * 60), "of the kind 'tuple'; allowed are 'bool'"),
        (np.where(np.arange(120) == 3, np.inf, 1.0), "inf in row 3"),
        (pd.Series([1, None] * 60, dtype="Int64"), "nan in row 1"),
        (pd.Categorical(["a", None] * 60), "nan in row 1"),
        (np.linspace(0, 1, 120), "Unknown label type: continuous"),
        (LABELS[:7], "X has 120 rows and y has 7"),
        (np.c_[LABELS, LABELS], "1d array"),
        (None, "y is None"),
        (3, "1d array"),
    ],
)
def test_targets_that_are_refused(fitted, y, message):
    before, expected = dict(vars(fitted)), bits(fitted, frame(seed=1))
    with pytest.raises(ValueError, match=message):
        fitted.fit(frame(), y)
    assert vars(fitted) == before
    assert bits(fitted, frame(seed=1)) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_weight": "even"}, "class_weight"),
        ({"class_weight": {"no": -1}}, "class_weight holds -1.0, 1.0; allowed are numbers above 0"),
        ({"class_weight": {"no": 0}}, "class_weight holds 0.0, 1.0"),
        ({"class_weight": {"no": NAN}}, "class_weight holds nan, 1.0"),
        ({"class_weight": {"maybe": 1}}, "class_weight"),
        ({"n_jobs": 0}, "n_jobs is 0; allowed are"),
        ({"random_state": "x"}, "'x' cannot be used to seed"),
        ({"categorical_features": ["colour"]}, "categorical_features holds 'colour'"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings).fit(frame(), labels(frame()))


@pytest.mark.parametrize("weight", [-np.ones(120), np.zeros(120), np.full(120, NAN), np.ones(3)])
def test_weights_that_are_refused(weight):
    with pytest.raises(ValueError, match=r"ample.weight"):
        small().fit(frame(), labels(frame()), sample_weight=weight)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (frame("numeric"), "seen at fit time, yet now missing: 'label'"),
        (frame().assign(more=1), "unseen at fit time: 'more'"),
        (frame().assign(length=np.inf), "column 'length', row 0: inf is infinity"),
        (frame().assign(label=2.5), "column 'label', row 0: 2.5 is a float"),
        (frame().iloc[:0], "X is empty"),
        (np.ones((3, 2)), "X has 2 features, but JEPAClassifier is expecting 3"),
    ],
)
@pytest.mark.parametrize("question", ["predict", "explain", "score_samples"])
def test_queries_that_are_refused(fitted, question, X, message):
    if question == "score_samples":
        message = message.replace("JEPAClassifier", ".*")
    with pytest.raises(ValueError, match=message):
        getattr(fitted, question)(X)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            ["maybe"] * 120,
            "'maybe' in row 0, a class that fit did not see; allowed are 'no', 'yes'",
        ),
        ([1] * 120, "1 in row 0"),
        ([None] * 120, "None in row 0"),
        (["yes"], r"y has shape \(1,\); allowed is \(120,\)"),
    ],
)
def test_explanations_of_classes_that_fit_did_not_see(fitted, y, message):
    with pytest.raises(ValueError, match=message):
        fitted.explain(frame(), y)


# ---- probabilities ----


def test_rows_without_cells_get_the_shares_of_the_classes():
    X, query = frame().dropna(), frame()[:2].assign(length=NAN, count=NAN, label=None)
    y = labels(X)
    shares = [(np.sum(y == c) + 0.5) / (len(y) + 1) for c in ("no", "yes")]
    np.testing.assert_allclose(small().fit(X, y).predict_proba(query), [shares] * 2)


def halves(load):
    X, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return X[order[::2]], y[order[::2]], X[order[1::2]], y[order[1::2]]


@pytest.fixture(scope="module", params=[load_iris, load_wine])
def trained(request):
    X, y, X_test, y_test = halves(request.param)
    return small().fit(X, y), X, y, X_test, y_test


def test_real_tables(trained):
    model, _, _, X, y = trained
    assert model.score(X, y) > 0.9
    assert log_loss(y, model.predict_proba(X)) < 0.3
    np.testing.assert_array_equal(
        model.predict(X), model.classes_[model.predict_proba(X).argmax(axis=1)]
    )


def test_rows_with_cells_missing_are_still_told_apart(trained):
    """Though no row missed a cell in fit."""
    model, _, _, X, y = trained
    holed = np.where(np.random.default_rng(0).random(X.shape) < 0.3, NAN, X)
    before = holed.copy()
    loss = log_loss(y, model.predict_proba(holed))
    np.testing.assert_array_equal(holed, before)
    assert loss < 0.6 * log_loss(y, np.tile(np.bincount(y) / len(y), (len(y), 1)))


def test_every_cell_missing_is_the_prior(trained):
    model, _, y, X, _ = trained
    shares = (np.bincount(y) + 0.5) / (len(y) + 1.5)
    np.testing.assert_allclose(model.predict_proba(np.full((1, X.shape[1]), NAN))[0], shares)


def test_tables_with_cells_missing_in_fit():
    X, y, X_test, y_test = halves(load_wine)
    rng = np.random.default_rng(0)
    X, X_test = (np.where(rng.random(table.shape) < 0.3, NAN, table) for table in (X, X_test))
    assert log_loss(y_test, small().fit(X, y).predict_proba(X_test)) < 0.5


def test_that_a_cell_is_missing_may_tell_the_class():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=200)
    X = rng.normal(size=(200, 2))
    X[y == 1, 0] = NAN
    p = small().fit(X, y).predict_proba([[0.0, 0.0], [NAN, 0.0]])
    assert p[0, 0] > 0.9 and p[1, 1] > 0.9


def test_probabilities_are_calibrated():
    rng = np.random.default_rng(0)

    def draw(n):
        X = rng.normal(size=(n, 3))
        chance = expit(1.5 * X[:, 0] - X[:, 1])
        return X, chance, (rng.random(n) < chance).astype(int)

    X, _, y = draw(300)
    model = small().fit(X, y)
    X, chance, y = draw(4000)
    p = model.predict_proba(X)[:, 1]
    assert log_loss(y, p) < log_loss(y, chance) + 0.07
    assert abs(p.mean() - chance.mean()) < 0.06
    for low in (0.1, 0.3, 0.5, 0.7):
        some = (p >= low) & (p < low + 0.2)
        assert abs(p[some].mean() - y[some].mean()) < 0.15


def test_noise_is_not_believed():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 4)), rng.random(150) < 0.3
    p = small().fit(X, y).predict_proba(rng.normal(size=(500, 4)))[:, 1]
    assert abs(p.mean() - y.mean()) < 0.05 and p.std() < 0.12


# ---- columns and cells that matter ----


@pytest.fixture(scope="module")
def told():
    """The first column and the letter tell the class; the rest is noise."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=240)
    X = pd.DataFrame(rng.normal(size=(240, 4)), columns=list("abcd"))
    X["a"] += 2.5 * y
    X["letter"] = np.where(rng.random(240) < 0.7, np.array(list("xyz"))[y], "x")
    return small().fit(X, y), X, y


def test_importances(told):
    gains = told[0].feature_importances_
    assert gains.dtype == np.float64 and gains.shape == (5,)
    assert gains[0] > 5 * np.abs(gains[1:4]).max() and gains[4] > np.abs(gains[1:4]).max()


def test_explanations(told):
    model, X, y = told
    cells = model.explain(X, y)
    assert isinstance(cells, np.ndarray)
    assert cells.dtype == np.float64 and cells.shape == X.shape
    assert cells[:, 0].mean() > 0.3 and cells[:, 4].mean() > 0.05
    assert np.abs(cells[:, 1:4].mean(axis=0)).max() < 0.1
    np.testing.assert_array_equal(model.explain(X), model.explain(X, model.predict(X)))


def test_cells_against_a_class_are_below_zero(told):
    model, X, y = told
    low = X[y == 0]
    assert model.explain(low, np.full(len(low), 2))[:, 0].mean() < -0.5


def test_missing_cells_explain_nothing(told):
    model, X, y = told
    holed = X.mask(np.random.default_rng(0).random(X.shape) < 0.4)
    cells = model.explain(holed, y)
    assert (cells[holed.isna()] == 0).all() and np.isfinite(cells).all()
    assert (cells[holed.notna().to_numpy()] != 0).mean() > 0.5
    np.testing.assert_array_equal(model.explain(holed), model.explain(holed, model.predict(holed)))


def test_explanations_are_differences_of_what_is_predicted(told):
    model, X, _ = told
    holed = X.mask(np.random.default_rng(1).random(X.shape) < 0.4)[:20]
    holed = holed[holed.notna().sum(axis=1) > 0]
    whole = model.predict_log_proba(holed)
    rows, label = np.arange(len(holed)), whole.argmax(axis=1)
    for j, name in enumerate(X):
        without = model.predict_log_proba(holed.assign(**{name: NAN}))
        known = holed[name].notna().to_numpy()
        expected = np.where(known, (whole - without)[rows, label], 0)
        np.testing.assert_allclose(model.explain(holed)[:, j], expected, atol=1e-12)


def test_the_joint_is_of_the_columns(told):
    model, X, _ = told
    score = model.score_samples(X)
    assert np.isfinite(score).all() and score.shape == (240,)
    np.testing.assert_array_equal(score, model.joint_.log_prob(X))
    assert model.score_samples(X.assign(a=40.0)).max() < score.min()
    assert list(model.joint_.sample(5, random_state=0)) == list(X)


def test_unseen_levels_are_possible(told):
    model, X, _ = told
    p = model.predict_proba(X.assign(letter="never seen"))
    assert np.isfinite(p).all() and p[np.arange(240), told[2]].mean() > 0.5
