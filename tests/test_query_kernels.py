"""Kernels of the query stage, and rectangles, against their twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import query as reference
from scipy.stats import multivariate_normal, norm

from jointprob import _query
from jointprob.query.intervals import cut, draw_inside, lattice, rectangle

seeds = st.integers(0, 2**32 - 1)


def states(rng, n_states, d):
    """Means and covariances of all states, moderately correlated."""
    root = rng.normal(size=(n_states, d, d)) / np.sqrt(d) + np.eye(d)
    return rng.normal(size=(n_states, d)), root @ root.transpose(0, 2, 1) + 0.05 * np.eye(d)


def rows_with_holes(rng, n_rows, d, missing=0.4):
    z = rng.normal(size=(n_rows, d)).astype(np.float32)
    z[rng.random(z.shape) < missing] = np.nan
    return z


@given(seeds, st.integers(1, 8), st.integers(1, 3))
def test_condition_equals_its_twin(seed, d, n_states):
    rng = np.random.default_rng(seed)
    mean, covariance = states(rng, n_states, d)
    z = rows_with_holes(rng, 6, d)
    rows = rng.integers(6, size=20)
    state = rng.integers(n_states, size=20).astype(np.int32)
    target = rng.permutation(d)[: rng.integers(1, d + 1)].astype(np.int64)
    kernel = _query.States(mean, covariance)
    got, factor = np.empty((20, len(target))), np.empty((20, len(target), len(target)))
    kernel.condition(
        z, rows, state, rng.permutation(20), target, np.empty(kernel.work_size()), got, factor
    )
    for p in range(20):
        s = state[p]
        want = reference.condition(z[rows[p]].astype(float), mean[s], covariance[s], target)
        np.testing.assert_allclose(got[p], want[0], atol=1e-9)
        np.testing.assert_allclose(factor[p] @ factor[p].T, want[1], atol=1e-9)


@given(seeds, st.integers(1, 6), st.integers(1, 4))
def test_leave_one_out_equals_its_twin(seed, d, n_states):
    rng = np.random.default_rng(seed)
    mean, covariance = states(rng, n_states, d)
    z = rows_with_holes(rng, 9, d, missing=0.3)
    prior = rng.dirichlet(np.ones(n_states), size=9).astype(np.float32)
    padded = np.ascontiguousarray(np.concatenate([np.zeros((9, 2), np.float32), prior], axis=1))
    kernel = _query.States(mean, covariance)
    whole, rest = np.empty(9), np.empty((9, d))
    work = np.empty(kernel.work_size())
    kernel.leave_one_out(z, rng.permutation(9), padded, 2, work, whole, rest)
    for i in range(9):
        want = reference.leave_one_out(z[i].astype(float), mean, covariance, prior[i].astype(float))
        np.testing.assert_allclose(whole[i], want[0], atol=1e-9)
        np.testing.assert_allclose(rest[i], want[1], atol=1e-9)


def test_a_far_cell_brings_another_state_to_the_fore():
    """Left out, a cell 100 deviations away no longer rules out the state of the other cells."""
    mean = np.array([[0.0, 0.0], [100.0, 8.0]])
    kernel = _query.States(mean, np.tile(np.eye(2), (2, 1, 1)))
    z, whole, rest = np.array([[100, 0]], np.float32), np.empty(1), np.empty((1, 2))
    prior, work = np.full((1, 2), 0.5, np.float32), np.empty(kernel.work_size())
    kernel.leave_one_out(z, np.zeros(1, np.int64), prior, 0, work, whole, rest)
    assert rest[0, 0] == pytest.approx(np.log(0.5) + norm.logpdf(0), abs=1e-9)


def test_draws_have_the_conditional_moments():
    rng = np.random.default_rng(0)
    mean, covariance = states(rng, 2, 4)
    z = np.tile([np.nan, 0.5, np.nan, np.nan], (40_000, 1))
    state = np.ones(len(z), np.int32)
    kernel = _query.States(mean, covariance)
    normal, out = rng.normal(size=z.shape), np.empty(z.shape)
    kernel.draw(z, state, np.arange(len(z)), normal, np.empty(kernel.work_size()), out)
    want = reference.condition(z[0], mean[1], covariance[1], [0, 2, 3])
    np.testing.assert_array_equal(out[:, 1], 0.5)
    np.testing.assert_allclose(out[:, [0, 2, 3]].mean(axis=0), want[0], atol=0.03)
    np.testing.assert_allclose(np.cov(out[:, [0, 2, 3]].T), want[1], atol=0.06)


def test_uniform_depends_on_seed_key_and_draw_alone():
    key = np.arange(1000, dtype=np.uint64)
    wide, narrow, back = np.empty((1000, 7)), np.empty((1000, 2)), np.empty((1000, 7))
    _query.uniform(5, key, wide)
    _query.uniform(5, key, narrow)
    _query.uniform(5, key[::-1].copy(), back)
    np.testing.assert_array_equal(wide[:, :2], narrow)
    np.testing.assert_array_equal(wide[::-1], back)
    assert abs(wide.mean() - 0.5) < 0.01 and wide.min() > 0 and wide.max() < 1


# ---- intervals ----


@given(seeds, st.integers(1, 3))
def test_rectangle_equals_its_twin(seed, d):
    rng = np.random.default_rng(seed)
    mean, covariance = states(rng, 2, d)
    low, high = np.sort(rng.normal(scale=2, size=(2, d)), axis=0)
    low[rng.random(d) < 0.3] = -np.inf
    got = rectangle(mean, np.linalg.cholesky(covariance), low, high, abs_error=1e-6)
    if d == 3:  # the twin's sum over a grid of a grid is too slow
        want = [box(m, c, low, high) for m, c in zip(mean, covariance, strict=True)]
    else:
        want = [reference.rectangle(m, c, low, high) for m, c in zip(mean, covariance, strict=True)]
    np.testing.assert_allclose(got, want, atol=5e-5)


def box(mean, covariance, low, high):
    """SciPy's own integration."""
    low, high = np.clip(low, mean - 30, None), np.clip(high, None, mean + 30)
    return multivariate_normal(mean, covariance).cdf(high, lower_limit=low, rng=0)


