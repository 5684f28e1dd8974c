"""OpenCV: a loop over the images, direct calls with given draws into a preallocated batch.

What depends on the draws alone (matrices, tables) is made before the clock starts.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from . import sets
from .sets import Batch

Call = Callable[[], np.ndarray]
NAME = "OpenCV"


def limit_threads() -> None:
    cv2.setNumThreads(1)


def _loop(batch: Batch, out: np.ndarray, one: Callable[[int], object]) -> Call:
    def call() -> np.ndarray:
        for i in range(batch.n):
            one(i)
        return out

    return call


def hflip(batch: Batch) -> Call:
    """`flip`."""
    images, out = batch.images, batch.empty()
    return _loop(batch, out, lambda i: cv2.flip(images[i], 1, dst=out[i]))


def vflip(batch: Batch) -> Call:
    """`flip`."""
    images, out = batch.images, batch.empty()
    return _loop(batch, out, lambda i: cv2.flip(images[i], 0, dst=out[i]))


def crop(batch: Batch) -> Call:
    """`copyTo` of a slice."""
    images, out, side = batch.images, batch.empty(batch.crop), batch.crop
    corners = batch.corners.tolist()

    def one(i: int) -> None:
        top, left = corners[i]
        cv2.copyTo(images[i, top : top + side, left : left + side], None, out[i])

    return _loop(batch, out, one)


def rotation(side: int, angle: float) -> np.ndarray:
    """Matrix of `warpAffine` about the centre of the pixels, angle counter-clockwise."""
    return cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1)


def rotate(batch: Batch) -> Call:
    """`warpAffine`, bilinear, border 0."""
    images, out, size = batch.images, batch.empty(), (batch.side, batch.side)
    matrices = [rotation(batch.side, angle) for angle in batch.angles]
    return _loop(batch, out, lambda i: cv2.warpAffine(images[i], matrices[i], size, dst=out[i]))


def random_resized_crop(batch: Batch) -> Call:
    """`resize` of a slice, bilinear; INTER_AREA where both sides shrink."""
    images, side = batch.images, batch.resized
    out = batch.empty(side)
    windows = batch.windows.tolist()
    filters = [cv2.INTER_AREA if min(window[2:]) > side else cv2.INTER_LINEAR for window in windows]

    def one(i: int) -> None:
        top, left, height, width = windows[i]
        window = images[i, top : top + height, left : left + width]
        cv2.resize(window, (side, side), dst=out[i], interpolation=filters[i])

    return _loop(batch, out, one)


def _resize(batch: Batch, side: int, interpolation: int) -> Call:
    images, out = batch.images, batch.empty(side)
    return _loop(
        batch,
        out,
        lambda i: cv2.resize(images[i], (side, side), dst=out[i], interpolation=interpolation),
    )


def shrink(batch: Batch) -> Call:
    """`resize`, INTER_AREA."""
    return _resize(batch, batch.smaller, cv2.INTER_AREA)


def enlarge(batch: Batch) -> Call:
    """`resize`, INTER_LINEAR."""
    return _resize(batch, batch.larger, cv2.INTER_LINEAR)


def blur(batch: Batch) -> Call:
    """`GaussianBlur`, border reflect101."""
    images, out = batch.images, batch.empty()
    kernel = (2 * sets.BLUR_RADIUS + 1,) * 2
    return _loop(batch, out, lambda i: cv2.GaussianBlur(images[i], kernel, sets.BLUR, dst=out[i]))


def greyscale(batch: Batch) -> Call:
    """`cvtColor` to one channel and back to three."""
    images, out = batch.images, batch.empty()
    grey = np.empty_like(images[0, ..., 0])

    def one(i: int) -> None:
        cv2.cvtColor(images[i], cv2.COLOR_RGB2GRAY, dst=grey)
        cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB, dst=out[i])

    return _loop(batch, out, one)


def brightness_contrast(batch: Batch) -> Call:
    """`mean`, then `addWeighted`: shift and scaling about the mean in one saturating pass."""
    images, out = batch.images, batch.empty()
    shifts, factors = batch.shifts.tolist(), batch.factors.tolist()

    def one(i: int) -> None:
        image, factor = images[i], factors[i]
        mean = sum(cv2.mean(image)) / 3 + shifts[i]
        added = factor * shifts[i] + (1 - factor) * mean
        cv2.addWeighted(image, factor, image, 0, added, dst=out[i])

    return _loop(batch, out, one)


def noise(batch: Batch) -> Call:
    """`randn` (int16 for bytes), then saturating `add`."""
    images, out = batch.images, batch.empty()
    return _loop(batch, out, _noise(images, out, batch.sigma))


def _noise(images: np.ndarray, out: np.ndarray, sigma: float) -> Callable[[int], object]:
    law = gaussian(out, sigma)
    if images.dtype == np.float32:

        def one(i: int) -> None:
            cv2.randn(out[i], *law)
            cv2.add(images[i], out[i], dst=out[i])

        return one
    drawn = np.empty(out.shape[1:], np.int16)

    def one_of_bytes(i: int) -> None:
        cv2.randn(drawn, *law)
        cv2.add(images[i], drawn, dst=out[i], dtype=cv2.CV_8U)

    return one_of_bytes


def gaussian(out: np.ndarray, sigma: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation for `randn`: of each channel, for a plain number moves the first alone."""
    n_channels = out.shape[3] if out.ndim == 4 else 1
    return (0.0,) * n_channels, (sigma,) * n_channels


def normalise(batch: Batch) -> Call:
    """Bytes: `LUT` with float32 entries; float32: `transform` by a diagonal matrix."""
    images, out = batch.images, batch.empty(dtype=np.float32)
    if images.dtype == np.uint8:
        table = ((np.arange(256)[:, None] / 255 - sets.MEAN) / sets.STD).astype(np.float32)[None]
        return _loop(batch, out, lambda i: cv2.LUT(images[i], table, dst=out[i]))
    matrix = np.column_stack([np.diag(1 / sets.STD), -sets.MEAN / sets.STD])
    return _loop(batch, out, lambda i: cv2.transform(images[i], matrix, dst=out[i]))


def pipeline(batch: Batch) -> Call:
    """`flip` where drawn, `warpAffine`, slice, `randn` and saturating `add`."""
    images, out, size = batch.images, batch.empty(batch.crop), (batch.side, batch.side)
    flipped, warped = np.empty_like(images[0]), np.empty_like(images[0])
    matrices = [rotation(batch.side, angle) for angle in batch.angles]
    flips, corners, side = batch.flips.tolist(), batch.corners.tolist(), batch.crop
    drawn = np.empty(out.shape[1:], np.int16 if images.dtype == np.uint8 else np.float32)
    law = gaussian(out, batch.sigma)
    depth = cv2.CV_8U if images.dtype == np.uint8 else cv2.CV_32F

    def one(i: int) -> None:
        image = cv2.flip(images[i], 1, dst=flipped) if flips[i] else images[i]
        cv2.warpAffine(image, matrices[i], size, dst=warped)
        top, left = corners[i]
        cv2.randn(drawn, *law)
        window = warped[top : top + side, left : left + side]
        cv2.add(window, drawn, dst=out[i], dtype=depth)

    return _loop(batch, out, one)
