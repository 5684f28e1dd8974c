"""Compose: check, draw, plan, run."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ... import _augment
from ...threads import n_threads, run_blocks
from .batches import LAYOUTS, Batch, Images, read, read_output
from .fusion import Warp
from .geometry import Geometric
from .operation import DTYPES, Drawn, Frame, Integers, Operation, Program, Step

MAX_SEED = 2**64 - 1
FEW_BYTES = 1 << 18  # fewer are done by one thread
_thread = threading.local()


class Compose:
    """A pipeline of operations on batches of images; each image gets its own draw.

    Parameters
    ----------
    operations : sequence of Operation
        Done one after the other.
    seed : int, default=0
        Randomness is a function of (seed, epoch, image index, place of the operation).
    layout : {"NHWC", "NCHW"}
        Where arrays have their channels.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, HorizontalFlip, Rotate
    >>> augment = Compose([HorizontalFlip(p=0.5), Rotate((-15, 15))], seed=1)
    >>> images = np.zeros((8, 32, 32, 3), dtype=np.uint8)
    >>> augment(images).shape
    (8, 32, 32, 3)
    """

    def __init__(
        self, operations: Sequence[Operation], seed: int = 0, *, layout: str = "NHWC"
    ) -> None:
        self.operations = list(operations)
        for operation in self.operations:
            if not isinstance(operation, Operation):
                raise TypeError(f"{operation!r} is no operation of jointprob.augment.images")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise TypeError(f"seed is {seed!r}; allowed is an integer")
        if not 0 <= seed <= MAX_SEED:
            raise ValueError(f"seed is {seed!r}; allowed is an integer of 0 to 2^64 - 1")
        self.seed = int(seed)
        if layout not in LAYOUTS:
            raise ValueError(f"layout is {layout!r}; allowed are {LAYOUTS}")
        self.layout = layout

    def parameters(self, indices: npt.ArrayLike, epoch: int = 0) -> list[Drawn]:
        """What each operation does to the images of these indices in an epoch."""
        numbers = np.ascontiguousarray(indices, dtype=np.int64)
        return [
            operation.drawn(self.seed, epoch, position, numbers)
            for position, operation in enumerate(self.operations)
        ]

    def __call__(
        self, images: Images, *, indices: npt.ArrayLike | None = None, epoch: int = 0,
        out: Images | None = None, n_jobs: int | None = None,
    ) -> Images:  # fmt: skip
        batch = read(images, self.layout)
        numbers = np.arange(len(batch.frame)) if indices is None else np.asarray(indices, np.int64)
        drawn = self.parameters(numbers, epoch)
        steps, frame = self._plan(drawn, batch.frame)
        result = (
            batch.empty(frame) if out is None else read_output(out, batch.empty(frame), [batch])
        )
        self._run(steps, batch, result, numbers, epoch, n_jobs)
        return result.images

    def _plan(self, drawn: list[Drawn], frame: Frame) -> tuple[list[Step], Frame]:
        """Steps, with consecutive geometric operations fused, and the frame of the result."""
        steps: list[Step] = []
        warp: Warp | None = None
        for position, (operation, draw) in enumerate(zip(self.operations, drawn, strict=True)):
            if warp is not None and not (
                isinstance(operation, Geometric) and warp.takes(operation)
            ):
                steps.append(warp.step(position))
                warp = None
            operation.check(frame)
            if isinstance(operation, Geometric):
                warp = Warp.of(frame) if warp is None else warp
                warp.join(operation, operation.applied_move(draw, frame))
                frame = warp.frame
                continue
            for step in operation.steps(draw, frame, position):
                steps.append(step)
                frame = frame.after(step)
        if warp is not None:
            steps.append(warp.step(len(drawn)))
        return steps, frame

    def _run(self, steps: list[Step], batch: Batch, result: Batch, indices: Integers,
             epoch: int, n_jobs: int | None) -> None:  # fmt: skip
        frame = batch.frame
        program = Program(steps, batch.places(), result.places(), indices, epoch, self.seed,
                          DTYPES[frame.dtype], frame.channels)  # fmt: skip
        needed = _augment.scratch_bytes(program)
        few = result.frame.sizes.prod(axis=1).sum() * frame.channels < FEW_BYTES
        workers = 1 if few else n_threads(n_jobs)
        block = len(frame) if workers == 1 else max(1, len(frame) // (4 * workers))

        def task(first: int, last: int) -> None:
            _augment.run(program, first, last, scratch(needed))

        run_blocks(task, len(frame), block, workers)


def scratch(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Memory of this thread, kept between calls: fresh pages cost as much as the work."""
    memory: npt.NDArray[np.uint8] | None = getattr(_thread, "scratch", None)
    if memory is None or len(memory) < n_bytes:
        memory = np.empty(n_bytes, dtype=np.uint8)
        _thread.scratch = memory
    return memory
