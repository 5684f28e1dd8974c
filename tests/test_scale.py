"""Fits in passes over batches: what merges, what does not depend on the cut, what is refused."""

import datetime
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import frame, scores, small

from jointprob import JEPAClassifier
from jointprob.encode import fit_encodings
from jointprob.joint import Plan, Refinement, grow
from jointprob.joint.rows import encoded_rows
from jointprob.knots import fit_marginal
from jointprob.marginal import log_normal
from jointprob.scale import Batches, sketch
from jointprob.scale import fit as fitting
from jointprob.scale.counts import Count, Growing, maximised, merge_counts
from jointprob.scale.draw import Draw, Layout, Lot, merge_drawn
from jointprob.scale.reduction import Reduction, groups
from jointprob.scale.sketch import Sketch
from jointprob.scale.survey import Survey, TakeSurvey
from jointprob.table import read_table

N_ROWS = 1200
MANY = frame(n_rows=N_ROWS)


def cut(table, *at):
    """The rows of a frame in batches that end at these rows."""
    ends = [0, *at, len(table)]
    return [table[a:b] for a, b in pairwise(ends)]


EVEN = cut(MANY, *range(100, N_ROWS, 100))


@pytest.fixture
def few_drawn(monkeypatch):
    """300 rows are drawn to start from: the other 900 are met in passes alone."""
    monkeypatch.setattr(fitting, "SAMPLE_ROWS", 300)


# ---- what merges ----


@given(st.lists(st.lists(st.integers(-5, 5), max_size=8), min_size=1, max_size=6))
def test_small_sketches_are_exact(batches):
    sketches = [Sketch.of(np.array(batch, float)) for batch in batches]
    parts = Reduction(Sketch.merged)
    for one in sketches:
        parts.add(one)
    values, counts = np.unique(np.concatenate(batches), return_counts=True)
    np.testing.assert_array_equal(parts.result().values, values)
    np.testing.assert_array_equal(parts.result().weight, counts)


@pytest.mark.parametrize("order", ["random", "sorted"])
def test_ranks_of_a_sketch(monkeypatch, order):
    """Ranks are good to a few values, an atom and the extremes are as they were."""
    monkeypatch.setattr(sketch, "CAPACITY", 512)
    monkeypatch.setattr(sketch, "EXTREMES", 16)
    x = np.random.default_rng(0).standard_cauchy(60_000)
    x[::4] = 0.5
    x = np.sort(x) if order == "sorted" else x
    parts = Reduction(Sketch.merged)
    for batch in np.array_split(x, 150):
        parts.add(Sketch.of(batch))
    summary, every = parts.result(), np.sort(x)
    assert len(summary.values) <= 512
    np.testing.assert_allclose(summary.n_rows, len(x))
    assert abs(summary.weight[summary.values == 0.5] - 15_000) < 1e-6
    np.testing.assert_array_equal(summary.values[[0, 1, 2, -2, -1]], every[[0, 1, 2, -2, -1]])
    below = np.cumsum(summary.weight)
    true = np.searchsorted(every, summary.values, side="right")
    assert np.abs(below - true).max() < 3 * len(x) / 512


def test_a_sketch_has_no_steps_of_its_own(monkeypatch):
    """The marginal fitted to a sketch of many rows is as smooth as that of its values."""
    monkeypatch.setattr(sketch, "CAPACITY", 2048)
    x = np.random.default_rng(0).normal(size=400_000)
    parts = Reduction(Sketch.merged)
    for batch in np.array_split(x, 40):
        parts.add(Sketch.of(batch))
    summary, test = parts.result(), np.random.default_rng(1).normal(size=100_000)

    def loss(values, weight):
        return (log_normal(test) - fit_marginal(values, weight).log_density(test)).mean()

    ours = loss(summary.values, summary.evidence)
    assert ours < loss(summary.values, summary.weight)
    assert ours < loss(np.sort(x[:2048]), np.ones(2048))
    few = Sketch.of(np.arange(5.0)).merged(Sketch.of(np.arange(5.0)))
    assert few.exact and few.evidence.tolist() == [2.0] * 5


