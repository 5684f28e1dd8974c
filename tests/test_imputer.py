"""Imputed cells: what they are, where they are put, and how much they vary."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.special import expit
from scipy.stats import kstest, linregress
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import frame

from jointprob import JEPAImputer
from jointprob.estimators.imputer import bootstrap_weight
from jointprob.table import read_table

STRATEGIES = ("median", "mean", "mode", "sample")


def small(**settings):
    return JEPAImputer(**{"n_subsets": 2, "n_trees": 2, "random_state": 0, **settings})


@parametrize_with_checks(
    [JEPAImputer(n_trees=1, random_state=0), small(n_trees=1, sample_posterior=True)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---- values ----


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_cell_is_filled_and_no_other_touched(strategy):
    X = frame()
    filled = small(strategy=strategy).fit_transform(X)
    assert filled.notna().all(axis=None)
    pd.testing.assert_frame_equal(filled.where(X.notna()), X)
    assert (filled.dtypes == X.dtypes).all()
    assert set(filled["label"]) == {"x", "y", "z"}


def test_strategies_are_the_conditional_answers():
    X, query = frame(), frame(seed=1)
    model = small().fit(X)
    given = model.joint_.condition(query)
    answers = {
        "median": given.quantile("count", 0.5),
        "mean": given.mean("count"),
        "mode": given.mode("count"),
    }
    gone = query["count"].isna().to_numpy()
    for strategy, answer in answers.items():
        filled = model.set_params(strategy=strategy).transform(query)
        np.testing.assert_array_equal(filled["count"][gone], answer[gone])
        expected = given.mode("label")[query["label"].isna()]
        np.testing.assert_array_equal(filled["label"][query["label"].isna()], expected)


def test_the_median_of_a_column_of_mostly_one_value_is_that_value():
    rng = np.random.default_rng(0)
    X = np.stack([rng.normal(size=400), np.where(rng.random(400) < 0.8, 0.0, 50.0)], axis=1)
    X[::2, 1] *= rng.random(200)
    model = small().fit(X)
    query = np.array([[0.0, np.nan]])
    assert model.transform(query)[0, 1] == 0
    assert model.joint_.condition(query).quantile(1, 0.5)[0] == 0
    assert model.set_params(strategy="mean").transform(query)[0, 1] > 1


def test_columns_that_were_all_missing_in_fit_stay_as_they_are():
    X = np.array([[0.0, np.nan], [1.0, np.nan], [2.0, np.nan]])
    model = small().fit(X)
    filled = model.transform([[np.nan, np.nan], [np.nan, 7.0]])
    assert np.isnan(filled[0, 1]) and filled[1, 1] == 7
    assert np.isfinite(filled[:, 0]).all()


def test_levels_that_fit_did_not_see_stay():
    query = pd.DataFrame({"length": [np.nan], "count": [1.0], "label": ["new"]})
    filled = small().fit(frame()).transform(query)
    assert filled["label"][0] == "new" and np.isfinite(filled["length"][0])


def test_input_is_never_modified():
    X = frame()
    before = X.copy()
    filled = small().fit_transform(X)
    filled.loc[:, "length"] = 0.0
    pd.testing.assert_frame_equal(X, before)
    complete = np.ones((3, 3))
    small().fit(np.eye(3)).transform(complete)[:] = 5
    assert (complete == 1).all()


# ---- containers ----


def typed():
    """Columns of many dtypes; those that can have a missing cell have one in the second row."""
    n = 40
    even = np.arange(n) % 2 == 0
    X = pd.DataFrame(
        {
            "float32": np.where(even, 0.1, 2.7).astype(np.float32),
            "Int64": pd.array(np.where(even, 2**60 + 1, 2**60 + 5), dtype="Int64"),
            "UInt8": pd.array(np.where(even, 3, 250), dtype="UInt8"),
            "boolean": pd.array(even, dtype="boolean"),
            "category": pd.Categorical(np.where(even, "b", "a"), ["b", "a", "never"], ordered=True),
            "object": pd.array(np.where(even, "u", "v").astype(object), dtype=object),
            "string": pd.array(np.where(even, "u", "v"), dtype="string"),
        },
        index=pd.RangeIndex(100, 100 + n, name="row"),
    )
    X.iloc[1] = None
    return X.assign(int64=np.arange(n))


@pytest.mark.parametrize("strategy", ["median", "mean", "sample"])
def test_pandas_keeps_dtypes_index_and_bits(strategy):
    X = typed()
    filled = small(strategy=strategy).fit(X).transform(X)
    assert (filled.dtypes == X.dtypes).all()
    assert filled.index.equals(X.index) and filled.index.name == "row"
    assert filled.notna().all(axis=None)
    rest = np.arange(len(X)) != 1
    pd.testing.assert_frame_equal(filled[rest], X[rest])
    assert filled["Int64"].iloc[0] == 2**60 + 1


def test_polars_and_pyarrow_keep_dtypes():
    for X in (polars_table(), polars_table().to_arrow()):
        filled = small().fit(X).transform(X)
        assert type(filled) is type(X) and filled.schema == X.schema
        table, source = pl.DataFrame(filled), pl.DataFrame(X)
        assert sum(table.null_count().row(0)) == 0
        assert table[2:].equals(source[2:])


def test_arrow_types():
    chunks = (["x", None] * 8, ["y", "z"] * 8)
    X = pa.table(
        {
            "dictionary": pa.chunked_array([pa.array(part).dictionary_encode() for part in chunks]),
            "view": pa.chunked_array(chunks, pa.string_view()),
            "count": pa.chunked_array([[1, None] * 8, [3, 4] * 8], pa.int8()),
        }
    )
    filled = small().fit_transform(X)
    assert filled.schema == X.schema and not any(column.null_count for column in filled.columns)
    assert filled.slice(16).to_pylist() == X.slice(16).to_pylist()
    Y = X.drop(["view"]).to_pandas(types_mapper=pd.ArrowDtype)
    filled = small().fit_transform(Y)
    assert (filled.dtypes == Y.dtypes).all() and filled.notna().all(axis=None)
    pd.testing.assert_frame_equal(filled[16:], Y[16:])


def polars_table():
    n = 30
    label = ["a" if i % 3 else "b" for i in range(n)]
    return pl.DataFrame(
        {
            "narrow": pl.Series([None, *range(1, n)], dtype=pl.UInt8),
            "number": pl.Series([0.5 * i for i in range(n)], dtype=pl.Float32),
            "text": [label[0], None, *label[2:]],
            "category": pl.Series([None, *label[1:]], dtype=pl.Categorical),
            "enum": pl.Series([None, *label[1:]], dtype=pl.Enum(["b", "a", "never"])),
            "flag": [None, *(i % 2 == 0 for i in range(1, n))],
        }
    )


def test_categories_grow_by_the_levels_they_lack():
    X = frame("categorical").astype("category")
    model = small().fit(X)
    only = pd.DataFrame({"label": pd.Categorical([None], ["other"])})
    filled = model.transform(only)["label"]
    assert filled[0] in "xyz" and next(iter(filled.cat.categories)) == "other"
    enum = pl.DataFrame({"label": pl.Series([None, "other"], dtype=pl.Enum(["other"]))})
    assert model.transform(enum)["label"][0] in "xyz"
    empty = pl.DataFrame({"label": [None]})
    assert model.transform(empty)["label"][0] in "xyz"
    assert model.transform(pl.DataFrame(empty).to_arrow())["label"][0].as_py() in "xyz"


def test_dicts_lists_and_objects():
    X = frame()
    model = small().fit(X)
    filled = model.transform(
        {"count": [None, 1.0], "label": ["x", None], "length": X["length"][:2]}
    )
    assert list(filled) == ["length", "count", "label"]
    assert filled["count"][0] >= 0 and filled["label"][1] in "xyz"
    assert isinstance(filled["length"], pd.Series)
    cells = [[1.0, "x"], [2.0, None], [None, "y"]] * 5
    array = small().fit_transform(cells)
    assert array.shape == (15, 2) and array[1, 1] in "xy" and isinstance(array[2, 0], float)


def test_arrays_by_position_and_frames_by_name():
    X = frame()
    model = small().fit(X)
    expected = model.transform(X)
    pd.testing.assert_frame_equal(model.transform(X[X.columns[::-1]]), expected)
    array = model.transform(X.to_numpy(object))
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, expected.to_numpy(object))


def test_whole_numbers_where_fit_saw_integers():
    count = np.arange(40)
    model = small(strategy="mean").fit(pd.DataFrame({"a": count, "b": count % 7}))
    filled = model.transform(pd.DataFrame({"a": [3.0, np.nan, 1.5], "b": [np.nan, 2.0, 4.0]}))
    assert filled["a"][1] == round(filled["a"][1]) and filled["a"][2] == 1.5
    assert filled["b"].dtype == np.float64


@pytest.mark.parametrize(
    "X", [frame(), pl.from_pandas(frame()), pl.from_pandas(frame()).to_arrow()], ids=type
)
def test_set_output(X):
    model = small().fit(X)
    names = ["length", "count", "label"]
    assert list(model.get_feature_names_out()) == names
    as_pandas = model.set_output(transform="pandas").transform(X)
    assert isinstance(as_pandas, pd.DataFrame) and list(as_pandas) == names
    assert as_pandas["length"].dtype == np.float64 and as_pandas["label"].isin([*"xyz"]).all()
    as_polars = model.set_output(transform="polars").transform(X)
    assert as_polars.schema == {"length": pl.Float64, "count": pl.Float64, "label": pl.String}
    assert as_polars["length"].to_list() == as_pandas["length"].tolist()


def test_pipelines_and_column_transformers():
    X = frame().assign(other=1.0)
    y = np.arange(len(X)) % 2
    encode = make_column_transformer(
        (StandardScaler(), ["length", "count"]), (OneHotEncoder(), ["label"])
    )
    assert (
        make_pipeline(small(), encode, LogisticRegression()).fit(X, y).predict(X).shape == y.shape
    )
    columns = make_column_transformer((small(), ["length", "label"]), ("passthrough", ["other"]))
    filled = columns.set_output(transform="pandas").fit_transform(X)
    assert list(filled) == ["jepaimputer__length", "jepaimputer__label", "passthrough__other"]
    assert filled["jepaimputer__length"].dtype == np.float64
    assert filled.notna().all(axis=None)


# ---- errors ----


def test_errors_name_column_and_value():
    X = frame()
    model = small().fit(X)
    with pytest.raises(ValueError, match=r"unseen at fit time: 'width'"):
        model.transform(X.rename(columns={"count": "width"}))
    with pytest.raises(ValueError, match=r"column 'label', row 0: 3 is a int"):
        model.transform(X.assign(label=3).astype({"label": "category"}))
    with pytest.raises(ValueError, match=r"column 'count', row 4: inf is infinity"):
        model.transform(X.assign(count=[0.0] * 4 + [np.inf] + [0.0] * (len(X) - 5)))
    with pytest.raises(ValueError, match="X has 2 features, but JEPAImputer is expecting 3"):
        model.transform(np.ones((2, 2)))
    with pytest.raises(NotFittedError):
        small().transform(X)


@pytest.mark.parametrize("setting", [{"strategy": "middle"}, {"n_trees": 0}])
def test_a_failed_fit_leaves_the_imputer_as_it_was(setting):
    model = small().fit(frame())
    before, old = model.joint_, {name: getattr(model, name) for name in setting}
    with pytest.raises(ValueError, match=repr(next(iter(setting.values())))):
        model.set_params(**setting).fit(frame())
    assert model.set_params(**old).joint_ is before


# ---- the same seed, the same bits ----


@pytest.mark.parametrize("settings", [{}, {"strategy": "sample"}, {"sample_posterior": True}])
def test_threads_batches_and_the_order_of_rows_mean_nothing(settings):
    X, query = frame(), frame(n_rows=1500, seed=1)
    query["length"] += np.arange(len(query)) * 1e-9  # no two rows are equal
    query.loc[query["length"].isna(), "count"] = np.arange(query["length"].isna().sum()) * 0.1
    order = np.random.default_rng(0).permutation(len(X))
    expected = small(**settings, n_jobs=1).fit(X).transform(query)
    other = small(**settings, n_jobs=2).fit(X.iloc[order])
    pd.testing.assert_frame_equal(other.transform(query), expected, check_exact=True)
    pd.testing.assert_frame_equal(other.transform(query[::-1])[::-1], expected, check_exact=True)
    pd.testing.assert_frame_equal(
        other.transform(query[500:600]), expected[500:600], check_exact=True
    )
    pd.testing.assert_frame_equal(
        pickle.loads(pickle.dumps(other)).transform(query), expected, check_exact=True
    )


def test_equal_rows_draw_apart():
    X = frame("categorical").dropna()
    filled = small(strategy="sample").fit(X).transform(pd.DataFrame({"label": [None] * 600}))
    share = X["label"].value_counts(normalize=True)
    drawn = filled["label"].value_counts(normalize=True)
    assert (drawn - share).abs().max() < 0.08


def test_seeds_of_draws():
    X = frame()
    model = small(strategy="sample").fit(X)
    again, other = model.transform(X), clone(model).set_params(random_state=1).fit(X).transform(X)
    pd.testing.assert_frame_equal(model.transform(X), again)
    assert not again.equals(other)
    model.set_params(random_state=np.random.RandomState(0))
    assert not model.transform(X).equals(model.transform(X))


# ---- multiple imputation ----


def test_bootstrap_weights_follow_rows_and_repeats():
    X = np.random.default_rng(0).normal(size=(2000, 1)).round(1)
    table, ones = read_table(X), np.ones(2000)
    values, which, count = np.unique(X, return_inverse=True, return_counts=True)
    drawn = bootstrap_weight(table, ones, 5)
    assert drawn.sum() == pytest.approx(2000) and (drawn >= 0).all()
    merged = bootstrap_weight(read_table(values[:, None]), count.astype(float), 5)
    np.testing.assert_allclose(np.bincount(which.ravel(), drawn), merged)
    order = np.random.default_rng(1).permutation(2000)
    shuffled = bootstrap_weight(read_table(X[order]), ones, 5)
    np.testing.assert_allclose(np.bincount(which.ravel()[order], shuffled), merged)


def test_bootstrap_weights_are_dirichlet():
    table = read_table(np.arange(3.0)[:, None])
    share = (
        np.array([bootstrap_weight(table, np.array([1.0, 2, 0]), s)[:2] for s in range(2000)]) / 3
    )
    assert kstest(share[:, 0], "beta", (1, 2)).pvalue > 1e-3


def test_draws_of_the_model_spread_more_than_draws_from_it():
    """An all but empty column: its mean is unsure, and only a drawn model shows by how much."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    X[20:, 1] = np.nan
    model = small(n_subsets=1, n_trees=1, strategy="sample").fit(X)
    same = [model.set_params(random_state=seed).transform(X) for seed in range(8)]
    drawn = [
        clone(model).set_params(sample_posterior=True, random_state=seed).fit_transform(X)
        for seed in range(8)
    ]
    of_one, of_many = (np.std([filled[:, 1].mean() for filled in many]) for many in (same, drawn))
    expected = X[:20, 1].std() / np.sqrt(20)
    assert of_one < 0.5 * expected < 0.7 * expected < of_many < 1.6 * expected


