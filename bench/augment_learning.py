"""What augmentation is worth: accuracy after few training images, without and with it.

    python bench/augment_learning.py --data DIR --out bench/RESULTS.md

A section for each classifier; each set in a process of its own.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import measure
import numpy as np
import results
from comparison import Comparison, command_line
from measure import Result
from results import table, verdict

TITLES = {
    "neighbours": "Nearest neighbours (3)",
    "svm": "SVM (RBF)",
    "jepa": "JEPAClassifier on 30 principal components",
}
NOTE = (
    "AugmentedClassifier with copies of each image (neighbours 10, others 4), or with none; pixels "
    "in [0, 1]. Two recipes for all sets. Weak: turned by up to 5 degrees, shifted by up to "
    "0.75/28 of the side, scaled by 0.95 to 1.05; strong: twice as far; both: noise of standard "
    "deviation 0 to 50 of 255. Three folds of the training images choose between them, for the "
    "SVM of 300 at most, and with copies and without also its C of 1 and 10; the third classifier "
    "takes the strong one. The recipes, the numbers of copies and the values of C were settled on "
    "these very sets. "
    "Training images and 2,000 test images (or all that are left) by a permutation of each of 5 "
    "seeds; differences are paired by seed, -+ their standard error. Noisy test: standard "
    "deviation 50. Shifted test: each image by whole pixels, up to 2 either way (1 of the 8x8 "
    "digits). Saved: how much less accuracy the changed test images cost than without copies, "
    "from what the test images as they are give.\n"
)


def section(comparison: Comparison, model: str) -> str:
    """Every set and number of training images with one classifier."""
    from pixels import learning

    rows, cases = [], []
    for name in comparison.named(tuple(learning.SETS)):
        runs = comparison.ours("lift", model, name, module="learning")
        for n_train in learning.N_TRAIN:
            seeds = runs.get(str(n_train), [])
            if seeds:
                rows.append([f"{name}, {n_train:,}", *_accuracy(seeds), *_changed(seeds)])
                cases.append(seeds)
    header = (
        "set, training images | accuracy % without | with | lift | noisy test without | with | "
        "saved | shifted test without | with | saved"
    )
    return f"### {TITLES[model]}\n\n{table(header, rows)}\n" + _points(cases)


def _values(seeds: list[dict[str, Any]], copies: str, what: str) -> np.ndarray:
    return 100 * np.array([seed[copies][what] for seed in seeds])


def _difference(seeds: list[dict[str, Any]], what: str) -> np.ndarray:
    return _values(seeds, "with", what) - _values(seeds, "without", what)


def _loss(seeds: list[dict[str, Any]], copies: str, what: str) -> np.ndarray:
    return _values(seeds, copies, "clean") - _values(seeds, copies, what)


def _saved(seeds: list[dict[str, Any]], what: str) -> np.ndarray:
    return _loss(seeds, "without", what) - _loss(seeds, "with", what)


def _accuracy(seeds: list[dict[str, Any]]) -> list[str]:
    without, augmented = (_values(seeds, copies, "clean").mean() for copies in ("without", "with"))
    return [f"{without:.2f}", f"{augmented:.2f}", _spread(_difference(seeds, "clean"))]


def _changed(seeds: list[dict[str, Any]]) -> list[str]:
    return [
        shown
        for what in ("noisy", "shifted")
        for shown in (
            f"{_values(seeds, 'without', what).mean():.2f}",
            f"{_values(seeds, 'with', what).mean():.2f}",
            _spread(_saved(seeds, what)),
        )
    ]


def _spread(values: np.ndarray) -> str:
    """Mean and standard error."""
    return f"{values.mean():+.2f} -+ {_error(values):.2f}"


def _points(cases: list[list[dict[str, Any]]]) -> str:
    """In how many cases augmentation helps, and in how many beyond doubt."""
    asked = {
        "accuracy is higher": [_difference(seeds, "clean") for seeds in cases],
        "accuracy on the noisy test is higher": [_difference(seeds, "noisy") for seeds in cases],
        "accuracy on the shifted test is higher": [
            _difference(seeds, "shifted") for seeds in cases
        ],
        "noise costs less": [_saved(seeds, "noisy") for seeds in cases],
        "shifts cost less": [_saved(seeds, "shifted") for seeds in cases],
    }
    return "".join(
        f"- {what} with augmentation in {sum(gain.mean() > 0 for gain in gains)} of {len(cases)} "
        f"cases, in {sum(gain.mean() > 2 * _error(gain) for gain in gains)} by more than two "
        f"standard errors: {verdict(all(gain.mean() > 0 for gain in gains))}.\n"
        for what, gains in asked.items()
        if cases
    )


def _error(values: np.ndarray) -> float:
    """Standard error of the mean."""
    return values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.inf


SECTIONS = {model: partial(section, model=model) for model in TITLES}


def work(task: dict[str, Any]) -> Result:
    """In the fresh process: one classifier on one set."""
    from pixels import learning

    folder = Path(task["data"])
    return learning.lift(task["name"], task["kind"], folder, **task["options"])


def compare(arguments: list[str]) -> None:
    options = command_line(__doc__.splitlines()[0], SECTIONS).parse_args(arguments)
    heading = f"## What augmentation is worth\n\n{results.machine([])}\n{NOTE}"
    Comparison(options, Path(__file__)).report("augment-learning", heading, SECTIONS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        measure.hand_back(work(json.loads(sys.argv[2])))
    else:
        compare(sys.argv[1:])
