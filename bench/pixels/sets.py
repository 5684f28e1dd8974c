"""Batches of real images, and the draws that every library gets the same where it takes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

N_IMAGES = {"32x32": 256, "224x224": 64, "512x512": 16}
CROPS = {32: 28, 224: 192, 512: 448}  # side of the image -> side of its crop
SMALLER = {32: 16, 224: 112, 512: 256}  # side of the image -> sides after Resize
LARGER = {32: 48, 224: 300, 512: 680}
RESIZED = {32: 32, 224: 224, 512: 224}  # side of the image -> side after RandomResizedCrop

ANGLE = 15.0  # degrees, either way
SIGMA = 10.0  # of noise, grey levels of 255
BLUR = 2.0  # standard deviation, pixels
BLUR_RADIUS = 6  # of the kernel, three deviations: what ours and OpenCV take by themselves
AREA = (0.08, 1.0)  # RandomResizedCrop: share of the image
ASPECT = (3 / 4, 4 / 3)
JITTER = 0.2  # brightness shifts by this share of the range, contrast scales by 1 -+ this
MEAN = np.array([0.485, 0.456, 0.406])  # of normalisation, for values in [0, 1]
STD = np.array([0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Batch:
    """Images (N, side, side, 3), uint8 or float32 in [0, 1]."""

    images: np.ndarray

    @property
    def n(self) -> int:
        return len(self.images)

    @property
    def side(self) -> int:
        return self.images.shape[1]

    @property
    def crop(self) -> int:
        return CROPS[self.side]

    @property
    def resized(self) -> int:
        return RESIZED[self.side]

    @property
    def smaller(self) -> int:
        return SMALLER[self.side]

    @property
    def larger(self) -> int:
        return LARGER[self.side]

    @property
    def white(self) -> float:
        """The largest value: 255 or 1."""
        return 255.0 if self.images.dtype == np.uint8 else 1.0

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in units of the pixels."""
        return SIGMA / 255 * self.white

    def empty(self, side: int | None = None, dtype: type | None = None) -> np.ndarray:
        """A batch to write into; its pages are touched, so that no timing pays for that."""
        side = side or self.side
        return np.zeros((self.n, side, side, 3), dtype or self.images.dtype)

    @cached_property
    def flips(self) -> np.ndarray:
        return self._draws(0).random(self.n) < 0.5

    @cached_property
    def angles(self) -> np.ndarray:
        return self._draws(1).uniform(-ANGLE, ANGLE, self.n)

    @cached_property
    def corners(self) -> np.ndarray:
        """Top and left of each crop."""
        return self._draws(2).integers(0, self.side - self.crop + 1, (self.n, 2))

    @cached_property
    def windows(self) -> np.ndarray:
        """Top, left, height and width of each RandomResizedCrop."""
        draws = self._draws(3)
        return np.array([_window(self.side, draws) for _ in range(self.n)])

    def cut(self) -> list[np.ndarray]:
        """Each image's window, a view."""
        return [
            image[top : top + height, left : left + width]
            for image, (top, left, height, width) in zip(
                self.images, self.windows.tolist(), strict=True
            )
        ]

    @cached_property
    def shifts(self) -> np.ndarray:
        """Of brightness, in units of the pixels."""
        return self._draws(4).uniform(-JITTER, JITTER, self.n) * self.white

    @cached_property
    def factors(self) -> np.ndarray:
        """Of contrast."""
        return self._draws(5).uniform(1 - JITTER, 1 + JITTER, self.n)

    def _draws(self, what: int) -> np.random.Generator:
        return np.random.default_rng([what, self.side])


def _window(side: int, draws: np.random.Generator) -> tuple[int, int, int, int]:
    """Area uniform, aspect uniform in its logarithm, drawn again until it lies inside."""
    while True:
        area = draws.uniform(*AREA) * side**2
        aspect = np.exp(draws.uniform(*np.log(ASPECT)))
        height, width = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if 0 < height <= side and 0 < width <= side:
            top, left = draws.integers(0, [side - height + 1, side - width + 1])
            return int(top), int(left), height, width


def load(name: str, dtype: str, folder: Path) -> Batch:
    """The batch of size `name`, "32x32", "224x224" or "512x512"."""
    n_images = N_IMAGES[name]
    side = int(name.split("x")[0])
    if side == 32:
        with np.load(folder / "images" / "cifar10_test.npz") as stored:
            images = stored["images"][:n_images]
    else:
        images = _tiles(folder / "images" / "kodak_a.npz", side)[:n_images]
    if dtype == "float32":
        images = (images / 255).astype(np.float32)
    return Batch(np.ascontiguousarray(images))


def _tiles(path: Path, side: int) -> np.ndarray:
    """All whole tiles of every photograph; first one of each photograph, then the second ..."""
    with np.load(path) as stored:
        rows = [_cut(stored[name], side) for name in stored]
    overlapping = [tile for turn in range(max(map(len, rows))) for tile in _nth(rows, turn)]
    return np.stack(overlapping)


def _cut(image: np.ndarray, side: int) -> list[np.ndarray]:
    """Tiles from the corner on; the last of a row or column reaches the edge."""
    tops, lefts = (_starts(length, side) for length in image.shape[:2])
    return [image[top : top + side, left : left + side] for top in tops for left in lefts]


def _starts(length: int, side: int) -> list[int]:
    return sorted({*range(0, length - side + 1, side), length - side})


def _nth(rows: list[list[np.ndarray]], turn: int) -> list[np.ndarray]:
    return [tiles[turn] for tiles in rows if turn < len(tiles)]
