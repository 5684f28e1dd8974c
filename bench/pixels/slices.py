"""NumPy: slices into a preallocated batch, whole batches at a time where draws allow it."""

from __future__ import annotations

import numpy as np

from . import sets
from .opencv import Call
from .sets import Batch

NAME = "NumPy"


def limit_threads() -> None:
    """None of these calls starts threads."""


def _copy(batch: Batch, view: np.ndarray) -> Call:
    out = batch.empty()

    def call() -> np.ndarray:
        np.copyto(out, view)
        return out

    return call


def hflip(batch: Batch) -> Call:
    """`copyto` from a reversed slice of the batch."""
    return _copy(batch, batch.images[:, :, ::-1])


def vflip(batch: Batch) -> Call:
    """`copyto` from a reversed slice of the batch."""
    return _copy(batch, batch.images[:, ::-1])


def crop(batch: Batch) -> Call:
    """A loop of slices."""
    images, side, out = batch.images, batch.crop, batch.empty(batch.crop)
    corners = batch.corners.tolist()

    def call() -> np.ndarray:
        for image, target, (top, left) in zip(images, out, corners, strict=True):
            target[:] = image[top : top + side, left : left + side]
        return out

    return call


def noise(batch: Batch) -> Call:
    """`Generator.standard_normal` in float32; for bytes `rint` and `clip`."""
    images, out, random = batch.images, batch.empty(), np.random.default_rng(0)
    drawn, sigma = np.empty(images.shape[1:], np.float32), np.float32(batch.sigma)

    def call() -> np.ndarray:
        for image, target in zip(images, out, strict=True):
            random.standard_normal(out=drawn, dtype=np.float32)
            np.multiply(drawn, sigma, out=drawn)
            np.add(drawn, image, out=drawn)
            if target.dtype == np.uint8:
                np.rint(drawn, out=drawn)
                np.clip(drawn, 0, 255, out=drawn)
            np.copyto(target, drawn, casting="unsafe")
        return out

    return call


def normalise(batch: Batch) -> Call:
    """`multiply` and `add` of each image, factors and shifts spread over its rows."""
    images, out = batch.images, batch.empty(dtype=np.float32)
    factors, shifts = (
        np.tile(values, batch.side).astype(np.float32)
        for values in (1 / (batch.white * sets.STD), -sets.MEAN / sets.STD)
    )
    read, written = (part.reshape(batch.n, batch.side, -1) for part in (images, out))

    def call() -> np.ndarray:
        for image, target in zip(read, written, strict=True):
            np.multiply(image, factors, out=target)
            np.add(target, shifts, out=target)
        return out

    return call
