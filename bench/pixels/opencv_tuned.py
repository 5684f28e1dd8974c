"""OpenCV as someone would write it who knows it well and fuses by hand, where that is faster."""

from __future__ import annotations

import cv2
import numpy as np

from . import opencv, sets
from .opencv import Call, limit_threads
from .sets import Batch

__all__ = ["blur", "limit_threads", "noise", "normalise", "pipeline"]
NAME = "OpenCV, tuned by hand"


def _one_channel(images: np.ndarray) -> np.ndarray:
    """The same memory as images of one channel and three times the columns."""
    return images.reshape(len(images), images.shape[1], -1)


def blur(batch: Batch) -> Call:
    """`sepFilter2D` with the kernel of `getGaussianKernel`."""
    images, out = batch.images, batch.empty()
    kernel = cv2.getGaussianKernel(2 * sets.BLUR_RADIUS + 1, sets.BLUR)
    return opencv._loop(
        batch, out, lambda i: cv2.sepFilter2D(images[i], -1, kernel, kernel, dst=out[i])
    )


def noise(batch: Batch) -> Call:
    """The same calls, channels as columns."""
    out = batch.empty()
    one = opencv._noise(_one_channel(batch.images), _one_channel(out), batch.sigma)
    return opencv._loop(batch, out, one)


def normalise(batch: Batch) -> Call:
    """Bytes: `multiply` and `add` with whole images of factors and shifts, channels as columns;
    float32: `transform`."""
    if batch.images.dtype == np.float32:
        return opencv.normalise(batch)
    out = batch.empty(dtype=np.float32)
    images, written = _one_channel(batch.images), _one_channel(out)
    factors, shifts = (
        np.broadcast_to(np.tile(values, batch.side).astype(np.float32), images.shape[1:]).copy()
        for values in (1 / (255 * sets.STD), -sets.MEAN / sets.STD)
    )

    def one(i: int) -> None:
        cv2.multiply(images[i], factors, dst=written[i], dtype=cv2.CV_32F)
        cv2.add(written[i], shifts, dst=written[i])

    return opencv._loop(batch, out, one)


def pipeline(batch: Batch) -> Call:
    """One `warpAffine` that flips, rotates and crops straight into the batch; `randn`, `add` with
    channels as columns."""
    images, out, size = batch.images, batch.empty(batch.crop), (batch.crop, batch.crop)
    matrices = [
        _fused(batch.side, *draws)
        for draws in zip(batch.flips, batch.angles, batch.corners, strict=True)
    ]
    written = _one_channel(out)
    add = opencv._noise(written, written, batch.sigma) if out.dtype == np.uint8 else None
    drawn = np.empty(written.shape[1:], np.float32)

    def one(i: int) -> None:
        cv2.warpAffine(images[i], matrices[i], size, dst=out[i])
        if add:
            add(i)
        else:
            cv2.randn(drawn, 0, batch.sigma)
            cv2.add(written[i], drawn, dst=written[i])

    return opencv._loop(batch, out, one)


def _fused(side: int, flip: bool, angle: float, corner: np.ndarray) -> np.ndarray:
    """Forward matrix: mirror, rotate about the centre, move the crop's corner to the origin."""
    mirror = np.diag([-1.0 if flip else 1.0, 1, 1])
    mirror[0, 2] = side - 1 if flip else 0
    matrix = opencv.rotation(side, angle) @ mirror
    matrix[:, 2] -= corner[::-1]
    return matrix
