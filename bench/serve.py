"""In service: seconds for one row, rows per second in batches, memory over many calls.

    python bench/serve.py --data DIR --out bench/RESULTS.md

All methods answer for one table in one process, in turns.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import measure
import results
import serve_sections
from comparison import Comparison, command_line
from measure import Result

SECTIONS = {
    "one-row": serve_sections.one_row,
    "batches": serve_sections.batches,
    "steady": serve_sections.steady,
}


def work(task: dict[str, Any]) -> Result:
    """In the fresh process: every method on one table."""
    trial = getattr(serve_sections, task["method"])
    return trial(task["name"], Path(task["data"]), **task["options"])


def compare(arguments: list[str]) -> None:
    options = command_line(__doc__.splitlines()[0], SECTIONS).parse_args(arguments)
    heading = f"## Service\n\n{results.machine(['lightgbm'])}"
    Comparison(options, Path(__file__)).report("serve", heading, SECTIONS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        measure.hand_back(work(json.loads(sys.argv[2])))
    else:
        compare(sys.argv[1:])
