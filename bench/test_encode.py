"""Time the encode stage alone: nanoseconds and bytes per cell, share of the memory bandwidth.

Per cell, `encode_column` reads x (8 bytes), reads and writes the log-Jacobian (16) and writes z
(4); `forward` reads x (8) and writes z and log dz/dx (16); `inverse` reads z (8) and writes x (8).
Searching k knots costs log2(k) dependent loads, the cubic and the logarithm about 40 FLOPs: the
kernels are bound by those, not by memory, which the share of bandwidth shows.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from jointprob import _encode
from jointprob.encode import BLOCK_ROWS, fit_encodings
from jointprob.knots import fit_marginal

N_ROWS = 1_000_000
COLUMN_BYTES, FORWARD_BYTES, INVERSE_BYTES = 28, 24, 16


@pytest.fixture
def bandwidth(limits):
    return limits[1]


def smooth_column():
    return np.random.default_rng(0).normal(size=N_ROWS)


def spiky_column():
    """Jittered repeats: the Polya tree needs thousands of knots."""
    rng = np.random.default_rng(0)
    return np.round(rng.normal(size=N_ROWS), 2) + 1e-4 * rng.random(N_ROWS)


COLUMNS = {"smooth": smooth_column, "spiky": spiky_column}


@pytest.fixture(scope="module", params=COLUMNS)
def fitted(request):
    x = COLUMNS[request.param]()
    return x, fit_marginal(*_distinct(x[::20]))


def _distinct(x):
    values, counts = np.unique(x, return_counts=True)
    return values, counts.astype(float)


def _report(benchmark, n_cells, bytes_per_cell, bandwidth, n_knots=None):
    seconds = benchmark.stats.stats.min
    benchmark.extra_info.update(
        ns_per_cell=1e9 * seconds / n_cells,
        bytes_per_cell=bytes_per_cell,
        bandwidth_share=n_cells * bytes_per_cell / seconds / bandwidth,
        n_knots=n_knots,
    )
    print(benchmark.name, benchmark.extra_info)


def test_forward(benchmark, fitted, bandwidth):
    x, marginal = fitted
    z, log_slope = np.empty_like(x), np.empty_like(x)
    knots = marginal.keys, marginal.pieces, marginal.tails
    benchmark(_encode.forward, x, *knots, z, log_slope)
    _report(benchmark, N_ROWS, FORWARD_BYTES, bandwidth, len(marginal.x))


def test_inverse(benchmark, fitted, bandwidth):
    x, marginal = fitted
    z = marginal.forward(x)[0]
    knots = marginal.keys, marginal.pieces, marginal.tails
    benchmark(_encode.inverse, z, *knots, np.empty_like(z))
    _report(benchmark, N_ROWS, INVERSE_BYTES, bandwidth, len(marginal.x))


def test_encode_column(benchmark, fitted, bandwidth):
    """In blocks of rows, as `Encoding.encode` calls it, into one of ten columns of z."""
    x, marginal = fitted
    z, log_jacobian = np.empty((N_ROWS, 10), dtype=np.float32), np.zeros(N_ROWS)
    codes, atoms = np.empty((N_ROWS, 0), dtype=np.int32), np.empty(0)
    knots = marginal.keys, marginal.pieces, marginal.tails

    def encode():
        for start in range(0, N_ROWS, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, N_ROWS)
            _encode.encode_column(x, start, stop, *knots, atoms, codes, -1, z, 3, log_jacobian)

    benchmark(encode)
    _report(benchmark, N_ROWS, COLUMN_BYTES, bandwidth, len(marginal.x))


def make_table(n_rows, n_cols=10):
    rng = np.random.default_rng(1)
    columns = [rng.gamma(1 + j, size=n_rows) for j in range(n_cols - 1)]
    columns.append(np.where(rng.random(n_rows) < 0.3, 0.0, rng.normal(size=n_rows)))
    kinds = tuple(SimpleNamespace(kind="numeric", levels=()) for _ in columns)
    return SimpleNamespace(schema=SimpleNamespace(columns=kinds), n_rows=n_rows, columns=columns)


def test_encode_table(benchmark, bandwidth):
    """1,000,000 rows x 10 columns, one thread."""
    table = make_table(N_ROWS)
    scores, _ = fit_encodings(make_table(20_000))
    benchmark.pedantic(scores.encode, (table, 1), rounds=5)
    _report(benchmark, 10 * N_ROWS, COLUMN_BYTES, bandwidth)


@pytest.mark.parametrize("n_rows", [1_000, 10_000, 100_000, 1_000_000])
def test_fit(benchmark, n_rows):
    """Sorting and the choice of knots, per column."""
    table = make_table(n_rows, 4)
    benchmark.pedantic(fit_encodings, (table, None, 1), rounds=2)
    benchmark.extra_info["ms_per_column"] = 250 * benchmark.stats.stats.min
    print(benchmark.name, benchmark.extra_info)
