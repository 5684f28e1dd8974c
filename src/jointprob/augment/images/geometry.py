"""Operations that move pixels: each is a matrix per image, from output pixels to input pixels.

Pixels have their centres at whole numbers: x to the right from 0 to width - 1, y downwards.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from .operation import Drawn, Floats, Frame, Integers, Operation, between, interval, spread

BORDERS = {"constant": 0, "edge": 1, "reflect": 2, "reflect101": 3, "wrap": 4}
INTERPOLATIONS = {"nearest": 0, "bilinear": 1}


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
    outside: Outside | None = None
    interpolation: str | None = None

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        """Matrices of all images, as if all were applied."""
        raise NotImplementedError

    def applied_move(self, drawn: Drawn, frame: Frame) -> Move:
        """The move, and the identity where the operation is left out."""
        move = self.move(drawn, frame)
        if drawn.applied.all():
            return move
        kept = drawn.applied[:, None]
        identity = np.eye(2, 3)
        windows = None
        if move.windows is not None:
            windows = np.where(kept, move.windows, whole(frame.sizes))
        return Move(np.where(kept[:, :, None], move.matrices, identity),
                    np.where(kept, move.sizes, frame.sizes), windows)  # fmt: skip


def whole(sizes: Integers) -> Integers:
    """Windows that show everything."""
    windows = np.zeros((len(sizes), 4), dtype=np.int64)
    windows[:, 2:] = sizes[:, ::-1]
    return windows


def matrices(
    n: int, xx: object, xy: object, x: object, yx: object, yy: object, y: object
) -> Floats:
    """Stack of matrices from numbers and arrays of (n,)."""
    result = np.empty((n, 2, 3))
    for place, value in enumerate([xx, xy, x, yx, yy, y]):
        result[:, place // 3, place % 3] = value
    return result


class HorizontalFlip(Geometric):
    """Mirror left and right.

    Parameters
    ----------
    p : float, default=0.5
        Probability of each image to be flipped.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, HorizontalFlip
    >>> image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    >>> Compose([HorizontalFlip(p=1.0)])(image)
    array([[[2, 1, 0],
            [5, 4, 3]]], dtype=uint8)
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        width = frame.sizes[:, 1]
        return Move(matrices(len(frame), -1, 0, width - 1, 0, 1, 0), frame.sizes)


class Rotate(Geometric):
    """Turn about the centre by a random angle.

    Parameters
    ----------
    angle : float or (float, float), default=15
        Range in degrees, counter-clockwise as the image is seen; one number a means (-a, a).
    interpolation : {"bilinear", "nearest"}
    border : {"constant", "edge", "reflect", "reflect101", "wrap"}
        What is seen beyond the edge.
    fill : float or sequence of float
        Value of a constant border, or one for each channel.
    p : float, default=1.0
        Probability of each image to be turned.

    Notes
    -----
    Consecutive warps are one warp with one interpolation: what one rotation pushes out of the
    picture and the next brings back survives.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Rotate
    >>> image = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    >>> Compose([Rotate((90, 90))])(image)
    array([[[1, 3],
            [0, 2]]], dtype=uint8)
    """

    n_draws = 1
    exact = False

    def __init__(self, angle: float | tuple[float, float] = 15.0, *,
                 interpolation: str = "bilinear", border: str = "constant",
                 fill: float | tuple[float, ...] = 0.0, p: float = 1.0) -> None:  # fmt: skip
        super().__init__(p)
        self.angle = interval(angle, -36000.0, 36000.0, "angle")
        self.interpolation = one_of(interpolation, INTERPOLATIONS, "interpolation")
        self.outside = beyond(border, fill)

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"angle": spread(uniforms[:, 0], self.angle)}

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        turn = np.deg2rad(drawn.values["angle"])
        cos, sin = np.cos(turn), np.sin(turn)
        y, x = (frame.sizes.T - 1) / 2
        return Move(matrices(len(frame), cos, -sin, x - cos * x + sin * y,
                             sin, cos, y - sin * x - cos * y), frame.sizes)  # fmt: skip


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
