"""The Gaussian kernels alone: seconds, bytes, FLOPs, and the share of the machine's limit.

``python -m pytest bench/test_density.py`` on an idle machine. A row costs 2 * triangle FLOPs at
each state: a full product with the triangular whitening, which early abandoning may cut short
(shares beyond the machine's show how much), and 3 * triangle when its moments are added.
"""

from __future__ import annotations

import numpy as np
import pytest
from machine import state

from jointprob.density import NEGLIGIBLE, Gaussians, Moments

N_ROWS = 1024
SHAPES = [(2, 64), (8, 64), (16, 64), (32, 128), (63, 256)]  # columns, states


def problem(d, n_states, apart, missing=0.0):
    """Gaussians `apart` standard deviations from the origin in every column, and rows from them."""
    rng = np.random.default_rng(0)
    gaussians = Gaussians.empty(np.arange(d), n_states)
    gaussians.mean_lanes[:, :n_states] = apart * rng.normal(size=(d, n_states))
    gaussians.derive()
    centre = gaussians.means[rng.integers(n_states, size=N_ROWS)]
    z = (centre + rng.normal(size=(N_ROWS, d))).astype(np.float32)
    z[rng.random(z.shape) < missing] = np.nan
    return gaussians, z


def leaf(gaussians, z):
    """Arguments of the leaf kernel."""
    out = np.empty((len(z), gaussians.n_states), np.float32)
    return z, None, 0, len(z), NEGLIGIBLE, out, 0, np.zeros(len(z)), gaussians.work()


def triangle(gaussians):
    d = len(gaussians.columns)
    return d * (d + 1) // 2


def table_bytes(gaussians):
    return gaussians.whitening_lanes.nbytes + gaussians.mean_lanes.nbytes


@pytest.mark.parametrize("apart", [0.1, 3], ids=["near", "apart"])
@pytest.mark.parametrize(("d", "n_states"), SHAPES)
def test_leaf(benchmark, limits, d, n_states, apart):
    gaussians, z = problem(d, n_states, apart)
    benchmark(gaussians.kernel.leaf, *leaf(gaussians, z))
    flops = 2 * triangle(gaussians) * n_states * N_ROWS
    state(benchmark, limits, z.nbytes + 4 * N_ROWS * n_states + table_bytes(gaussians), flops)


@pytest.mark.parametrize("missing", [0.02, 0.2])
def test_leaf_of_rows_with_missing_cells(benchmark, limits, missing):
    """Every pattern of missing cells in 512 rows has a whitening of its own made."""
    d, n_states = 10, 64
    gaussians, z = problem(d, n_states, 0.1, missing)
    benchmark(gaussians.kernel.leaf, *leaf(gaussians, z))
    patterns = sum(len(np.unique(np.isnan(part), axis=0)) for part in np.split(z, 2))
    made = patterns * n_states * d**3 // 3
    flops = 2 * triangle(gaussians) * n_states * N_ROWS + 2 * made
    state(benchmark, limits, z.nbytes + 4 * N_ROWS * n_states, flops)


@pytest.mark.parametrize(("d", "n_states"), SHAPES)
def test_derive(benchmark, limits, d, n_states):
    """Cholesky factor and its inverse: d^3 / 3 multiply-adds a state in double precision."""
    gaussians, _ = problem(d, n_states, 0.1)
    benchmark(gaussians.kernel.derive, gaussians.work())
    n_bytes = gaussians.covariance_lanes.nbytes + table_bytes(gaussians)
    state(benchmark, limits, n_bytes, 2 * n_states * d**3 / 3)


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize(("d", "n_states"), SHAPES[:-1])
def test_expect(benchmark, limits, d, n_states, missing):
    """Four states share each row, as after a few epochs of EM."""
    gaussians, z = problem(d, n_states, 0.1, missing)
    rng = np.random.default_rng(1)
    posterior = np.zeros((N_ROWS, n_states), np.float32)
    posterior[np.arange(N_ROWS)[:, None], rng.integers(n_states, size=(N_ROWS, 4))] = 0.25
    sums = Moments(n_states, d)
    benchmark(gaussians.kernel.expect, z, None, posterior, 0, 0, N_ROWS, sums.kernel)
    n_added = int((posterior > 0).sum())
    n_bytes = z.nbytes + posterior.nbytes + 16 * triangle(gaussians) * n_added
    state(benchmark, limits, n_bytes, 3 * triangle(gaussians) * n_added)


@pytest.mark.parametrize(("d", "n_states"), SHAPES)
def test_maximise(benchmark, limits, d, n_states):
    """Sums moved, covariances shrunk, and whitened again."""
    gaussians, z = problem(d, n_states, 0.1)
    batch, running = Moments(n_states, d), Moments(n_states, d)
    posterior = np.full((N_ROWS, n_states), 1 / n_states, np.float32)
    gaussians.kernel.expect(z, None, posterior, 0, 0, N_ROWS, running.kernel)
    benchmark(
        gaussians.kernel.maximise, batch.kernel, running.kernel, 512.0, 0.01, 1e5, 5.0, 1e-6,
        gaussians.work(),
    )  # fmt: skip
    n_bytes = 5 * running.square.nbytes + table_bytes(gaussians)
    state(benchmark, limits, n_bytes, n_states * (2 * d**3 / 3 + 12 * triangle(gaussians)))
