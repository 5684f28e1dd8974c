"""Scorers answer as their joint does, whatever the array, the thread or the process."""

import gc
import os
import pickle
import threading
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from joints import ROW, fit_joint, mixed_joint, mixed_table, repeat, take, without

from jointprob import JEPADensity, Joint, Scorer

TABLE = mixed_table(300, seed=1, missing=0.2)
ODD = [
    repeat(ROW, 1, color=np.array(["mauve"], object)),  # a level that fit did not see
    repeat(ROW, 1, zero=np.array([0.0]), a=np.array([1e6])),  # an atom, and far out
    without(ROW, *ROW),
    without(ROW, "color", "flag"),
    without(ROW, "a", "b", "zero"),
]


def rows_of(scorer, table):
    """Plain numbers, by the definition of codes."""
    codes = {name: {v: c for c, v in enumerate(levels)} for name, levels in scorer.levels.items()}
    cells = [
        [np.nan if v is None else codes[name].get(v, -2.0) for v in table[name]]
        if name in codes
        else table[name]
        for name in scorer.columns
    ]
    return np.array(cells, dtype=np.float64).T.copy()


def stacked(tables):
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


EVERY = stacked([TABLE, *ODD])


@pytest.fixture(params=[False, True], ids=["one block", "blocks of one"])
def joint(request):
    return mixed_joint(request.param)


# ---- answers ----


def test_log_density_is_the_joints(joint):
    scorer = joint.compile()
    got = scorer(rows_of(scorer, EVERY))
    np.testing.assert_allclose(got, joint.log_prob(EVERY), rtol=1e-12, atol=1e-12)
    assert got[len(got) - 3] == 0  # nothing known


def test_probabilities_of_levels_are_the_conditionals(joint):
    for column in ("color", "flag"):
        scorer = joint.compile(("levels", column))
        others = {name: cells for name, cells in EVERY.items() if name != column}
        want = joint.condition(others).predict_proba(column)
        np.testing.assert_allclose(scorer(rows_of(scorer, EVERY)), want, rtol=1e-9, atol=1e-12)


def test_one_number_that_is_no_density_stays_an_array():
    joint = fit_joint({"one": np.array(["a"] * 40, object), "n": np.arange(40.0)}, seeds=(0,))
    scorer, row = joint.compile([("levels", "one")]), np.array([0.0, 3.0])
    assert scorer(row).shape == scorer(row.tolist()).shape == (1,)


def test_subsets_are_the_joints(joint):
    scorer = joint.compile("subsets")
    got = scorer(rows_of(scorer, EVERY))
    np.testing.assert_allclose(got, joint.subsets(EVERY), rtol=1e-9, atol=1e-12)


def test_several_outputs_stand_side_by_side(joint):
    wishes = [("levels", "color"), "log_prob", "subsets"]
    scorer = joint.compile(wishes)
    rows = rows_of(scorer, EVERY)
    together = scorer(rows)
    assert together.shape == (len(rows), scorer.width)
    for wish, part in zip(wishes, scorer.slices, strict=True):
        alone = joint.compile(wish)(rows).reshape(len(rows), -1)
        np.testing.assert_array_equal(together[:, part], alone)


def test_a_row_has_the_same_bits_alone_in_company_and_on_any_thread(joint):
    for outputs in ("log_prob", ["subsets", ("levels", "flag"), "log_prob"]):
        scorer = joint.compile(outputs)
        rows = np.tile(rows_of(scorer, EVERY), (5, 1))
        whole = scorer(rows, n_jobs=1)
        np.testing.assert_array_equal(scorer(rows, n_jobs=3), whole)
        np.testing.assert_array_equal([scorer(row) for row in rows[:320]], whole[:320])
        np.testing.assert_array_equal(scorer(rows[7:1100]), whole[7:1100])
        np.testing.assert_array_equal(scorer(rows[::-1]), whole[::-1])


def test_tables_become_rows(joint):
    scorer = joint.compile()
    np.testing.assert_array_equal(
        np.nan_to_num(scorer.to_rows(EVERY), nan=-1), np.nan_to_num(rows_of(scorer, EVERY), nan=-1)
    )


