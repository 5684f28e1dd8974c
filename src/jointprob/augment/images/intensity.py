"""Operations on the values of pixels, one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from jointprob.augment.images.functions import Compiled, compiled
from jointprob.augment.images.operation import (
    AFFINE,
    BRIGHTNESS,
    CONTRAST,
    FUNCTION,
    GAMMA,
    Drawn,
    Floats,
    Frame,
    Operation,
    Step,
    between,
    interval,
    local_step,
    spread,
)  # fmt: skip

FLOAT = 2  # of DTYPES
WHITE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}
LARGEST = 1e6  # of parameters that are multiplied with pixels or added to them


class Brightness(Operation):
    """Add one random number to all pixels of an image, rounded and saturated.

    Parameters
    ----------
    shift : float or (float, float), default=30
        Range in units of the pixels (grey levels of uint8); one number s means (-s, s).
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    float32 pixels are not clipped, here and in all operations.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Brightness, Compose
    >>> Compose([Brightness((100, 100))])(np.array([[[0, 100, 200]]], dtype=np.uint8))
    array([[[100, 200, 255]]], dtype=uint8)
    """

    n_draws = 1

    def __init__(self, shift: float | tuple[float, float] = 30.0, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.shift = interval(shift, -LARGEST, LARGEST, "shift")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"shift": spread(uniforms[:, 0], self.shift)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        return [local_step(BRIGHTNESS, drawn, frame, position, [drawn.values["shift"]])]


class Contrast(Operation):
    """Multiply the distance of all pixels to the image's mean by one random factor.

    The mean, over all pixels and channels, is that of the image as it reaches the operation, and
    stays as it is but for rounding and saturation.

    Parameters
    ----------
    factor : float or (float, float), default=0.25
        Range; one number f means (1 - f, 1 + f). 0 leaves a grey image.
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    NaN pixels stay and do not count in the mean. ``mean + factor * (x - mean)``; OpenCV's
    ``convertScaleAbs`` and albumentations' default multiply the values themselves, which moves
    the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Contrast
    >>> Compose([Contrast((2, 2))])(np.array([[[100, 110, 120]]], dtype=np.uint8))
    array([[[ 90, 110, 130]]], dtype=uint8)
    """

    n_draws = 1

    def __init__(self, factor: float | tuple[float, float] = 0.25, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.factor = interval(factor, 0.0, LARGEST, "factor", about=1.0)

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"factor": spread(uniforms[:, 0], self.factor)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        return [local_step(CONTRAST, drawn, frame, position, [drawn.values["factor"]])]


class Gamma(Operation):
    """Raise all pixels, as shares of white, to one random power.

    Parameters
    ----------
    gamma : (float, float) or float, default=(0.8, 1.25)
        Range of the power, above 0, drawn evenly on the scale of its logarithm. One number is
        the power itself.
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    ``white * (x / white) ** gamma`` with white 255, 65535 or, on float32, 1. float32 pixels that
    are not above 0 stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Gamma
    >>> Compose([Gamma(2.0)])(np.array([[[0, 51, 255]]], dtype=np.uint8))
    array([[[  0,  10, 255]]], dtype=uint8)
    """

    n_draws = 1

    def __init__(self, gamma: float | tuple[float, float] = (0.8, 1.25), *, p: float = 1.0) -> None:
        super().__init__(p)
        self.gamma = fixed_or_interval(gamma, 1e-3, 1e3, "gamma")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"gamma": log_spread(uniforms[:, 0], self.gamma)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        return [local_step(GAMMA, drawn, frame, position, [drawn.values["gamma"]])]


class ToFloat(Operation):
    """Pixels as float32 shares of white: uint8 / 255, uint16 / 65535; float32 stays.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, ToFloat
    >>> Compose([ToFloat()])(np.array([[[0, 255]]], dtype=np.uint8))
    array([[[0., 1.]]], dtype=float32)
    """

    def __init__(self) -> None:
        super().__init__()

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        factor = np.full(frame.channels, 1 / WHITE[frame.dtype])
        return [affine(drawn, frame, position, factor, np.zeros(frame.channels))]


class Normalize(Operation):
    """Standardise every channel: ``(x / white - mean) / std`` in float32.

    Parameters
    ----------
    mean, std : float or sequence of float
        One number, or one for each channel, as shares of white (255, 65535 or 1). By default the
        means and deviations of ImageNet's three channels.

    Notes
    -----
    Computed as one product and one sum in float32, so within two units of the last place of
    the larger of the two terms.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, Normalize
    >>> Compose([Normalize(0.5, 0.5)])(np.array([[[0, 255]]], dtype=np.uint8))
    array([[[-1.,  1.]]], dtype=float32)
    """

    def __init__(
        self,
        mean: float | Sequence[float] = (0.485, 0.456, 0.406),
        std: float | Sequence[float] = (0.229, 0.224, 0.225),
    ) -> None:
        super().__init__()
        self.mean = by_channel(mean, -LARGEST, LARGEST, "mean")
        self.std = by_channel(std, 1 / LARGEST, LARGEST, "std")

    def check(self, frame: Frame) -> None:
        for name, values in ("mean", self.mean), ("std", self.std):
            if len(values) not in (1, frame.channels):
                raise ValueError(
                    f"{name} has {len(values)} values, the images {frame.channels} channels"
                )

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        mean, std = (np.resize(values, frame.channels) for values in (self.mean, self.std))
        return [affine(drawn, frame, position, 1 / (WHITE[frame.dtype] * std), -mean / std)]


class PointOp(Operation):
    """The user's own function of a pixel's value, compiled by numba into the fused pass.

    Parameters
    ----------
    function : callable
        An ``@njit`` function, or a plain one that numba can compile, of one float that gives one
        float. It gets the value itself: grey levels 0 to 255 of uint8, 0 to 65535 of uint16, the
        float of float32. What it gives is rounded and saturated on integer pixels; NaN becomes 0
        there. It must depend on nothing but the value: on uint8 it is called once for each of the
        256 levels of an image.
    p : float, default=1.0
        Probability of each image to be changed.

    Raises
    ------
    ImportError
        Without numba, which the extra ``jit`` brings.
    TypeError
        If numba cannot compile the function.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, PointOp
    >>> def invert(x):
    ...     return 255 - x
    >>> Compose([PointOp(invert)])(np.array([[[0, 100]]], dtype=np.uint8))  # doctest: +SKIP
    array([[[255, 155]]], dtype=uint8)
    """

    def __init__(self, function: Callable[[float], float], *, p: float = 1.0) -> None:
        super().__init__(p)
        self.function = function
        self._compiled: Compiled = compiled(function)

    def __repr__(self) -> str:
        return f"PointOp({getattr(self.function, '__name__', self.function)!s}, p={self.p})"

    def __getstate__(self) -> dict[str, object]:
        """Machine code stays in its process."""
        return {"function": self.function, "p": self.p}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._compiled = compiled(self.function)

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        pointer = np.array([self._compiled.address], dtype=np.uintp).view(np.uint8)
        return [local_step(FUNCTION, drawn, frame, position, [], shared=pointer)]


def affine(drawn: Drawn, frame: Frame, position: int, factor: Floats, shift: Floats) -> Step:
    """``factor * x + shift`` by channel, to float32."""
    both = np.tile(np.concatenate([factor, shift]), (len(frame), 1))
    return local_step(AFFINE, drawn, frame, position, both, dtype=FLOAT)


def by_channel(
    value: float | Sequence[float], low: float, high: float, name: str
) -> tuple[float, ...]:
    """Checked numbers, one for all channels or one for each."""
    values = tuple(value) if isinstance(value, Sequence | np.ndarray) else (value,)
    if not values:
        raise ValueError(f"{name} is empty; allowed is a number, or one for each channel")
    return tuple(between(part, low, high, name) for part in values)


def fixed_or_interval(
    value: float | tuple[float, float], low: float, high: float, name: str
) -> tuple[float, float]:
    """A range (least, greatest); one number means that number."""
    return interval(value if isinstance(value, tuple | list) else (value, value), low, high, name)


def log_spread(uniform: Floats, limits: tuple[float, float]) -> Floats:
    """Uniforms in [0, 1) spread over a range, evenly in its logarithm."""
    low, high = np.log(limits)
    return np.clip(np.exp(spread(uniform, (low, high))), *limits)  # exp(log(x)) may miss x
