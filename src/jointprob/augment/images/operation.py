"""What an operation is, and the program that operations become.

How to add an operation: a subclass of `Operation` that says

- ``n_draws``: how many uniforms it needs per image (one more, drawn first, decides `p`);
- ``draw(uniforms)``: what it does to each image, as named arrays of one value per image, from the
  uniforms alone: sizes and pixels are not known yet;
- ``steps(drawn, frame, position)``: the steps of ``csrc/augment.h`` that do it, given what was
  drawn and the frame (sizes, channels and type) that reaches it.

Operations that move pixels are subclasses of `Geometric` (``moves.py``) and say a matrix instead;
consecutive ones are fused. An operation that reads other images of the batch has ``needs_batch``:
its step is the first of a program of its own, whose images are all made by then; ``mixes_masks``
says whether the same step is right for masks. One that changes labels has a ``relabel``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from jointprob import _augment

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[Any]

# The numbers of csrc/augment.h.
COPY, GEOMETRY, RESIZE, BLUR, ERASE, MIX, NOISE, SHOT, COLOUR = range(9)
BRIGHTNESS, CONTRAST, GAMMA, FUNCTION, AFFINE = range(100, 105)
DTYPES: dict[np.dtype[Any], int] = {
    np.dtype(np.uint8): 0,
    np.dtype(np.uint16): 1,
    np.dtype(np.float32): 2,
}
BY_NUMBER = tuple(DTYPES)
MAX_CHANNELS = 16


class Drawn(NamedTuple):
    """What one operation does to each image."""

    name: str
    applied: npt.NDArray[np.bool_]  # (n_images,)
    values: dict[str, Floats]  # each (n_images,)


@dataclass(slots=True)
class Frame:
    """Images as they reach an operation."""

    sizes: Integers  # (n_images, 2) height, width
    channels: int
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return len(self.sizes)

    def is_alike(self) -> bool:
        """Whether all images are of one size."""
        height, width = self.sizes[0].tolist()
        alike = all_alike(height, width, len(self))
        return alike is self.sizes or bool((alike == self.sizes).all())

    @property
    def n_values(self) -> int:
        """Values of all images together."""
        return int(np.dot(self.sizes[:, 0], self.sizes[:, 1])) * self.channels

    def after(self, step: Step) -> Frame:
        """The frame that leaves a step."""
        sizes = self.sizes if step.sizes is None else step.sizes
        return Frame(sizes, step.channels, BY_NUMBER[step.dtype])


@dataclass(slots=True)  # not frozen, which takes four times as long to make
class Step:
    """One step of ``csrc/augment.h``; arrays are contiguous."""

    kind: int
    parameters: Floats  # (n_images, n_parameters)
    dtype: int  # of the output
    channels: int  # of the output
    position: int  # of the operation in the pipeline
    options: tuple[int, ...] = ()  # at most four
    active: npt.NDArray[np.uint8] | None = None  # (n_images,)
    sizes: Integers | None = None  # (n_images, 2); None: as they come
    shared: npt.NDArray[np.uint8] | None = None  # bytes of a constant table


@dataclass(slots=True)
class Program:
    """Steps and the images they run over; images are rows of `batches.places`."""

    steps: list[Step]
    images: Integers  # (n_images, 6)
    outputs: Integers  # (n_images, 6)
    indices: Integers  # (n_images,)
    epoch: int
    seed: int
    dtype: int
    channels: int


class Operation:
    """One operation on images, done to each with probability `p`."""

    n_draws: ClassVar[int] = 0
    needs_batch: ClassVar[bool] = False  # reads other images: begins a program of its own
    mixes_masks: ClassVar[bool] = False  # whether those that do so take masks along

    def __init__(self, p: float = 1.0) -> None:
        self.p = between(p, 0.0, 1.0, "p")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        """Values by name, each (n_images,), of uniforms (n_images, n_draws)."""
        return {}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        """The steps that do it."""
        raise NotImplementedError

    def check(self, frame: Frame) -> None:
        """Raise ValueError where images of this frame cannot be taken."""

    def relabel(self, drawn: Drawn, labels: Labels, frame: Frame) -> Labels:
        """Labels (n_images, ...) after the operation; `frame` is the one that reaches it."""
        return labels

    def drawn(self, seed: int, epoch: int, position: int, indices: Integers) -> Drawn:
        """What it does to each image: a function of (seed, epoch, position, index) alone."""
        if self.n_draws == 0 and self.p == 1:
            return Drawn(type(self).__name__, all_of(len(indices)), {})
        uniforms = np.empty((len(indices), 1 + self.n_draws))
        _augment.uniforms(seed, epoch, position, indices, uniforms)
        values = self.draw(uniforms[:, 1:])
        applied = all_of(len(indices)) if self.p == 1 else uniforms[:, 0] < self.p
        return Drawn(type(self).__name__, applied, values)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({values})"


def local_step(
    kind: int, drawn: Drawn, frame: Frame, position: int, parameters: Floats | list[Floats],
    **fields: Any,
) -> Step:  # fmt: skip
    """A step that leaves size, channels and type as they are unless `fields` say otherwise.

    `parameters` are (n_images, m), or m arrays of (n_images,).
    """
    if isinstance(parameters, list):
        parameters = columns(len(frame), *parameters)
    everywhere = drawn.applied is all_of(len(frame)) or drawn.applied.all()
    active = None if everywhere else drawn.applied.view(np.uint8)
    fields = {"dtype": DTYPES[frame.dtype], "channels": frame.channels, **fields}
    return Step(kind, np.ascontiguousarray(parameters, dtype=np.float64), position=position,
                active=active, **fields)  # fmt: skip


@lru_cache(maxsize=16)
def all_of(n: int) -> npt.NDArray[np.bool_]:
    """An operation applied to all images; kept for the next batch, so not to be written to."""
    applied = np.ones(n, dtype=np.bool_)
    applied.flags.writeable = False
    return applied


@lru_cache(maxsize=16)
def all_alike(height: int, width: int, n: int) -> Integers:
    """Sizes (n, 2), all the same; kept for the next batch, so not to be written to."""
    sizes = np.empty((n, 2), dtype=np.int64)
    sizes[:] = height, width
    sizes.flags.writeable = False
    return sizes


def columns(n: int, *values: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Numbers and arrays of (n,) as the columns of an array; np.stack takes five times as long."""
    result = np.empty((n, len(values)), dtype=dtype)
    for place, value in enumerate(values):
        result[:, place] = value
    return result


def between(value: float, low: float, high: float, name: str) -> float:
    """`value` as a float, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} is {value!r}; allowed is a number from {low} to {high}")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; allowed is a number from {low} to {high}")
    return float(value)


def interval(
    value: float | tuple[float, float], low: float, high: float, name: str, *, about: float = 0.0
) -> tuple[float, float]:
    """A range (least, greatest); one number x means (about - x, about + x)."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{name} is {value!r}; allowed is a number or (least, greatest)")
        least, greatest = (between(part, low, high, name) for part in value)
        if least > greatest:
            raise ValueError(f"{name} is {value!r}: {least} is greater than {greatest}")
        return least, greatest
    half = between(value, 0.0, high, name)
    return between(about - half, low, high, name), between(about + half, low, high, name)


def spread(uniform: Floats, limits: tuple[float, float]) -> Floats:
    """Uniforms in [0, 1) spread over a range."""
    return limits[0] + uniform * (limits[1] - limits[0])