def test_rectangle_of_five_equally_correlated_columns():
    """P(all positive) of d normals with correlation 1/2 is 1 / (d + 1)."""
    covariance = 0.5 * np.eye(5) + 0.5
    got = rectangle(
        np.zeros((1, 5)), np.linalg.cholesky(covariance)[None], np.zeros(5), np.full(5, np.inf)
    )
    assert got[0] == pytest.approx(1 / 6, abs=1e-5)


def test_stated_error_holds_on_strong_correlations():
    """P(both positive) of two normals is 1/4 + arcsin(rho) / (2 pi)."""
    for rho in (-0.999, -0.9, 0.5, 0.99, 0.9999):
        covariance = np.array([[1, rho], [rho, 1]])
        got = rectangle(
            np.zeros((1, 2)), np.linalg.cholesky(covariance)[None], np.zeros(2),
            np.full(2, np.inf), abs_error=1e-4,
        )  # fmt: skip
        assert got[0] == pytest.approx(0.25 + np.arcsin(rho) / (2 * np.pi), abs=1e-4)


def test_no_mass_is_zero_and_never_nan():
    far = rectangle(np.zeros((1, 2)), np.eye(2)[None], np.array([50.0, -1]), np.array([60.0, 1]))
    assert far[0] == 0
    assert np.isfinite(draw_inside(np.array([50.0]), np.array([60.0]), np.array([0.5]))[0]).all()


def test_nodes_of_a_cut_have_its_moments():
    """A standard normal above 1 has mean phi(1) / (1 - Phi(1))."""
    one = np.zeros((1, 1))
    drawn = cut(one, 1 + one[None], np.ones(1), np.full(1, np.inf), lattice(1, 128))
    mean = (drawn.weight * drawn.y[0]).sum() / drawn.weight.sum()
    assert mean == pytest.approx(norm.pdf(1) / norm.sf(1), abs=2e-4)
    assert drawn.weight.mean() == pytest.approx(norm.sf(1), abs=1e-9)