def test_codes_past_the_last_are_unseen_levels(joint):
    scorer = joint.compile()
    rows = np.tile(rows_of(scorer, ROW), (3, 1))
    rows[:, scorer.columns.index("color")] = [-2, len(scorer.levels["color"]), 2e9]
    assert len(set(scorer(rows))) == 1
    np.testing.assert_allclose(scorer(rows[0]), joint.log_prob(ODD[0])[0], rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda joint: joint.marginal(["zero", "color", "b"]),
        lambda joint: joint.merge(mixed_joint(True)),
        lambda joint: pickle.loads(pickle.dumps(joint)),
    ],
    ids=["marginal", "merged", "pickled"],
)
def test_joints_made_of_joints_compile(make):
    joint = make(mixed_joint())
    table = {name: EVERY[name] for name in joint.schema.names}
    scorer = joint.compile()
    got = scorer(rows_of(scorer, table))
    np.testing.assert_allclose(got, joint.log_prob(table), rtol=1e-12, atol=1e-12)


def test_a_loaded_joint_compiles(tmp_path):
    mixed_joint().save(tmp_path / "joint")
    scorer = Joint.load(tmp_path / "joint").compile()
    rows = rows_of(scorer, EVERY)
    np.testing.assert_array_equal(scorer(rows), mixed_joint().compile()(rows))


@pytest.mark.parametrize("kept", [("a", "b", "zero"), ("color", "flag")], ids=["numbers", "codes"])
def test_tables_of_one_kind(kept):
    table = {name: TABLE[name] for name in kept}
    joint = fit_joint(table, seeds=(0,))
    for outputs in ("log_prob", "subsets"):
        scorer = joint.compile(outputs)
        want = joint.log_prob(table) if outputs == "log_prob" else joint.subsets(table)
        np.testing.assert_allclose(scorer(rows_of(scorer, table)), want, rtol=1e-9, atol=1e-12)


def test_columns_that_were_all_missing_are_passed_over():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    X[:, 1] = np.nan
    joint = JEPADensity(n_trees=1, random_state=0).fit(X).joint_
    scorer, full = joint.compile(), np.where(np.isnan(X), 5.0, X)
    np.testing.assert_array_equal(scorer(full), scorer(X))
    assert scorer(np.array([np.nan, 1.0, np.nan])) == 0


# ---- arrays ----


def test_any_array_of_numbers_will_do():
    scorer = mixed_joint().compile()
    rows = rows_of(scorer, take(TABLE, np.arange(20)))
    want = scorer(rows)
    np.testing.assert_array_equal(scorer(np.asfortranarray(rows)), want)
    np.testing.assert_array_equal(scorer(np.repeat(rows, 2, axis=1)[:, ::2]), want)
    np.testing.assert_array_equal(scorer(rows.tolist()), want)
    np.testing.assert_array_equal(scorer(rows.astype(">f8")), want)
    assert scorer(rows.tolist()[0]) == scorer(memoryview(rows[0])) == want[0]
    assert scorer(np.zeros(5, np.int8)) == scorer(np.zeros(5))
    frozen = rows[0].copy()
    frozen.flags.writeable = False
    assert scorer(frozen) == want[0] and isinstance(scorer(frozen), float)
    assert scorer(np.empty((0, 5))).shape == (0,)


def test_answers_go_where_they_are_asked_to():
    scorer = mixed_joint().compile("subsets")
    rows = rows_of(scorer, TABLE)
    out = np.empty((len(rows), scorer.width))
    assert scorer(rows, out=out) is out
    np.testing.assert_array_equal(out, scorer(rows))
    one = np.empty(scorer.width)
    np.testing.assert_array_equal(scorer(rows[3], out=one), out[3])
    for bad in (out[1:], out.astype(np.float32), np.asfortranarray(out), out.tolist()):
        with pytest.raises(ValueError, match="out must be a writeable contiguous array"):
            scorer(rows, out=bad)


def test_rows_are_never_written():
    scorer = mixed_joint().compile(["log_prob", ("levels", "color")])
    rows = rows_of(scorer, EVERY)
    before = rows.copy()
    scorer(rows)
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (1, 3, 5), ()])
def test_rows_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"allowed are \(5,\) and \(n_rows, 5\)"):
        mixed_joint().compile()(np.zeros(shape))


