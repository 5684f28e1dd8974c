"""Noise: a function of (seed, epoch, image index, place of the operation) and of the pixel."""

from __future__ import annotations

from jointprob.augment.images.intensity import LARGEST, WHITE, fixed_or_interval, log_spread
from jointprob.augment.images.operation import (
    NOISE,
    SHOT,
    Drawn,
    Floats,
    Frame,
    Operation,
    Step,
    local_step,
    spread,
)


class GaussianNoise(Operation):
    """Add a normal number to every value.

    Parameters
    ----------
    sigma : float or (float, float), default=10
        Standard deviation in units of the pixels (grey levels of uint8). A range draws one for
        each image; one number is the deviation itself.
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    On uint8 and uint16 what is added is the normal number rounded to the nearest integer, and the
    sum saturates, so the mass that would leave the range lies at its ends. On uint8 the rounded
    normal law is drawn by inversion of its exact distribution function, 16 bits first and 48 more
    where they do not decide: its total variation distance from the rounded normal is below 2^-44.
    On uint16 and float32 the numbers are those of Box and Muller (1958),
    doi:10.1214/aoms/1177706645, in single precision, at most 6.7 standard deviations from 0; the
    rounded law is within 1e-5 of the normal one in total variation for sigma up to 1,000.
    The number added to a value depends on the seed, the epoch, the image's index, the place of the
    operation and the value's place in the image (row, column, channel) alone.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, GaussianNoise
    >>> grey = np.full((1, 512, 512), 128, dtype=np.uint8)
    >>> round(float(Compose([GaussianNoise(10)])(grey).std()), 1)
    10.0
    """

    n_draws = 1

    def __init__(self, sigma: float | tuple[float, float] = 10.0, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.sigma = fixed_or_interval(sigma, 0.0, LARGEST, "sigma")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"sigma": spread(uniforms[:, 0], self.sigma)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        return [local_step(NOISE, drawn, frame, position, [drawn.values["sigma"]])]


class ShotNoise(Operation):
    """Every value becomes a Poisson count of photons, whose mean is proportional to the value.

    Parameters
    ----------
    photons : float or (float, float), default=(100, 1000)
        Photons that white (255, 65535 or, on float32, 1) stands for: the fewer, the more noise. A
        range draws one for each image, evenly on the scale of its logarithm; one number is the
        count itself.
    p : float, default=1.0
        Probability of each image to be changed.

    Notes
    -----
    ``Poisson(photons * x / white) * white / photons``, rounded to nearest (ties upwards) and
    saturated on integers; float32 values that are not above 0, NaN among them, stay as they are.
    uint8 inverts the distribution function of each level (total variation distance below 2^-24);
    other types draw by inversion below a mean of 10 and by the transformed rejection of Hörmann
    (1993), doi:10.1016/0167-6687(93)90997-4, above.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, ShotNoise
    >>> grey = np.full((1, 512, 512), 100, dtype=np.uint8)
    >>> round(float(Compose([ShotNoise(255)])(grey).std()), 1)
    10.0
    """

    n_draws = 1

    def __init__(
        self, photons: float | tuple[float, float] = (100.0, 1000.0), *, p: float = 1.0
    ) -> None:
        super().__init__(p)
        self.photons = fixed_or_interval(photons, 1e-3, 1e9, "photons")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"photons": log_spread(uniforms[:, 0], self.photons)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        each = drawn.values["photons"] / WHITE[frame.dtype]
        return [local_step(SHOT, drawn, frame, position, [each])]