def test_missing_cells_and_infinite_reach():
    assert len(Sketch.of(np.full(3, np.nan)).values) == 0
    assert Sketch.of(np.array([1.7e308, -0.0, 0.0])).values.tolist() == [0.0, 1e300]


@pytest.mark.parametrize("n_parts", [1, 2, 15, 16, 17, 255, 256, 257, 300])
def test_a_stream_and_a_tree_merge_alike(n_parts):
    """What is read one after another is merged in the order of a graph of groups."""

    def merge(a, b):
        return f"({a}{b})"

    stream = Reduction(merge)
    level = [f"{i}," for i in range(n_parts)]
    for part in level:
        stream.add(part)
    while len(level) > 1:
        merged = []
        for group in groups(level):
            one = Reduction(merge)
            for part in group:
                one.add(part)
            merged.append(one.result())
        level = merged
    assert stream.result() == level[0]


@given(st.integers(0, 10**12), st.integers(0, 50), st.integers(1, 50))
def test_keys_belong_to_row_numbers(start, first, n):
    lot = Lot(10**12, 1000, seed=3)
    every = lot.keys(start, start + first + n)
    np.testing.assert_array_equal(lot.keys(start + first, start + first + n), every[first:])


def test_shares_of_rows_drawn_and_held_out():
    lot = Lot(1_000_000, 50_000, seed=1)
    key = lot.keys(0, lot.n_rows)
    assert abs(lot.held_out(key).sum() - 20_000) < 5 * 20_000**0.5
    assert abs(lot.drawn(key).sum() - 50_000) < 5 * 50_000**0.5
    assert not (lot.held_out(key) & lot.drawn(key)).any()
    assert not Lot(1_000_000, 50_000, 1, holds_out=False).held_out(key).any()


def surveyed(batches):
    return Batches(batches).fold(TakeSurvey("from_dtype", "JEPADensity"), Survey.merged)


@pytest.mark.parametrize("convert", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas])
def test_a_survey_finds_the_schema_of_one_table(convert):
    table = MANY.assign(size=pd.Categorical(MANY["label"], categories=["z", "x", "y", "w"]))
    table["late"] = np.where(np.arange(N_ROWS) < 600, None, MANY["label"])
    whole = convert(table)
    survey = surveyed([whole[:100], whole[100:100], whole[100:900], whole[900:]])
    assert survey.n_rows == (100, 0, 800, 300)
    assert survey.schema == read_table(whole).schema


def test_levels_of_dictionaries_come_in_the_order_of_one_table():
    chunks = [pa.array(c).dictionary_encode() for c in (["b", "a"], ["c", "a"], ["c", "b"])]
    whole = pa.table({"v": pa.chunked_array(chunks)})
    batches = [pa.table({"v": chunk}) for chunk in chunks]
    assert surveyed(batches).schema == read_table(whole).schema


def test_numbers_and_texts_widen():
    first = {"n": np.array([1, 2]), "t": np.array(["a", "b"])}
    second = {"n": np.array([0.5, np.nan]), "t": np.array(["long", "b"])}
    columns = surveyed([first, second]).schema.columns
    assert [c.dtype for c in columns] == ["float64", "<U4"]
    assert columns[1].levels == ("a", "b", "long")


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(1, N_ROWS - 1), max_size=5))
def test_counts_do_not_depend_on_the_cut(at):
    """A pass over any batches is a full step of EM over all rows in one batch."""
    table = read_table(MANY)
    encoding = fit_encodings(table)[0]
    rows = encoded_rows(encoding, table.schema, encoding.encode(table), np.ones(N_ROWS))
    plan = Plan(n_subsets=3, n_gaussians=4, numeric_blocks=(rows.known_numeric,))

    run = Refinement(grow(rows, plan, 0, 1), rows, plan)
    before = Growing(run.tree.copy(), encoding, plan)
    run.expect(np.arange(N_ROWS))
    run.maximise(float(N_ROWS), 1.0)

    batches = cut(MANY, *sorted(at))
    starts = np.cumsum([0, *map(len, batches)]).tolist()
    layout = Layout(table.schema, tuple(starts), Lot(N_ROWS, N_ROWS, 0), "JEPADensity")
    counts = Batches(batches).fold(Count(layout, (before,), 1.0, 2), merge_counts)
    after = maximised(before, counts[0], rows).tree
    np.testing.assert_allclose(
        after.log_prob(rows.codes, rows.z), run.tree.log_prob(rows.codes, rows.z), atol=2e-4
    )


