"""Ours: one call a batch into a preallocated one, a new epoch each time, draws in the time."""

from __future__ import annotations

from itertools import count

import numpy as np

from jointprob.augment import images as ji

from . import sets
from .opencv import Call
from .sets import Batch

NAME = "ours"


def limit_threads() -> None:
    """Each call says its threads."""


def _call(batch: Batch, out: np.ndarray, operations: list, n_jobs: int) -> Call:
    augment, epochs = ji.Compose(operations, seed=0), count()
    indices = np.arange(batch.n)

    def call() -> np.ndarray:
        return augment(batch.images, indices=indices, epoch=next(epochs), out=out, n_jobs=n_jobs)

    return call


def hflip(batch: Batch, n_jobs: int = 1) -> Call:
    """`HorizontalFlip`."""
    return _call(batch, batch.empty(), [ji.HorizontalFlip(p=1.0)], n_jobs)


def vflip(batch: Batch, n_jobs: int = 1) -> Call:
    """`VerticalFlip`."""
    return _call(batch, batch.empty(), [ji.VerticalFlip(p=1.0)], n_jobs)


def crop(batch: Batch, n_jobs: int = 1) -> Call:
    """`RandomCrop`."""
    return _call(batch, batch.empty(batch.crop), [ji.RandomCrop((batch.crop, batch.crop))], n_jobs)


def rotate(batch: Batch, n_jobs: int = 1) -> Call:
    """`Rotate`, bilinear, border 0."""
    return _call(batch, batch.empty(), [ji.Rotate((-sets.ANGLE, sets.ANGLE))], n_jobs)


def random_resized_crop(batch: Batch, n_jobs: int = 1) -> Call:
    """`RandomResizedCrop`: bilinear, a mean over the area where a side shrinks."""
    operation = ji.RandomResizedCrop(
        (batch.resized, batch.resized), scale=sets.AREA, ratio=sets.ASPECT
    )
    return _call(batch, batch.empty(batch.resized), [operation], n_jobs)


def shrink(batch: Batch, n_jobs: int = 1) -> Call:
    """`Resize`, a mean over the area."""
    return _call(batch, batch.empty(batch.smaller), [ji.Resize(batch.smaller)], n_jobs)


def enlarge(batch: Batch, n_jobs: int = 1) -> Call:
    """`Resize`, bilinear."""
    return _call(batch, batch.empty(batch.larger), [ji.Resize(batch.larger)], n_jobs)


def blur(batch: Batch, n_jobs: int = 1) -> Call:
    """`GaussianBlur`."""
    return _call(batch, batch.empty(), [ji.GaussianBlur((sets.BLUR, sets.BLUR))], n_jobs)


def greyscale(batch: Batch, n_jobs: int = 1) -> Call:
    """`Grayscale`, three channels."""
    return _call(batch, batch.empty(), [ji.Grayscale()], n_jobs)


def brightness_contrast(batch: Batch, n_jobs: int = 1) -> Call:
    """`Brightness` and `Contrast` about the mean."""
    operations = [ji.Brightness(sets.JITTER * batch.white), ji.Contrast(_about_one())]
    return _call(batch, batch.empty(), operations, n_jobs)


def _about_one() -> tuple[float, float]:
    return 1 - sets.JITTER, 1 + sets.JITTER


def noise(batch: Batch, n_jobs: int = 1) -> Call:
    """`GaussianNoise`."""
    return _call(batch, batch.empty(), [ji.GaussianNoise(batch.sigma)], n_jobs)


def normalise(batch: Batch, n_jobs: int = 1) -> Call:
    """`Normalize`."""
    operation = ji.Normalize(tuple(sets.MEAN), tuple(sets.STD))
    return _call(batch, batch.empty(dtype=np.float32), [operation], n_jobs)


def pipeline(batch: Batch, n_jobs: int = 1) -> Call:
    """`Compose` of HorizontalFlip, Rotate, RandomCrop, GaussianNoise."""
    operations = [
        ji.HorizontalFlip(p=0.5),
        ji.Rotate((-sets.ANGLE, sets.ANGLE)),
        ji.RandomCrop((batch.crop, batch.crop)),
        ji.GaussianNoise(batch.sigma),
    ]
    return _call(batch, batch.empty(batch.crop), operations, n_jobs)


def given_rotation(batch: Batch) -> Call:
    """Each image by its given angle."""
    return lambda: np.concatenate(
        [
            ji.Compose([ji.Rotate((angle, angle))])(image[None])
            for image, angle in zip(batch.images, batch.angles.tolist(), strict=True)
        ]
    )


def given_resize(batch: Batch) -> Call:
    """Each given window."""
    resize = ji.Compose([ji.Resize((batch.resized, batch.resized))])
    return lambda: np.stack(resize(list(batch.cut())))
