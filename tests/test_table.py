"""The table stage: what is read, what is refused, and that everything finds its way back."""

import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from jointprob.table import (
    MISSING,
    UNSEEN,
    Column,
    Schema,
    check_sample_weight,
    conform,
    extend,
    read_table,
    to_container,
)

CONTAINERS = ["pandas", "polars", "pyarrow", "dict"]


def build(container, columns):
    """The same columns, given as lists, in another container."""
    if container == "pandas":
        return pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})
    if container == "polars":
        return pl.DataFrame(columns)
    return pa.table(columns) if container == "pyarrow" else columns


def round_trip(X, **options):
    table = read_table(X, **options)
    again = conform(X, table.schema)
    for one, other in zip(table.columns, again.columns, strict=True):
        assert_array_equal(one, other)
    return to_container(table.columns, table.schema)


def read_one(values, **options):
    """Column, schema entry of a table of one column."""
    table = read_table({"a": values}, **options)
    return table.columns[0], table.schema.columns[0]


# --- kinds, levels and missing cells ---------------------------------------------------------


@pytest.mark.parametrize("container", CONTAINERS)
def test_kinds_levels_and_missing_cells(container):
    X = build(container, {"s": ["b", None, "a"], "x": [1.5, None, -2.0], "t": [True, False, None]})
    table = read_table(X)
    assert table.schema.container == container
    assert table.schema.names == ("s", "x", "t")
    assert [c.levels for c in table.schema] == [("a", "b"), (), (False, True)]
    assert_array_equal(table.columns[0], np.array([1, MISSING, 0], np.int32))
    assert_array_equal(table.columns[1], [1.5, np.nan, -2.0])
    assert_array_equal(table.columns[2], [1, 0, MISSING])
    assert [c.dtype for c in table.columns] == [np.int32, np.float64, np.int32]
    assert (table.schema.categorical, table.schema.numeric) == ((0, 2), (1,))


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numeric_ndarray(dtype, order):
    X = np.array([[1, 2], [3, 4], [5, 6]], dtype=dtype, order=order)
    table = read_table(X)
    assert table.schema.names == (0, 1)
    assert table.schema.container == "numpy"
    for j, column in enumerate(table.columns):
        assert column.dtype == np.float64 and column.flags.c_contiguous
        assert_array_equal(column, X[:, j])


def test_bool_ndarray_is_categorical():
    table = read_table(np.array([[True], [False]]))
    assert table.schema.columns[0].levels == (False, True)


def test_each_column_of_an_object_array_is_judged_by_its_values():
    X = np.array([[1, "a", True, None], [2.5, np.nan, None, None]], dtype=object)
    table = read_table(X)
    assert [c.kind for c in table.schema] == ["numeric", "categorical", "categorical", "numeric"]
    assert [c.empty for c in table.schema] == [False, False, False, True]
    assert_array_equal(table.columns[1], [0, MISSING])


@pytest.mark.parametrize("X", [[["1", "a"], ["2.5", "b"]], [[1, "a"], [2.5, "b"]]])
def test_string_array_and_list_of_lists_agree(X):
    table = read_table(np.array(X))
    assert [c.kind for c in table.schema] == ["numeric", "categorical"]
    assert_array_equal(table.columns[0], [1, 2.5])


def test_strings_in_an_object_array_stay_strings():
    table = read_table(np.array([["01234"], ["98765"]], dtype=object))
    assert table.schema.columns[0].levels == ("01234", "98765")


def test_masked_cells_are_missing():
    X = np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [False, False]])
    assert_array_equal(read_table(X).columns[1], [np.nan, 4])


@pytest.mark.parametrize("value", [None, np.nan, pd.NA, pd.NaT])
def test_every_missing_value_in_objects(value):
    codes, column = read_one(np.array(["x", value, "x"], dtype=object))
    assert_array_equal(codes, [0, MISSING, 0])
    assert column.levels == ("x",)
    numbers, _ = read_one(np.array([1, value, 2], dtype=object))
    assert_array_equal(numbers, [1, np.nan, 2])


