"""Operations that move pixels: flips, turns, warps and paddings; crops are in ``crops.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from jointprob.augment.images.moves import (
    INTERPOLATIONS,
    Geometric,
    Move,
    Outside,
    beyond,
    matrices,
    one_of,
    output_size,
)
from jointprob.augment.images.operation import (
    RESIZE,
    Drawn,
    Floats,
    Frame,
    Step,
    all_alike,
    interval,
    local_step,
    spread,
)

Range = float | tuple[float, float]


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


class VerticalFlip(Geometric):
    """Mirror top and bottom.

    Parameters
    ----------
    p : float, default=0.5
        Probability of each image to be flipped.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, VerticalFlip
    >>> image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    >>> Compose([VerticalFlip(p=1.0)])(image)
    array([[[3, 4, 5],
            [0, 1, 2]]], dtype=uint8)
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        height = frame.sizes[:, 0]
        return Move(matrices(len(frame), 1, 0, 0, 0, -1, height - 1), frame.sizes)


class Rotate90(Geometric):
    """Turn by a random number of quarter turns, as ``numpy.rot90`` does.

    Images that are not square change their shape with the turn, so they must come in a list.

    Parameters
    ----------
    turns : int or sequence of int, default=(0, 1, 2, 3)
        Counter-clockwise quarter turns, each as likely as the others.
    p : float, default=1.0
        Probability of each image to be turned.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Rotate90
    >>> image = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    >>> Compose([Rotate90(1)])(image)
    array([[[1, 3],
            [0, 2]]], dtype=uint8)
    """

    n_draws = 1

    def __init__(self, turns: int | tuple[int, ...] = (0, 1, 2, 3), *, p: float = 1.0) -> None:
        super().__init__(p)
        several = tuple(turns) if isinstance(turns, tuple | list) else (turns,)
        if not several or not all(isinstance(turn, int | np.integer) for turn in several):
            raise TypeError(f"turns is {turns!r}; allowed is an integer or some integers")
        self.turns = tuple(int(turn) for turn in several)

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        which = (uniforms[:, 0] * len(self.turns)).astype(np.int64)
        return {"turns": np.array(self.turns, dtype=np.float64)[which]}

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        quarter = drawn.values["turns"].astype(np.int64) % 4
        cos, sin = np.array([1, 0, -1, 0])[quarter], np.array([0, 1, 0, -1])[quarter]
        height, width = frame.sizes.T
        sizes = np.where((quarter % 2 == 1)[:, None], frame.sizes[:, ::-1], frame.sizes)
        x = np.select([quarter == 1, quarter == 2], [width - 1, width - 1], 0)
        y = np.select([quarter == 2, quarter == 3], [height - 1, height - 1], 0)
        return Move(matrices(len(frame), cos, -sin, x, sin, cos, y), sizes)


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


class Affine(Geometric):
    """Scale, shear, turn about the centre, and shift, in this order, in one warp.

    Parameters
    ----------
    scale : float or (float, float), default=1
        Range of the factor of both sides; above 1 the picture grows. One number is the factor.
    shear : float or (float, float) or ((float, float), (float, float)), default=0
        Range of the angle in degrees along x; or a range along x and one along y.
    translate : float or (float, float), default=0
        Range of the shift of each axis as a share of its side; t means (-t, t).
    rotate : float or (float, float), default=0
        Range in degrees, counter-clockwise; one number a means (-a, a).
    interpolation : {"bilinear", "nearest"}
    border : {"constant", "edge", "reflect", "reflect101", "wrap"}
    fill : float or sequence of float
    p : float, default=1.0

    Notes
    -----
    With A = rotation * shear * scale (y downwards) and the centre c of the picture, a point q
    moves to A (q - c) + c + shift.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Affine, Compose
    >>> image = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    >>> Compose([Affine(translate=(0.5, 0.5))])(image)
    array([[[0, 0],
            [0, 0]]], dtype=uint8)
    """

    n_draws = 6
    exact = False

    def __init__(self, *, scale: Range = 1.0, shear: Range | tuple[Range, Range] = 0.0,
                 translate: Range = 0.0, rotate: Range = 0.0, interpolation: str = "bilinear",
                 border: str = "constant", fill: float | tuple[float, ...] = 0.0,
                 p: float = 1.0) -> None:  # fmt: skip
        super().__init__(p)
        factor = scale if isinstance(scale, tuple | list) else (scale, scale)
        self.scale = interval(factor, 1e-3, 1e3, "scale")
        self.shear = shears(shear)
        self.translate = interval(translate, -10.0, 10.0, "translate")
        self.rotate = interval(rotate, -36000.0, 36000.0, "rotate")
        self.interpolation = one_of(interpolation, INTERPOLATIONS, "interpolation")
        self.outside = beyond(border, fill)

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        ranges = {"scale": self.scale, "shear_x": self.shear[0], "shear_y": self.shear[1],
                  "translate_x": self.translate, "translate_y": self.translate,
                  "angle": self.rotate}  # fmt: skip
        return {name: spread(uniforms[:, k], r) for k, (name, r) in enumerate(ranges.items())}

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        value = drawn.values
        turn = np.deg2rad(value["angle"])
        cos, sin = np.cos(turn), np.sin(turn)
        along_x, along_y = (np.tan(np.deg2rad(value[f"shear_{axis}"])) for axis in "xy")
        size = value["scale"] * (1 - along_x * along_y)
        # The inverse of rotation * shear * scale.
        xx, xy = (cos - along_x * sin) / size, (-sin - along_x * cos) / size
        yx, yy = (sin - along_y * cos) / size, (cos + along_y * sin) / size
        y, x = (frame.sizes.T - 1) / 2
        to_x = x + value["translate_x"] * frame.sizes[:, 1]
        to_y = y + value["translate_y"] * frame.sizes[:, 0]
        return Move(matrices(len(frame), xx, xy, x - xx * to_x - xy * to_y,
                             yx, yy, y - yx * to_x - yy * to_y), frame.sizes)  # fmt: skip


