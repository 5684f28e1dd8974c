"""Bad input is refused by column and value, odd tables work; nothing warns or returns NaN."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tables import N_ROWS, frame, scores, small

from jointprob import JEPAClassifier, JEPADensity, JEPARegressor

RNG = np.random.default_rng(0)
NAN = np.nan
NORMAL = RNG.normal(size=80)
PREDICTORS = [JEPAClassifier, JEPARegressor]

ODD = {
    "one row": np.array([[1.0, 2.0]]),
    "one label": {"a": ["x"]},
    "two rows": pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "three rows": RNG.normal(size=(3, 3)),
    "seven rows": frame(n_rows=7),
    "eight rows": frame(n_rows=8),
    "empty columns": frame().assign(d=NAN, e=None),
    "empty row": pd.concat([frame(), pd.DataFrame({"length": [NAN], "label": [None]})]),
    "one number of many": {"a": np.r_[np.full(49, NAN), 2.0]},
    "one label of many": {"a": [None] * 49 + ["x"]},
    "few cells": {"a": np.where(RNG.random(60) < 0.9, NAN, 1.0), "b": RNG.normal(size=60)},
    "constant columns": frame().assign(d=3.0, e="q"),
    "only constants": {"a": np.full(30, 3.0), "b": ["q"] * 30},
    "constant tiny": {"a": np.full(30, 1e-310)},
    "identical rows": np.tile([1.0, 2.0, 3.0], (50, 1)),
    "rows many times": np.repeat(RNG.normal(size=(5, 3)), 40, axis=0),
    "columns twice": np.repeat(RNG.normal(size=(200, 1)), 4, axis=1),
    "labels twice": pd.DataFrame({name: list("xyzxyxyzzx" * 8) for name in "abc"}),
    "collinear": np.outer(np.arange(100.0), [1, 2, -1]) + np.arange(3),
    "two values": {"a": RNG.integers(0, 2, 80), "b": NORMAL},
    "one outlier": {"a": np.r_[NORMAL, 1e12]},
    "huge": {"a": NORMAL * 1e300, "b": NORMAL},
    "one huge": {"a": np.r_[NORMAL, 1e300]},
    "largest": {"a": np.r_[NORMAL, 1.7e308, -1.7e308]},
    "tiny": {"a": NORMAL * 1e-300},
    "denormal": {"a": NORMAL * 1e-310},
    "tiny and usual": {"a": np.r_[NORMAL * 1e-310, NORMAL]},
    "bytes": {"a": RNG.integers(0, 256, 80).astype(np.uint8)},
    "beyond 2**53": {
        "a": RNG.integers(2**60, 2**62, 80),
        "b": 2**62 + RNG.integers(0, 50, 80),
        "c": 2**64 - 1 - RNG.integers(0, 5000, 80).astype(np.uint64),
    },
    "wide": RNG.normal(size=(30, 150)),
    "booleans": {"a": RNG.random(50) < 0.3},
    "many levels": {"a": [f"level {i}" for i in range(10_000)]},
    "every label its own": {"a": [f"{i}" for i in range(60)], "b": NORMAL[:60]},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_tables_work(name):
    X = ODD[name]
    model = small(n_trees=1).fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    sample = model.sample(20, random_state=0)
    assert type(sample) is type(X)
    assert np.isfinite(model.score_samples(sample)).all()
    assert np.isfinite(model.joint_.subsets(X)).all()


@pytest.mark.parametrize("name", [name for name in ODD if name != "many levels"])
def test_cells_of_odd_tables_are_filled_and_explained(name):
    X = ODD[name]
    joint, known = small(n_trees=1).fit(X).joint_, pd.DataFrame(X).notna().to_numpy()
    explained = pd.DataFrame(joint.explain(X)).to_numpy(float)
    assert np.isfinite(explained[known]).all() and np.isnan(explained[~known]).all()
    carried = np.array([column.empty for column in joint.schema])
    for method in ("mean", "mode", "sample"):
        filled = pd.DataFrame(joint.impute(X, method, random_state=0)).notna().to_numpy()
        assert (filled == ~carried).all()


@pytest.mark.parametrize(
    "X",
    [
        (NORMAL[:, None] * 20_000).astype(np.float16),
        (NORMAL[:, None] * 1e38).astype(np.float32),
        (NORMAL[:, None] * 1e38).astype(">f4"),
        pd.DataFrame({"a": NORMAL * 1e38}, dtype="Float32"),
        pd.DataFrame({"a": NORMAL * 1e38}, dtype="float32[pyarrow]"),
        pl.DataFrame({"a": NORMAL * 1e38}, schema={"a": pl.Float32}),
        pa.table({"a": pa.array(NORMAL * 1e38, pa.float32())}),
        RNG.integers(0, 256, (60, 1)).astype(np.uint8),
        RNG.integers(2**62, 2**63 - 1, (60, 1)),
    ],
)
def test_samples_stay_in_the_range_of_their_dtype(X):
    sample = small().fit(X).sample(2000, random_state=0)
    array = np.asarray(sample if isinstance(sample, np.ndarray) else sample["a"])
    assert np.isfinite(array).all()
    assert len(np.unique(array)) > 20


@pytest.mark.parametrize(
    "name", ["one row", "two rows", "seven rows", "rows many times", "largest"]
)
def test_odd_tables_work_by_default_settings(name):
    X = ODD[name]
    model = JEPADensity(random_state=0).fit(X)
    assert np.isfinite(model.score_samples(X)).all()


# ---- what a fit refuses ----

REFUSED = {
    "no rows": (frame().iloc[:0], "0 sample.*X is empty"),
    "no columns": (frame()[[]], "0 feature.*X is empty"),
    "nothing": ({}, "X is empty"),
    "no cell": ({"d": [NAN] * 9, "e": [None] * 9}, "X holds no value: .*'d', 'e' is missing"),
    "no cell in a row": (np.array([[NAN, NAN]]), "X holds no value"),
    "infinity": (frame().assign(length=np.inf), "'length', row 0: inf is infinity; allowed are"),
    "minus infinity": (np.array([[0.0], [-np.inf]]), "column 0, row 1: -inf is infinity"),
    "strings and numbers": ({"q": [1, "x", 2.0]}, r"'q' mixes 1 \(int\) with 'x' \(str\); a col"),
    "booleans and numbers": (
        {"q": np.array([1, True], object)},
        r"'q' mixes 1 \(int\) with True \(bool\)",
    ),
    "names twice": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "duplicate column names: 'a'"),
    "lengths": ({"a": [1, 2], "b": [1]}, "differ in length: 'a': 2, 'b': 1"),
    "one dimension": ([1.0, 2.0], "Expected 2D array, got 1D"),
    "three dimensions": (np.ones((2, 2, 2)), "dim 3"),
    "complex": (np.ones((3, 1)) * 1j, "Complex data not supported"),
    "ragged": ([[1, 2], [3]], "inhomogeneous"),
}
REFUSED_TYPES = {
    "dates": (pd.DataFrame({"d": pd.date_range("2020", periods=3)}), "'d' has dtype datetime64"),
    "lists": (pd.DataFrame({"d": [[1], [2]]}), "column 'd', row 0: .* not 'list'"),
    "tuple names": (pd.DataFrame({("a", 1): [1.0]}), r"column name \('a', 1\) is a tuple"),
    "lazy": (pl.LazyFrame({"a": [1.0]}), "call .collect"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_tables_of_bad_values_are_refused(name):
    X, message = REFUSED[name]
    _assert_refused(X, ValueError, message)


@pytest.mark.parametrize("name", REFUSED_TYPES)
def test_tables_of_bad_types_are_refused(name):
    X, message = REFUSED_TYPES[name]
    _assert_refused(X, TypeError, message)


@pytest.mark.parametrize("estimator", PREDICTORS)
@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_TYPES])
def test_predictors_refuse_the_same_tables(estimator, name):
    X, message = REFUSED[name] if name in REFUSED else REFUSED_TYPES[name]
    n_rows = {"no cell": 9, "no cell in a row": 1}.get(name, 3)
    with pytest.raises((ValueError, TypeError), match=message):
        estimator(random_state=0).fit(X, np.arange(n_rows) % 2)


@pytest.mark.parametrize("estimator", PREDICTORS)
@pytest.mark.parametrize(
    "name", ["two rows", "few cells", "only constants", "rows many times", "one huge", "largest"]
)
def test_predictors_of_odd_tables_work(estimator, name):
    X = ODD[name]
    y = np.arange(len(X if isinstance(X, np.ndarray | pd.DataFrame) else X["a"])) % 2
    model = estimator(random_state=0).fit(X, y)
    assert np.isfinite(model.feature_importances_).all()
    if estimator is JEPARegressor:
        given = model.predict_distribution(X)
        assert np.isfinite([model.predict(X), given.std(), given.log_prob(y)]).all()
    else:
        assert np.isin(model.predict(X), y).all()
        assert np.isfinite(model.predict_log_proba(X)).all()
        assert np.isfinite(model.explain(X)).all()


def _assert_refused(X, error, message):
    """And the estimator stays as it was."""
    model, query = small(n_trees=1).fit(frame()), frame(seed=1)
    before, attributes = scores(model, query), dict(vars(model))
    with pytest.raises(error, match=message):
        model.fit(X)
    assert vars(model) == attributes
    assert scores(model, query) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_subsets": 0}, "n_subsets is 0; allowed are 'auto' and whole numbers 1 to 256"),
        ({"n_subsets": 257}, "n_subsets is 257"),
        ({"n_subsets": 2.0}, "n_subsets is 2.0"),
        ({"n_subsets": True}, "n_subsets is True"),
        ({"n_subsets": None}, "n_subsets is None"),
        ({"n_subsets": "many"}, "n_subsets is 'many'"),
        ({"n_trees": -1}, "n_trees is -1; allowed are 'auto' and whole numbers 1 to 1000"),
        ({"n_trees": 1.5}, "n_trees is 1.5"),
        ({"n_trees": [1]}, r"n_trees is \[1\]"),
        ({"n_jobs": 0}, "n_jobs is 0; allowed are"),
        ({"n_jobs": "all"}, "n_jobs is 'all'; allowed are"),
        ({"n_jobs": 1.5}, "n_jobs is 1.5; allowed are"),
        ({"random_state": "x"}, "'x' cannot be used to seed"),
        ({"random_state": -1}, "between 0 and"),
        ({"categorical_features": "all"}, "categorical_features='all'; allowed are 'from_dtype'"),
        ({"categorical_features": ["colour"]}, "categorical_features holds 'colour'; allowed are"),
        ({"categorical_features": [3]}, "holds 3; allowed are positions 0 to 2"),
        ({"categorical_features": [-1]}, "holds -1; allowed are positions 0 to 2"),
        ({"categorical_features": 3}, "holds 3; allowed are positions 0 to 2"),
        ({"categorical_features": [1.5]}, "holds 1.5; allowed are"),
        ({"categorical_features": [True]}, "has 1 entries, but there are 3 columns"),
        ({"categorical_features": None}, "column 'label', row 0: '.' is not a number"),
    ],
)
def test_settings_that_are_refused(settings, message):
    model = small(n_trees=1).fit(frame())
    before = scores(model, frame())
    with pytest.raises(ValueError, match=message):
        model.set_params(**settings).fit(frame())
    assert scores(model.set_params(n_jobs=None), frame()) == before


def test_settings_that_mean_the_same():
    X = frame()
    expected = scores(small().fit(X), X)
    assert scores(small(n_subsets=np.int32(2), n_jobs=-1).fit(X), X) == expected
    for columns in ([2], ["label"], [False, False, True], np.array([2])):
        assert scores(small(categorical_features=columns).fit(X), X) == expected


# ---- what X_val may be ----


@pytest.mark.parametrize(
    ("X_val", "message"),
    [
        (frame("numeric"), "seen at fit time, yet now missing: 'label'"),
        (frame().assign(more=1), "unseen at fit time: 'more'"),
        (frame().iloc[:0], "X_val is empty"),
        (frame().assign(length="long"), "column 'length', row 0: 'long' is not a number"),
        (frame().assign(length=np.inf), "column 'length', row 0: inf is infinity"),
        (frame().assign(label=1.0), "column 'label', row 0: 1.0 is a float"),
        (np.ones((3, 2)), "X_val has 2 features, but JEPADensity is expecting 3"),
    ],
)
def test_validation_rows_that_are_refused(X_val, message):
    with pytest.raises(ValueError, match=message):
        small(n_trees=1).fit(frame(), X_val=X_val)


@pytest.mark.parametrize(
    "X_val",
    [
        frame().iloc[:1],
        frame().assign(label="unseen"),
        frame().assign(length=1e300),
        frame().assign(length=NAN, count=NAN, label=None),
        frame(seed=1)[["label", "length", "count"]],
    ],
)
@pytest.mark.parametrize("n_trees", [1, 3])
def test_validation_rows_may_be_odd(X_val, n_trees):
    assert np.isfinite(small(n_trees=n_trees).fit(frame(), X_val=X_val).score(frame()))


# ---- what a query may be ----


@pytest.fixture(scope="module")
def model():
    return small().fit(frame())


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (frame("numeric"), "seen at fit time, yet now missing: 'label'"),
        (frame().assign(more=1), "unseen at fit time: 'more'"),
        (frame().assign(length="long"), "column 'length', row 0: 'long' is not a number"),
        (frame().assign(length=-np.inf), "column 'length', row 0: -inf is infinity"),
        (frame().assign(label=2.5), "column 'label', row 0: 2.5 is a float, but the levels in fit"),
        (frame().iloc[:0], "X is empty"),
        (np.ones((3, 2)), "X has 2 features, but .* is expecting 3"),
        (None, "Expected 2D array"),
    ],
)
@pytest.mark.parametrize("question", ["log_prob", "explain", "impute", "subsets"])
def test_queries_that_are_refused(model, question, X, message):
    with pytest.raises(ValueError, match=message):
        getattr(model.joint_, question)(X)
    with pytest.raises(ValueError, match=message):
        model.score_samples(X)


def test_columns_are_matched_by_name(model):
    X = frame(seed=1)
    expected = scores(model, X)
    assert scores(model, X[["label", "count", "length"]]) == expected
    assert scores(model, pl.from_pandas(X).select("count", "label", "length")) == expected
    assert scores(model, {name: X[name].to_list() for name in reversed(list(X))}) == expected
    assert scores(model, X.to_numpy()) == expected


def test_far_values_and_unseen_levels_are_unlikely_but_possible(model):
    X = frame(seed=1).dropna()
    usual = model.score(X)
    for odd in ({"length": 1e300}, {"length": -1.7e308}, {"count": 1e9}, {"label": "never seen"}):
        log_prob = model.score_samples(X.assign(**odd))
        assert np.isfinite(log_prob).all() and log_prob.mean() < usual - 2
    surprise = model.joint_.explain(X.assign(label="never seen"))
    assert (surprise["label"] > 2).all()


def test_unseen_levels_share_one_level_of_mass():
    X = frame("categorical")
    model = small().fit(X)
    levels = pd.DataFrame({"label": ["x", "y", "z", "never seen"]})
    assert np.exp(model.score_samples(levels)).sum() == pytest.approx(1, abs=1e-6)
    other = pd.DataFrame({"label": ["another"]})
    assert model.score(other) == model.score_samples(levels)[-1]


def test_a_row_without_cells_says_nothing(model):
    X = frame().iloc[:2].assign(length=NAN, count=NAN, label=None)
    np.testing.assert_array_equal(model.score_samples(X), [0.0, 0.0])


@pytest.mark.parametrize("weight", [-np.ones(N_ROWS), np.zeros(N_ROWS), np.full(N_ROWS, NAN)])
def test_weights_of_a_score_are_checked(model, weight):
    with pytest.raises(ValueError, match=r"ample.weight"):
        model.score(frame(), sample_weight=weight)


@pytest.mark.parametrize("n", [-1, 1.5])
def test_numbers_of_samples_that_are_refused(model, n):
    with pytest.raises(ValueError, match=f"n={n}; allowed are integers"):
        model.sample(n)


def test_no_samples_are_a_table_without_rows(model):
    assert list(model.sample(0)) == list(frame())
