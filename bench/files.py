"""How long a file of about 100 MB takes to load, beside one reading of its bytes.

python bench/files.py [--columns 400] [--subsets 88]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from jointprob import JEPADensity, Joint


def table(n_rows: int, n_columns: int) -> dict[str, np.ndarray]:
    """Levels that hang together by eight groups of rows."""
    random = np.random.default_rng(0)
    group, share = random.integers(8, size=n_rows), random.random((8, n_columns))
    return {
        f"c{j}": np.where(random.random(n_rows) < share[group, j], "a", "b").astype(object)
        for j in range(n_columns)
    }


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Wall time and CPU time of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Fit, save, and load in turn with a plain reading."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, default=400)
    parser.add_argument("--subsets", type=int, default=88)
    parser.add_argument("--times", type=int, default=21)
    given = parser.parse_args()
    path = Path(tempfile.mkdtemp()) / "large.jp"
    rows = table(1000, given.columns)
    JEPADensity(n_subsets=given.subsets, n_trees=1, random_state=0).fit(rows).joint_.save(path)
    ways: dict[str, Callable[[], object]] = {
        "load, mapped": lambda: Joint.load(path),
        "load, read": lambda: Joint.load(path, mmap=False),
        "bytes summed once": lambda: np.fromfile(path, np.uint64).sum(),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(given.times):
        for name, way in ways.items():
            taken[name].append(seconds(way))
    print(f"{path.stat().st_size / 1e6:.0f} MB, {given.columns} columns, median of {given.times}")
    for name, pairs in taken.items():
        wall, cpu = (1e3 * median(times) for times in zip(*pairs, strict=True))
        print(f"{name:20s} {wall:6.1f} ms, {cpu:6.1f} ms of CPU")
    path.unlink()
    path.parent.rmdir()


if __name__ == "__main__":
    main()