def test_bools_with_nan_are_not_mixed():
    codes, column = read_one(np.array([True, np.nan, False], dtype=object))
    assert_array_equal(codes, [1, MISSING, 0])
    assert column.levels == (False, True)


@pytest.mark.parametrize("dtype", ["float64", "Int64", "Float32", "boolean", "string", "str"])
def test_all_missing_column_is_carried(dtype):
    X = pd.DataFrame({"a": pd.Series([None, None], dtype=dtype), "b": [1, 2]})
    table = read_table(X)
    assert table.schema.columns[0].empty and not table.schema.columns[1].empty
    assert table.schema.columns[0].levels == ()
    pd.testing.assert_frame_equal(to_container(table.columns, table.schema), X)


def test_null_typed_columns_are_all_missing():
    for X in (pl.DataFrame({"a": [None, None]}), pa.table({"a": pa.nulls(2)})):
        assert read_table(X).schema.columns[0].empty
        assert round_trip(X).equals(X)


def test_all_missing_row():
    table = read_table({"a": [None, "x"], "b": [np.nan, 1.0]})
    assert table.columns[0][0] == MISSING and np.isnan(table.columns[1][0])


def test_declared_categories_keep_their_order_and_absent_levels():
    values = ["mid", None, "low"]
    order = ["low", "mid", "high"]
    tables = [
        read_table(pd.DataFrame({"a": pd.Categorical(values, categories=order, ordered=True)})),
        read_table(pl.DataFrame({"a": pl.Series(values, dtype=pl.Enum(order))})),
        read_table(
            pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([1, None, 0]), pa.array(order))})
        ),
    ]
    for table in tables:
        assert table.schema.columns[0].levels == tuple(order)
        assert_array_equal(table.columns[0], [1, MISSING, 0])


def test_chunks_with_different_dictionaries():
    chunks = pa.chunked_array(
        [pa.array(["b"]).dictionary_encode(), pa.array(["a", "b"]).dictionary_encode()]
    )
    table = read_table(pa.table({"a": chunks}))
    levels = table.schema.columns[0].levels
    assert [levels[code] for code in table.columns[0]] == ["b", "a", "b"]


def test_categories_of_numbers():
    X = pd.DataFrame({"a": pd.Categorical([3, 1, None])})
    assert read_table(X).schema.columns[0].levels == (1, 3)
    assert_array_equal(read_table(X, categorical_features=None).columns[0], [3, 1, np.nan])


def test_ten_thousand_levels():
    codes = np.random.default_rng(0).permutation(10_000)
    values = np.char.add("level ", codes.astype(str))
    for X in (pd.DataFrame({"a": values}), pl.DataFrame({"a": values}), values[:, None]):
        table = read_table(X)
        levels = np.array(table.schema.columns[0].levels)
        assert len(levels) == 10_000
        assert_array_equal(levels[table.columns[0]], values)
        assert_array_equal(conform(X, table.schema).columns[0], table.columns[0])


# --- categorical_features --------------------------------------------------------------------


@pytest.mark.parametrize("given", [[True, False], [0], ["a"], np.array([0]), ("a",)])
def test_categorical_features(given):
    X = pd.DataFrame({"a": [3, 1, 3], "b": [0.5, 1.5, 2.5]})
    table = read_table(X, categorical_features=given)
    assert [c.kind for c in table.schema] == ["categorical", "numeric"]
    assert table.schema.columns[0].levels == (1, 3)
    pd.testing.assert_frame_equal(to_container(table.columns, table.schema), X)


def test_categorical_floats_and_gaps():
    codes, column = read_one(np.array([0.5, np.nan, 0.25]), categorical_features=[0])
    assert column.levels == (0.25, 0.5)
    assert_array_equal(codes, [1, MISSING, 0])
    X = pl.DataFrame({"a": [2**60 + 1, None, 2**60]})
    table = read_table(X, categorical_features=["a"])
    assert table.schema.columns[0].levels == (2**60, 2**60 + 1)
    assert to_container(table.columns, table.schema).equals(X)


