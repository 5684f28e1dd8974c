"""torchvision v2: its functions with given draws on its own layout, (N, 3, H, W) tensors.

Where all images have the same parameters, one call takes as many images as stay in cache;
elsewhere a loop. Results are copied into a preallocated batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from . import sets
from .sets import Batch

Call = Callable[[], np.ndarray]
NAME = "torchvision v2"
CHUNK_BYTES = 2_500_000  # of floats: 1 image of 512x512, 4 of 224x224, 203 of 32x32


def limit_threads() -> None:
    torch.set_num_threads(1)


def planes(batch: Batch) -> torch.Tensor:
    return torch.from_numpy(batch.images).permute(0, 3, 1, 2).contiguous()


def by_chunks(
    batch: Batch,
    side: int,
    change: Callable[[torch.Tensor], torch.Tensor],
    dtype: torch.dtype | None = None,
) -> Call:
    """`change` takes several images in one call: as many as stay in cache, which is fastest."""
    images = planes(batch)
    out = torch.zeros((batch.n, 3, side, side), dtype=dtype or images.dtype)
    parts = [slice(i, i + chunk(batch)) for i in range(0, batch.n, chunk(batch))]

    @torch.inference_mode()
    def call() -> np.ndarray:
        for part in parts:
            out[part].copy_(change(images[part]))
        return out.permute(0, 2, 3, 1).numpy()

    return call


def chunk(batch: Batch) -> int:
    return max(1, CHUNK_BYTES // (3 * 4 * batch.side**2))


def _loop(batch: Batch, side: int, change: Callable[..., torch.Tensor], *draws: Any) -> Call:
    images = planes(batch)
    out = torch.zeros((batch.n, 3, side, side), dtype=images.dtype)
    each = list(zip(*(np.asarray(draw).tolist() for draw in draws), strict=True))

    @torch.inference_mode()
    def call() -> np.ndarray:
        for image, target, parameters in zip(images, out, each or [()] * batch.n, strict=True):
            target.copy_(change(image, *parameters))
        return out.permute(0, 2, 3, 1).numpy()

    return call


def hflip(batch: Batch) -> Call:
    """`horizontal_flip`."""
    return by_chunks(batch, batch.side, F.horizontal_flip)


def vflip(batch: Batch) -> Call:
    """`vertical_flip`."""
    return by_chunks(batch, batch.side, F.vertical_flip)


def crop(batch: Batch) -> Call:
    """`crop`."""
    side = batch.crop
    return _loop(batch, side, lambda image, at: F.crop(image, *at, side, side), batch.corners)


def _rotated(image: torch.Tensor, angle: float) -> torch.Tensor:
    return F.rotate(image, angle, InterpolationMode.BILINEAR)


def rotate(batch: Batch) -> Call:
    """`rotate`, bilinear, of tensors (a PIL image takes as long at 224x224)."""
    return _loop(batch, batch.side, _rotated, batch.angles)


def random_resized_crop(batch: Batch) -> Call:
    """`resized_crop`, bilinear, antialias."""
    size = [batch.resized, batch.resized]
    return _loop(
        batch,
        batch.resized,
        lambda image, window: F.resized_crop(image, *window, size, antialias=True),
        batch.windows,
    )


def _resize(batch: Batch, side: int) -> Call:
    return by_chunks(batch, side, lambda images: F.resize(images, [side, side], antialias=True))


def shrink(batch: Batch) -> Call:
    """`resize`, bilinear, antialias."""
    return _resize(batch, batch.smaller)


def enlarge(batch: Batch) -> Call:
    """`resize`, bilinear, antialias."""
    return _resize(batch, batch.larger)


def blur(batch: Batch) -> Call:
    """`gaussian_blur`, image by image, which is faster than several at once."""
    size = [2 * sets.BLUR_RADIUS + 1] * 2
    sigma = [sets.BLUR, sets.BLUR]
    return _loop(batch, batch.side, lambda image: F.gaussian_blur(image, size, sigma))


def greyscale(batch: Batch) -> Call:
    """`rgb_to_grayscale`, three channels."""
    return by_chunks(batch, batch.side, lambda images: F.rgb_to_grayscale(images, 3))


def brightness_contrast(batch: Batch) -> Call:
    """`adjust_brightness`, which scales, and `adjust_contrast` about the mean."""
    return _loop(
        batch,
        batch.side,
        lambda image, shift, factor: F.adjust_contrast(F.adjust_brightness(image, shift), factor),
        1 + batch.shifts / batch.white,
        batch.factors,
    )


def _noisy(image: torch.Tensor) -> torch.Tensor:
    return F.gaussian_noise(image, 0.0, sets.SIGMA / 255, clip=not image.is_floating_point())


def noise(batch: Batch) -> Call:
    """`gaussian_noise`."""
    return by_chunks(batch, batch.side, _noisy)


def normalise(batch: Batch) -> Call:
    """`to_dtype` for bytes, then `normalize` in place."""
    mean, std = sets.MEAN.tolist(), sets.STD.tolist()

    def change(images: torch.Tensor) -> torch.Tensor:
        if images.is_floating_point():
            return F.normalize(images, mean, std)
        return F.normalize(F.to_dtype(images, torch.float32, scale=True), mean, std, inplace=True)

    return by_chunks(batch, batch.side, change, torch.float32)


def pipeline(batch: Batch) -> Call:
    """`horizontal_flip` where drawn, `rotate`, `crop`, `gaussian_noise`."""
    side = batch.crop

    def change(image: torch.Tensor, flip: bool, angle: float, at: list[int]) -> torch.Tensor:
        flipped = F.horizontal_flip(image) if flip else image
        return _noisy(F.crop(_rotated(flipped, angle), *at, side, side))

    return _loop(batch, side, change, batch.flips, batch.angles, batch.corners)
