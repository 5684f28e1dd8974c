"""How good, how fast and how large: log density on held-out rows beside other methods.

    python bench/density.py --data DIR --out bench/RESULTS.md

Every fit runs in a process of its own, so that one method's memory never counts for another.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import data
import measure
import results
import sections
from comparison import Comparison
from measure import Result

SECTIONS = {
    "binary": sections.binary,
    "continuous": sections.continuous,
    "mixed": sections.mixed,
    "scale": sections.scale,
    "threads": sections.threads,
    "kernels": sections.kernels,
}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the stored tables")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="sections to run")
    parser.add_argument("--sets", type=lambda names: names.split(","), help="a,b: sets to run")
    parser.add_argument("--jobs", type=int, default=measure.n_cores(), help="our threads")
    parser.add_argument("--no-peers", action="store_true", help="run only our own models")
    parser.add_argument(
        "--limit", type=float, default=3600.0, help="seconds after which a method counts as failed"
    )
    parser.add_argument("--peers-cache", type=Path, help="JSON file: keep peers' results in it")
    parser.add_argument("--out", type=Path, help="results file whose density section is replaced")
    return parser.parse_args(arguments)


def compare(options: argparse.Namespace) -> None:
    """Print every section as soon as it is there, and keep the results file up to date."""
    comparison = Comparison(options)
    parts = [
        f"## Density\n\n{results.machine()}\nOurs: default settings, {options.jobs} threads.\n"
    ]
    print(parts[0])
    for name in options.only or SECTIONS:
        parts.append(SECTIONS[name](comparison) + comparison.take_notes())
        print(parts[-1], flush=True)
        if options.out:
            results.replace_section(options.out, "density", "\n".join(parts))


def work(task: dict[str, Any]) -> Result:
    """In the fresh process: load the set and run one method on it."""
    module, method = task["method"].split(".")
    function = getattr(importlib.import_module(module), method)
    if task["kind"] == "synthetic":
        n_rows, n_cols = map(int, task["name"].split(" x "))
        test = data.synthetic(10_000, n_cols, seed=1)
        return function(data.synthetic(n_rows, n_cols), test, **task["options"])
    return function(data.load(task["kind"], task["name"], Path(task["data"])), **task["options"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        measure.hand_back(work(json.loads(sys.argv[2])))
    else:
        compare(parse(sys.argv[1:]))
