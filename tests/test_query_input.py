"""What queries take and give back: containers, dtypes, refusals."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from joints import fit_joint, mixed_joint, mixed_table

N = 200


def frames():
    """The same table in every container, with an integer column and a declared category."""
    rng = np.random.default_rng(0)
    group = rng.integers(2, size=N)
    columns = {
        "size": rng.normal(10 + 5 * group),
        "count": np.asarray(rng.poisson(3 + 10 * group), dtype=np.int64),
        "kind": np.array(["x", "y", "z"])[(group + rng.integers(2, size=N)) % 3],
    }
    category = pd.CategoricalDtype(["z", "y", "x", "never"], ordered=True)
    return {
        "pandas": pd.DataFrame(columns).astype({"kind": category, "count": "Int64"}),
        "polars": pl.DataFrame(columns).with_columns(pl.col("kind").cast(pl.Categorical)),
        "pyarrow": pa.table(columns),
        "dict": {**columns, "kind": columns["kind"].astype(object)},
    }


@pytest.mark.parametrize("container", list(frames()))
def test_what_comes_back_is_of_the_kind_that_went_in(container):
    X = frames()[container]
    joint = fit_joint(X)
    for back in (joint.sample(7, random_state=0), joint.impute(X), joint.condition({}).sample(3)):
        assert type(back) is type(X)
        if container == "pandas":
            assert (back.dtypes == X.dtypes).all()
        elif container != "dict":
            assert back.schema == X.schema
        else:
            assert [c.dtype for c in back.values()] == [c.dtype for c in X.values()]
    explained = joint.explain(X)
    assert type(explained) is type(X)
    means = joint.condition(X).mean()
    assert type(means) is type(X)


def test_arrays():
    X = np.random.default_rng(0).normal(size=(100, 3)) @ np.triu(np.ones((3, 3)))
    joint = fit_joint(X)
    assert joint.sample(4, random_state=0).shape == (4, 3)
    assert joint.explain(X).shape == X.shape
    assert joint.marginal([2, 0]).log_prob(X[:, [2, 0]]).shape == (100,)
    holed = X.copy()
    holed[::2, 1] = np.nan
    assert np.isfinite(joint.impute(holed)).all()
    assert np.isnan(holed[0, 1])
    assert joint.condition({0: 1.0}).mean(1).shape == (1,)
    assert joint.condition(holed).mean().shape == X.shape


def test_integers_are_rounded():
    X = frames()["dict"]
    sample = fit_joint(X).sample(50, random_state=0)["count"]
    assert sample.dtype == np.int64 and sample.min() >= -50


def test_a_column_that_fit_never_saw_is_carried_along():
    X = {**mixed_table(100), "empty": np.full(100, np.nan), "void": np.full(100, None)}
    joint = fit_joint(X)
    assert np.isnan(joint.sample(3, random_state=0)["empty"]).all()
    assert np.isnan(joint.impute(X)["empty"]).all()
    assert np.isnan(joint.explain(X)["void"]).all()
    filled = {**X, "empty": np.arange(100.0)}
    np.testing.assert_array_equal(joint.log_prob(filled), joint.log_prob(X))
    with pytest.raises(ValueError, match="'empty' was all missing in fit"):
        joint.condition({}).mean("empty")
    with pytest.raises(ValueError, match="'empty' was all missing in fit"):
        joint.probability({"empty": (0, 1)})


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda j: j.condition({"colour": "red"}), "no column 'colour'; the columns are 'a'"),
        (lambda j: j.condition({"color": {"red", "mauve"}}), "'color': unknown level 'mauve'"),
        (lambda j: j.condition({"color": set()}), "'color': the set is empty; allowed are"),
        (lambda j: j.condition({"color": ("a", "b")}), r"'color': \('a', 'b'\) is no interval"),
        (lambda j: j.condition({"a": (2, 1)}), r"'a': in \(2, 1\) the low end exceeds"),
        (lambda j: j.condition({"a": (np.nan, 1)}), "'a': end nan"),
        (lambda j: j.condition({"a": (1, 2, 3)}), r"'a': \(1, 2, 3\) is no interval"),
        (lambda j: j.condition({"a": "red"}), "column 'a', row 0: 'red' is not a number"),
        (lambda j: j.condition({"a": np.inf}), "column 'a', row 0: inf is infinity"),
        (lambda j: j.condition({"color": 3}), "column 'color', row 0: 3 is a int"),
        (lambda j: j.probability({"a": np.nan}), "'a': nan is not a number; allowed are a number"),
        (lambda j: j.probability({"color": None}), "'color': None is no condition"),
        (lambda j: j.probability({"zero": {1.0, np.nan}}), "'zero': nan is not a number"),
        (lambda j: j.probability({"color": ["red", "blue"]}), "where describes one event"),
        (lambda j: j.probability({"a": (0, 1)}, abs_error=0), "abs_error=0"),
        (lambda j: j.marginal([]), "columns is empty"),
        (lambda j: j.marginal(["a", "a"]), "named twice: a"),
        (lambda j: j.marginal(["a", "q"]), "no column 'q'"),
        (lambda j: j.sample(-1), "n=-1"),
        (lambda j: j.sample(1, random_state=-1), "random_state=-1"),
        (lambda j: j.impute(mixed_table(5), method="middle"), "method='middle'; allowed are"),
        (lambda j: j.condition({}).quantile("a", 1.0), "q=1.0; allowed are levels between"),
        (lambda j: j.condition({}).quantile("color", 0.5), "'color' is categorical"),
        (lambda j: j.condition({}).predict_proba("a"), "'a' is numeric"),
        (lambda j: j.condition({}).cdf("a", np.nan), "'a': x holds NaN"),
        (lambda j: j.condition({}).sample(0), "n_per_row=0"),
        (lambda j: j.condition({"a": [1, 2]}).log_prob({"b": [1, 2, 3]}), "X has 3 rows"),
        (lambda j: j.condition({"a": (1e6, 1e6)}).mean("b"), "probability 0"),
        (lambda j: j.log_prob({"a": [1.0]}), "yet now missing: 'color', 'b'"),
        (lambda j: j.merge(j.marginal(["a", "color"])), "there"),
    ],
)
def test_refusals_name_column_value_and_what_is_allowed(question, message):
    with pytest.raises(ValueError, match=message):
        question(mixed_joint())


def test_where_must_be_a_dict():
    with pytest.raises(TypeError, match="where is a list; allowed is a dict"):
        mixed_joint().probability([("a", 1)])


def test_joints_with_other_levels_or_atoms_do_not_merge():
    joint = mixed_joint()
    table = mixed_table()
    recoloured = {**table, "color": np.where(table["color"] == "red", "pink", table["color"])}
    with pytest.raises(ValueError, match="column 'color' differs"):
        joint.merge(fit_joint(recoloured, n_epochs=0))
    shifted = {**table, "zero": np.where(table["zero"] == 0, 0.5, table["zero"])}
    with pytest.raises(ValueError, match="column 'zero': atoms"):
        joint.merge(fit_joint(shifted, n_epochs=0))
