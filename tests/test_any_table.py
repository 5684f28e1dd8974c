"""Laws of probability that a fit to any table obeys: random kinds, cells, gaps and containers."""

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tables import scores, small

CONTAINERS = ("pandas", "polars", "pyarrow", "dict", "numpy")
UNSEEN = "never seen"

numbers = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, 1e-300, -1e15, 1e300, 0.1]),
)
labels = st.sampled_from(["a", "b", "c", "", "Ω"])
cells = {
    "number": numbers | st.none(),
    "integer": st.integers(-(2**62), 2**62) | st.integers(0, 3),
    "label": labels | st.none(),
    "flag": st.booleans(),
}
dtypes = {"number": "float64", "integer": "int64", "label": "object", "flag": "bool"}


@st.composite
def tables(draw, kinds=tuple(cells), max_rows=25, max_columns=4):
    """A dict of columns, at least one cell known."""
    n_rows = draw(st.integers(1, max_rows))
    columns = {}
    for j, kind in enumerate(
        draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=max_columns))
    ):
        values = draw(st.lists(cells[kind], min_size=n_rows, max_size=n_rows))
        columns[f"{kind}{j}"] = np.array(values, dtypes[kind])
    assume(any(pd.notna(column).any() for column in columns.values()))
    return columns


def contained(table, container):
    if container == "numpy":  # of numbers: an array has one dtype
        floats = [c.astype(float) for c in table.values() if c.dtype != object]
        return np.column_stack(floats) if floats else np.zeros((len(next(iter(table.values()))), 1))
    lists = {
        name: column if column.dtype != object else list(column) for name, column in table.items()
    }
    readers = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table, "dict": dict}
    return readers[container](lists if container != "dict" else table)


def kept_dtypes(X):
    """What a container says of its columns."""
    if isinstance(X, dict):
        return {name: column.dtype for name, column in X.items()}
    if isinstance(X, np.ndarray):
        return X.shape[1], X.dtype
    return dict(X.dtypes) if isinstance(X, pd.DataFrame) else X.schema


@settings(max_examples=40)
@given(tables(), st.sampled_from(CONTAINERS), st.integers(1, 2))
def test_any_table_is_fitted_scored_and_sampled(table, container, n_trees):
    X = contained(table, container)
    model = small(n_trees=n_trees).fit(X)
    expected = scores(model, X)
    sample = model.sample(9, random_state=0)
    assert type(sample) is type(X)
    assert kept_dtypes(sample) == kept_dtypes(X)
    assert np.isfinite(model.score_samples(sample)).all()
    assert scores(small(n_trees=n_trees).fit(X), X) == expected


@settings(max_examples=30)
@given(tables(kinds=("label",), max_columns=3))
def test_the_mass_of_all_rows_is_one(table):
    joint = small().fit(table).joint_
    levels = [[None] if column.empty else [*column.levels, UNSEEN] for column in joint.schema]
    rows = pd.DataFrame(itertools.product(*levels), columns=list(table), dtype=object)
    assert np.exp(joint.log_prob(rows)).sum() == pytest.approx(1, abs=1e-5)


@settings(max_examples=40)
@given(tables(max_rows=15), st.data())
def test_a_missing_cell_is_a_marginalised_one(table, data):
    joint = small().fit(table).joint_
    gone = data.draw(st.sampled_from(list(table)))
    rest = [name for name in table if name != gone]
    n_rows = len(table[gone])
    holed = {**table, gone: np.full(n_rows, None)}
    log_prob = joint.log_prob(holed)
    if rest:
        of_rest = joint.marginal(rest).log_prob({name: table[name] for name in rest})
        np.testing.assert_allclose(log_prob, of_rest, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(log_prob, 0.0)
    assert np.isfinite(log_prob).all()


@settings(max_examples=40)
@given(tables(), st.data())
def test_conditional_times_marginal_is_the_joint(table, data):
    joint = small().fit(table).joint_
    some = st.lists(st.sampled_from(list(table)), unique=True, min_size=1)
    known = data.draw(some.filter(lambda names: len(names) < max(2, len(table))))
    evidence = {name: table[name] for name in known}
    conditional = joint.condition(evidence)
    rest = {name: column for name, column in table.items() if name not in known}
    product = joint.marginal(known).log_prob(evidence) + conditional.log_prob(rest)
    np.testing.assert_allclose(product, joint.log_prob(table), rtol=1e-4, atol=1e-4)


@settings(max_examples=25)
@given(tables(), st.data())
def test_weights_are_repeats(table, data):
    n_rows = len(next(iter(table.values())))
    weight = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n_rows, max_size=n_rows)))
    holders = np.flatnonzero([any(pd.notna(c[i]) for c in table.values()) for i in range(n_rows)])
    weight[holders[0]] += 1  # one row that knows something
    rows = np.repeat(np.arange(n_rows), weight)
    rows = np.array(data.draw(st.permutations(rows.tolist())))
    repeated = small().fit({name: column[rows] for name, column in table.items()})
    weighted = small().fit(table, sample_weight=weight)
    assert scores(weighted, table) == scores(repeated, table)


@settings(max_examples=25)
@given(tables(), st.sampled_from(["mean", "mode", "sample"]))
def test_imputation_fills_gaps_alone(table, method):
    joint = small().fit(table).joint_
    filled = joint.impute(table, method, random_state=0)
    for column in joint.schema:
        before, after = table[column.name], filled[column.name]
        known = pd.notna(before)
        as_kept = before[known].astype(float) if before.dtype.kind == "i" else before[known]
        assert (after[known] == as_kept).all()  # integers beyond 2**53 are rounded
        assert pd.notna(after).all() or column.empty