def pooled(estimates, variances):
    """Estimate and half width of its 95 % interval by Rubin's rules."""
    m, within, between = len(estimates), np.mean(variances), np.var(estimates, ddof=1)
    total = within + (1 + 1 / m) * between
    freedom = (m - 1) * (1 + within / ((1 + 1 / m) * between)) ** 2
    return np.mean(estimates), student.ppf(0.975, freedom) * np.sqrt(total)


def regression(X):
    """Mean of y, and slope of y on x and of x on y; with their squared standard errors."""
    answers = [(X[:, 1].mean(), X[:, 1].var(ddof=1) / len(X))]
    for x, y in (X.T, X.T[::-1]):
        fit = linregress(x, y)
        answers.append((fit.slope, fit.stderr**2))
    return np.array(answers)


def covers(seed, truth=(0.0, 1.0, 0.5), n=100):
    """Whether pooled intervals, and those of the complete rows, hold the truth."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    X[:, 1] += X[:, 0]
    gone = rng.random(n) < expit(1.5 * X[:, 0] - 0.5)  # y is missing where x is large
    X[gone, 1] = np.nan
    imputers = (
        small(n_subsets=1, n_trees=1, sample_posterior=True, random_state=5 * seed + i, n_jobs=1)
        for i in range(3)
    )
    estimate, variance = np.moveaxis([regression(one.fit_transform(X)) for one in imputers], 2, 0)
    answers = [pooled(estimate[:, k], variance[:, k]) for k in range(3)]
    pairs = zip(answers, truth, strict=True)
    q, v = regression(X[~gone]).T
    return [abs(a - t) <= half for (a, half), t in pairs], abs(q - truth) <= 1.96 * np.sqrt(v)


def test_pooled_intervals_cover_what_is_missing_at_random():
    """Cells missing at random: 95 % intervals by Rubin's rules hold the mean and the slopes."""
    ours, complete = np.array([covers(seed) for seed in range(12)]).mean(axis=0)
    assert (ours >= 0.8).all() and ours.mean() >= 0.9
    assert complete[0] < 0.6  # without imputation the mean is all but lost


def test_draws_stay_within_reach_of_what_fit_saw():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) * [1.0, 1.0, -1.0]
    X[:, 2] = -np.exp(X[:, 2])
    X[20:, 1:] = np.nan
    for seed in range(4):
        filled = small(sample_posterior=True, random_state=seed).fit_transform(X)
        low, high = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
        assert (filled >= low - (high - low) / 2).all() and (filled[:, 2] <= 0).all()
        assert (filled <= high + (high - low) / 2).all()
