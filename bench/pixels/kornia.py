"""kornia: its modules, own draws for each image, on as many (N, 3, H, W) as stay in cache.

It takes floats alone: bytes are divided by 255 and come back rounded and clipped, in the time.
"""

from __future__ import annotations

import kornia.augmentation as K
import numpy as np
import torch
from kornia.geometry import transform

from . import sets
from .sets import Batch
from .torchvision import Call, by_chunks, limit_threads, planes

__all__ = ["limit_threads"]
NAME = "kornia"


def _modules(batch: Batch, side: int, *steps: torch.nn.Module, to_bytes: bool = True) -> Call:
    module = torch.nn.Sequential(*steps)
    if batch.images.dtype == np.float32:
        return by_chunks(batch, side, module)

    def change(images: torch.Tensor) -> torch.Tensor:
        changed = module(images.to(torch.float32).div_(255))
        return changed.mul_(255).round_().clamp_(0, 255) if to_bytes else changed

    return by_chunks(batch, side, change, None if to_bytes else torch.float32)


def hflip(batch: Batch) -> Call:
    """`RandomHorizontalFlip`."""
    return _modules(batch, batch.side, K.RandomHorizontalFlip(p=1.0))


def vflip(batch: Batch) -> Call:
    """`RandomVerticalFlip`."""
    return _modules(batch, batch.side, K.RandomVerticalFlip(p=1.0))


def crop(batch: Batch) -> Call:
    """`RandomCrop` by slices."""
    return _modules(batch, batch.crop, K.RandomCrop((batch.crop, batch.crop)))


def rotate(batch: Batch) -> Call:
    """`RandomRotation`, bilinear, border 0."""
    return _modules(batch, batch.side, K.RandomRotation(sets.ANGLE, p=1.0))


def random_resized_crop(batch: Batch) -> Call:
    """`RandomResizedCrop` by slices, bilinear without antialias."""
    return _modules(
        batch, batch.resized, K.RandomResizedCrop((batch.resized,) * 2, sets.AREA, sets.ASPECT)
    )


def _resize(batch: Batch, side: int) -> Call:
    return _modules(batch, side, K.Resize((side, side), p=1.0))


def shrink(batch: Batch) -> Call:
    """`Resize`, bilinear without antialias."""
    return _resize(batch, batch.smaller)


def enlarge(batch: Batch) -> Call:
    """`Resize`, bilinear."""
    return _resize(batch, batch.larger)


def blur(batch: Batch) -> Call:
    """`RandomGaussianBlur`, separable."""
    size = 2 * sets.BLUR_RADIUS + 1
    return _modules(
        batch, batch.side, K.RandomGaussianBlur((size, size), (sets.BLUR, sets.BLUR), p=1.0)
    )


def greyscale(batch: Batch) -> Call:
    """`RandomGrayscale`."""
    return _modules(batch, batch.side, K.RandomGrayscale(p=1.0))


def brightness_contrast(batch: Batch) -> Call:
    """`ColorJiggle`: shift, and scaling about 0."""
    return _modules(batch, batch.side, K.ColorJiggle(sets.JITTER, sets.JITTER))


def noise(batch: Batch) -> Call:
    """`RandomGaussianNoise`."""
    return _modules(batch, batch.side, K.RandomGaussianNoise(0.0, sets.SIGMA / 255, p=1.0))


def normalise(batch: Batch) -> Call:
    """`Normalize`."""
    return _modules(
        batch, batch.side, K.Normalize(sets.MEAN.tolist(), sets.STD.tolist()), to_bytes=False
    )


def pipeline(batch: Batch) -> Call:
    """`Sequential` of RandomHorizontalFlip, RandomRotation, RandomCrop, RandomGaussianNoise."""
    return _modules(
        batch,
        batch.crop,
        K.RandomHorizontalFlip(p=0.5),
        K.RandomRotation(sets.ANGLE, p=1.0),
        K.RandomCrop((batch.crop, batch.crop)),
        K.RandomGaussianNoise(0.0, sets.SIGMA / 255, p=1.0),
    )


def _bytes(images: torch.Tensor) -> np.ndarray:
    rounded = images.mul(255).round_().clamp_(0, 255).to(torch.uint8)
    return rounded.permute(0, 2, 3, 1).numpy()


def given_rotation(batch: Batch) -> Call:
    """Each image by its given angle."""
    images, angles = planes(batch) / 255, torch.from_numpy(batch.angles.astype(np.float32))
    return lambda: _bytes(transform.rotate(images, angles))


def given_resize(batch: Batch) -> Call:
    """Each given window."""
    windows = [torch.from_numpy(window.copy()).permute(2, 0, 1)[None] for window in batch.cut()]
    size = (batch.resized, batch.resized)
    return lambda: np.concatenate(
        [_bytes(transform.resize(w / 255, size, align_corners=False)) for w in windows]
    )