def test_categorical_features_none_makes_bools_numbers():
    numbers, column = read_one(np.array([True, False]), categorical_features=None)
    assert column.kind == "numeric"
    assert_array_equal(numbers, [1, 0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("dtype", "'from_dtype', None"),
        ([True], "1 entries, but there are 2 columns"),
        ([2], "holds 2; allowed are positions 0 to 1"),
        ([-1], "holds -1"),
        (["c"], "holds 'c'"),
        ([0.5], "holds 0.5"),
    ],
)
def test_bad_categorical_features(given, message):
    with pytest.raises(ValueError, match=message):
        read_table({"a": [1, 2], "b": [1, 2]}, categorical_features=given)


def test_categorical_features_none_refuses_strings():
    with pytest.raises(ValueError, match="column 'a', row 1: 'x' is not a number"):
        read_table({"a": [None, "x"]}, categorical_features=None)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.empty((0, 3)), r"0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1 is required"),
        (np.empty((10, 0)), r"0 feature\(s\) \(shape=\(10, 0\)\) while a minimum of 1 is required"),
        (pd.DataFrame({"a": []}), r"0 sample\(s\) \(shape=\(0, 1\)\) while a minimum of 1 is"),
        (pd.DataFrame(index=range(10)), r"0 feature\(s\) \(shape=\(10, 0\)\) while a minimum"),
        (pl.DataFrame({"a": []}), r"0 sample\(s\)"),
        (pa.table({"a": []}), r"0 sample\(s\)"),
        ({}, r"0 (sample|feature)\(s\)"),
        ({"a": []}, r"0 sample\(s\)"),
        ([1.0, 2.0], "(?s)Expected 2D array, got 1D array instead.*Reshape your data"),
        (np.ones((2, 2, 2)), "(?i)dim 3"),
        (np.ones((2, 2), complex), "Complex data not supported"),
        ({"a": np.ones(2, complex)}, "Complex data not supported: column 'a'"),
        ([[1.0], [np.inf]], "column 0, row 1: inf is infinity"),
        ({"a": [1.0, -np.inf]}, "column 'a', row 1: -inf is infinity"),
        (pd.DataFrame({"a": [np.inf]}), "column 'a', row 0: inf is infinity"),
        (np.array([["x", np.inf]], dtype=object), "column 1, row 0: inf is infinity"),
        (np.array([["x", "inf"]]), "column 1, row 0: inf is infinity"),
        (np.array([[10**400]], dtype=object), "column 0, row 0: inf is infinity"),
        (pd.DataFrame({"a": pd.Categorical([1, 2, np.inf])}), "column 'a', row 2: inf is infinity"),
        (np.array([["x"], [3]], dtype=object), r"column 0 mixes 'x' \(str\) with 3 \(int\)"),
        ([["x", 1], [3, 1]], r"column 0 mixes 'x' \(str\) with 3 \(int\)"),
        (pd.DataFrame({"a": [3, "x"]}, dtype=object), r"column 'a' mixes 3 \(int\) with 'x'"),
        (np.array([[1], [True]], dtype=object), r"column 0 mixes 1 \(int\) with True \(bool\)"),
        (pd.DataFrame({"a": pd.Categorical(["x", 1])}), "column 'a' mixes"),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "duplicate column names: 'a'"),
        (pa.table([[1], [2]], names=["a", "a"]), "duplicate column names: 'a'"),
        ({"a": [1, 2], "b": [1]}, "columns of X differ in length: 'a': 2, 'b': 1"),
        ({"a": [[1], [2]]}, r"column 'a' must be 1-D, got shape \(2, 1\)"),
    ],
)
def test_bad_values(X, message):
    with pytest.raises(ValueError, match=message):
        read_table(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (sparse.csr_array(np.eye(2)), "Sparse data was passed"),
        (sparse.csr_matrix(np.eye(2)), "Sparse data was passed"),
        (sparse.dok_matrix(np.eye(2)), "Sparse data was passed"),
        (np.matrix([[1.0]]), "np.matrix is not supported"),
        (np.array([[1], [{}]], dtype=object), "column 0, row 1: argument must be .* number"),
        ({"a": np.array([0], "datetime64[D]")}, "column 'a' has dtype datetime64.D.: convert it"),
        (pd.DataFrame({"t": pd.to_datetime(["2020-01-01"])}), "column 't' has dtype datetime64"),
        (pd.DataFrame({"t": pd.to_timedelta([1], unit="s")}), "column 't' has dtype timedelta64"),
        (pl.DataFrame({"t": [1]}).cast(pl.Date), "column 't' has dtype Date: convert"),
        (pl.DataFrame({"t": [[1, 2]]}), "column 't' has dtype List.*allowed are numbers"),
        (pa.table({"t": pa.array([1], pa.timestamp("s"))}), "column 't' has dtype timestamp"),
        (pd.DataFrame({"t": pd.cut([1, 2], 2)}), "column 't' has the category Interval"),
        (pl.DataFrame({"a": [1]}).lazy(), "collect"),
        (pd.DataFrame([[1]], columns=[("a", "b")]), "column name|allowed: str, int"),
        (np.array([[b"a"]]), "column 0 has dtype"),
    ],
)  # fmt: skip
def test_bad_types(X, message):
    with pytest.raises(TypeError, match=message):
        read_table(X)


