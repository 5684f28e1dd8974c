"""Batches: arrays (N, H, W, C), (N, H, W), NCHW, strided, or lists of images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from jointprob.augment.images.operation import (
    DTYPES,
    MAX_CHANNELS,
    Frame,
    Integers,
    all_alike,
    columns,
)

Image = npt.NDArray[Any]
Images = Image | Sequence[Image]
LAYOUTS = ("NHWC", "NCHW")
TYPES = ", ".join(dtype.name for dtype in DTYPES)


NOTHING = np.empty(0)


@dataclass(slots=True)
class Batch:
    """Images of one type and number of channels."""

    images: Image | list[Image]
    frame: Frame
    has_channels: bool  # whether the arrays have an axis of channels
    layout: str
    is_bool: bool = False

    def places(self) -> Integers:
        """Address, height, width and strides (row, pixel, channel) of each image."""
        n = len(self.frame)
        if isinstance(self.images, list):
            places = np.empty((n, 6), dtype=np.int64)
            places[:, 1:3] = self.frame.sizes
            for i, image in enumerate(self.images):
                places[i, 0] = address(image)
                places[i, 3:] = self._strides(image.strides)
        else:
            strides = self.images.strides
            height, width = self.frame.sizes[0].tolist()
            return evenly(n, address(self.images), strides[0], height, width,
                          *self._strides(strides[1:]))  # fmt: skip
        return places

    def _strides(self, strides: tuple[int, ...]) -> tuple[int, int, int]:
        if not self.has_channels:
            return strides[0], strides[1], self.frame.dtype.itemsize
        if self.layout == "NCHW":
            return strides[1], strides[2], strides[0]
        return strides[0], strides[1], strides[2]

    def original(self) -> Images:
        """The images as masks came: bool where they were."""
        if not self.is_bool:
            return self.images
        if isinstance(self.images, list):
            return [image.view(np.bool_) for image in self.images]
        return self.images.view(np.bool_)

    @property
    def is_list(self) -> bool:
        """Whether the images are a list, of any sizes."""
        return isinstance(self.images, list)

    def becoming(self, frame: Frame) -> Batch:
        """A batch of this sort for images of another frame, that has no images yet."""
        if not self.is_list and not frame.is_alike():
            raise ValueError(
                "the operations give images of different sizes, which no array holds: "
                "pass a list of images"
            )
        images: Image | list[Image] = [] if self.is_list else NOTHING
        return Batch(images, frame, self.has_channels, self.layout, self.is_bool)

    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of each array."""
        if self.is_list:
            return [self._shape(i) for i in range(len(self.frame))]
        return [(len(self.frame), *self._shape(0))]

    def empty(self) -> Batch:
        """This batch, with new images."""
        arrays = [np.empty(shape, self.frame.dtype) for shape in self.shapes()]
        return self.holding(arrays)

    def holding(self, arrays: list[Image]) -> Batch:
        """This batch, with these images."""
        images = arrays if self.is_list else arrays[0]
        return Batch(images, self.frame, self.has_channels, self.layout, self.is_bool)

    def _shape(self, image: int) -> tuple[int, ...]:
        """Shape of one image."""
        height, width = self.frame.sizes[image].tolist()
        if not self.has_channels:
            return height, width
        if self.layout == "NCHW":
            return self.frame.channels, height, width
        return height, width, self.frame.channels


@lru_cache(maxsize=16)
def evenly(n: int, first: int, step: int, *place: int) -> Integers:
    """Places of images `step` bytes apart; kept, as buffers come again, so not to be written to."""
    return columns(n, first + step * np.arange(n), *place, dtype=np.int64)


def address(array: Image) -> int:
    """Where the first element is."""
    return int(array.__array_interface__["data"][0])


