"""albumentations: a loop over the images, its own draws, results copied into a batch."""

from __future__ import annotations

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would look for a newer release on import

import albumentations as A
import cv2
import numpy as np

from . import sets
from .opencv import Call
from .sets import Batch

NAME = "albumentations"


def limit_threads() -> None:
    cv2.setNumThreads(1)


def _loop(batch: Batch, out: np.ndarray, transform: A.BasicTransform | A.Compose) -> Call:
    images = batch.images

    def call() -> np.ndarray:
        for i in range(batch.n):
            out[i] = transform(image=images[i])["image"]
        return out

    return call


def hflip(batch: Batch) -> Call:
    """`HorizontalFlip`."""
    return _loop(batch, batch.empty(), A.HorizontalFlip(p=1))


def vflip(batch: Batch) -> Call:
    """`VerticalFlip`."""
    return _loop(batch, batch.empty(), A.VerticalFlip(p=1))


def crop(batch: Batch) -> Call:
    """`RandomCrop`."""
    return _loop(batch, batch.empty(batch.crop), A.RandomCrop(batch.crop, batch.crop, p=1))


def _rotation() -> A.Rotate:
    return A.Rotate((-sets.ANGLE, sets.ANGLE), border_mode=cv2.BORDER_CONSTANT, p=1)


def rotate(batch: Batch) -> Call:
    """`Rotate`, bilinear, border 0."""
    return _loop(batch, batch.empty(), _rotation())


def random_resized_crop(batch: Batch) -> Call:
    """`RandomResizedCrop`, bilinear, `area_for_downscale="image"`."""
    transform = A.RandomResizedCrop(
        (batch.resized, batch.resized), sets.AREA, sets.ASPECT, area_for_downscale="image", p=1
    )
    return _loop(batch, batch.empty(batch.resized), transform)


def shrink(batch: Batch) -> Call:
    """`Resize`, `area_for_downscale="image"`."""
    return _resize(batch, batch.smaller)


def enlarge(batch: Batch) -> Call:
    """`Resize`, bilinear."""
    return _resize(batch, batch.larger)


def _resize(batch: Batch, side: int) -> Call:
    transform = A.Resize(side, side, area_for_downscale="image", p=1)
    return _loop(batch, batch.empty(side), transform)


def blur(batch: Batch) -> Call:
    """`GaussianBlur`."""
    size = 2 * sets.BLUR_RADIUS + 1
    transform = A.GaussianBlur((size, size), (sets.BLUR, sets.BLUR), p=1)
    return _loop(batch, batch.empty(), transform)


def greyscale(batch: Batch) -> Call:
    """`ToGray`, weighted mean, three channels."""
    return _loop(batch, batch.empty(), A.ToGray(3, p=1))


def brightness_contrast(batch: Batch) -> Call:
    """`RandomBrightnessContrast`, which scales about 0, not about the mean."""
    return _loop(batch, batch.empty(), A.RandomBrightnessContrast(sets.JITTER, sets.JITTER, p=1))


def _noise() -> A.GaussNoise:
    return A.GaussNoise((sets.SIGMA / 255, sets.SIGMA / 255), p=1)


def noise(batch: Batch) -> Call:
    """`GaussNoise`."""
    return _loop(batch, batch.empty(), _noise())


def normalise(batch: Batch) -> Call:
    """`Normalize`."""
    transform = A.Normalize(tuple(sets.MEAN), tuple(sets.STD), batch.white, p=1)
    return _loop(batch, batch.empty(dtype=np.float32), transform)


def pipeline(batch: Batch) -> Call:
    """`Compose` of HorizontalFlip, Rotate, RandomCrop, GaussNoise."""
    steps = [A.HorizontalFlip(p=0.5), _rotation(), A.RandomCrop(batch.crop, batch.crop), _noise()]
    return _loop(batch, batch.empty(batch.crop), A.Compose(steps, seed=0))


def given_rotation(batch: Batch) -> Call:
    """Each image by its given angle."""
    steps = [
        A.Rotate((angle, angle), border_mode=cv2.BORDER_CONSTANT, p=1)
        for angle in batch.angles.tolist()
    ]
    pairs = list(zip(steps, batch.images, strict=True))
    return lambda: np.stack([step(image=image)["image"] for step, image in pairs])


def given_resize(batch: Batch) -> Call:
    """Each given window."""
    step = A.Resize(batch.resized, batch.resized, p=1)
    windows = batch.cut()
    return lambda: np.stack([step(image=np.ascontiguousarray(w))["image"] for w in windows])
