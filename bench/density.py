"""How good, how fast and how large: log density on held-out rows beside other methods.

    python bench/density.py --data DIR --out bench/RESULTS.md

Every fit runs in a process of its own, so that one method's memory never counts for another.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import data
import measure
import results
import sections
from comparison import Comparison, command_line
from measure import Result

SECTIONS = {
    "binary": sections.binary,
    "continuous": sections.continuous,
    "mixed": sections.mixed,
    "scale": sections.scale,
    "threads": sections.threads,
    "kernels": sections.kernels,
}


def work(task: dict[str, Any]) -> Result:
    """In the fresh process: load the set and run one method on it."""
    module, method = task["method"].split(".")
    function = getattr(importlib.import_module(module), method)
    if task["kind"] == "synthetic":
        n_rows, n_cols = map(int, task["name"].split(" x "))
        test = data.synthetic(10_000, n_cols, seed=1)
        return function(data.synthetic(n_rows, n_cols), test, **task["options"])
    return function(data.load(task["kind"], task["name"], Path(task["data"])), **task["options"])


def compare(arguments: list[str]) -> None:
    options = command_line(__doc__.splitlines()[0], SECTIONS).parse_args(arguments)
    heading = (
        f"## Density\n\n{results.machine(['arfpy'])}\n"
        f"Ours: default settings, {options.jobs} threads.\n"
    )
    Comparison(options, Path(__file__)).report("density", heading, SECTIONS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        measure.hand_back(work(json.loads(sys.argv[2])))
    else:
        compare(sys.argv[1:])
