"""The query kernels alone, and whole queries of 10,000 rows.

``python -m pytest bench/test_query.py`` on an idle machine. Kernels say their bytes and FLOPs; an
exponential or a logarithm counts as 20. Queries say rows per second, on a mixed table of 10 numeric
and 10 categorical columns with 5 % of the cells missing and one tree of 64 subsets.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from machine import state

from jointprob import _query
from jointprob.encode import fit_encodings
from jointprob.joint import Member, Plan, Rows, Schedule, grow, refine
from jointprob.query import Joint
from jointprob.query.intervals import rectangle
from jointprob.table import read_table

N_ROWS, N_COLUMNS, N_STATES = 4096, 10, 64
N_ASKED = 10_000


@cache
def gaussians() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(N_STATES, N_COLUMNS, N_COLUMNS)) / 4 + np.eye(N_COLUMNS)
    return rng.normal(size=(N_STATES, N_COLUMNS)), root @ root.transpose(0, 2, 1)


def points() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(N_ROWS, N_COLUMNS)).astype(np.float32)


def test_condition(benchmark, limits):
    """One missing column given nine, in eight states a row; pairs of a state stand together."""
    kernel, z = _query.States(*gaussians()), points()
    rows = np.repeat(np.arange(N_ROWS), 8)
    choose = np.random.default_rng(2).integers(N_STATES, size=len(rows))
    order, chosen = np.argsort(choose, kind="stable"), choose.astype(np.int32)
    mean, factor = np.empty((len(rows), 1)), np.empty((len(rows), 1, 1))
    work, target = np.empty(kernel.work_size()), np.array([3], np.int64)
    benchmark(kernel.condition, z, rows, chosen, order, target, work, mean, factor)
    n_bytes = len(rows) * (4 * N_COLUMNS + 8 + 4 + 8 + 16)
    state(benchmark, limits, n_bytes, len(rows) * N_COLUMNS**2)


def test_leave_one_out(benchmark, limits):
    kernel, z = _query.States(*gaussians()), points()
    prior = np.full((N_ROWS, N_STATES), 1 / N_STATES, np.float32)
    whole, rest = np.empty(N_ROWS), np.empty(z.shape)
    order, work = np.arange(N_ROWS), np.empty(kernel.work_size())
    benchmark(kernel.leave_one_out, z, order, prior, 0, work, whole, rest)
    flops = N_ROWS * N_STATES * (2 * N_COLUMNS**2 + 20 * (N_COLUMNS + 2))
    state(benchmark, limits, z.nbytes + prior.nbytes + rest.nbytes, flops)


def test_draw(benchmark, limits):
    """Five missing columns given five, in one state a row; rows of a state stand together."""
    kernel, z = _query.States(*gaussians()), points().astype(np.float64)
    z[:, ::2] = np.nan
    chosen = np.sort(np.random.default_rng(3).integers(N_STATES, size=N_ROWS)).astype(np.int32)
    normal, out = np.random.default_rng(4).normal(size=z.shape), np.empty(z.shape)
    order, work = np.arange(N_ROWS), np.empty(kernel.work_size())
    benchmark(kernel.draw, z, chosen, order, normal, work, out)
    state(benchmark, limits, 3 * z.nbytes, N_ROWS * N_COLUMNS**2)


def test_uniform(benchmark, limits):
    """Ten rounds of two 64-bit products for four numbers."""
    key, out = np.arange(N_ROWS, dtype=np.uint64), np.empty((N_ROWS, 20))
    benchmark(_query.uniform, 0, key, out)
    state(benchmark, limits, out.nbytes, out.size * 10)


def test_rectangle(benchmark, limits):
    """Three intervals under 64 normals, to an absolute error of 1e-4."""
    mean, covariance = gaussians()
    factor = np.linalg.cholesky(covariance[:, :3, :3])
    low, high = np.array([-1.0, -np.inf, 0.0]), np.array([1.0, 0.5, np.inf])
    benchmark(rectangle, mean[:, :3], factor, low, high, 1e-4)


def table(n_rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    group = rng.integers(8, size=n_rows)
    columns: dict[str, np.ndarray] = {}
    for j in range(10):
        x = rng.normal(rng.normal(size=8)[group])
        x[rng.random(n_rows) < 0.05] = np.nan
        columns[f"x{j}"] = x
        level = (group + rng.integers(4, size=n_rows)) % 6
        c = np.array(list("abcdef"), dtype=object)[level]
        c[rng.random(n_rows) < 0.05] = None
        columns[f"c{j}"] = c
    return columns


@cache
def joint() -> Joint:
    read = read_table(table(20_000))
    encoding = fit_encodings(read)[0]
    encoded = encoding.encode(read)
    numeric = tuple(range(10))
    rows = Rows(encoded.codes, encoded.z, np.ones(read.n_rows), encoding.n_levels, numeric)
    plan = Plan(n_subsets=16, n_gaussians=64, numeric_blocks=(numeric,))
    tree = refine(grow(rows, plan, 0), rows, rows, plan, Schedule(n_epochs=1), 0)
    return Joint(read.schema, (Member(tree, encoding, 0.0),))


def evidence(X: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: X[name] for name in ("x0", "x1", "x2", "c0", "c1", "c2")}


QUERIES: dict[str, Any] = {
    "log_prob": lambda X: joint().log_prob(X, n_jobs=1),
    "explain": lambda X: joint().explain(X, n_jobs=1),
    "impute mean": lambda X: joint().impute(X, n_jobs=1),
    "impute sample": lambda X: joint().impute(X, "sample", 0, n_jobs=1),
    "sample": lambda X: joint().sample(N_ASKED, 0, n_jobs=1),
    "predict_proba": lambda X: joint().condition(evidence(X), n_jobs=1).predict_proba("c9"),
    "mean": lambda X: joint().condition(evidence(X), n_jobs=1).mean("x9"),
    "quantile": lambda X: joint().condition(evidence(X), n_jobs=1).quantile("x9", 0.5),
    "conditional log_prob": lambda X: joint().condition(evidence(X), n_jobs=1).log_prob(X),
}


@pytest.mark.parametrize("query", QUERIES)
def test_query(benchmark, query):
    X = table(N_ASKED)
    joint()
    benchmark.pedantic(QUERIES[query], args=(X,), rounds=3, warmup_rounds=1)
    benchmark.extra_info["rows_per_second"] = int(N_ASKED / benchmark.stats.stats.min)
