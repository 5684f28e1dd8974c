"""Joints in loops that numba compiles: the scorer's answers, and a consumer."""

import numpy as np
import pytest
from joints import mixed_joint

from jointprob import jit

numba = pytest.importorskip("numba")


def plain_rows(n_rows=300, seed=0):
    """As scorers read them: codes, unseen levels, atoms, missing cells."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n_rows, 5))
    rows[:, [0, 2]] = rng.normal(2.0, 2.0, (n_rows, 2))
    rows[:, 1], rows[:, 4] = rng.integers(-2, 5, n_rows), rng.integers(-1, 3, n_rows)
    rows[:, 3] = np.where(rng.random(n_rows) < 0.3, 0.0, rng.gamma(3.0, size=n_rows))
    return np.where(rng.random(rows.shape) < 0.1, np.nan, rows)


@pytest.fixture(scope="module")
def log_prob():
    return jit.log_prob(mixed_joint())


def test_a_loop_gets_the_scorers_bits(log_prob):
    @numba.njit(parallel=True)
    def every(rows):
        out = np.empty(len(rows))
        for i in numba.prange(len(rows)):
            out[i] = log_prob(rows[i])
        return out

    rows, scorer = plain_rows(), mixed_joint().compile()
    assert every(rows).tobytes() == scorer(rows).tobytes()
    assert log_prob(np.asfortranarray(rows)[0]) == scorer(rows[0])
    assert log_prob(np.full(5, np.nan)) == 0


def test_a_consumer_that_only_numba_could_write(log_prob):
    """A random walk of Metropolis and Hastings on two numbers, the other cells known."""

    @numba.njit
    def walk(row, n_steps, rng):
        here, found = log_prob(row), np.empty(n_steps)
        for i in range(n_steps):
            there = row.copy()
            there[0] += rng.normal()
            proposed = log_prob(there)
            if np.log(rng.random()) < proposed - here:
                row, here = there, proposed
            found[i] = row[0]
        return found

    row = np.array([2.0, 0.0, 1.0, 0.0, 1.0])
    mean = walk(row, 20_000, np.random.default_rng(0))[1000:].mean()
    levels = mixed_joint().compile().levels
    given = {"color": levels["color"][0], "b": 1.0, "zero": 0.0, "flag": levels["flag"][1]}
    assert mean == pytest.approx(mixed_joint().condition(given).mean("a")[0], abs=0.1)


def test_rows_that_are_none(log_prob):
    for row, what in (
        (np.zeros(4), "length"),
        (np.array([np.inf, 0, 0, 0, 0]), "infinity"),
        (np.array([0, 0.5, 0, 0, 0]), "no code"),
    ):
        with pytest.raises(ValueError, match=what):
            log_prob(row)
    assert jit.log_prob(mixed_joint()) is log_prob
