"""Blur, and rectangles without content."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jointprob.augment.images.intensity import LARGEST, by_channel, fixed_or_interval, log_spread
from jointprob.augment.images.moves import BORDERS, one_of
from jointprob.augment.images.operation import (
    BLUR,
    ERASE,
    MAX_CHANNELS,
    Drawn,
    Floats,
    Frame,
    Operation,
    Step,
    local_step,
    spread,
)  # fmt: skip


class GaussianBlur(Operation):
    """Average every value with its neighbours by the weights of a Gaussian.

    Parameters
    ----------
    sigma : float or (float, float), default=(0.1, 2.0)
        Standard deviation of the Gaussian in pixels, at most 85. A range draws one for each
        image; one number is the deviation itself.
    border : {"reflect101", "reflect", "edge", "wrap", "constant"}
        What is beyond the edge; "constant" is 0.
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    The Gaussian is cut at round(3 sigma) pixels and its weights sum to 1. float32 sums, rounded
    once: uint8 results are within 0.5001 grey levels of the exact ones.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, GaussianBlur
    >>> dot = np.zeros((1, 3, 5), dtype=np.uint8)
    >>> dot[0, 1, 2] = 255
    >>> Compose([GaussianBlur(0.5, border="constant")])(dot)
    array([[[  0,   3,  21,   3,   0],
            [  0,  21, 158,  21,   0],
            [  0,   3,  21,   3,   0]]], dtype=uint8)
    """

    n_draws = 1

    def __init__(self, sigma: float | tuple[float, float] = (0.1, 2.0), *,
                 border: str = "reflect101", p: float = 1.0) -> None:  # fmt: skip
        super().__init__(p)
        self.sigma = fixed_or_interval(sigma, 0.0, 85.0, "sigma")
        self.border = one_of(border, BORDERS, "border")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"sigma": spread(uniforms[:, 0], self.sigma)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        options = (BORDERS[self.border],)
        return [local_step(BLUR, drawn, frame, position, [drawn.values["sigma"]], options=options)]


class Erase(Operation):
    """Fill a random rectangle: random erasing, cutout.

    Parameters
    ----------
    area : (float, float) or float, default=(0.02, 0.33)
        Range of the rectangle's share of the image; one number is the share itself.
    ratio : (float, float) or float, default=(0.3, 3.3)
        Range of height / width, drawn evenly on the scale of its logarithm.
    fill : float or sequence of float, default=0
        Value of all channels, or of each.
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    Zhong et al. (2020), arXiv 1708.04896; DeVries and Taylor (2017), arXiv 1708.04552. A
    rectangle that would not fit is cut to the image's sides, where the paper draws again: so a
    draw never depends on the size of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Erase
    >>> white = np.full((1, 20, 20), 255, dtype=np.uint8)
    >>> int((Compose([Erase(0.25, ratio=1.0)])(white) == 0).sum())
    100
    """

    n_draws = 4

    def __init__(self, area: float | tuple[float, float] = (0.02, 0.33), *,
                 ratio: float | tuple[float, float] = (0.3, 3.3),
                 fill: float | Sequence[float] = 0.0, p: float = 1.0) -> None:  # fmt: skip
        super().__init__(p)
        self.area = fixed_or_interval(area, 0.0, 1.0, "area")
        self.ratio = fixed_or_interval(ratio, 1e-3, 1e3, "ratio")
        self.fill = by_channel(fill, -LARGEST, LARGEST, "fill")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"area": spread(uniforms[:, 0], self.area),
                "ratio": log_spread(uniforms[:, 1], self.ratio),
                "y": uniforms[:, 2], "x": uniforms[:, 3]}  # fmt: skip

    def check(self, frame: Frame) -> None:
        if len(self.fill) not in (1, frame.channels):
            raise ValueError(
                f"fill has {len(self.fill)} values, the images {frame.channels} channels"
            )

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        fill = np.zeros(MAX_CHANNELS)
        fill[: frame.channels] = self.fill
        corners = rectangles(drawn.values, frame)
        return [local_step(ERASE, drawn, frame, position, corners, shared=fill.view(np.uint8))]


def rectangles(value: dict[str, Floats], frame: Frame) -> Floats:
    """Top, left, bottom, right (n_images, 4) of `area`, `ratio` and the place `y`, `x`."""
    area = value["area"] * frame.sizes.prod(axis=1)
    ideal = np.sqrt(np.stack([area * value["ratio"], area / value["ratio"]], axis=1))
    sides = np.clip(np.rint(ideal), 0, frame.sizes)
    place = np.stack([value["y"], value["x"]], axis=1)
    corner = np.floor(place * (frame.sizes - sides + 1))
    return np.concatenate([corner, corner + sides], axis=1)