def test_errors_do_not_print_the_table():
    X = pd.DataFrame(np.ones((2, 500))).rename(columns=lambda j: f"column {j}")
    schema = read_table(X).schema
    with pytest.raises(ValueError, match="500 in all") as error:
        conform(X.add_prefix("x"), schema)
    assert len(str(error.value)) < 500


def test_input_is_unchanged():
    frame = pd.DataFrame({"s": ["a", None], "x": [1.0, np.nan], "i": [1, 2], "t": [True, False]})
    array = np.array([[1.0, np.nan], [2.0, 3.0]])
    for X in (frame, array, np.asfortranarray(array), frame.astype(object).to_numpy()):
        kept = X.copy()
        round_trip(X)
        pd.testing.assert_frame_equal(pd.DataFrame(X), pd.DataFrame(kept))


def test_read_only_input():
    X = np.asfortranarray(np.ones((2, 2)))
    X.setflags(write=False)
    assert_array_equal(read_table(X).columns[0], [1, 1])


# --- query time ------------------------------------------------------------------------------


@pytest.fixture
def schema():
    return read_table(
        pd.DataFrame({"s": ["a", "b", None], "x": [1.0, 2.0, 3.0], "k": [1, 2, 3]})
    ).schema


@pytest.mark.parametrize("container", CONTAINERS)
def test_columns_are_matched_by_name(schema, container):
    X = build(container, {"k": [7, 8], "s": ["b", "new"], "x": [0.5, None]})
    table = conform(X, schema)
    assert table.schema is schema and table.n_rows == 2
    assert_array_equal(table.columns[0], [1, UNSEEN])
    assert_array_equal(table.columns[1], [0.5, np.nan])
    assert_array_equal(table.columns[2], [7, 8])


def test_an_array_is_matched_by_position(schema):
    table = conform(np.array([["a", 1.0, 2], ["c", None, 3]], dtype=object), schema)
    assert_array_equal(table.columns[0], [0, UNSEEN])
    assert_array_equal(table.columns[1], [1, np.nan])


def test_a_frame_is_matched_by_position_when_fit_saw_an_array():
    schema = read_table(np.array([[1.0, 2.0]])).schema
    table = conform(pd.DataFrame({"b": [3.0], "a": [4.0]}), schema)
    assert_array_equal(np.stack(table.columns), [[3], [4]])