@pytest.mark.parametrize("outputs", ["log_prob", "subsets"])
def test_what_is_no_plain_number_is_refused(outputs):
    """Cells with names would be read by position: wrong numbers where the order is another one."""
    scorer = mixed_joint().compile(outputs)
    rows = rows_of(scorer, take(TABLE, np.arange(4)))
    frame = pd.DataFrame(rows, columns=list(scorer.columns))
    named = [frame, frame.iloc[0], pl.from_pandas(frame), pa.Table.from_pandas(frame)]
    for one in (*named, dict(frame.iloc[0]), rows.view([(c, "f8") for c in "abcde"])):
        with pytest.raises(TypeError, match=r"scorer\.to_rows\(table\)"):
            scorer(one)
    texts = [["lo", 1.0, 2.0, 3.0, 4.0], np.array(["lo", 1.0, 2.0, 3.0, 4.0], object)]
    for one in (*texts, rows.astype(complex), rows.astype(complex)[0], rows.astype("M8[s]")):
        with pytest.raises(TypeError, match="allowed are real numbers, and codes for levels"):
            scorer(one)
    np.testing.assert_array_equal(scorer(rows.astype(object)), scorer(rows))


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("color", 0.5, "column 'color': 0.5 is no code; allowed are integers from 0"),
        ("flag", -3.0, "column 'flag': -3.0 is no code"),
        ("flag", np.inf, "column 'flag': inf is no code"),
        ("b", -np.inf, "column 'b': -inf is infinity; allowed are finite numbers"),
    ],
)
def test_cells_that_are_no_numbers_are_named(column, cell, message):
    scorer = mixed_joint().compile()
    rows = rows_of(scorer, TABLE)
    rows[211, scorer.columns.index(column)] = cell
    with pytest.raises(ValueError, match=f"row 211, {message}"):
        scorer(rows)
    with pytest.raises(ValueError, match=f"row 0, {message}"):
        scorer(rows[211])
    assert np.isfinite(scorer(rows[:211])).all()


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("density", "outputs holds 'density'; allowed are 'log_prob', 'subsets'"),
        (("levels",), "allowed are 'log_prob'"),
        (("levels", "size"), "no column 'size'"),
        (("levels", "b"), "column 'b' has no levels; allowed in outputs are 'color', 'flag'"),
        ([], "outputs is empty"),
    ],
)
def test_unknown_outputs_are_refused(outputs, message):
    with pytest.raises(ValueError, match=message):
        mixed_joint().compile(outputs)


# ---- service ----


def test_threads_share_a_scorer():
    scorer = mixed_joint().compile()
    rows = rows_of(scorer, TABLE)
    want, answers = scorer(rows), [None] * 8
    together = threading.Barrier(8, timeout=30)

    def ask(i):
        together.wait()
        answers[i] = [[scorer(row) for row in rows] for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(answers, np.broadcast_to(want, (8, 5, len(want))))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_forked_workers_answer():
    """As a server does that loads the model before it forks its workers."""
    scorer = mixed_joint().compile()
    rows = np.tile(rows_of(scorer, TABLE), (8, 1))
    want = scorer(rows, n_jobs=2)  # the parent's threads exist by now
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                ok = np.array_equal(scorer(rows, n_jobs=2), want) and scorer(rows[5]) == want[5]
            except BaseException:  # noqa: BLE001 (a child must not reach pytest)
                ok = False
            os._exit(0 if ok else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    np.testing.assert_array_equal(scorer(rows, n_jobs=2), want)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib_workers_answer(backend):
    scorer = mixed_joint().compile(["log_prob", "subsets"])
    rows = rows_of(scorer, TABLE)
    parts = joblib.Parallel(n_jobs=2, backend=backend)(
        joblib.delayed(scorer)(rows[start : start + 100]) for start in (0, 100, 200)
    )
    np.testing.assert_array_equal(np.concatenate(parts), scorer(rows))


def test_a_scorer_outlives_its_joint_and_a_pickled_one_answers_alike():
    scorer = fit_joint(TABLE, seeds=(3,)).compile(("levels", "color"))
    gc.collect()
    rows = rows_of(scorer, EVERY)
    again = pickle.loads(pickle.dumps(scorer))
    assert isinstance(again, Scorer) and again.outputs == scorer.outputs
    np.testing.assert_array_equal(again(rows), scorer(rows))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_stays_as_it_is():
    scorer, many = mixed_joint().compile(), mixed_joint().compile("subsets")
    rows = rows_of(scorer, TABLE)
    row, out = rows[0], np.empty((len(rows), many.width))

    def serve(n_calls):
        for _ in range(n_calls):
            scorer(row)
            with pytest.raises(ValueError, match="shape"):
                scorer(row[1:])
        for _ in range(n_calls // 50):
            many(rows, out=out)
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = serve(500)
    assert serve(3000) - before < 1 << 20
