"""The README's blocks run, in their order, as one program."""

import re
from pathlib import Path

import numpy as np
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tour():
    """The names that the tour leaves behind."""
    pytest.importorskip("pandas")
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    return names


def test_tour_runs(tour):
    names, test = tour, tour["test"]
    assert names["log_density"].shape == (len(test),)
    assert type(names["complete"]) is type(test)
    assert not names["complete"].isna().any().any()
    assert (names["complete"].index == test.index).all()
    assert (names["excess"].index == test.index).all()
    assert repr(names["joint"]).startswith("Joint(11 columns, ")
    assert set(names["strangest"]) <= set(test.columns)
    assert list(names["new_patients"].columns) == list(test.columns)
    assert (names["new_patients"].dtypes == test.dtypes).all()
    assert names["labels"].mean() == 0.5 and len(names["more"]) == len(names["labels"])
    assert len(names["high"]) == 5 and (names["high"]["age"] >= 50).all()
    assert (names["moved"].dtypes == names["X"].dtypes).all()
    assert len(names["outliers"]) < 0.1 * len(test)
    assert set(names["reasons"]) <= set(test.columns)


def test_tour_predicts(tour):
    """What the tour predicts is better than what holds for all rows alike."""
    new, truth = tour["new"], tour["test"]["target"]
    assert new["bmi"].isna().any()
    assert tour["classifier"].score(new, truth > 150) > 0.65
    low, high = tour["regressor"].predict_distribution(new).interval(0.9).T
    assert np.mean((low <= truth) & (truth <= high)) > 0.8
    assert np.mean(high - low) < np.ptp(np.quantile(tour["y"], [0.05, 0.95]))
    assert tour["pipeline"].score(new[tour["numbers"]], truth) > 0.3


def test_answers_have_the_shapes_beside_them(tour):
    """A line that ends in `# (n_rows, 2)` or the like has a value of that shape."""
    pattern = r"^(?:\w+ = )?(.*?)  # (\(.*?\))"
    promised = re.findall(pattern, "".join(blocks("python")), flags=re.MULTILINE)
    assert len(promised) > 5
    for expression, shape in promised:
        assert np.shape(eval(expression, tour)) == eval(shape, {"n_rows": len(tour["test"])})


def test_one_command_installs_and_demonstrates_one_installs_and_tests():
    demo, tests = (block.strip() for block in blocks("sh"))
    assert demo.startswith("pip install . && ") and demo.endswith("jointprob demo")
    assert tests.startswith("pip install ") and tests.endswith("&& pytest")