def test_unknown_and_missing_columns(schema):
    with pytest.raises(ValueError, match=r"(?s)unseen at fit time: 'z'.*now missing: 'k'"):
        conform(pd.DataFrame({"s": ["a"], "x": [1.0], "z": [1]}), schema)
    with pytest.raises(
        ValueError, match=r"^X has 2 features, but JEPADensity is expecting 3 features as input\.$"
    ):
        conform(np.ones((4, 2)), schema)
    with pytest.raises(ValueError, match="given has 2 features, but Joint is expecting 3"):
        conform(np.ones((4, 2)), schema, name="given", estimator_name="Joint")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [None, "abc"]}, "column 'x', row 1: 'abc' is not a number; the column is numeric"),
        (
            {"s": [None, 3]},
            "column 's', row 1: 3.* but the levels in fit were of type str: 'a', 'b'",
        ),
        ({"s": [True, None]}, "column 's', row 0: True is a bool"),
        ({"x": [1.0, np.inf]}, "column 'x', row 1: inf"),
    ],
)
@pytest.mark.parametrize("container", ["pandas", "dict"])
def test_another_kind_at_query_time(schema, change, message, container):
    X = {"s": ["a", "b"], "x": [1.0, 2.0], "k": [1, 2], **change}
    with pytest.raises(ValueError, match=message):
        conform(build(container, X), schema)


@pytest.mark.parametrize(
    "query",
    [
        pd.Series(["b", "a", None], dtype="category"),
        pd.Series(["b", "a", None], dtype=object),
        pd.Series(["b", "a", None], dtype="string"),
        pl.Series(["b", "a", None], dtype=pl.Enum(["b", "a"])),
        pl.Series(["b", "a", None], dtype=pl.Categorical),
        pa.chunked_array([pa.array(["b", "a", None]).dictionary_encode()]),
    ],
)
def test_strings_match_by_value_whatever_their_dtype(query):
    schema = read_table({"a": ["a", "b"]}).schema
    assert_array_equal(conform({"a": query}, schema).columns[0], [1, 0, MISSING])


def test_integers_and_floats_match_by_value():
    schema = read_table(np.array([[1], [2]]), categorical_features=[0]).schema
    assert_array_equal(conform(np.array([[2.0], [1.5]]), schema).columns[0], [1, UNSEEN])
    objects = np.array([[2], [1.0]], dtype=object)
    assert_array_equal(conform(objects, schema).columns[0], [1, 0])


def test_string_arrays_match_string_levels_that_look_like_numbers():
    schema = read_table(np.array([["1"], ["2"]], dtype=object)).schema
    assert_array_equal(conform(np.array([["2"], ["3"]]), schema).columns[0], [1, UNSEEN])


def test_a_column_that_was_all_missing_in_fit():
    schema = read_table({"s": pd.Series([None], dtype="str"), "x": [np.nan]}).schema
    table = conform({"s": ["a"], "x": [1.0]}, schema)
    assert_array_equal(table.columns[0], [UNSEEN])
    assert_array_equal(table.columns[1], [1.0])


# --- evidence --------------------------------------------------------------------------------


def test_scalars_are_one_row(schema):
    table = conform({"s": "b", "k": np.float64(3)}, schema, partial=True)
    assert table.n_rows == 1
    assert [c.tolist() for c in (table.columns[0], table.columns[2])] == [[1], [3.0]]
    assert np.isnan(table.columns[1]).all()


def test_scalars_stand_for_every_row(schema):
    table = conform({"s": "b", "k": [3, 4], "x": None}, schema, partial=True)
    assert_array_equal(table.columns[0], [1, 1])
    assert_array_equal(table.columns[2], [3, 4])


def test_no_evidence_is_one_missing_row(schema):
    table = conform({}, schema, partial=True)
    assert table.n_rows == 1 and table.columns[0][0] == MISSING


def test_evidence_by_position_for_arrays():
    schema = read_table(np.array([[1.0, 2.0]])).schema
    table = conform({1: 5.0}, schema, partial=True)
    assert_array_equal(np.concatenate(table.columns), [np.nan, 5])