def test_rows_drawn_do_not_depend_on_the_cut():
    schema, lot = read_table(MANY).schema, Lot(N_ROWS, 200, seed=5)
    drawn = []
    for batches in (EVEN, cut(MANY, 7, 7, 1000)):
        starts = tuple(np.cumsum([0, *map(len, batches)]).tolist())
        layout = Layout(schema, starts, lot, "JEPADensity")
        drawn.append(Batches(batches).fold(Draw(layout, 1), merge_drawn))
    for name in ("sample", "held_out"):
        tables = [getattr(one, name).columns for one in drawn]
        for one, other in zip(*tables, strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(drawn[0].sketches, drawn[1].sketches, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)


# ---- fits ----


class Again:
    """Batches made anew at every iteration."""

    def __init__(self, batches):
        self.batches, self.n_passes = batches, 0

    def __iter__(self):
        self.n_passes += 1
        yield from self.batches


def test_few_rows_give_the_fit_of_one_table():
    whole = scores(small().fit(MANY), MANY)
    assert scores(small().fit(EVEN), MANY) == whole
    assert scores(small().fit(tuple(cut(MANY, 0, 17))), MANY) == whole
    batches = Again(EVEN)
    assert scores(small().fit(batches), MANY) == whole
    assert batches.n_passes == 2


def test_arrays_and_dicts():
    X = MANY[["length", "count"]].to_numpy()
    whole = scores(small().fit(X), X)
    assert scores(small().fit([X[:400], X[400:]]), X) == whole
    columns = {"length": X[:, 0], "count": X[:, 1]}
    parts = [{k: v[a:b] for k, v in columns.items()} for a, b in ((0, 400), (400, N_ROWS))]
    assert scores(small().fit(parts), columns) == scores(small().fit(columns), columns)


def test_more_rows_than_are_drawn(few_drawn):
    """The passes bring the fit near the one of all rows, whatever the cut and the threads."""
    test = frame(n_rows=3000, seed=1)
    whole, passes = small().fit(MANY), small().fit(EVEN)
    other = small(n_jobs=1).fit(cut(MANY, 500, 501))
    assert passes.joint_.n_rows == N_ROWS
    assert abs(whole.score(test) - passes.score(test)) < 0.03
    np.testing.assert_allclose(other.score_samples(test), passes.score_samples(test), atol=1e-3)
    assert scores(small(n_jobs=1).fit(EVEN), test) == scores(passes, test)


def test_passes_help(few_drawn, monkeypatch):
    """A start from a few rows alone scores worse than after passes over all rows."""
    test, passes = frame(n_rows=3000, seed=1), small(n_subsets=8).fit(EVEN)
    monkeypatch.setattr(fitting, "SHARES", ())
    assert small(n_subsets=8).fit(EVEN).score(test) < passes.score(test) - 0.01


def test_rows_to_stop_on(few_drawn):
    model = small().fit(EVEN, X_val=frame(n_rows=200, seed=2))
    assert model.score(frame(n_rows=500, seed=1)) > small(n_subsets=1).fit(MANY).score(MANY) - 1


def test_joints_of_two_halves_merge():
    X = frame("numeric", 2000, seed=4).drop(columns="count")
    test = frame("numeric", 1000, seed=5).drop(columns="count")
    halves = [small().fit(cut(half, 300)).joint_ for half in (X[:1000], X[1000:])]
    both, whole = halves[0].merge(halves[1]), small().fit(X).joint_
    assert both.n_rows == whole.n_rows
    assert abs(both.log_prob(test).mean() - whole.log_prob(test).mean()) < 0.05


# ---- Parquet ----


@pytest.fixture
def kinds():
    """Columns of every kind that Parquet and a joint both know."""
    return pa.table(
        {
            "number": pa.array(MANY["length"], pa.float32()),
            "whole": pa.array(np.arange(N_ROWS) % 50, pa.int16()),
            "text": pa.array(MANY["label"], pa.string()),
            "level": pa.array(MANY["label"], pa.string()).dictionary_encode(),
            "flag": pa.array(MANY["count"] > 3, pa.bool_()),
            "nothing": pa.nulls(N_ROWS, pa.string()),
        }
    )


def written(folder, *parts):
    for i, part in enumerate(parts):
        pq.write_table(part, folder / f"{i}.parquet", row_group_size=250)
    return folder


def test_parquet_is_the_table_it_holds(tmp_path, kinds):
    path = written(tmp_path, kinds[:700], kinds[700:700], kinds[700:])
    whole = small().fit(pq.read_table(path))
    for X in (path, str(path), pyarrow.dataset.dataset(path)):
        model = small().fit(X)
        assert model.joint_.schema == whole.joint_.schema
        assert scores(model, kinds) == scores(whole, kinds)
    assert model.sample(3, random_state=0).schema == whole.sample(3, random_state=0).schema
    one_file = small().fit(path / "0.parquet")
    assert one_file.joint_.n_rows == 700


def test_types_that_a_joint_refuses(tmp_path, kinds):
    when = pa.array([datetime.datetime(2020, 1, 1)] * N_ROWS, pa.timestamp("us"))
    path = written(tmp_path, kinds.append_column("when", when))
    with pytest.raises(TypeError, match=r"column 'when' has dtype timestamp\[us\]: convert it"):
        small().fit(path)


def test_a_later_file_of_another_type(tmp_path, kinds):
    texts = kinds.set_column(1, "whole", pa.array(["a"] * N_ROWS))
    path = written(tmp_path, kinds, texts)
    with pytest.raises(ValueError, match=r"column 'whole' is string in .*1\.parquet, and int16"):
        small().fit(path)


def test_whole_numbers_widen_from_file_to_file(tmp_path, kinds):
    wider = kinds.set_column(1, "whole", pa.array(np.arange(N_ROWS) % 50, pa.int64()))
    model = small().fit(written(tmp_path, kinds, wider))
    assert model.joint_.schema.columns[1].dtype == "int64"


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        (lambda t: t.rename_columns(["Number", *t.column_names[1:]]), "0.parquet .* 'Number'"),
        (lambda t: t.drop_columns(["flag"]), "1.parquet .* 'flag'"),
        (lambda t: t.append_column("more", t["flag"]), "0.parquet .* 'more'"),
    ],
)
def test_files_of_other_columns(tmp_path, kinds, change, lacks):
    path = written(tmp_path, kinds, change(kinds))
    with pytest.raises(ValueError, match=f"files differ in their columns: .*{lacks}, which is in"):
        small().fit(path)
    reordered = written(tmp_path, kinds, kinds.select(kinds.column_names[::-1]))
    assert small().fit(reordered).joint_.n_rows == 2 * N_ROWS


