"""The machine's `memcpy` of as many bytes as the operation writes: a bound, no peer."""

from __future__ import annotations

import numpy as np

from .opencv import Call
from .sets import Batch

NAME = "memcpy"


def limit_threads() -> None:
    """A copy starts no threads."""


def _copy(like: np.ndarray) -> Call:
    source = np.ones_like(like)

    def call() -> np.ndarray:
        np.copyto(like, source)
        return like

    return call


def hflip(batch: Batch) -> Call:
    return _copy(batch.empty())


def crop(batch: Batch) -> Call:
    return _copy(batch.empty(batch.crop))


def random_resized_crop(batch: Batch) -> Call:
    return _copy(batch.empty(batch.resized))


def shrink(batch: Batch) -> Call:
    return _copy(batch.empty(batch.smaller))


def enlarge(batch: Batch) -> Call:
    return _copy(batch.empty(batch.larger))


def normalise(batch: Batch) -> Call:
    return _copy(batch.empty(dtype=np.float32))


vflip = rotate = blur = greyscale = brightness_contrast = noise = hflip
pipeline = crop
