"""The command line: files in, files out, errors in one line, questions as text."""

import json
import os
import re
import select
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved.models import table, target

from jointprob import JEPADensity, JEPAOutlierDetector, files
from jointprob.__main__ import main
from jointprob.adapt.drift import DriftMonitor
from jointprob.cli import tables
from jointprob.cli.questions import parse

COMMAND = [sys.executable, "-m", "jointprob"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table as CSV and Parquet, and models of it."""
    folder = tmp_path_factory.mktemp("cli")
    columns = table()
    frame = pa.table({**columns, "size": target(columns)})
    pyarrow.csv.write_csv(frame, folder / "data.csv")
    pyarrow.parquet.write_table(frame, folder / "data.parquet")
    few = frame.slice(0, 24).drop_columns(["rain"])
    few = few.append_column("label", pa.array(np.where(few["size"].to_numpy() > 0, "up", "down")))
    pyarrow.csv.write_csv(few, folder / "few.csv")
    density = JEPADensity(n_trees=1, random_state=0).fit(frame)
    density.save(folder / "density.jp")
    JEPAOutlierDetector(n_trees=1, random_state=0).fit(frame).save(folder / "outliers.jp")
    return folder


@pytest.fixture
def run(folder, capsys, monkeypatch):
    """Run one command there: (exit code, standard output, standard error)."""
    monkeypatch.chdir(folder)

    def run(*words):
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def joint(folder):
    return files.load(folder / "density.jp").joint_


def rows_of(text):
    return pyarrow.csv.read_csv(pa.BufferReader(text.encode()))


# ---- commands ----


def test_score_of_either_file_is_the_models_own(run, folder, joint):
    wanted = joint.log_prob(pyarrow.parquet.read_table(folder / "data.parquet"))
    for name in ("data.csv", "data.parquet"):
        status, out, err = run("score", "density.jp", name)
        assert (status, err) == (0, "")
        np.testing.assert_allclose(rows_of(out)["log_prob"].to_numpy(), wanted, rtol=1e-12)
    status, out, _ = run("score", "density.jp", "data.csv", "--json")
    assert [json.loads(line)["log_prob"] for line in out.splitlines()] == pytest.approx(wanted)
    assert run("score", "density.jp", "data.csv", "-o", "scores.parquet")[:2] == (0, "")
    written = pyarrow.parquet.read_table(folder / "scores.parquet")
    np.testing.assert_array_equal(written["log_prob"].to_numpy(), wanted)


def test_fit_chooses_by_the_target(run, folder):
    words = ["few.csv", "--seed", 1]
    status, out, _ = run("fit", *words, "-o", "label.jp", "--target", "label", "--json")
    told = json.loads(out)
    assert (status, told["class"], told["columns"]) == (0, "JEPAClassifier", 5)
    status, out, _ = run("predict", "label.jp", "few.csv", "--proba")
    said = rows_of(out)
    shares = np.stack([said["P(down)"].to_numpy(), said["P(up)"].to_numpy()])
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    chosen = np.array(["down", "up"])[shares.argmax(axis=0)]
    assert said["prediction"].to_pylist() == chosen.tolist()
    status, out, _ = run("fit", *words, "-o", "size.jp", "--target", "size")
    assert status == 0 and out.startswith("JEPARegressor of 24 rows and 5 columns: size.jp")
    said = rows_of(run("predict", "size.jp", "few.csv", "--interval", 0.8)[1])
    low, high = said["low"].to_numpy(), said["high"].to_numpy()
    assert (low <= high).all()
    for share in (90, 0, "nan"):
        status, _, err = run("predict", "size.jp", "few.csv", "--interval", share)
        assert (status, err.partition(";")[0]) == (1, f"jointprob: --interval is {share}")
    truth = pyarrow.csv.read_csv(folder / "few.csv")["size"].to_numpy()
    assert ((low <= truth) & (truth <= high)).mean() > 0.6


def test_fit_of_a_density_and_an_imputer(run, folder):
    options = ["--categorical", "count", "--weight", "size", "--kind", "density"]
    positive = pyarrow.csv.read_csv(folder / "data.csv")
    positive = positive.filter(pa.compute.greater(positive["size"], 0))
    pyarrow.csv.write_csv(positive, folder / "positive.csv")
    assert run("fit", "positive.csv", "-o", "weighted.jp", *options)[0] == 0
    told = json.loads(run("info", "weighted.jp", "--json")[1])
    assert told["training"]["rows"] == pytest.approx(positive["size"].to_numpy().sum())
    kinds = {column["name"]: column["kind"] for column in told["schema"]["columns"]}
    assert kinds["count"] == "categorical" and "size" not in kinds
    assert run("fit", "data.csv", "-o", "imputer.jp", "--kind", "imputer")[0] == 0
    filled = rows_of(run("impute", "imputer.jp", "data.csv")[1])
    before = pyarrow.csv.read_csv(folder / "data.csv")
    known = before["length"].is_valid().to_numpy()
    assert filled["length"].null_count == 0
    np.testing.assert_array_equal(
        filled["length"].to_numpy()[known], before["length"].to_numpy()[known]
    )


def test_sample_impute_explain_predict_and_info(run, folder, joint):
    drawn = rows_of(run("sample", "density.jp", "-n", 7, "--seed", 3)[1])
    assert drawn.num_rows == 7 and drawn.column_names == [*table(), "size"]
    wanted = joint.sample(7, random_state=3)
    np.testing.assert_allclose(drawn["length"].to_numpy(), wanted["length"].to_numpy())
    assert rows_of(run("impute", "density.jp", "data.csv")[1])["place"].null_count == 0
    surprise = rows_of(run("explain", "density.jp", "data.csv")[1])
    assert surprise.column_names == drawn.column_names and surprise.num_rows == 60
    said = rows_of(run("predict", "outliers.jp", "data.csv")[1])["prediction"].to_pylist()
    assert set(said) <= {-1, 1}
    status, out, _ = run("info", "density.jp")
    assert status == 0 and "JEPADensity" in out and "long, short" in out


# ---- streams ----


def test_a_folder_of_parquet_is_a_table(run, folder):
    """Names of folders are a column of it; the model is that of the whole table."""
    frame = pyarrow.parquet.read_table(folder / "data.parquet").slice(0, 50)
    for year in (2020, 2021):
        (folder / "years" / f"year={year}").mkdir(parents=True)
        pyarrow.parquet.write_table(frame, folder / "years" / f"year={year}" / "0.parquet")
    (folder / "years" / "readme.txt").write_text("no Parquet")
    status, out, _ = run("fit", "years", "-o", "years.jp", "--json")
    assert status == 0 and json.loads(out)["rows"] == 100
    drawn = rows_of(run("sample", "years.jp", "-n", "50")[1])
    assert set(drawn["year"].to_pylist()) == {2020, 2021}
    scores = rows_of(run("score", "years.jp", "years")[1])["log_prob"].to_numpy()
    np.testing.assert_array_equal(
        scores, files.load(folder / "years.jp").score_samples(_years(frame))
    )
    told = run("drift", "years.jp", "years", "--batch-size", "70", "--json")
    assert [json.loads(line)["n_rows"] for line in told[1].splitlines()] == [70, 100]


def _years(frame):
    year = pa.array(np.repeat([2020, 2021], len(frame)), pa.int32()).dictionary_encode()
    return pa.concat_tables([frame, frame]).append_column("year", year)


@pytest.fixture(scope="module")
def stream(folder):
    """Rows as in the fit, and from row 501 on lengths that went up."""
    columns = table(1000, seed=5)
    size = target(columns)
    columns["length"][500:] += 4
    frame = pa.table({**columns, "size": size})
    pyarrow.csv.write_csv(frame, folder / "moved.csv")
    pyarrow.parquet.write_table(frame, folder / "moved.parquet")
    pyarrow.csv.write_csv(frame.slice(0, 400), folder / "usual.csv")
    pyarrow.csv.write_csv(pa.table({**table(1000, seed=6)}), folder / "history.csv")
    return JEPADensity(n_trees=1, random_state=0).fit(table(1000, seed=6))


def test_drift_says_when_where_and_how_far(run, folder, stream):
    stream.save(folder / "history.jp")
    status, out, err = run("drift", "history.jp", "usual.csv")
    assert (status, out, err) == (0, "0 alarms in 400 rows\n", "")
    status, out, err = run("drift", "history.jp", "moved.csv", "--batch-size", 100)
    assert (status, err) == (3, "")
    row, began, nats = re.search(
        r"row (\d+): drift since about row (\d+), (\S+) nats", out
    ).groups()
    assert 500 < int(row) <= 800 and 400 < int(began) < 600 and float(nats) > 1
    assert re.search(r"columns: length \+\d", out)


def test_drift_of_rows_that_are_wrong_from_the_first_one(run, folder, stream):
    stream.save(folder / "history.jp")
    columns = table(400, seed=7)
    columns["length"] += 9
    pyarrow.csv.write_csv(pa.table(columns), folder / "wrong.csv")
    status, out, err = run("drift", "history.jp", "wrong.csv")
    assert (status, err) == (3, "")
    assert "drift since about row 1, " in out and re.search(r"columns: length \+\d", out)
    assert out.endswith("1 alarm in 400 rows\n")


def test_drift_from_rows_that_are_as_they_should_be(run, folder, stream):
    stream.save(folder / "history.jp")
    pyarrow.csv.write_csv(pa.table(table(1000, seed=8)), folder / "reference.csv")
    columns = table(400, seed=7)
    columns["length"] += 1.5
    pyarrow.csv.write_csv(pa.table(columns), folder / "odd.csv")
    assert run("drift", "history.jp", "odd.csv")[0] == 0  # it could be misfit
    status, out, err = run("drift", "history.jp", "odd.csv", "--reference", "reference.csv")
    assert (status, err) == (3, "")
    assert "drift since about row 1, " in out and re.search(r"columns: length \+\d", out)
    usual = run("drift", "history.jp", "usual.csv", "--reference", "reference.csv")
    assert usual == (0, "0 alarms in 400 rows\n", "")
    status, _, err = run("drift", "history.jp", "usual.csv", "--reference", "none.csv")
    assert status == 2 and "none.csv" in err


def test_drift_tells_the_same_of_either_file_as_the_monitor(run, folder, stream):
    stream.save(folder / "history.jp")
    monitor = DriftMonitor(stream.joint_)
    rows = pyarrow.parquet.read_table(folder / "moved.parquet", columns=list(table()))
    wanted = [monitor.update(rows.slice(at, 150)) for at in range(0, 1000, 150)]
    for name in ("moved.csv", "moved.parquet"):
        status, out, _ = run("drift", "history.jp", name, "--batch-size", 150, "--json")
        told = [json.loads(line) for line in out.splitlines()]
        assert status == 3
        assert [report["n_rows"] for report in told] == [report.n_rows for report in wanted]
        assert [report["log_prob"] for report in told] == [report.log_prob for report in wanted]
        first = next(report for report in told if report["drift"])
        found = next(report for report in wanted if report.drift)
        assert first["columns"] == found.columns and first["nats"] == found.nats
        assert first["first_row"] == found.n_rows - found.n_since + 1


# ---- errors ----


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["score", "none.jp", "data.csv"], "none.jp: No such file or directory"),
        (["score", "density.jp", "none.csv"], "none.csv: No such file or directory"),
        (["score", "data.csv", "data.csv"], "data.csv: no model file"),
        (["score", "density.jp", "few.csv"], "few.csv: no column 'rain'; the columns are"),
        (["score", "density.jp", "bad.csv"], "bad.csv: column 'count', row 2: 'many' is no number"),
        (
            ["score", "density.jp", "short.csv"],
            "short.csv: row 2: 2 cells; the header names 6 columns",
        ),
        (["drift", "density.jp", "bad.csv"], "bad.csv: column 'count', row 2: 'many' is no number"),
        (["drift", "density.jp", "short.csv"], "short.csv: row 2: 2 cells; the header names 6"),
        (["drift", "density.jp", "few.csv"], "few.csv: no column 'rain'; the columns are"),
        (["drift", "density.jp", "empty.csv"], "empty.csv: it is empty"),
        (["drift", "density.jp", "none.parquet"], "none.parquet: No such file or directory"),
        (["score", "density.jp", "none.parquet"], "none.parquet: No such file or directory"),
        (["score", "density.jp", "head.csv"], "head.csv: it has no rows"),
        (["score", "density.jp", "data.csv", "-o", "no/x.csv"], "no/x.csv: No such file"),
        (["score", "density.jp", "data.csv", "-o", "no/x.parquet"], "no/x.parquet: No such file"),
        (["score", "density.jp", "data.csv", "-o", "x.xlsx"], "--output x.xlsx: allowed endings"),
        (["sample", "density.jp", "-o", "x.json"], "--output x.json: allowed endings are .csv"),
        (["impute", "density.jp", "data.csv", "-o", "x.tsv"], "--output x.tsv: allowed endings"),
        (
            ["explain", "density.jp", "data.csv", "--json", "-o", "x.parquet"],
            "--output x.parquet: allowed endings are .json, .jsonl, .ndjson, .txt with --json",
        ),
        (["fit", "dates.csv", "-o", "x.jp"], "dates.csv: column 'day' holds dates or times"),
        (["predict", "density.jp", "data.csv"], "density.jp: a JEPADensity predicts no column"),
        (["impute", "density.jp", "data.csv", "--method", "x"], "method='x'; allowed are"),
        (
            ["fit", "data.csv", "-o", "x.jp", "--target", "x"],
            "data.csv: no column 'x'; the columns",
        ),
        (["fit", "data.csv", "-o", "no/x.jp"], "no/x.jp: No such file or directory"),
        (["query", "density.jp", "P(length > 1"], "expected ')' at character 13, found the end"),
    ],
)
def test_errors_are_one_line(run, folder, words, error):
    lines = (folder / "data.csv").read_text().splitlines()
    columns = lines[0].replace('"', "").split(",")
    cells = dict.fromkeys(columns, "") | {"count": "many"}
    (folder / "bad.csv").write_text("\n".join([*lines[:2], ",".join(cells.values())]))
    (folder / "short.csv").write_text("\n".join([*lines[:2], "1,2"]))
    (folder / "head.csv").write_text(lines[0])
    (folder / "empty.csv").write_text("")
    (folder / "dates.csv").write_text("day,x\n2020-01-01,1\n2020-01-02,2\n")
    status, out, err = run(*words)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("jointprob: ") and error in err


def test_usage_errors_end_in_2(run):
    assert run("score")[0] == 2
    assert run("dance")[0] == 2
    assert run("--help")[0] == 0
    assert run("--version")[:2] == (0, f"jointprob {files.__version__}\n")


# ---- questions ----


@pytest.mark.parametrize(
    ("question", "both", "condition"),
    [
        ("P(kind = long)", {"kind": {"long"}}, {}),
        ('P("kind" != \'long\')', {"kind": {"short"}}, {}),
        ("P(place in {north, 'east'})", {"place": {"north", "east"}}, {}),
        ("P(length > 0.5)", {"length": (0.5, None)}, {}),
        ("P(-1 < length <= 1)", {"length": (-1.0, 1.0)}, {}),
        ("P(rain = 0)", {"rain": {0.0}}, {}),
        ("P(rain >= 0, rain <= 0)", {"rain": (0.0, 0.0)}, {}),
        ("P(kind = long | rain = 0)", {"kind": {"long"}, "rain": {0.0}}, {"rain": {0.0}}),
        ("P(length > 0 | length > -1 and kind = long)", {"length": (0.0, None), "kind": {"long"}},
         {"length": (-1.0, None), "kind": {"long"}}),
        ("P(place not in (north) | rain = 0)", {"place": {"south", "east"}, "rain": {0.0}},
         {"rain": {0.0}}),
    ],
)  # fmt: skip
def test_questions_are_probabilities_of_the_joint(joint, question, both, condition):
    wanted = joint.probability(both)
    if condition:
        wanted /= joint.probability(condition)
    assert parse(question).answer(joint) == pytest.approx(wanted, rel=1e-6)


def test_an_open_end_leaves_an_atom_out(joint):
    atom = joint.probability({"rain": {0.0}})
    at_least, above = (parse(f"P(rain {sign} 0)").answer(joint) for sign in (">=", ">"))
    assert atom > 0.1
    assert at_least - above == pytest.approx(atom, rel=1e-6)
    assert parse("P(rain < 0 | rain = 0)").answer(joint) == 0


def test_a_number_may_be_known_that_has_no_probability(joint):
    given = joint.condition({"length": 0.3})
    levels = joint.schema.columns[joint.schema.position("kind")].levels
    wanted = dict(zip(levels, given.predict_proba("kind")[0], strict=True))["long"]
    assert parse("P(kind = long | length = 0.3)").answer(joint) == pytest.approx(wanted, rel=1e-3)
    assert parse("P(length > 0 | length = 0.3)").answer(joint) == pytest.approx(1)
    assert parse("P(length = 0.3)").answer(joint) == 0


def test_expectations_medians_and_modes(joint, run):
    given = joint.condition({"kind": {"long"}})
    assert parse("E(length | kind = long)").answer(joint) == pytest.approx(given.mean("length")[0])
    median = parse("median(length | kind = long)").answer(joint)
    assert parse(f"P(length <= {median} | kind = long)").answer(joint) == pytest.approx(
        0.5, abs=1e-3
    )
    assert parse("mode(kind | length > 1)").answer(joint) == "long"
    out = run("query", "density.jp", "mode(kind | length > 1)", "--json")[1]
    assert json.loads(out) == {"question": "mode(kind | length > 1)", "answer": "long"}
    assert float(run("query", "density.jp", "P(kind = long)")[1]) == pytest.approx(
        joint.probability({"kind": {"long"}}), rel=1e-5
    )


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ("", "expected P, E, median or mode at character 1, found the end"),
        ("Q(x = 1)", "expected P, E, median or mode at character 1, found 'Q'"),
        ("P(length)", "expected =, !=, <, <=, >, >= or in at character 9, found ')'"),
        ("P(length > )", "expected a value at character 12, found ')'"),
        ("P(length > 1) x", "expected the end at character 15, found 'x'"),
        ("P(length # 1)", "'# 1)' at character 10 is odd"),
        ("P(width > 1)", "no column 'width'; the columns are 'length'"),
        ("P(kind = medium)", "column 'kind' has no level 'medium'; its levels are 'long', 'short'"),
        ("P(kind > long)", "column 'kind' has levels, which '>' does not compare"),
        ("P(length > long)", "column 'length' holds numbers, and 'long' is none"),
        ("P(length != 1)", "column 'length' holds numbers: ask for 1 - P"),
        ("P(kind = long | length > 1, length < 0)", "the condition has probability 0"),
        ("E(kind)", "E needs a column of numbers, and 'kind' has levels"),
    ],
)
def test_questions_with_errors_say_where(joint, question, error):
    with pytest.raises(ValueError, match=re.escape(error)):
        parse(question).answer(joint)


WORDS = [*"PE()|,=<>{}1'", "in", "not", "and", "length", "kind", "long", '"']


@given(st.lists(st.sampled_from(WORDS)))
def test_any_text_is_a_question_or_a_value_error(words):
    try:
        parsed = parse(" ".join(words))
    except ValueError:
        return
    assert parsed.asked in ("P", "E")


# ---- processes ----


def test_pipes(folder):
    """Standard input is a file, and a reader that leaves early causes no complaint."""
    data = (folder / "data.csv").read_bytes()
    words = [*COMMAND, "score", str(folder / "density.jp"), "-"]
    done = subprocess.run(words, input=data, capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 61
    for words in (["sample", str(folder / "density.jp"), "-n", "3000"], ["versions"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([*COMMAND, *words], stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")


def test_drift_answers_while_its_pipe_is_open(folder, stream):
    """A line break in quotes does not end a row, wherever the pipe was cut."""
    stream.save(folder / "history.jp")
    header, *rows = (folder / "history.csv").read_text().splitlines()
    place = header.replace('"', "").split(",").index("place")
    broken = rows[50].split(",")
    broken[place] = '"a level\nof two lines"'
    lines = "\n".join([header, *rows[:50], ",".join(broken), *rows[51:200]]) + "\n"
    cut = lines.index("of two")
    words = [*COMMAND, "drift", str(folder / "history.jp"), "-", "--json", "--batch-size", "100"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for part in (lines[:cut], lines[cut:]):
            process.stdin.write(part.encode())
            process.stdin.flush()
        told = [json.loads(process.stdout.readline())["n_rows"] for _ in range(2)]
        assert told == [100, 200] and process.poll() is None
        assert process.communicate((rows[200] + "\n").encode())[0].count(b"\n") == 1
    assert process.returncode == 0


def in_a_terminal(folder, *words, until=None):
    """Exit code, and all that a terminal has shown; with `until`, Ctrl-C once that has come."""
    import pty

    terminal, end = pty.openpty()
    words = [*COMMAND, *words]
    with subprocess.Popen(
        words, stdin=end, stdout=end, stderr=end, cwd=folder, preexec_fn=_own_terminal
    ) as process:
        os.close(end)
        shown = b""
        while select.select([terminal], [], [], 60)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            shown += piece
            if until is not None and until in shown:
                os.write(terminal, b"\x03")
                until = None
    os.close(terminal)
    return process.returncode, shown


def _own_terminal():
    """Make the standard input the terminal that sends this process Ctrl-C."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@POSIX
def test_in_a_terminal(folder, stream):
    """Progress goes to the terminal, and so does the answer."""
    status, shown = in_a_terminal(folder, "fit", "data.csv", "-o", "terminal.jp")
    assert status == 0
    assert b"\x1b[" in shown  # the line of progress is drawn and erased
    assert b"JEPADensity of 60 rows and 6 columns: terminal.jp" in shown
    assert files.describe(folder / "terminal.jp")["class"] == "JEPADensity"
    stream.save(folder / "history.jp")
    status, shown = in_a_terminal(folder, "drift", "history.jp", "moved.csv")
    assert status == 3
    assert b"1,000 rows" in shown and b"drift since about row" in shown


@POSIX
def test_ctrl_c_ends_a_command_without_a_traceback(folder):
    words = ("fit", "data.csv", "-o", "never.jp", "--kind", "outliers")
    status, shown = in_a_terminal(folder, *words, until=b"\x1b[")
    assert status == 130 and b"Traceback" not in shown
    assert not (folder / "never.jp").exists()


class Drip:
    """A pipe that hands out a few bytes at a time."""

    def __init__(self, text, size):
        self.text, self.size = text, size

    def read(self, most):
        given, self.text = self.text[: self.size], self.text[self.size :]
        return given


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_end_where_cells_do(size):
    lines = [b"a,b\n", b'5" pipe,1\n', b'"x\ny",2\n', b'"q ""z""\n","",\n', b'"",""""\n', b"1,2"]
    pieces = list(tables._lines(Drip(b"".join(lines), size)))
    ends = np.cumsum([len(line) for line in lines]).tolist()
    assert b"".join(pieces) == b"".join(lines)
    assert set(np.cumsum([len(piece) for piece in pieces]).tolist()) <= set(ends)
    if size == 1:
        assert pieces == lines


def test_a_quote_left_open_ends_in_an_error(monkeypatch):
    monkeypatch.setattr(tables, "LONGEST_LINE", 1000)
    with pytest.raises(ValueError, match="quote left open"):
        list(tables._lines(Drip(b'a\n"5 pipe\n' + b"1\n" * 1000, 100)))
