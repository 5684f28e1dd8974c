"""Images per second of every library on one batch, all in one process and in turns."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from types import ModuleType
from typing import Any

from . import sets
from .sets import Batch

OPERATIONS = {
    "hflip": "flip left to right",
    "vflip": "flip upside down",
    "crop": "crop",
    "rotate": "rotate",
    "random_resized_crop": "resized crop",
    "shrink": "resize, smaller",
    "enlarge": "resize, larger",
    "blur": "blur",
    "greyscale": "greyscale",
    "brightness_contrast": "brightness, contrast",
    "noise": "noise",
    "normalise": "normalise",
    "pipeline": "pipeline",
}
PEERS = ("opencv", "opencv_tuned", "albumentations", "torchvision", "kornia", "slices")
TURN_SECONDS = 0.0005  # a turn is one call; a call that is shorter than this is repeated
METHOD_SECONDS = 0.15
TURNS = (3, 25)  # at least, at most

Clock = Callable[[], float]
Calls = dict[str, Callable[[], Any]]


def libraries(with_ours: bool, with_peers: bool) -> tuple[dict[str, ModuleType], list[str]]:
    """Modules that could be imported, and why the others could not; each limited to a thread."""
    names = ("ours",) * with_ours + PEERS * with_peers + ("memory",)
    found, failed = {}, []
    for name in names:
        try:
            found[name] = import_module(f"pixels.{name}")
        except ImportError as error:
            failed.append(f"{name} is absent: {error}")
        else:
            found[name].limit_threads()
    return found, failed


def one_thread(
    name: str, dtype: str, folder: Path, with_ours: bool = True, with_peers: bool = True
) -> dict[str, Any]:
    """Images per CPU-second of each operation and library; whatever failed and why."""
    batch = sets.load(name, dtype, folder)
    modules, failed = libraries(with_ours, with_peers)
    rates = {}
    for operation in OPERATIONS:
        calls = _prepared(modules, operation, batch, failed)
        seconds = in_turns(calls, process_time)
        rates[operation] = {method: batch.n / median(taken) for method, taken in seconds.items()}
    return {"rates": rates, "failed": failed}


def _prepared(
    modules: dict[str, ModuleType], operation: str, batch: Batch, failed: list[str]
) -> Calls:
    """Calls that have worked once."""
    calls: Calls = {}
    for name, module in modules.items():
        if not hasattr(module, operation):
            continue
        try:
            calls[name] = getattr(module, operation)(batch)
            calls[name]()
        except Exception as error:  # noqa: BLE001 (another library's failure is a result)
            failed.append(f"{operation}, {name}: {str(error).splitlines()[0][:120]}")
            calls.pop(name, None)
    return calls


def in_turns(calls: Calls, clock: Clock) -> dict[str, list[float]]:
    """Seconds a call of every turn; slow calls get fewer turns.

    Between two turns the others fill the caches with their own data, as new images would.
    """
    repeats, turns = {}, {}
    for name, call in calls.items():
        once = _seconds(call, 1, perf_counter)
        repeats[name] = max(1, math.ceil(TURN_SECONDS / once))
        wanted = METHOD_SECONDS / (once * repeats[name])
        turns[name] = int(min(max(wanted, TURNS[0]), TURNS[1]))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(TURNS[1]):
        for name, call in calls.items():
            if turn < turns[name]:
                seconds[name].append(_seconds(call, repeats[name], clock))
    return seconds


def _seconds(call: Callable[[], Any], repeats: int, clock: Clock) -> float:
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def several_threads(name: str, dtype: str, folder: Path, n_jobs: int = 2) -> dict[str, Any]:
    """Ours with one thread and with `n_jobs`, OpenCV with one: images per second of the clock."""
    from . import opencv, ours  # their absence fails this section alone

    opencv.limit_threads()
    batch = sets.load(name, dtype, folder)
    rates: dict[str, dict[str, float]] = {}
    for operation in OPERATIONS:
        make = getattr(ours, operation)
        calls = {
            "one": make(batch, n_jobs=1),
            "several": make(batch, n_jobs=n_jobs),
            "opencv": getattr(opencv, operation)(batch),
        }
        seconds = in_turns(calls, perf_counter)
        rates[operation] = {method: batch.n / median(taken) for method, taken in seconds.items()}
    return {"rates": rates}
