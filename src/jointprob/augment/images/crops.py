"""Crops: windows of the input, at random or in the middle, as they are or resized."""

from __future__ import annotations

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
    Drawn,
    Floats,
    Frame,
    Integers,
    all_alike,
    columns,
    interval,
    spread,
)


class CenterCrop(Geometric):
    """Keep the middle.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result.
    pad_if_needed : bool, default=False
        Whether smaller images get a border; otherwise they are an error.
    border, fill
        Of the padding: see `Pad`.
    p : float, default=1.0

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import CenterCrop, Compose
    >>> Compose([CenterCrop((1, 2))])(np.array([[[1, 2, 3, 4]]], dtype=np.uint8))
    array([[[2, 3]]], dtype=uint8)
    """

    cuts = True

    def __init__(self, size: int | tuple[int, int], *, pad_if_needed: bool = False,
                 border: str = "constant", fill: float | tuple[float, ...] = 0.0,
                 p: float = 1.0) -> None:  # fmt: skip
        super().__init__(p)
        self.size = output_size(size)
        outside = beyond(border, fill)
        self.outside = outside if pad_if_needed else None

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        height, width = self.size
        n, spare = len(frame), frame.sizes - self.size
        small = bool(spare.min() < 0)
        if small:
            self._check(drawn, frame, spare)
        top, left = self._corner(drawn, spare, small).T
        seen = columns(n, left, top, left + width, top + height, dtype=np.int64)
        if small:
            np.clip(seen, 0, np.tile(frame.sizes[:, ::-1], (1, 2)), out=seen)
        return Move(matrices(n, 1, 0, left, 0, 1, top), all_alike(*self.size, n), seen)

    def _corner(self, drawn: Drawn, spare: Integers, small: bool) -> Integers:
        """First row and column (n_images, 2) of the crop; `spare` rows and columns are left, in
        some image fewer than 0 where it is `small`."""
        return spare // 2

    def _check(self, drawn: Drawn, frame: Frame, spare: Integers) -> None:
        small = np.flatnonzero((spare.min(axis=1) < 0) & drawn.applied)
        if self.outside is None and len(small):
            height, width = frame.sizes[small[0]].tolist()
            raise ValueError(
                f"{type(self).__name__} to {self.size} is larger than image {small[0]} of "
                f"({height}, {width}); allowed with pad_if_needed=True"
            )


class RandomCrop(CenterCrop):
    """Keep a window at a random place.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result.
    pad_if_needed : bool, default=False
        Whether smaller images get a border on both sides; otherwise they are an error.
    border, fill
        Of the padding: see `Pad`.
    p : float, default=1.0

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, RandomCrop
    >>> images = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    >>> Compose([RandomCrop((28, 28))])(images).shape
    (4, 28, 28, 3)
    """

    n_draws = 2

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"y": uniforms[:, 0], "x": uniforms[:, 1]}

    def _corner(self, drawn: Drawn, spare: Integers, small: bool) -> Integers:
        place = columns(len(spare), drawn.values["y"], drawn.values["x"])
        place *= spare + 1
        corner = place.astype(np.int64)  # down: they are not negative where it counts
        return np.where(spare < 0, spare // 2, corner) if small else corner


class RandomResizedCrop(Geometric):
    """Keep a window of random area, shape and place, and scale it to a given size.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result.
    scale : (float, float), default=(0.08, 1)
        Range of the window's share of the area.
    ratio : (float, float), default=(3/4, 4/3)
        Range of width over height, drawn evenly in its logarithm.
    interpolation : {"bilinear", "nearest"}
    p : float, default=1.0

    Notes
    -----
    Pixels of the window alone are read. A window that would not fit is cut to the image, where
    other libraries draw again: so a draw never depends on the size of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, RandomResizedCrop
    >>> images = np.zeros((4, 32, 48, 3), dtype=np.uint8)
    >>> Compose([RandomResizedCrop(24)])(images).shape
    (4, 24, 24, 3)
    """

    n_draws = 4
    exact = False
    cuts = True

    def __init__(self, size: int | tuple[int, int], *, scale: tuple[float, float] = (0.08, 1.0),
                 ratio: tuple[float, float] = (3 / 4, 4 / 3), interpolation: str = "bilinear",
                 p: float = 1.0) -> None:  # fmt: skip
        super().__init__(p)
        self.size = output_size(size)
        self.scale = interval(scale, 1e-6, 1.0, "scale")
        self.ratio = interval(ratio, 1e-3, 1e3, "ratio")
        self.interpolation = one_of(interpolation, INTERPOLATIONS, "interpolation")
        self.outside = Outside("edge")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        low, high = np.log(self.ratio)
        return {"scale": spread(uniforms[:, 0], self.scale),
                "ratio": np.exp(spread(uniforms[:, 1], (low, high))),
                "y": uniforms[:, 2], "x": uniforms[:, 3]}  # fmt: skip

    def move(self, drawn: Drawn, frame: Frame) -> Move:
        value = drawn.values
        n, area = len(frame), value["scale"] * (frame.sizes[:, 0] * frame.sizes[:, 1])
        ideal = np.sqrt(columns(n, area / value["ratio"], area * value["ratio"]))
        sides = np.clip(np.rint(ideal), 1, frame.sizes).astype(np.int64)
        place = columns(n, value["y"], value["x"])
        corner = np.floor(place * (frame.sizes - sides + 1)).astype(np.int64)
        step_y, step_x = (sides / self.size).T
        top, left = corner.T
        windows = np.concatenate([corner[:, ::-1], (corner + sides)[:, ::-1]], axis=1)
        return Move(matrices(n, step_x, 0, left + step_x / 2 - 0.5,
                             0, step_y, top + step_y / 2 - 0.5),
                    all_alike(*self.size, n), windows)  # fmt: skip
