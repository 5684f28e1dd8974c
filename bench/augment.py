"""Augmentation of images: how fast and how exact, beside other libraries; what it is good for.

    python bench/augment.py --data DIR --out bench/RESULTS.md

All libraries work on one batch in one process, in turns.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import augment_sections
import measure
import results
from comparison import Comparison, command_line
from measure import Result

SECTIONS = {
    "one-thread": augment_sections.one_thread,
    "threads": augment_sections.threads,
    "exactness": augment_sections.exactness,
}
PACKAGES = ["opencv-python-headless", "albumentations", "torch", "torchvision", "kornia", "scipy"]
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def work(task: dict[str, Any]) -> Result:
    """In the fresh process: every library on one batch."""
    module, function = task["method"].split(".")
    run = getattr(import_module(f"pixels.{module}"), function)
    return run(task["name"], task["kind"], Path(task["data"]), **task["options"])


def compare(arguments: list[str]) -> None:
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # of the other libraries' runtimes
    options = command_line(__doc__.splitlines()[0], SECTIONS).parse_args(arguments)
    heading = f"## Augmentation\n\n{results.machine(PACKAGES)}"
    Comparison(options, Path(__file__)).report("augment", heading, SECTIONS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        measure.hand_back(work(json.loads(sys.argv[2])))
    else:
        compare(sys.argv[1:])
