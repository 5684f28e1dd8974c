"""The demonstration: its table, its fairness to the peers, and that it runs."""

import re

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from jointprob import demo
from jointprob.__main__ import main


@pytest.fixture(scope="module")
def whole():
    return demo.breast_cancer()


@pytest.fixture(scope="module")
def holed(whole):
    return demo.remove_cells(whole, np.random.default_rng(0))


def test_table_is_mixed(whole):
    assert len(whole) == 12
    assert set(whole["diagnosis"]) == {"benign", "malignant"}
    assert set(whole["worst_size"]) == {"small", "medium", "large"}
    assert np.median(whole["radius"][whole["worst_size"] == "large"]) > np.median(
        whole["radius"][whole["worst_size"] == "small"]
    )


def test_five_percent_of_the_cells_go_and_the_rest_stays(whole, holed):
    gone = {name: demo.missing(column) for name, column in holed.items()}
    assert 0.04 < np.mean(list(gone.values())) < 0.06
    for name, column in holed.items():
        assert np.array_equal(column[~gone[name]], whole[name][~gone[name]])
        assert not demo.missing(whole[name]).any()


def test_peers_density_is_in_the_columns_own_units(whole):
    """Metres or millimetres: the log density moves by the logarithm of the unit, no more."""
    points = demo.matrix(whole)
    setting = {"n_components": 2, "reg_covar": 1e-6}
    metres = demo.log_density(GaussianMixture, setting, points)(points)
    millimetres = demo.log_density(GaussianMixture, setting, 1000 * points)(1000 * points)
    np.testing.assert_allclose(metres - millimetres, 10 * np.log(1000), rtol=1e-6)


def test_peers_choice_is_the_best_of_all(holed):
    """Tuning takes the most probable of every setting, on rows that no candidate was fitted on."""
    log_density, about = demo.tuned(GaussianMixture, demo.GAUSSIANS[:4], holed)
    assert re.match(r"n_components=[12], reg_covar=(1e-06|0.0001); (complete|all) rows", about)
    assert np.isfinite(log_density(demo.complete_rows(demo.matrix(holed)))).all()


def test_swaps_change_one_number_of_a_row_at_most(whole):
    swapped, where = demo.swap_numbers(whole, np.random.default_rng(0))
    changed = demo.matrix(swapped) != demo.matrix(whole)
    assert changed.sum() > 0.9 * len(where)
    assert np.array_equal(changed.nonzero()[1], where[changed.any(axis=1)])
    for name, column in swapped.items():
        assert set(column) <= set(whole[name])


def test_sizes_become_ordered_numbers():
    sizes = np.array(["large", None, "small", "medium"], dtype=object)
    np.testing.assert_array_equal(demo.size_numbers(sizes), [2.0, np.nan, 0.0, 1.0])


def test_demo_runs(capsys):
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    for words in [
        "JEPADensity ",
        "GaussianMixture ",
        "KernelDensity ",
        "P(malignant |",
        "strangest cell",
        "JEPAClassifier ",
        "RandomForest ",
        "nats above what is usual",
    ]:
        assert words in out
    nats = dict(re.findall(r"^  (\w+) +(-?\d+\.\d+)   ", out, flags=re.MULTILINE))
    assert float(nats["JEPADensity"]) > float(nats["KernelDensity"])
    scores = re.findall(r"^  (\w+) +(\d\.\d+) +(\d+\.\d)% +\d+\.\d+$", out, flags=re.MULTILINE)
    assert [name for name, *_ in scores] == [
        "JEPAClassifier",
        "HistGradientBoosting",
        "RandomForest",
    ]
    for _, loss, right in scores:
        assert 0 < float(loss) < 0.3 and 85 < float(right) <= 100
    before, rows, after, named = re.search(
        r"outliers: (\d+) of (\d+) rows before, (\d+) after,\s+(\d+) of these", out
    ).groups()
    assert int(before) < 0.05 * int(rows) < int(after)
    assert int(named) > 0.8 * int(after)
    assert not re.search(r"\bnan\b", out)
