"""Progress is shown to those who ask for it, and changes nothing."""

import sys

import pytest
from tables import frame, scores, small


def test_verbose_fit_has_the_same_bits_and_keeps_stdout_clean(capsys):
    table = frame()
    assert scores(small(verbose=1).fit(table), table) == scores(small().fit(table), table)
    assert capsys.readouterr().out == ""


def test_without_rich_verbose_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ImportError, match=r"jointprob\[cli\]"):
        small(verbose=1).fit(frame())