def test_names_of_folders_are_a_column(tmp_path, kinds):
    """As to pandas; and whatever else stands in a folder is no part of the table."""
    for year, rows in {2020: kinds[:400], 2021: kinds[400:]}.items():
        (tmp_path / "x=1" / f"year={year}").mkdir(parents=True)
        pq.write_table(rows, tmp_path / "x=1" / f"year={year}" / "part.parquet")
    folder = tmp_path / "x=1"
    (folder / "readme.txt").write_text("no Parquet")
    (folder / "_old").mkdir()
    (folder / "_old" / "b.parquet").write_text("hidden")
    model = small().fit(folder)
    year = model.joint_.schema.columns[-1]
    assert (year.name, year.levels, model.joint_.n_rows) == ("year", (2020, 2021), N_ROWS)
    (folder / "readme.txt").unlink()
    whole = pq.read_table(folder)
    assert scores(model, whole) == scores(small().fit(whole), whole)
    one = small().fit(folder / "year=2020" / "part.parquet")
    assert one.joint_.schema.names == tuple(kinds.column_names)


def test_no_rows_and_no_files(tmp_path, kinds):
    path = written(tmp_path, kinds[:0])
    with pytest.raises(ValueError, match=r"X holds no row: .* is empty"):
        small().fit(path)
    with pytest.raises(FileNotFoundError, match=r"X is '.*nowhere': there is no such file"):
        small().fit(tmp_path / "nowhere")
    text = tmp_path / "text.csv"
    text.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"text.csv', which is no Parquet"):
        small().fit(text)


