"""What new rows of a small class are worth: average precision, rows a second, copies.

    python bench/augment_tables.py --data DIR --out bench/RESULTS.md

Ours and the other methods run with default settings, each set and method in a process of its own.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import measure
import numpy as np
import resampling
import results
from comparison import Comparison, command_line
from measure import Result
from results import figure, number, table

METHODS = {
    "ours": "ours",
    "no resampling": "nothing",
    "class weights": "weights",
    "random oversampling": "repeats",
    "SMOTE": "smote",
    "SMOTENC": "smotenc",
    "ADASYN": "adasyn",
    "no resampling, plain table": "nothing_plain",
}
SETS = ("hypothyroid", "mammography", "annthyroid")
WITH_LEVELS = (
    "hypothyroid",
    "adult",
    "german_credit",
)  # SMOTENC refuses other tables; plain is the same there
ONLY_WITH_LEVELS = ("SMOTENC", "no resampling, plain table")
SPEED = 10.0  # times SMOTENC's rows a second
BASE = "no resampling"


def classes(comparison: Comparison) -> str:
    """Every method on every set."""
    return _compared(comparison, SETS)


def thinned(comparison: Comparison) -> str:
    """The same where the small class is made small: our default strength was chosen on these."""
    said = ", ".join(f"{name} {a} and {b:,}" for name, (a, b) in resampling.THINNED.items())
    return (
        f"Training rows of the class and others, at most: {said}. The default strength of ours "
        "was chosen on these tables, so they are no test of it.\n\n"
        + _compared(comparison, tuple(resampling.THINNED))
    )


def _compared(comparison: Comparison, names: tuple[str, ...]) -> str:
    runs = {name: _runs(comparison, name) for name in comparison.named(names)}
    parts = [f"### {name}\n\n{_shown(run)}" for name, run in runs.items()]
    return "\n".join(parts) + "\n" + _points(runs)


def _runs(comparison: Comparison, name: str) -> dict[str, Result]:
    return {
        shown: comparison.ours(method, "resampling", name, module="resamplers")
        if shown == "ours"
        else comparison.peer(f"resamplers.{method}", "resampling", name)
        for shown, method in METHODS.items()
        if shown not in ONLY_WITH_LEVELS or name in WITH_LEVELS
    }


def _shown(runs: dict[str, Result]) -> str:
    header = (
        "method | average precision | beside no resampling | +- | new rows/s | of further rows "
        "| copied, % | distance"
    )
    return table(header, [_line(method, run, runs[BASE]) for method, run in runs.items()])


def _line(method: str, run: Result, base: Result) -> list[str]:
    gain, error = _gain(run, base)
    copied = run.get("copied")
    return [
        method, number(run.get("average_precision"), 4), number(gain, 4), number(error, 4),
        figure(run.get("rows_per_second")), figure(run.get("more_rows_per_second")),
        number(None if copied is None else 100 * copied, 2), number(run.get("distance"), 2),
    ]  # fmt: skip


def _gain(run: Result, base: Result) -> tuple[float | None, float | None]:
    """Mean difference over the seeds, and its standard error."""
    if "scores" not in run or "scores" not in base:
        return None, None
    gains = np.array(run["scores"]) - np.array(base["scores"])
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def _points(runs: dict[str, dict[str, Result]]) -> str:
    lines = []
    for name, run in runs.items():
        gain, error = _gain(run["ours"], run[BASE])
        if gain is None or error is None:
            continue
        said = "more" if gain > 2 * error else "less" if gain < -2 * error else "no different"
        lines.append(f"- {name}: ours is worth {said} than no resampling ({gain:+.4f}).")
        lines += _speeds(name, run["ours"], run.get("SMOTENC", {}))
    return "\n".join(lines) + "\n"


def _speeds(name: str, ours: Result, other: Result) -> list[str]:
    """Ours beside the only other method that makes rows with levels."""
    rate = other.get("more_rows_per_second")
    if rate is None:
        return []
    pairs = {"further rows": "more_rows_per_second", "rows of `sample`": "drawn_rows_per_second"}
    return [
        f"- {name}: our {what} a second / SMOTENC's further rows, at least {SPEED:g}: "
        f"{ours[key] / rate:.3g}, {results.verdict(ours[key] / rate >= SPEED)}."
        for what, key in pairs.items()
    ]


def work(task: dict[str, Any]) -> Result:
    """In the fresh process: run the trial with one method on one set."""
    module, method = task["method"].split(".")
    make = partial(getattr(import_module(module), method), **task["options"])
    return getattr(resampling, task["kind"])(make, task["name"], Path(task["data"]))


def compare(arguments: list[str]) -> None:
    sections = {"classes": classes, "thinned": thinned}
    options = command_line(__doc__.splitlines()[0], sections).parse_args(arguments)
    heading = (
        f"## New rows of tables\n\n{results.machine(['lightgbm', 'imbalanced-learn'])}\n"
        f"All methods: default settings. Ours: {options.jobs} threads. LightGBM, one thread, is "
        f"trained on the resampled table; five seeds, each of which shuffles the table and fits on "
        f"{resampling.TRAIN_SHARE:.0%} of it. SMOTE, SMOTENC and ADASYN take codes of levels, and "
        "medians where numbers are missing. +-: standard error of the difference over the seeds. "
        f"Further rows: the time that {resampling.MORE_ROWS:,} rows more take, without the fit. "
        "Distance: median distance of new rows to the nearest real row of the class, over the "
        "same of the real rows among each other.\n"
    )
    Comparison(options, Path(__file__)).report("augment-tables", heading, sections)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        measure.hand_back(work(json.loads(sys.argv[2])))
    else:
        compare(sys.argv[1:])