def test_a_frame_of_evidence_may_have_more_columns_but_a_dict_may_not(schema):
    frame = pl.DataFrame({"s": ["a", None], "id": [1, 2]})
    assert_array_equal(conform(frame, schema, partial=True).columns[0], [0, MISSING])
    with pytest.raises(ValueError, match="unseen at fit time: 'sex'"):
        conform({"sex": "f"}, schema, partial=True)
    with pytest.raises(ValueError, match="unseen at fit time: 'id'"):
        conform(frame.select("id"), schema, partial=True)


# --- weights ---------------------------------------------------------------------------------


def test_sample_weight():
    assert_array_equal(check_sample_weight(None, 2), [1, 1])
    assert_array_equal(check_sample_weight(3, 2), [3, 3])
    weight = check_sample_weight(pd.Series([0, 2]), 2)
    assert weight.dtype == np.float64
    assert_array_equal(weight, [0, 2])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, -2], "Negative values in data passed to `sample_weight`: -2.0 in row 1"),
        ([np.nan, 1], "NaN.*`sample_weight`: nan in row 0"),
        ([1, np.inf], "infinity.*`sample_weight`: inf in row 1"),
        ([0, 0], "at least one non-zero"),
        ([1, 2, 3], r"sample_weight.shape == \(3,\), expected \(2,\)!"),
        ([[1], [2]], "Sample weights must be 1D array or scalar, got 2D array"),
        (["a", "b"], "sample_weight"),
    ],
)
def test_bad_sample_weight(weight, message):
    with pytest.raises(ValueError, match=message):
        check_sample_weight(weight, 2)


# --- the way back ----------------------------------------------------------------------------


PANDAS = {
    "int": [1, 2, 3],
    "uint8": np.array([0, 200, 255], np.uint8),
    "float32": np.array([0.5, np.nan, 1], np.float32),
    "Int64": pd.array([1, None, 3], dtype="Int64"),
    "Float64": pd.array([1.5, None, 3], dtype="Float64"),
    "bool": [True, False, True],
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "str": pd.Series(["a", None, "b"], dtype="str"),
    "string": pd.array(["a", None, "b"], dtype="string"),
    "object": pd.Series(["a", np.nan, "b"], dtype=object),
    "category": pd.Categorical(["b", None, "a"], categories=["b", "z", "a"]),
    "ordered": pd.Categorical([3, None, 1], categories=[3, 1], ordered=True),
    "arrow int": pd.array([1, None, 3], dtype="int16[pyarrow]"),
    "arrow float": pd.array([1, None, 3], dtype="double[pyarrow]"),
    "arrow bool": pd.array([True, None, False], dtype="bool[pyarrow]"),
    7: [1.0, 2.0, np.nan],
}


def test_pandas_round_trip():
    X = pd.DataFrame(PANDAS)
    pd.testing.assert_frame_equal(round_trip(X), X)


def test_pandas_index_is_not_data():
    X = pd.DataFrame({"s": ["a", None], "x": [1, 2]}, index=[5, 5])
    pd.testing.assert_frame_equal(round_trip(X), X.reset_index(drop=True))


def test_polars_round_trip():
    X = pl.DataFrame(
        {
            "i": pl.Series([1, None, -3], dtype=pl.Int16),
            "u": pl.Series([1, None, 2**64 - 2048], dtype=pl.UInt64),
            "f": pl.Series([0.5, None, 2], dtype=pl.Float32),
            "b": [True, None, False],
            "s": ["x", None, "y"],
            "c": pl.Series(["x", None, "y"], dtype=pl.Categorical),
            "e": pl.Series(["x", None, "y"], dtype=pl.Enum(["y", "z", "x"])),
        }
    )
    result = round_trip(X)
    assert result.schema == X.schema
    assert result.equals(X)


