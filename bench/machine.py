"""The machine's limits, and a kernel's share of them."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits


def fastest(*calls: Callable[[], Any], rounds: int = 7) -> list[float]:
    """Least seconds of each call; the calls take turns, so that all meet the same machine.

    A turn is three runs: the first may find the caches full of another call's data.
    """
    seconds = [np.inf] * len(calls)
    for _ in range(rounds):
        for k, call in enumerate(calls):
            for _ in range(3):
                start = perf_counter()
                call()
                seconds[k] = min(seconds[k], perf_counter() - start)
    return seconds


MATMUL_FLOPS = 2 * 2048**3


def matmul() -> Callable[[], Any]:
    """A float32 product of 2048 x 2048 on one thread: MATMUL_FLOPS."""
    a = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)

    def product() -> None:
        with threadpool_limits(1):
            _ = a @ a

    return product


def copy_bytes_per_second() -> float:
    """Of 512 MB read and written."""
    source, target = np.ones(2**25), np.zeros(2**25)
    return 2 * source.nbytes / fastest(lambda: np.copyto(target, source), rounds=2)[0]


def matmul_flops_per_second() -> float:
    return MATMUL_FLOPS / fastest(matmul(), rounds=2)[0]


def state(benchmark: Any, limits: tuple[float, float], n_bytes: float, flops: float) -> None:
    """Write what a kernel moves and computes, and its share of (FLOPs, bytes) per second."""
    info, seconds = benchmark.extra_info, benchmark.stats.stats.min
    info["bytes"], info["flops"] = int(n_bytes), int(flops)
    info["gflops_per_second"] = round(flops / seconds / 1e9, 2)
    info["gbytes_per_second"] = round(n_bytes / seconds / 1e9, 2)
    info["share_of_matmul"] = round(flops / seconds / limits[0], 3)
    info["share_of_copy"] = round(n_bytes / seconds / limits[1], 3)
