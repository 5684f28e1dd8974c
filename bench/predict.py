"""How good and how fast predictions are: classes, numbers, outliers and missing cells.

    python bench/predict.py --data DIR --out bench/RESULTS.md

Ours and the other methods run with default settings, each fit in a process of its own.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import measure
import predict_sections
import results
import trials
from comparison import Comparison, command_line
from measure import Result

SECTIONS = {
    "classification": predict_sections.classification,
    "forests": predict_sections.forests,
    "regression": predict_sections.regression,
    "few-rows": predict_sections.few_rows,
    "outliers": predict_sections.outliers,
    "imputation": predict_sections.imputation,
}


def work(task: dict[str, Any]) -> Result:
    """In the fresh process: run the trial of this kind with one method on one set."""
    module, method = task["method"].split(".")
    make = partial(getattr(import_module(module), method), **task["options"])
    return getattr(trials, task["kind"])(make, task["name"], Path(task["data"]))


def compare(arguments: list[str]) -> None:
    options = command_line(__doc__.splitlines()[0], SECTIONS).parse_args(arguments)
    heading = (
        f"## Predictions\n\n{results.machine(['lightgbm', 'quantile-forest', 'pyod'])}\n"
        f"All methods: default settings. Ours: {options.jobs} threads; {predict_sections.SPLITS}\n"
    )
    Comparison(options, Path(__file__)).report("predict", heading, SECTIONS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        measure.hand_back(work(json.loads(sys.argv[2])))
    else:
        compare(sys.argv[1:])