def read(
    images: Images, layout: str = "NHWC", name: str = "images", *, as_bytes: bool = False
) -> Batch:
    """Checked images; nothing is copied. `as_bytes` takes bool arrays, as uint8."""
    if isinstance(images, list | tuple):
        return _read_list([np.asarray(image) for image in images], layout, name, as_bytes)
    array = np.asarray(images)
    if array.ndim not in (3, 4):
        raise ValueError(
            f"{name} has shape {array.shape}; allowed are (N, H, W), (N, H, W, C) and lists"
        )
    is_bool = as_bytes and array.dtype == np.bool_
    array = array.view(np.uint8) if is_bool else array
    size = _size(array, array.shape[1:], layout, name)
    if len(array) == 0:
        raise ValueError(f"{name} has shape {array.shape}; allowed are one image or more")
    sizes = all_alike(size[0], size[1], len(array))
    return Batch(array, Frame(sizes, size[2], array.dtype), array.ndim == 4, layout, is_bool)


def _read_list(images: list[Image], layout: str, name: str, as_bytes: bool) -> Batch:
    if not images:
        raise ValueError(f"{name} is an empty list; allowed are one image or more")
    is_bool = as_bytes and all(image.dtype == np.bool_ for image in images)
    images = [image.view(np.uint8) for image in images] if is_bool else images
    first = images[0]
    sizes = np.empty((len(images), 2), dtype=np.int64)
    for i, image in enumerate(images):
        place = f"{name}[{i}]"
        if image.ndim not in (2, 3):
            raise ValueError(f"{place} has shape {image.shape}; allowed are (H, W) and (H, W, C)")
        height, width, channels = _size(image, image.shape, layout, place)
        if i == 0:
            like_first = (first.dtype, first.ndim, channels)
        if (image.dtype, image.ndim, channels) != like_first:
            raise ValueError(
                f"{place} is {image.dtype} of shape {image.shape}, unlike {name}[0], {first.dtype} "
                f"of shape {first.shape}: all must be of one type and number of channels"
            )
        sizes[i] = height, width
    frame = Frame(sizes, like_first[2], first.dtype)
    return Batch(images, frame, first.ndim == 3, layout, is_bool)


def _size(array: Image, shape: tuple[int, ...], layout: str, name: str) -> tuple[int, int, int]:
    """Checked height, width and channels of one image of an array."""
    if array.dtype not in DTYPES:
        raise TypeError(f"{name} has dtype {array.dtype}; allowed are {TYPES}")
    if len(shape) == 2:
        height, width, channels = shape[0], shape[1], 1
    elif layout == "NCHW":
        channels, height, width = shape
    else:
        height, width, channels = shape
    if 0 in shape:
        raise ValueError(f"{name} has shape {array.shape}; images must have at least one pixel")
    if channels > MAX_CHANNELS:
        raise ValueError(
            f"{name} has {channels} channels; allowed are 1 to {MAX_CHANNELS} (layout {layout})"
        )
    return height, width, channels


def output(out: Images, expected: Batch, sources: Sequence[Batch]) -> Batch:
    """Checked `out`: shaped like the result, of its type, writable, apart from all input."""
    wanted = expected.shapes()
    arrays = [np.asarray(image) for image in out] if expected.is_list else [np.asarray(out)]
    if isinstance(out, list | tuple) != expected.is_list:
        raise TypeError(f"out is a {type(out).__name__}, the images are not")
    for array in arrays:
        if array.dtype != expected.frame.dtype:
            raise TypeError(f"out has dtype {array.dtype}, the result {expected.frame.dtype}")
    if [array.shape for array in arrays] != wanted:
        raise ValueError(f"out has shape {[a.shape for a in arrays]}; the result has {wanted}")
    for k, array in enumerate(arrays):
        _check_apart(array, [*_arrays(sources), *arrays[:k]])
    return expected.holding(arrays)


def _check_apart(array: Image, others: Sequence[Image]) -> None:
    if not array.flags.writeable:
        raise ValueError("out is read-only")
    if any(overlap(array, other) for other in others):
        raise ValueError("out overlaps the input or itself; it must be memory of its own")
    if any(
        stride == 0 and side > 1 for stride, side in zip(array.strides, array.shape, strict=True)
    ):
        raise ValueError("out is a broadcast array: several of its pixels are one")


def _arrays(batches: Sequence[Batch]) -> list[Image]:
    return [
        image
        for batch in batches
        for image in (batch.images if isinstance(batch.images, list) else [batch.images])
    ]


def overlap(a: Image, b: Image) -> bool:
    """Whether two arrays share memory; True where that is too hard to tell."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
