"""The README's blocks run, in their order, as one program."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_tour_runs():
    pytest.importorskip("pandas")
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    test = names["test"]
    assert names["log_density"].shape == (len(test),)
    assert type(names["complete"]) is type(test)
    assert not names["complete"].isna().any().any()
    assert list(names["new_patients"].columns) == list(test.columns)
    assert (names["new_patients"].dtypes == test.dtypes).all()


def test_one_command_installs_and_demonstrates_one_installs_and_tests():
    demo, tests = (block.strip() for block in blocks("sh"))
    assert demo.startswith("pip install . && ") and demo.endswith("jointprob demo")
    assert tests.startswith("pip install ") and tests.endswith("&& pytest")
