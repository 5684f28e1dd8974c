"""Batches: arrays (N, H, W, C), (N, H, W), NCHW, strided, or lists of images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .operation import DTYPES, MAX_CHANNELS, Frame, Integers

Image = npt.NDArray[Any]
Images = Image | Sequence[Image]
LAYOUTS = ("NHWC", "NCHW")
TYPES = ", ".join(dtype.name for dtype in DTYPES)


@dataclass(frozen=True)
class Batch:
    """Images of one type and number of channels."""

    images: Image | list[Image]
    frame: Frame
    has_channels: bool  # whether the arrays have an axis of channels
    layout: str

    def places(self) -> Integers:
        """Address, height, width and strides (row, pixel, channel) of each image."""
        places = np.empty((len(self.frame), 6), dtype=np.int64)
        places[:, 1:3] = self.frame.sizes
        if isinstance(self.images, list):
            for i, image in enumerate(self.images):
                places[i, 0] = address(image)
                places[i, 3:] = self._strides(image.strides)
        else:
            strides = self.images.strides
            places[:, 0] = address(self.images) + strides[0] * np.arange(len(places))
            places[:, 3:] = self._strides(strides[1:])
        return places

    def _strides(self, strides: tuple[int, ...]) -> tuple[int, int, int]:
        if not self.has_channels:
            return strides[0], strides[1], self.frame.dtype.itemsize
        if self.layout == "NCHW":
            return strides[1], strides[2], strides[0]
        return strides[0], strides[1], strides[2]

    def empty(self, frame: Frame) -> Batch:
        """A new batch of this sort for images of another frame."""
        shapes = [self._shape(*size, frame.channels) for size in frame.sizes.tolist()]
        images: Image | list[Image]
        if isinstance(self.images, list):
            images = [np.empty(shape, frame.dtype) for shape in shapes]
        else:
            if any(shape != shapes[0] for shape in shapes):
                raise ValueError(
                    "the operations give images of different sizes, which no array holds: "
                    "pass a list of images"
                )
            images = np.empty((len(shapes), *shapes[0]), frame.dtype)
        return Batch(images, frame, self.has_channels, self.layout)

    def _shape(self, height: int, width: int, channels: int) -> tuple[int, ...]:
        if not self.has_channels:
            return height, width
        if self.layout == "NCHW":
            return channels, height, width
        return height, width, channels


def address(array: Image) -> int:
    """Where the first element is."""
    return int(array.__array_interface__["data"][0])


def read(images: Images, layout: str = "NHWC", name: str = "images") -> Batch:
    """Checked images; nothing is copied."""
    if isinstance(images, list | tuple):
        return _read_list([np.asarray(image) for image in images], layout, name)
    array = np.asarray(images)
    if array.ndim not in (3, 4):
        raise ValueError(
            f"{name} has shape {array.shape}; allowed are (N, H, W), (N, H, W, C) and lists"
        )
    _check_type(array, name)
    has_channels = array.ndim == 4
    height, width, channels = _size(array.shape[1:], layout)
    _check_size(array.shape, min(array.shape), channels, name)
    sizes = np.tile(np.array([[height, width]], dtype=np.int64), (len(array), 1))
    return Batch(array, Frame(sizes, channels, array.dtype), has_channels, layout)


def _read_list(images: list[Image], layout: str, name: str) -> Batch:
    if not images:
        raise ValueError(f"{name} is an empty list; allowed are one image or more")
    first = images[0]
    sizes = np.empty((len(images), 2), dtype=np.int64)
    for i, image in enumerate(images):
        place = f"{name}[{i}]"
        if image.ndim not in (2, 3):
            raise ValueError(f"{place} has shape {image.shape}; allowed are (H, W) and (H, W, C)")
        _check_type(image, place)
        height, width, channels = _size(image.shape, layout)
        _check_size(image.shape, min(image.shape), channels, place)
        if image.dtype != first.dtype or image.ndim != first.ndim:
            raise ValueError(
                f"{place} is {image.dtype.name} of {image.ndim} dimensions, {name}[0] is "
                f"{first.dtype.name} of {first.ndim}; all images must be alike"
            )
        sizes[i] = height, width
        if channels != _size(first.shape, layout)[2]:
            raise ValueError(f"{place} has {channels} channels, unlike {name}[0]")
    channels = _size(first.shape, layout)[2]
    return Batch(images, Frame(sizes, channels, first.dtype), first.ndim == 3, layout)


def _size(shape: tuple[int, ...], layout: str) -> tuple[int, int, int]:
    """Height, width and channels of one image."""
    if len(shape) == 2:
        return shape[0], shape[1], 1
    if layout == "NCHW":
        return shape[1], shape[2], shape[0]
    return shape[0], shape[1], shape[2]


def _check_type(array: Image, name: str) -> None:
    if array.dtype not in DTYPES:
        raise TypeError(f"{name} has dtype {array.dtype}; allowed are {TYPES}")


def _check_size(shape: tuple[int, ...], least: int, channels: int, name: str) -> None:
    if least == 0:
        raise ValueError(f"{name} has shape {shape}; images must have at least one pixel")
    if channels > MAX_CHANNELS:
        raise ValueError(
            f"{name} has {channels} channels; allowed are 1 to {MAX_CHANNELS} (layout?)"
        )


def read_output(out: Images, expected: Batch, sources: Sequence[Batch]) -> Batch:
    """Checked `out`: of the right shape and type, writable, apart from every input."""
    batch = read(out, expected.layout, "out")
    shapes = [image.shape for image in _arrays(batch)]
    wanted = [image.shape for image in _arrays(expected)]
    if shapes != wanted or isinstance(batch.images, list) != isinstance(expected.images, list):
        raise ValueError(f"out has shape {shapes}; the result has {wanted}")
    if batch.frame.dtype != expected.frame.dtype:
        raise TypeError(f"out has dtype {batch.frame.dtype}, the result {expected.frame.dtype}")
    for array in _arrays(batch):
        if not array.flags.writeable:
            raise ValueError("out is read-only")
        if any(overlap(array, other) for source in sources for other in _arrays(source)):
            raise ValueError("out overlaps the images; it must be memory of its own")
    return batch


def _arrays(batch: Batch) -> list[Image]:
    return batch.images if isinstance(batch.images, list) else [batch.images]


def overlap(a: Image, b: Image) -> bool:
    """Whether two arrays share memory; True where that is too hard to tell."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)
    except np.exceptions.TooHardError:
        return True