def test_pyarrow_round_trip():
    X = pa.table(
        {
            "i": pa.array([1, None, -3], pa.int8()),
            "f": pa.array([0.5, None, 2], pa.float32()),
            "b": [True, None, False],
            "s": ["x", None, "y"],
            "l": pa.array(["x", None, "y"], pa.large_string()),
            "d": pa.array(["x", None, "y"]).dictionary_encode(),
            "o": pa.DictionaryArray.from_arrays(
                pa.array([1, None, 0], pa.int8()), pa.array([5, 4]), ordered=True
            ),
        }
    )
    result = round_trip(X)
    assert result.schema == X.schema
    assert result.equals(X)


def test_rare_arrow_types():
    X = pa.table(
        {"v": pa.array(["x", None], pa.string_view()), "h": pa.array([1, 2], pa.float16())}
    )
    assert round_trip(X).equals(X)
    dictionary = pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    table = read_table(pd.DataFrame({"a": pd.array(["x", None], dtype=dictionary)}))
    assert_array_equal(table.columns[0], [0, MISSING])


def test_decimals_come_back_as_floats():
    decimals = pa.table({"d": pa.array([1, None]).cast(pa.decimal128(30, 2))})
    expected = pa.table({"d": [1.0, None]})
    assert round_trip(decimals).equals(expected)
    assert round_trip(pl.from_arrow(decimals)).equals(pl.from_arrow(expected))


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1, 2], [3, 4]]),
        np.array([[1.5, np.nan]], dtype=np.float32),
        np.array([[True], [False]]),
        np.array([["a", "bb"], ["c", "d"]]),
        np.array([["a", 1.5], [None, 2.0]], dtype=object),
    ],
)
def test_numpy_round_trip(X):
    result = round_trip(X)
    assert result.dtype == X.dtype
    assert_array_equal(result, X)


def test_dict_round_trip():
    X = {"x": np.array([1, 2], np.int8), "s": np.array(["a", "b"]), 3: np.array([True, False])}
    result = round_trip(X)
    assert list(result) == list(X)
    for name, values in X.items():
        assert result[name].dtype == values.dtype
        assert_array_equal(result[name], values)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint8", [0, 255, 2]), ("int8", [-4, 127, 2]), ("float32", [-4, 300, 1.5])],
)
def test_numbers_are_rounded_and_clipped_to_an_integer_dtype(dtype, expected):
    schema = Schema((Column(0, "numeric", dtype=dtype),), "numpy")
    result = to_container([np.array([-4.0, 300.0, 1.5])], schema)
    assert result.dtype == dtype
    assert_array_equal(result[:, 0], expected)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_huge_numbers_are_clipped_without_overflow(dtype):
    schema = Schema((Column(0, "numeric", dtype=dtype),), "numpy")
    low, high = to_container([np.array([-1e30, 1e30])], schema)[:, 0]
    assert low == np.iinfo(dtype).min and high > np.iinfo(dtype).max * 0.999


def test_missing_cells_widen_plain_dtypes():
    X = pd.DataFrame({"i": [1, 2], "b": [True, False]})
    table = read_table(X)
    gaps = [np.array([1.0, np.nan]), np.array([1, MISSING], np.int32)]
    result = to_container(gaps, table.schema)
    assert result["i"].dtype == np.float64 and result["b"].dtype == object
    assert result.isna().to_numpy().tolist() == [[False, False], [True, True]]
    array = to_container(gaps[:1], read_table(np.array([[1]])).schema)
    assert_array_equal(array, [[1.0], [np.nan]])


# --- schema ----------------------------------------------------------------------------------


def test_schema_survives_json_and_pickle():
    schema = read_table(pd.DataFrame(PANDAS)).schema
    assert Schema.from_dict(json.loads(json.dumps(schema.as_dict()))) == schema
    assert pickle.loads(pickle.dumps(schema)) == schema


def test_schema_is_immutable(schema):
    with pytest.raises(AttributeError):
        schema.container = "dict"
    with pytest.raises(AttributeError):
        schema.columns[0].kind = "numeric"


def test_select_and_position(schema):
    assert schema.select(("k", "s")).names == ("k", "s")
    with pytest.raises(ValueError, match="no column 'q'; the columns are 's', 'x', 'k'"):
        schema.position("q")


