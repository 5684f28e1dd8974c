"""The examples run, are short, and show what they say they do."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"


def run(name, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short_and_say_how_to_run(path):
    text = path.read_text()
    assert len(text.splitlines()) < 60
    assert f"python examples/{path.name}" in text


def test_batch_job_names_the_broken_cells(capsys, monkeypatch):
    out = run("outliers_in_a_batch_job.py", capsys, monkeypatch)
    assert re.search(r"row 131: .*alcohol", out)
    assert re.search(r"row 140: .*(hue|proline)", out)
    assert "row 150" not in out  # a gap


def test_imputation_beats_the_means(capsys, monkeypatch):
    out = run("imputation_in_a_pipeline.py", capsys, monkeypatch)
    errors, scores = zip(*re.findall(r"cell (\S+), R2 of the pipeline (\S+)", out), strict=True)
    assert float(errors[1]) < float(errors[0])
    assert float(scores[1]) > float(scores[0]) - 0.02


def test_synthetic_rows_teach_nearly_as_much(capsys, monkeypatch):
    out = run("synthetic_rows.py", capsys, monkeypatch)
    synthetic, real = map(float, re.findall(r"(\d\.\d+) after", out))
    assert synthetic > real - 0.06
    assert "400 rows in synthetic.csv, 0 of them copies" in out


def test_questions_have_answers(capsys, monkeypatch):
    out = run("questions_to_a_table.py", capsys, monkeypatch)
    heavy, light = map(int, re.findall(r"progress (\d+) on average", out))
    known, unknown = map(int, re.search(r"columns (\d+), from none (\d+)", out).groups())
    assert heavy > light and known < unknown


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_c_says_what_python_says(capsys, monkeypatch):
    out = run("scores_in_c.py", capsys, monkeypatch)
    assert float(re.search(r"difference (\S+)", out)[1]) < 1e-6
    assert "20 rows" in out and "strangest: row 19" in out


def test_a_stream_raises_an_alarm_where_it_drifts(capsys, monkeypatch):
    out = run("a_stream_with_drift.py", capsys, monkeypatch)
    before, after = map(float, re.findall(r"mean temperature (\S+)", out))
    assert abs(after - before) < 2
    row, began = map(int, re.search(r"after row (\d+): since row (\d+)", out).groups())
    assert 1500 < row <= 1800 and abs(began - 1500) <= 150
    assert re.search(r"temperature: \+\d", out)


def test_workers_answer_from_a_file():
    command = [sys.executable, str(FOLDER / "predictions_from_a_file.py")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    error, usual = map(int, re.search(r"error (\d+), that of a constant (\d+)", out).groups())
    assert error < usual
    assert int(re.search(r"(\d+)% of the truth", out)[1]) > 80
