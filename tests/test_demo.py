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


def test_demo_runs(capsys):
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    for words in [
        "JEPADensity ",
        "GaussianMixture ",
        "KernelDensity ",
        "P(malignant |",
        "strangest cell",
    ]:
        assert words in out
    nats = dict(re.findall(r"^  (\w+) +(-?\d+\.\d+)   ", out, flags=re.MULTILINE))
    assert float(nats["JEPADensity"]) > float(nats["KernelDensity"])
    assert not re.search(r"\bnan\b", out)
