"""Running a program over a batch: threads and their scratch."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from jointprob import _augment
from jointprob.augment.images.batches import Batch
from jointprob.augment.images.operation import (
    BLUR,
    COLOUR,
    DTYPES,
    FUNCTION,
    GEOMETRY,
    MIX,
    NOISE,
    RESIZE,
    SHOT,
    Integers,
    Program,
    Step,
)
from jointprob.threads import n_threads, run_blocks

# Nanoseconds of a value in a step, roughly; others are bound by memory, which threads share.
COSTS = {GEOMETRY: 0.4, RESIZE: 0.2, BLUR: 0.7, MIX: 0.1, NOISE: 0.3, SHOT: 0.6, COLOUR: 0.05,
         FUNCTION: 1.0}  # fmt: skip
COPY_COST = MAP_COST = 0.05
THREAD_NANOSECONDS = 300_000  # a thread with less to do costs more than it does
BLOCK_NANOSECONDS = 60_000  # a call with less to do is mostly call
BLOCKS = 16  # of each thread at most, so that none waits long for the others
MUCH_SCRATCH = 1 << 28  # bytes; more is not kept
_thread = threading.local()


def run(steps: list[Step], batch: Batch, result: Batch, indices: Integers, epoch: int, seed: int,
        n_jobs: int | None) -> None:  # fmt: skip
    """Make `result` of `batch`."""
    frame = batch.frame
    n = len(frame)
    program = Program(steps, batch.places(), result.places(), indices, epoch, seed,
                      DTYPES[frame.dtype], frame.channels)  # fmt: skip
    work = nanoseconds(steps, batch, result)
    workers = threads(work, n_jobs)
    blocks = max(1, min(BLOCKS * workers, int(work / BLOCK_NANOSECONDS)))

    def task(first: int, last: int) -> None:
        needed = _augment.run(program, first, last, scratch(1))
        if needed > 0:
            _augment.run(program, first, last, scratch(needed))

    if workers == 1:
        task(0, n)
    else:
        run_blocks(task, n, -(-n // blocks), workers)


def nanoseconds(steps: list[Step], batch: Batch, result: Batch) -> float:
    """What the work takes one thread, roughly."""
    values = max(batch.frame.n_values, result.frame.n_values)
    return values * (COPY_COST + sum(cost(step) for step in steps))


def cost(step: Step) -> float:
    """Nanoseconds of a value beside its copy, which moves of whole pixels are."""
    moves = step.kind == GEOMETRY and step.options[1] == 0
    return 0.0 if moves else COSTS.get(step.kind, MAP_COST)


def threads(work: float, n_jobs: int | None) -> int:
    """As many as have enough to do; for little work not even the cores are counted."""
    useful = max(1, int(work / THREAD_NANOSECONDS))
    return 1 if n_jobs is None and useful == 1 else min(useful, n_threads(n_jobs))


def scratch(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Memory of this thread, kept between calls: fresh pages cost as much as the work."""
    memory: npt.NDArray[np.uint8] | None = getattr(_thread, "scratch", None)
    if memory is None or len(memory) < n_bytes:
        memory = np.empty(n_bytes, dtype=np.uint8)
        if n_bytes <= MUCH_SCRATCH:
            _thread.scratch = memory
    return memory
