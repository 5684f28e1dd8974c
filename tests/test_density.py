"""The Gaussian kernels against their twin, with any pattern of missing cells."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import density as reference

from jointprob.density import NEGLIGIBLE, Gaussians, Moments, start_gaussians

TILE = 512  # JP_GAUSS_TILE

seeds = st.integers(0, 2**32 - 1)


def triangle(matrices):
    """Lower triangles, row by row, of (n, d, d)."""
    rows, cols = np.tril_indices(matrices.shape[-1])
    return matrices[:, rows, cols]


def from_tables(means, covariances):
    n_states, d = means.shape
    gaussians = Gaussians.empty(np.arange(d), n_states)
    gaussians.mean_lanes[:, :n_states] = means.T
    gaussians.covariance_lanes[:, :n_states] = triangle(covariances).T
    gaussians.derive()
    return gaussians


def random_gaussians(rng, n_states, d, spread=1.0):
    factor = rng.normal(size=(n_states, d, d + 3)) / np.sqrt(d + 3)
    scale = rng.uniform(0.3, 2, size=(n_states, d))
    covariances = np.einsum("sik,sjk,si,sj->sij", factor, factor, scale, scale)
    covariances += 0.05 * np.eye(d)
    return from_tables(rng.normal(scale=spread, size=(n_states, d)), covariances)


def random_rows(rng, n_rows, d, missing):
    """Rows of a few patterns of missing cells, among them none and all."""
    patterns = rng.random((6, d)) < missing
    patterns[0], patterns[1] = False, missing > 0
    z = rng.normal(size=(n_rows, d)).astype(np.float32)
    z[patterns[rng.integers(6, size=n_rows)]] = np.nan
    return z


def leaf(gaussians, z, rows=None, ranges=None, leaf_at=0, n_leaf=None):
    n = len(z) if rows is None else len(rows)
    out = np.full((n, n_leaf or gaussians.n_states), np.nan, np.float32)
    log_scale = np.zeros(n)
    for start, stop in ranges or [(0, n)]:
        gaussians.kernel.leaf(
            z, rows, start, stop, NEGLIGIBLE, out, leaf_at, log_scale, gaussians.work()
        )
    return out, log_scale


def expect(gaussians, z, posterior, rows=None, leaf_at=0):
    moments = Moments(gaussians.n_states, z.shape[1])
    gaussians.kernel.expect(z, rows, posterior, leaf_at, 0, len(posterior), moments.kernel)
    return moments


def check_leaf(gaussians, z, tolerance=1e-5):
    """Scales and likelihoods agree to `tolerance` nats, relative where log densities are large."""
    got, log_scale = leaf(gaussians, z)
    want = reference.log_densities(z, gaussians.means, gaussians.covariances)
    best = want.max(axis=1)
    np.testing.assert_allclose(log_scale, best, rtol=tolerance, atol=tolerance)
    size = 1 + np.abs(want).min(axis=1, keepdims=True)
    apart = want - best[:, None]
    near, far = apart > -20, apart < -NEGLIGIBLE - 1 - tolerance * size
    error = np.abs(np.log(got, where=got > 0, out=np.full(got.shape, -99.0)) - apart)
    assert (error <= 2 * tolerance * (size - apart))[near].all()
    assert not got[far].any()


# ---- log densities ----


@given(seeds, st.integers(1, 12), st.integers(1, 40), st.sampled_from([0, 0.3, 0.8]))
@settings(max_examples=50)
def test_likelihoods_equal_their_twin(seed, d, n_states, missing):
    rng = np.random.default_rng(seed)
    check_leaf(random_gaussians(rng, n_states, d), random_rows(rng, 30, d, missing))


@pytest.mark.parametrize("d", [1, 2, 7, 8, 9, 16, 17, 33, 63, 64])
@pytest.mark.parametrize("n_states", [1, 15, 16, 17, 130])
def test_every_size(d, n_states):
    rng = np.random.default_rng(d * 1000 + n_states)
    check_leaf(random_gaussians(rng, n_states, d), random_rows(rng, 12, d, 0.4))


def test_nothing_known_has_log_density_zero():
    rng = np.random.default_rng(0)
    got, log_scale = leaf(random_gaussians(rng, 5, 3), np.full((7, 3), np.nan, np.float32))
    assert (got == 1).all() and (log_scale == 0).all()


def test_far_rows_keep_their_relative_accuracy():
    rng = np.random.default_rng(1)
    z = (1e4 * rng.normal(size=(20, 5))).astype(np.float32)
    gaussians = random_gaussians(rng, 33, 5)
    check_leaf(gaussians, z)
    got, log_scale = leaf(gaussians, z)
    assert np.isfinite(log_scale).all() and (got.max(axis=1) == 1).all()


def test_rows_beyond_all_floats_are_impossible_not_nan():
    z = np.array([[1e30, 0.0], [-1e38, 1e38], [0.0, 0.0]], np.float32)
    got, log_scale = leaf(random_gaussians(np.random.default_rng(2), 20, 2), z)
    assert not np.isnan(got).any() and not np.isnan(log_scale).any()
    assert (log_scale[:2] < -1e29).all() and log_scale[2] > -20


@pytest.mark.parametrize("d", [2, 6, 20, 64])
@pytest.mark.parametrize("noise", [1e-1, 1e-2, 1e-3])
def test_columns_that_repeat_each_other(d, noise):
    """float32 whitening multiplies numbers near 1 / noise that cancel: absolute errors grow so."""
    rng = np.random.default_rng(d)
    covariances = np.ones((3, d, d)) + noise**2 * np.eye(d)
    gaussians = from_tables(rng.normal(size=(3, d)), covariances)
    centre = rng.integers(3, size=40)
    z = gaussians.means[centre] + rng.normal(size=(40, 1)) + noise * rng.normal(size=(40, d))
    _, log_scale = leaf(gaussians, z.astype(np.float32))
    want = reference.log_densities(
        z.astype(np.float32), gaussians.means, gaussians.covariances
    ).max(axis=1)
    np.testing.assert_allclose(log_scale, want, rtol=1e-5, atol=3e-7 * d / noise)


# ---- blocking and early abandoning ----


@given(seeds, st.lists(st.integers(0, TILE + 100), max_size=4))
@settings(max_examples=15)
def test_same_bits_whatever_the_company(seed, cuts):
    """Rows scored one by one never share an abandoned group of states with others."""
    rng = np.random.default_rng(seed)
    gaussians = random_gaussians(rng, 40, 17, spread=20)  # most states are negligible
    z = random_rows(rng, TILE + 100, 17, 0.2)
    z += 20 * rng.integers(2, size=(len(z), 1)).astype(np.float32)
    whole = leaf(gaussians, z)
    edges = [0, *sorted(cuts), len(z)]
    parts = leaf(gaussians, z, ranges=list(pairwise(edges)))
    alone = leaf(gaussians, z, ranges=[(i, i + 1) for i in range(len(z))])
    order = rng.permutation(len(z))
    shuffled = leaf(gaussians, z, rows=order)
    for k in range(2):
        assert whole[k].tobytes() == parts[k].tobytes() == alone[k].tobytes()
        assert whole[k][order].tobytes() == shuffled[k].tobytes()


def test_abandoning_loses_nothing_that_counts():
    rng = np.random.default_rng(3)
    gaussians = random_gaussians(rng, 64, 24, spread=20)
    z = (gaussians.means[rng.integers(64, size=50)] + rng.normal(size=(50, 24))).astype(np.float32)
    check_leaf(gaussians, z)


def test_only_the_blocks_own_columns_of_leaf_are_written():
    rng = np.random.default_rng(4)
    got, _ = leaf(random_gaussians(rng, 5, 2), random_rows(rng, 9, 2, 0), leaf_at=3, n_leaf=10)
    assert np.isnan(got[:, :3]).all() and np.isnan(got[:, 8:]).all()
    assert not np.isnan(got[:, 3:8]).any()


# ---- EM ----


@given(seeds, st.integers(1, 10), st.integers(1, 20), st.sampled_from([0, 0.3, 0.8]))
@settings(max_examples=40)
def test_sums_equal_their_twin(seed, d, n_states, missing):
    rng = np.random.default_rng(seed)
    gaussians = random_gaussians(rng, n_states, d)
    z = random_rows(rng, 25, d, missing)
    posterior = rng.dirichlet(np.ones(n_states), size=25).astype(np.float32)
    posterior[:, 0] *= 1e-4  # too little to count, in most rows
    rows = rng.permutation(25)
    moments = expect(gaussians, z, posterior, rows)
    weight, total, square = reference.sums(
        z[rows], posterior, gaussians.means, gaussians.covariances
    )
    for got, want in (
        (moments.weight, weight),
        (moments.sum, total),
        (moments.square, triangle(square)),
    ):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("d", [17, 64])
def test_sums_of_wide_blocks(d):
    rng = np.random.default_rng(d)
    gaussians = random_gaussians(rng, 3, d)
    z = random_rows(rng, 12, d, 0.5)
    posterior = rng.dirichlet(np.ones(3), size=12).astype(np.float32)
    moments = expect(gaussians, z, posterior)
    want = reference.sums(z, posterior, gaussians.means, gaussians.covariances)
    np.testing.assert_allclose(moments.sum, want[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(moments.square, triangle(want[2]), rtol=1e-4, atol=1e-4)


@given(seeds, st.integers(1, 8), st.integers(1, 20), st.sampled_from([0.0, 5.0, 100.0]))
@settings(max_examples=40)
def test_maximise_equals_its_twin(seed, d, n_states, shrinkage):
    rng = np.random.default_rng(seed)
    gaussians, n_rows, step = random_gaussians(rng, n_states, d), 200, 0.3
    batch, running = (
        expect(gaussians, random_rows(rng, n_rows, d, 0), responsibilities(rng, n_rows, n_states))
        for _ in range(2)
    )
    if n_states > 1:  # a state without rows keeps its mean
        for moments in (batch, running):
            moments.weight[0] = moments.sum[0] = moments.square[0] = 0
    for part in (running.weight, running.sum, running.square):
        part /= n_rows  # running sums are shares of a row
    mixed = [
        (1 - step) * getattr(running, name) + step * getattr(batch, name) / n_rows
        for name in ("weight", "sum", "square")
    ]
    means, covariances = reference.maximise(
        mixed[0], mixed[1], full(mixed[2], d), gaussians.means, 1000, max(shrinkage, 1e-9), 1e-6
    )
    gaussians.kernel.maximise(
        batch.kernel, running.kernel, n_rows, step, 1000, max(shrinkage, 1e-9), 1e-6,
        gaussians.work(),
    )  # fmt: skip
    np.testing.assert_allclose(gaussians.means, means, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gaussians.covariances, covariances, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(running.weight, mixed[0])
    assert not batch.weight.any() and not batch.sum.any() and not batch.square.any()


def responsibilities(rng, n_rows, n_states):
    return rng.dirichlet(np.ones(n_states), size=n_rows).astype(np.float32)


def full(lower, d):
    rows, cols = np.tril_indices(d)
    out = np.empty((len(lower), d, d))
    out[:, rows, cols] = out[:, cols, rows] = lower
    return out


def test_em_of_a_mixture_never_loses_likelihood():
    rng = np.random.default_rng(5)
    z = random_rows(rng, 400, 4, 0.3)
    gaussians, running = random_gaussians(rng, 6, 4), Moments(6, 4)
    share = np.full(6, 1 / 6)
    before = -np.inf
    for _ in range(40):
        likelihood, log_scale = leaf(gaussians, z)
        joint = likelihood * share
        total = float((np.log(joint.sum(axis=1)) + log_scale).sum())
        assert total > before - 1e-2
        before = total
        posterior = (joint / joint.sum(axis=1, keepdims=True)).astype(np.float32)
        batch = expect(gaussians, z, posterior)
        share = batch.weight / len(z)
        gaussians.kernel.maximise(
            batch.kernel, running.kernel, len(z), 1.0, len(z), 0.0, 0.0, gaussians.work()
        )


def test_integer_weights_are_repeats():
    rng = np.random.default_rng(6)
    z, labels = random_rows(rng, 60, 3, 0.2), rng.integers(-1, 4, size=60).astype(np.int32)
    weight = rng.integers(0, 4, size=60)
    fits = [Gaussians.empty(np.arange(3), 4) for _ in range(2)]
    start_gaussians(fits[0], z, labels, weight.astype(float), 5, 1e-6)
    start_gaussians(
        fits[1], z.repeat(weight, axis=0), labels.repeat(weight), np.ones(weight.sum()), 5, 1e-6
    )
    np.testing.assert_allclose(fits[0].means, fits[1].means, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(fits[0].covariances, fits[1].covariances, rtol=1e-9, atol=1e-12)


def test_more_than_64_columns_are_refused():
    with pytest.raises(ValueError, match="density stage refused"):
        Gaussians.empty(np.arange(65), 2)
