"""How long a file of about 100 MB takes to load, beside one reading of its bytes.

python bench/files.py --out bench/RESULTS.md
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import results

from jointprob import JEPADensity, Joint

ALLOWED = 50.0  # ms for 100 MB, mapped


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


def report(n_bytes: int, taken: dict[str, list[tuple[float, float]]]) -> str:
    """The section of the results file."""
    rows, clock = [], {}
    for name, pairs in taken.items():
        wall, cpu = (1e3 * median(times) for times in zip(*pairs, strict=True))
        rows.append([name, f"{wall:.1f}", f"{cpu:.1f}"])
        clock[name] = wall
    allowed = ALLOWED * n_bytes / 1e8
    return (
        f"## Files\n\n{results.machine([])}\n"
        f"A joint of two-level columns, {n_bytes / 1e6:.0f} MB. Every loading checks every size, "
        f"index and table. Medians of turns.\n\n"
        f"{results.table('way | ms | ms of CPU', rows)}\n"
        f"- {ALLOWED:.0f} ms for 100 MB, here {allowed:.0f}: {clock['load, mapped']:.0f}: "
        f"{results.verdict(clock['load, mapped'] <= allowed)}.\n"
    )


def main() -> None:
    """Fit, save, and load in turn with a plain reading."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, default=400)
    parser.add_argument("--subsets", type=int, default=88)
    parser.add_argument("--times", type=int, default=21)
    parser.add_argument("--out", type=Path, help="results file whose section is replaced")
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
    text = report(path.stat().st_size, taken)
    print(text)
    if given.out:
        results.replace_section(given.out, "files", text)
    path.unlink()
    path.parent.rmdir()


if __name__ == "__main__":
    main()
