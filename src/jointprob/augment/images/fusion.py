"""Fusion: consecutive geometric operations become one warp that reads the source once.

An operation joins the warp before it where the two are exactly one: both look alike beyond the
edge, both interpolate alike, and nothing that was cut off can come back into sight.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from jointprob import _augment
from jointprob.augment.images.moves import (
    BORDERS,
    INTERPOLATIONS,
    Geometric,
    Move,
    Outside,
    matrices,
)
from jointprob.augment.images.operation import (
    DTYPES,
    GEOMETRY,
    MAX_CHANNELS,
    Drawn,
    Floats,
    Frame,
    Integers,
    Operation,
    Step,
)

# Pixels that the kernel counts: from the origin, and between two output pixels.
FARTHEST, LARGEST_STEP = 2.0**29, 2.0**20
UNSEEN = Outside()


@dataclass(slots=True)
class Warp:
    """Geometric operations that are one so far."""

    source: Frame
    matrices: Floats  # (n_images, 2, 3): source pixel of an output pixel
    sizes: Integers  # (n_images, 2) of the output
    windows: Integers | None = None  # (n_images, 4) of the source; None: all of it
    outside: Outside | None = None
    interpolation: str | None = None
    closed: bool = False  # something in sight of the source was cut off
    untouched: bool = True  # the matrices are the identity

    @classmethod
    def of(cls, frame: Frame) -> Warp:
        """The warp that moves nothing."""
        identity = no_move(len(frame))
        return cls(frame, identity, frame.sizes)

    @property
    def frame(self) -> Frame:
        """What leaves the warp."""
        return Frame(self.sizes, self.source.channels, self.source.dtype)

    def takes(self, operation: Geometric) -> bool:
        """Whether the operation can join."""
        alike = self.outside in (None, operation.outside)
        if operation.outside is not None and (self.closed or not alike):
            return False
        if not operation.exact and self.interpolation not in (None, operation.interpolation):
            return False
        return not (operation.cuts and not operation.exact and self.outside is not None)

    def join(self, operation: Geometric, move: Move) -> None:
        """Do the operation after what is done so far."""
        if move.windows is not None:
            self._cut(move.windows)
        if operation.outside is not None:
            self.outside = operation.outside
        if not operation.exact:
            self.interpolation = operation.interpolation
        self.matrices = move.matrices if self.untouched else product(self.matrices, move.matrices)
        self.untouched = False
        self.sizes = move.sizes

    def _cut(self, windows: Integers) -> None:
        """Narrow what is seen of the source; once its surroundings are in sight, only close it."""
        if self.outside is not None:
            self.closed = True
            return
        if self.untouched:
            self.windows = windows
            return
        corners = windows.reshape(-1, 2, 2).astype(np.float64)
        corners[:, 1] -= 1  # the last pixel inside
        moved = np.rint(transform(self.matrices, corners)).astype(np.int64)
        self.windows = np.concatenate([moved.min(axis=1), moved.max(axis=1) + 1], axis=1)

    def _check_reach(self) -> None:
        """Raise where coordinates leave what the kernel counts with."""
        reach, step = _augment.reach(self.matrices, np.ascontiguousarray(self.sizes))
        if not (reach < FARTHEST and step < LARGEST_STEP):
            raise ValueError(f"the operations reach {reach:.3g} pixels beyond the image")

    def step(self, position: int) -> Step:
        """The warp as a step."""
        outside = self.outside or UNSEEN
        if self.interpolation is not None:
            self._check_reach()
        parameters = self.matrices.reshape(-1, 6)
        if self.windows is not None:
            parameters = np.concatenate([parameters, self.windows], axis=1)
        options = (BORDERS[outside.border], INTERPOLATIONS[self.interpolation or "nearest"])
        return Step(GEOMETRY, parameters, DTYPES[self.source.dtype], self.source.channels, position,
                    options, sizes=np.ascontiguousarray(self.sizes),
                    shared=channel_fill(outside.fill, self.source.channels))  # fmt: skip


@lru_cache(maxsize=16)
def channel_fill(fill: tuple[float, ...], channels: int) -> npt.NDArray[np.uint8]:
    """Bytes of a fill value for each channel; not to be written to."""
    if len(fill) not in (1, channels):
        raise ValueError(f"fill has {len(fill)} values, the images {channels} channels")
    values = np.zeros(MAX_CHANNELS)
    values[:channels] = fill
    return values.view(np.uint8)


@lru_cache(maxsize=16)
def no_move(n: int) -> Floats:
    """Matrices (n, 2, 3) of the identity; not to be written to."""
    return matrices(n, 1, 0, 0, 0, 1, 0)


def product(first: Floats, second: Floats) -> Floats:
    """Matrices of `second` followed by `first`: (n, 2, 3) each, last rows (0, 0, 1) left out."""
    result = np.empty_like(second)
    _augment.product(first, second, result)
    return result


def transform(matrices: Floats, points: Floats) -> Floats:
    """Points (n, k, 2) of each image through its matrix (n, 2, 3)."""
    turned: Floats = np.matmul(points, matrices[:, :, :2].transpose(0, 2, 1))
    turned += matrices[:, None, :, 2]
    return turned


@dataclass
class Part:
    """Steps that run as one program; the next part may read all images that this one makes."""

    steps: list[Step]
    frame: Frame  # of what goes in


@dataclass
class Plan:
    """What a pipeline does to a batch."""

    parts: list[Part]
    moves: list[Move]  # fused moves one after the other, for points and boxes
    frame: Frame  # of what comes out
    reaching: list[Frame] = field(default_factory=list)  # of what reaches each operation


def plan(operations: list[Operation], drawn: list[Drawn], frame: Frame) -> Plan:
    """Steps of all operations, consecutive geometric ones fused."""
    result = Plan([Part([], frame)], [], frame)
    warp: Warp | None = None
    for position, (operation, draw) in enumerate(zip(operations, drawn, strict=True)):
        joins = isinstance(operation, Geometric) and operation.fused
        if warp is not None and not (
            joins and isinstance(operation, Geometric) and warp.takes(operation)
        ):
            _end(warp, result, position)
            warp = None
        operation.check(result.frame)
        result.reaching.append(result.frame)
        if joins and isinstance(operation, Geometric):
            warp = warp or Warp.of(result.frame)
            warp.join(operation, operation.applied_move(draw, result.frame))
            result.frame = warp.frame
        else:
            _add(operation, draw, position, result)
    if warp is not None:
        _end(warp, result, len(drawn))
    return result


def _add(operation: Operation, drawn: Drawn, position: int, result: Plan) -> None:
    if operation.needs_batch and result.parts[-1].steps:
        result.parts.append(Part([], result.frame))
    if isinstance(operation, Geometric):
        result.moves.append(operation.applied_move(drawn, result.frame))
    for step in operation.steps(drawn, result.frame, position):
        result.parts[-1].steps.append(step)
        result.frame = result.frame.after(step)


def _end(warp: Warp, result: Plan, position: int) -> None:
    result.parts[-1].steps.append(warp.step(position))
    result.moves.append(Move(warp.matrices, warp.sizes))


def plan_masks(operations: list[Operation], drawn: list[Drawn], frame: Frame, fill: float) -> Plan:
    """What moves pixels alone: geometric operations by nearest neighbour, with a border of `fill`,
    and those that put a part of one mask into another."""
    result = Plan([Part([], frame)], [], frame)
    warp = Warp.of(frame)
    for position, (operation, draw) in enumerate(zip(operations, drawn, strict=True)):
        if operation.mixes_masks:
            _end(warp, result, 0)
            steps = operation.steps(draw, warp.frame, position)
            result.parts.append(Part(steps, warp.frame))
            warp = Warp.of(warp.frame)
        if not isinstance(operation, Geometric):
            continue
        nearest = _nearest(operation, fill)
        if not warp.takes(nearest):
            _end(warp, result, 0)
            warp = Warp.of(warp.frame)
        warp.join(nearest, operation.applied_move(draw, warp.frame))
    _end(warp, result, 0)
    result.frame = warp.frame
    return result


def _nearest(operation: Geometric, fill: float) -> Geometric:
    """The operation as masks see it."""
    twin = copy(operation)
    twin.interpolation = None if operation.exact else "nearest"
    if operation.outside is not None:
        twin.outside = Outside(operation.outside.border, (fill,))
    return twin