# ---- what is refused ----


def batches_with(column, value):
    return [*EVEN, MANY.assign(**{column: value})]


class OnlyOnce(Again):
    """Hands out fewer rows at the second iteration."""

    def __iter__(self):
        yield from super().__iter__()
        self.batches = self.batches[:2]


class Shrinking(Again):
    def __iter__(self):
        yield from super().__iter__()
        self.batches = [self.batches[0][:50], *self.batches[1:]]


REFUSED = {
    "iterator": (lambda: iter(EVEN), TypeError, "an iterator .* can be read only once"),
    "generator": (lambda: (b for b in EVEN), TypeError, "generator.*can be read only once"),
    "no batch": (lambda: Again([]), ValueError, "X has no batch"),
    "no row": (lambda: [MANY[:0], MANY[:0]], ValueError, "X holds no row in any batch"),
    "no value": (lambda: [MANY[:9].assign(**dict.fromkeys(MANY, np.nan))], ValueError, "no value"),
    "column names": (
        lambda: [MANY, MANY.rename(columns={"label": "name"})],
        ValueError,
        "differ in their columns: 'length', 'count', 'label' in one",
    ),
    "kinds": (
        lambda: batches_with("count", "many"),
        ValueError,
        r"column 'count' is float64 \(numeric\) in one batch and (str|object) \(categorical\)",
    ),
    "levels": (
        lambda: [{"a": np.array([True, False])}, {"a": np.array(["x", "y"], object)}],
        ValueError,
        "column 'a' mixes False .bool. with 'x' .str. of a later batch",
    ),
    "containers": (lambda: [MANY, pl.from_pandas(MANY)], ValueError, "kind pandas and polars"),
    "no table": (lambda: [MANY, None], TypeError, "batch 1 of X is None; allowed are frames"),
    "a path among them": (
        lambda: [MANY, "x.parquet"],
        TypeError,
        "batch 1 is 'x.parquet': no file",
    ),
    "infinity": (
        lambda: batches_with("length", np.inf),
        ValueError,
        "column 'length', row 0: inf is infinity",
    ),
    "other batches": (lambda: Shrinking(EVEN), ValueError, "batch 0 has 50 rows, and had 100"),
    "fewer batches": (lambda: OnlyOnce(EVEN), ValueError, "2 batches, and had 12"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    make, error, message = REFUSED[what]
    model = small().fit(frame())
    before = scores(model, frame())
    with pytest.raises(error, match=message):
        model.fit(make())
    assert scores(model, frame()) == before


def test_batches_have_no_weights():
    with pytest.raises(ValueError, match="sample_weight is given, and X is batches"):
        small().fit(EVEN, sample_weight=np.ones(N_ROWS))


def test_batches_and_paths_are_for_the_fit_of_a_density_alone(tmp_path, kinds):
    path = str(written(tmp_path, kinds))
    model = small().fit(MANY)
    asked = {
        "JEPADensity.fit alone reads a path": [
            lambda: small().fit(["a.parquet", "b.parquet"]),
            lambda: small().partial_fit(path),
            lambda: model.score_samples(tmp_path),
            lambda: small().fit(MANY, X_val="x.parquet"),
            lambda: small().fit(EVEN, X_val="x.parquet"),
            lambda: JEPAClassifier().fit(path, MANY["label"]),
        ],
        "JEPADensity.fit alone learns batches": [
            lambda: small().partial_fit([MANY, MANY]),
            lambda: model.score_samples([MANY.to_numpy(), MANY.to_numpy()]),
            lambda: small().fit(MANY, X_val=[MANY, MANY]),
        ],
    }
    for message, questions in asked.items():
        for ask in questions:
            with pytest.raises(TypeError, match=message):
                ask()


def test_lists_of_rows_are_one_table():
    rows = [[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]]
    assert scores(small().fit(rows), rows) == scores(small().fit(np.array(rows)), rows)