class Pad(Geometric):
    """Add a border.

    Parameters
    ----------
    padding : int or (int, int) or (int, int, int, int)
        Pixels on every side; or left and right, top and bottom; or left, top, right, bottom.
    border : {"constant", "edge", "reflect", "reflect101", "wrap"}
    fill : float or sequence of float
    p : float, default=1.0

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Pad
    >>> Compose([Pad((1, 0), border="edge")])(np.array([[[1, 2]]], dtype=np.uint8))
    array([[[1, 1, 2, 2]]], dtype=uint8)
    """

    def __init__(self, padding: int | tuple[int, ...], *, border: str = "constant",
                 fill: float | tuple[float, ...] = 0.0, p: float = 1.0) -> None:  # fmt: skip
        super().__init__(p)
        sides = tuple(padding) if isinstance(padding, tuple | list) else (padding,)
        if len(sides) not in (1, 2, 4) or not all(isinstance(s, int | np.integer) for s in sides):
            raise TypeError(f"padding is {padding!r}; allowed are 1, 2 or 4 integers")
        if min(sides) < 0:
            raise ValueError(f"padding is {padding!r}; allowed are 0 and more pixels")
        self.padding = tuple(int(side) for side in (*sides, *sides, *sides, *sides)[:4])
        self.outside = beyond(border, fill)

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        left, top, right, bottom = self.padding
        sizes = frame.sizes + np.array([top + bottom, left + right])
        return Move(matrices(len(frame), 1, 0, -left, 0, 1, -top), sizes)


class Resize(Geometric):
    """Scale to a given size.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result.
    interpolation : {"area", "bilinear", "nearest"}, default="area"
        With "area" each axis that shrinks is averaged over the pixels that an output pixel
        covers, and each axis that grows is interpolated linearly.
    p : float, default=1.0

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Resize
    >>> Compose([Resize((1, 2))])(np.array([[[1, 3, 5, 9]]], dtype=np.uint8))
    array([[[2, 7]]], dtype=uint8)
    """

    exact = False
    fused = False

    def __init__(self, size: int | tuple[int, int], *, interpolation: str = "area",
                 p: float = 1.0) -> None:  # fmt: skip
        super().__init__(p)
        self.size = output_size(size)
        self.interpolation = one_of(interpolation, {**INTERPOLATIONS, "area": 2}, "interpolation")
        self.outside = Outside("edge")

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        step_y, step_x = (frame.sizes / np.array(self.size)).T
        inverse = matrices(len(frame), step_x, 0, step_x / 2 - 0.5, 0, step_y, step_y / 2 - 0.5)
        return Move(inverse, all_alike(*self.size, len(frame)))

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        sizes = self.applied_move(drawn, frame).sizes
        options = ({**INTERPOLATIONS, "area": 2}[str(self.interpolation)],)
        return [local_step(RESIZE, drawn, frame, position, [], options=options, sizes=sizes)]


def shears(shear: Range | tuple[Range, Range]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of the angles along x and along y."""
    two = isinstance(shear, tuple | list) and any(isinstance(part, tuple | list) for part in shear)
    along_x: Any
    along_x, along_y = shear if two else (shear, 0.0)  # type: ignore[misc]
    ranges = (interval(along_x, -89.0, 89.0, "shear"), interval(along_y, -89.0, 89.0, "shear"))
    steepest = [np.tan(np.deg2rad(max(abs(a), abs(b)))) for a, b in ranges]
    if steepest[0] * steepest[1] > 1 - 1e-6:
        raise ValueError(f"shear is {shear!r}; along both axes it flattens the picture to a line")
    return ranges
