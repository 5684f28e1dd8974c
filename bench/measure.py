"""Each fit in a fresh process: seconds, rows per second and peak memory above the input."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Result = dict[str, Any]
MARK = "RESULT "  # peers print what they like; the worker's last word starts with this


def in_fresh_process(script: Path, task: dict[str, Any], limit: float | None = None) -> Result:
    """Run ``script worker TASK`` and return its result, or ``{"error": why}``."""
    command = [sys.executable, "-W", "ignore", str(script), "worker", json.dumps(task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"stopped after {limit:.0f} s"}
    words = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if words:
        return json.loads(words[-1].removeprefix(MARK))
    last = done.stderr.strip().splitlines()[-1:] or ["no message"]
    return {"error": f"{last[0][:160]} (exit {done.returncode})"}


def hand_back(result: Result) -> None:
    """Called by the worker: send `result` to the process that waits for it."""
    print(MARK + json.dumps(result), flush=True)


class Peak:
    """Peak resident bytes inside a ``with`` block, above those resident when it began."""

    def __enter__(self) -> Peak:
        ctypes.CDLL(None).malloc_trim(0)  # else freed pages of the loading would hide our own
        Path("/proc/self/clear_refs").write_text(
            "5"
        )  # sets the high-water mark to what is resident
        self._before = _status("VmRSS")
        return self

    def __exit__(self, *exception: object) -> None:
        self.bytes = max(0, _status("VmHWM") - self._before)


def peak_resident() -> int:
    """Most bytes that this process has had resident."""
    return _status("VmHWM")


def _status(field: str) -> int:
    # ru_maxrss would do, but a child inherits its parent's high-water mark through fork and exec
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def timed(task: Callable[[], Any]) -> tuple[Any, float]:
    """What `task` returns, and its seconds."""
    start = time.perf_counter()
    returned = task()
    return returned, time.perf_counter() - start


def rows_per_second(score: Callable[[Any], Any], rows: Any) -> float:
    """Best of up to 20 runs within about 2 seconds; one run where that takes longer."""
    seconds: list[float] = []
    while not seconds or (len(seconds) < 20 and sum(seconds) < 2):
        seconds.append(timed(lambda: score(rows))[1])
    return len(rows) / min(seconds)


def fitted(fit: Callable[[], Any]) -> tuple[Any, Result]:
    """The model that `fit` returns, with its seconds and peak bytes."""
    with Peak() as peak:
        model, seconds = timed(fit)
    return model, {"fit_seconds": seconds, "peak_bytes": peak.bytes}


def n_cores() -> int:
    return len(os.sched_getaffinity(0))
