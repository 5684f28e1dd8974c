"""What operations that move pixels have in common: a matrix per image, from output to input.

Pixels have their centres at whole numbers: x to the right from 0 to width - 1, y downwards.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from jointprob.augment.images.operation import (
    Drawn,
    Floats,
    Frame,
    Integers,
    Operation,
    between,
    columns,
)

BORDERS = {"constant": 0, "edge": 1, "reflect": 2, "reflect101": 3, "wrap": 4}
INTERPOLATIONS = {"nearest": 0, "bilinear": 1}
MAX_SIDE = 1 << 20  # pixels


class Outside(NamedTuple):
    """What is beyond the edge of an image."""

    border: str = "constant"
    fill: tuple[float, ...] = (0.0,)


class Move(NamedTuple):
    """One geometric operation on every image."""

    matrices: Floats  # (n_images, 2, 3): input pixel (x, y) of an output pixel (x, y, 1)
    sizes: Integers  # (n_images, 2) height, width of the output
    windows: Integers | None = None  # (n_images, 4) x0, y0, x1, y1: all that remains of the input


class Geometric(Operation):
    """An operation that moves pixels.

    `exact` moves send whole pixels to whole pixels. Moves that cut keep a window of the input
    alone. `outside` is None where an operation never
    looks beyond the edge.
    """

    exact: ClassVar[bool] = True
    cuts: ClassVar[bool] = False
    fused: ClassVar[bool] = True  # False: `steps` does it, and the matrix is for annotations
    outside: Outside | None = None
    interpolation: str | None = None

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        """Matrices of all images, as if all were applied."""
        raise NotImplementedError

    def applied_move(self, drawn: Drawn, frame: Frame) -> Move:
        """The move, and the identity where the operation is left out."""
        move = self.move(drawn, frame)
        if self.p == 1 or drawn.applied.all():
            return move
        left_out = ~drawn.applied
        move.matrices[left_out] = np.eye(2, 3)
        if move.sizes is frame.sizes and move.windows is None:
            return move
        sizes = move.sizes.copy()
        sizes[left_out] = frame.sizes[left_out]
        windows = move.windows
        if windows is not None:
            windows[left_out] = whole(frame.sizes[left_out])
        return Move(move.matrices, sizes, windows)


def whole(sizes: Integers) -> Integers:
    """Windows that show everything."""
    windows = np.zeros((len(sizes), 4), dtype=np.int64)
    windows[:, 2:] = sizes[:, ::-1]
    return windows


def matrices(n: int, xx: Any, xy: Any, x: Any, yx: Any, yy: Any, y: Any) -> Floats:
    """Stack of matrices from numbers and arrays of (n,)."""
    return columns(n, xx, xy, x, yx, yy, y).reshape(n, 2, 3)


def one_of(value: str, allowed: dict[str, int], name: str) -> str:
    """`value`, or an error that names what is allowed."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")
    return value


def beyond(border: str, fill: float | tuple[float, ...]) -> Outside:
    """A checked border."""
    values = tuple(fill) if isinstance(fill, tuple | list | np.ndarray) else (fill,)
    checked = tuple(between(value, -np.inf, np.inf, "fill") for value in values)
    return Outside(one_of(border, BORDERS, "border"), checked)


def output_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Checked (height, width); one number means a square."""
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int | np.integer) for side in pair):
        raise TypeError(f"size is {size!r}; allowed is an integer or (height, width)")
    if min(pair) < 1 or max(pair) > MAX_SIDE:
        raise ValueError(f"size is {size!r}; allowed are sides of 1 to {MAX_SIDE} pixels")
    return int(pair[0]), int(pair[1])