def test_take(schema):
    table = conform({"s": ["a", "b"], "x": [1, 2], "k": [3, 4]}, schema).take(np.array([1, 1, 0]))
    assert table.n_rows == 3
    assert_array_equal(table.columns[0], [1, 1, 0])


# --- any table -------------------------------------------------------------------------------


VALUES = {
    "string": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
    "boolean": st.booleans(),
    "integer": st.integers(-(2**53), 2**53),
    "number": st.floats(allow_nan=False, allow_infinity=False),
}


@st.composite
def tables(draw):
    """Columns of lists, None where missing."""
    n_rows = draw(st.integers(1, 8))
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5))
    cells = (st.none() | VALUES[kind] for kind in kinds)
    columns = [draw(st.lists(c, min_size=n_rows, max_size=n_rows)) for c in cells]
    return {f"{kind} {j}": c for j, (kind, c) in enumerate(zip(kinds, columns, strict=True))}


def cells_of(frame):
    """Cells as Python values, None where missing."""
    if isinstance(frame, pa.Table | pl.DataFrame):
        return frame.to_pydict() if isinstance(frame, pa.Table) else frame.to_dict(as_series=False)
    return {name: [None if pd.isna(cell) else cell for cell in list(frame[name])] for name in frame}


@settings(max_examples=60, deadline=None)
@given(columns=tables(), container=st.sampled_from(CONTAINERS))
def test_any_table_comes_back(columns, container):
    assert cells_of(round_trip(build(container, columns))) == columns


@settings(max_examples=40, deadline=None)
@given(columns=tables(), fitted=st.sampled_from(CONTAINERS), asked=st.sampled_from(CONTAINERS))
def test_containers_agree(columns, fitted, asked):
    kinds = ["string" in name or "boolean" in name for name in columns]
    table = read_table(build(fitted, columns), categorical_features=kinds)
    again = conform(build(asked, columns), table.schema)
    for one, other in zip(table.columns, again.columns, strict=True):
        assert_array_equal(one, other)


# ---- tables that are looked at as a whole ----


@pytest.mark.parametrize("as_table", [np.asarray, pd.DataFrame, np.asfortranarray])
@pytest.mark.parametrize("place", [(0, 0), (9_999, 3), (5_000, 9), (9_999, 9)])
def test_one_infinity_is_found_wherever_it_is(as_table, place):
    X = np.ones((10_000, 10))
    X[:, 2] = np.nan
    assert read_table(as_table(X)).schema.columns[2].empty
    X[place] = -np.inf
    with pytest.raises(ValueError, match=f"column {place[1]}, row {place[0]}: -inf is infinity"):
        read_table(as_table(X))


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f4", "f8", ">f8", "f2"])
def test_numbers_of_any_width_as_column_by_column(dtype):
    X = np.random.default_rng(0).integers(0, 2, (20, 3)).astype(dtype)
    whole, apart = read_table(X, None), read_table({j: X[:, j] for j in range(3)}, None)
    assert whole.schema.columns == apart.schema.columns
    assert_array_equal(whole.columns, apart.columns)


def test_a_batch_that_brings_nothing_new_leaves_the_schema_as_it_is():
    first = {"size": np.array(["S", "L"]), "weight": np.array([1.0, np.nan])}
    schema = read_table(first).schema
    assert extend(first, schema).schema is schema
    assert extend({**first, "size": np.array(["M", "L"])}, schema).schema != schema


@pytest.mark.parametrize("rows", [slice(0, 0), slice(2, 5), slice(4, 99)])
def test_a_part_is_the_rows_and_shares_their_memory(rows):
    table = read_table({"size": np.array(list("abcabc")), "weight": np.arange(6.0)})
    part, taken = table.part(rows), table.take(np.arange(6)[rows])
    assert part.n_rows == taken.n_rows
    for one, other, whole in zip(part.columns, taken.columns, table.columns, strict=True):
        assert_array_equal(one, other)
        assert not len(one) or np.shares_memory(one, whole)
