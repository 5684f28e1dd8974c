"""Operations across the three channels of a colour image: red, green, blue in this order."""

from __future__ import annotations

import numpy as np

from jointprob.augment.images.operation import (
    COLOUR,
    Drawn,
    Floats,
    Frame,
    Operation,
    Step,
    interval,
    local_step,
    spread,
)  # fmt: skip

MATRIX, HUE, ALIKE = range(3)  # of csrc/augment_colour.c
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


class Coloured(Operation):
    """An operation on images of three channels."""

    def check(self, frame: Frame) -> None:
        if frame.channels != 3:
            raise ValueError(
                f"{type(self).__name__} needs images of 3 channels, these have {frame.channels}"
            )


class Saturation(Coloured):
    """Multiply the distance of all pixels to their own grey by one random factor.

    Parameters
    ----------
    factor : float or (float, float), default=0.3
        Range; one number f means (1 - f, 1 + f). 0 leaves greys.
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    ``grey + factor * (x - grey)`` with grey = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), which
    stays as it is but for rounding and saturation.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Saturation
    >>> Compose([Saturation((0, 0))])(np.array([[[[200, 100, 50]]]], dtype=np.uint8))
    array([[[[124, 124, 124]]]], dtype=uint8)
    """

    n_draws = 1

    def __init__(self, factor: float | tuple[float, float] = 0.3, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.factor = interval(factor, 0.0, 1e3, "factor", about=1.0)

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"factor": spread(uniforms[:, 0], self.factor)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        factor = drawn.values["factor"][:, None, None]
        matrix = (1 - factor) * np.tile(LUMA, (3, 1)) + factor * np.eye(3)
        return [colour_step(drawn, frame, position, matrix.reshape(-1, 9))]


class Grayscale(Coloured):
    """All three channels become the grey of the pixel, 0.299 R + 0.587 G + 0.114 B.

    Parameters
    ----------
    p : float, default=1.0
        Probability of each image to be changed.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Grayscale
    >>> Compose([Grayscale()])(np.array([[[[200, 100, 50]]]], dtype=np.uint8))
    array([[[[124, 124, 124]]]], dtype=uint8)
    """

    def __init__(self, *, p: float = 1.0) -> None:
        super().__init__(p)

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        luma = np.tile(LUMA, (len(frame), 1))
        return [colour_step(drawn, frame, position, luma, ALIKE)]


class Hue(Coloured):
    """Turn the hue of all pixels by one random angle.

    Parameters
    ----------
    degrees : float or (float, float), default=18
        Range; one number d means (-d, d). 120 sends red to green.
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    The hue of the HSV hexagon; value and saturation stay, so that the greatest and the least
    channel of a pixel are what they were, exactly. Other libraries go through 8-bit HSV, whose
    hues are two degrees apart.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Hue
    >>> Compose([Hue((120, 120))])(np.array([[[[200, 100, 50]]]], dtype=np.uint8))
    array([[[[ 50, 200, 100]]]], dtype=uint8)
    """

    n_draws = 1

    def __init__(self, degrees: float | tuple[float, float] = 18.0, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.degrees = interval(degrees, -360.0, 360.0, "degrees")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"degrees": spread(uniforms[:, 0], self.degrees)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        turns = drawn.values["degrees"] / 360 % 1.0
        return [colour_step(drawn, frame, position, turns[:, None], HUE)]


def colour_step(
    drawn: Drawn, frame: Frame, position: int, parameters: Floats, what: int = MATRIX
) -> Step:
    """A matrix (n_images, 9), turns (n_images, 1) or a row for all channels (n_images, 3)."""
    return local_step(COLOUR, drawn, frame, position, parameters, options=(what,))
