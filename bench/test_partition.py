"""The partition kernels alone: seconds, bytes, FLOPs, and the share of the machine's limit.

``python -m pytest bench/test_partition.py`` on an idle machine. Arithmetic is compared with a
float32 matmul of 2048 x 2048 on one thread, traffic with a copy of 512 MB.
"""

import numpy as np
import pytest
from machine import state

from jointprob import _partition
from jointprob.partition import assign, chow_liu, features, kmeans, mutual_information

SHAPES = [(100_000, 20, 64), (100_000, 60, 64), (20_000, 500, 256), (5_000, 2_000, 256)]


@pytest.mark.parametrize(("n_rows", "n_features", "n_subsets"), SHAPES)
def test_assign(benchmark, limits, n_rows, n_features, n_subsets):
    points = np.random.default_rng(1).normal(size=(n_rows, n_features)).astype(np.float32)
    centers = points[:n_subsets].copy()
    benchmark(assign, points, centers, n_jobs=1)
    flops = 2 * n_rows * n_features * (n_subsets + 1)
    state(benchmark, limits, points.nbytes + 8 * n_rows, flops)


@pytest.mark.parametrize("n_features", [20, 60, 500])
def test_subset_sums(benchmark, limits, n_features):
    n_rows, rng = 4096, np.random.default_rng(2)
    points = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    labels = rng.integers(0, 64, size=n_rows).astype(np.int32)
    sums, mass, weight = np.zeros((64, n_features)), np.zeros(64), np.ones(n_rows)
    benchmark(_partition.kmeans_sums, points, weight, labels, 0, n_rows, sums, mass)
    n_bytes = points.nbytes + 16 * n_rows * n_features  # sums are read and written
    state(benchmark, limits, n_bytes, 2 * n_rows * n_features)


@pytest.mark.parametrize(("n_rows", "n_subsets"), [(10_000, 16), (100_000, 64), (1_000_000, 64)])
def test_kmeans(benchmark, limits, n_rows, n_subsets):
    points = np.random.default_rng(3).normal(size=(n_rows, 40)).astype(np.float32)
    benchmark.pedantic(kmeans, (points, n_subsets), rounds=3)
    state(benchmark, limits, points.nbytes, 0)


@pytest.mark.parametrize("n_columns", [100, 500, 1500])
def test_counts_of_two_level_columns(benchmark, limits, n_columns):
    """Gram matrix of indicators: half of it, by symmetry."""
    n_rows = 20_000
    labels = np.random.default_rng(4).integers(0, 2, size=(n_rows, n_columns)).astype(np.int32)
    benchmark.pedantic(
        mutual_information, (labels, [2] * n_columns), {"n_jobs": 1}, rounds=3, warmup_rounds=1
    )
    state(benchmark, limits, 12 * labels.size, n_rows * n_columns**2)


@pytest.mark.parametrize("n_rows", [10_000, 100_000, 1_000_000])
def test_counts_of_many_levels(benchmark, limits, n_rows):
    """A table for each pair: two labels and a weight are read, a count is read and written."""
    labels = np.random.default_rng(5).integers(0, 8, size=(n_rows, 16)).astype(np.int32)
    benchmark.pedantic(
        mutual_information, (labels, [8] * 16), {"n_jobs": 1}, rounds=3, warmup_rounds=1
    )
    pairs = 16 * 17 // 2
    state(benchmark, limits, 32 * pairs * n_rows, pairs * n_rows)


@pytest.mark.parametrize("n_blocks", [20, 200, 1500])
def test_chow_liu(benchmark, limits, n_blocks):
    half = np.random.default_rng(6).random((n_blocks, n_blocks))
    information = half + half.T
    benchmark(chow_liu, information)
    state(benchmark, limits, information.nbytes, 0)


@pytest.mark.parametrize("n_rows", [10_000, 1_000_000])
def test_features(benchmark, limits, n_rows):
    rng = np.random.default_rng(7)
    codes = rng.integers(-1, 6, size=(n_rows, 10)).astype(np.int32)
    z = rng.normal(size=(n_rows, 10)).astype(np.float32)
    points = benchmark.pedantic(
        features, (codes, [6] * 10, z), {"n_jobs": 1}, rounds=3, warmup_rounds=1
    )
    state(benchmark, limits, codes.nbytes + z.nbytes + points.nbytes, 0)
