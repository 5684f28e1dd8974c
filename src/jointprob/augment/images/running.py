"""Running a program over a batch: threads and their scratch."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from jointprob import _augment
from jointprob.augment.images.batches import Batch
from jointprob.augment.images.operation import DTYPES, Integers, Program, Step
from jointprob.threads import n_threads, run_blocks

FEW_VALUES = 1 << 18  # fewer are done by one thread
BLOCKS = 4  # of each thread, so that none waits long for the others
MUCH_SCRATCH = 1 << 28  # bytes; more is not kept
_thread = threading.local()


def run(steps: list[Step], batch: Batch, result: Batch, indices: Integers, epoch: int, seed: int,
        n_jobs: int | None) -> None:  # fmt: skip
    """Make `result` of `batch`."""
    frame = batch.frame
    n = len(frame)
    program = Program(steps, batch.places(), result.places(), indices, epoch, seed,
                      DTYPES[frame.dtype], frame.channels)  # fmt: skip
    workers = threads(batch, result, n_jobs)
    block = n if workers == 1 else max(1, n // (BLOCKS * workers))

    def task(first: int, last: int) -> None:
        needed = _augment.run(program, first, last, scratch(1))
        if needed > 0:
            _augment.run(program, first, last, scratch(needed))

    if workers == 1:
        task(0, n)
    else:
        run_blocks(task, n, block, workers)


def threads(batch: Batch, result: Batch, n_jobs: int | None) -> int:
    """One for little work; counting the cores alone takes longer than that."""
    if n_jobs is not None and n_threads(n_jobs) == 1:
        return 1
    few = max(batch.frame.n_values, result.frame.n_values) < FEW_VALUES
    return 1 if few else n_threads(n_jobs)


def scratch(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Memory of this thread, kept between calls: fresh pages cost as much as the work."""
    memory: npt.NDArray[np.uint8] | None = getattr(_thread, "scratch", None)
    if memory is None or len(memory) < n_bytes:
        memory = np.empty(n_bytes, dtype=np.uint8)
        if n_bytes <= MUCH_SCRATCH:
            _thread.scratch = memory
    return memory
