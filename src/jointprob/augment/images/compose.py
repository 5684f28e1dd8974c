"""Compose: check, draw, plan, run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jointprob.augment.images.annotations import (
    BOX_FORMATS,
    Rows,
    move_boxes,
    move_keypoints,
    read_rows,
)
from jointprob.augment.images.batches import LAYOUTS, Batch, Images, output, read
from jointprob.augment.images.fusion import Part, Plan, plan, plan_masks
from jointprob.augment.images.operation import Drawn, Floats, Integers, Operation, between
from jointprob.augment.images.running import run

MAX_SEED = 2**64 - 1
MAX_STEPS = 64  # of csrc/augment.h


class Augmented(NamedTuple):
    """What a pipeline made of images and what belongs to them; None where nothing was given."""

    images: Images
    masks: Images | None = None
    boxes: list[Floats] | None = None
    keypoints: list[Floats] | None = None
    labels: npt.NDArray[Any] | None = None


class Compose:
    """A pipeline of operations on batches of images; each image gets its own draw.

    Consecutive operations that move pixels are one warp that reads the images once, and
    operations on values are done while the pixels are in cache.

    Parameters
    ----------
    operations : sequence of Operation
        Done one after the other, at most 60.
    seed : int, default=0
        Randomness is a function of (seed, epoch, image index, place of the operation), so results
        do not depend on batches, threads or order.
    layout : {"NHWC", "NCHW"}
        Where arrays have their channels. Lists hold (H, W, C) or (C, H, W).
    box_format : {"pascal_voc", "coco", "yolo"}
        ``x0 y0 x1 y1`` or ``x0 y0 width height`` in pixels, or ``x y width height`` with the
        centre, as shares of the image's sides.
    min_visibility : float, default=0
        Boxes of which no more than this share of the area stays in the picture are dropped.
    mask_fill : float, default=0
        What masks show where a constant border comes into sight.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, HorizontalFlip, Rotate
    >>> augment = Compose([HorizontalFlip(p=0.5), Rotate((-15, 15))], seed=1)
    >>> images = np.zeros((8, 32, 32, 3), dtype=np.uint8)
    >>> augment(images).shape
    (8, 32, 32, 3)
    >>> flip = Compose([HorizontalFlip(p=1.0)])
    >>> flip(images, keypoints=[[(3, 5)]] * 8).keypoints[0]
    array([[28.,  5.]])
    """

    def __init__(self, operations: Sequence[Operation], seed: int = 0, *, layout: str = "NHWC",
                 box_format: str = "pascal_voc", min_visibility: float = 0.0,
                 mask_fill: float = 0.0) -> None:  # fmt: skip
        self.operations = list(operations)
        for operation in self.operations:
            if not isinstance(operation, Operation):
                raise TypeError(f"{operation!r} is no operation of jointprob.augment.images")
        if len(self.operations) > MAX_STEPS - 4:
            raise ValueError(f"{len(self.operations)} operations; allowed are {MAX_STEPS - 4}")
        self.seed = whole_number(seed, MAX_SEED, "seed")
        self.layout = one_of(layout, LAYOUTS, "layout")
        self.box_format = one_of(box_format, BOX_FORMATS, "box_format")
        self.min_visibility = between(min_visibility, 0.0, 1.0, "min_visibility")
        self.mask_fill = between(mask_fill, -np.inf, np.inf, "mask_fill")

    def __repr__(self) -> str:
        inside = ",\n    ".join(map(repr, self.operations))
        return f"Compose([\n    {inside}\n], seed={self.seed})"

    def parameters(self, indices: npt.ArrayLike, epoch: int = 0) -> list[Drawn]:
        """What each operation does to the images of these indices in an epoch.

        Returns
        -------
        list of Drawn
            One for each operation: its `name`, whether it is `applied` (n_images,) bool, and its
            `values`, a dict of arrays (n_images,), meaningful where it is applied.

        Examples
        --------
        >>> from jointprob.augment.images import Compose, Rotate
        >>> drawn, = Compose([Rotate((-15, 15))]).parameters([7, 8])
        >>> drawn.name, drawn.values["angle"].shape
        ('Rotate', (2,))
        """
        numbers = read_indices(indices)
        turn = whole_number(epoch, 2**63 - 1, "epoch")
        return [
            operation.drawn(self.seed, turn, position, numbers)
            for position, operation in enumerate(self.operations)
        ]

    def __call__(
        self, images: Images, masks: Images | None = None, boxes: Rows | None = None,
        keypoints: Rows | None = None, labels: npt.ArrayLike | None = None,
        indices: npt.ArrayLike | None = None, epoch: int = 0, out: Images | None = None,
        n_jobs: int | None = None,
    ) -> Images | Augmented:  # fmt: skip
        """Augment a batch.

        Parameters
        ----------
        images : array (N, H, W) or (N, H, W, C), or list of arrays (H, W) or (H, W, C)
            uint8, uint16 or float32, 1 to 16 channels, any strides; (N, C, H, W) with
            ``layout="NCHW"``. One image is a batch of one, ``image[np.newaxis]``: an array
            (H, W, 3) alone is H grey images of W rows and 3 columns. Images are not modified. NaN
            pixels stay NaN, and a pixel interpolated from one is NaN.
        masks : of the same sizes, optional
            Move with the images, by nearest neighbour; may be bool. `CutMix` puts a partner's mask
            where it puts its picture; `MixUp` takes no masks.
        boxes : sequence of array (k, 4 or more), optional
            Boxes of each image in `box_format`; further columns are kept.
        keypoints : sequence of array (k, 2 or more), optional
            Pixels x, y of each image, centres at whole numbers; further columns are kept, and so
            are points that leave the picture.
        labels : array (N,) or (N, n_classes), optional
            Of the images.
        indices : array of int (N,), optional
            What to draw for: the images' places in their data set. 0 to N - 1 by default.
        epoch : int, default=0
            Another epoch, other draws.
        out : like the result, optional
            Where to write the images; may not overlap the input.
        n_jobs : int, optional
            Threads; all cores by default.

        Returns
        -------
        array or list of arrays, or Augmented
            The images alone when nothing else was given; otherwise a named tuple of images,
            masks, boxes, keypoints and labels.

        Raises
        ------
        ValueError, TypeError
            Where anything is of a wrong rank, type, size or length; nothing is written then.
        """
        batch = read(images, self.layout)
        n = len(batch.frame)
        numbers = np.arange(n, dtype=np.int64) if indices is None else read_indices(indices)
        check_length(numbers, n, "indices")
        drawn = self.parameters(numbers, epoch)
        work = plan(self.operations, drawn, batch.frame)
        others = [batch] if masks is None else [batch, self._masks(masks, batch)]
        expected = batch.becoming(work.frame)
        result = expected.empty() if out is None else output(out, expected, others)
        given = (masks, boxes, keypoints, labels)
        belongings = [None] * 4 if all(part is None for part in given) else self._belongings(
            given, others, drawn, work, n_jobs)  # fmt: skip
        self._run(work.parts, batch, result, numbers, epoch, n_jobs)
        if all(part is None for part in given):
            return result.images
        return Augmented(result.images, *belongings)

    def _masks(self, masks: Images, batch: Batch) -> Batch:
        """Checked masks."""
        read_masks = read(masks, self.layout, "masks", as_bytes=True)
        if not np.array_equal(read_masks.frame.sizes, batch.frame.sizes):
            raise ValueError("masks and images are not alike in number, heights and widths")
        return read_masks

    def _belongings(self, given: tuple[Any, ...], batches: list[Batch], drawn: list[Drawn],
                    work: Plan, n_jobs: int | None) -> list[Any]:  # fmt: skip
        """Masks, boxes, keypoints and labels after the operations."""
        masks, boxes, keypoints, labels = given
        self._check_mixing(masks is not None, boxes is not None or keypoints is not None)
        n, sizes = len(batches[0].frame), batches[0].frame.sizes
        if boxes is not None:
            rows = read_rows(boxes, n, 4, "boxes")
            boxes = move_boxes(rows, work.moves, sizes, self.box_format, self.min_visibility)
        if keypoints is not None:
            keypoints = move_keypoints(read_rows(keypoints, n, 2, "keypoints"), work.moves)
        if labels is not None:
            labels = np.asarray(labels)
            check_length(labels, n, "labels")
            for operation, draw, frame in zip(self.operations, drawn, work.reaching, strict=True):
                labels = operation.relabel(draw, labels, frame)
        if masks is not None:
            masks = self._move_masks(batches[1], drawn, n_jobs)
        return [masks, boxes, keypoints, labels]

    def _check_mixing(self, masks: bool, points: bool) -> None:
        """Raise where an operation mixes images and not what belongs to them."""
        for part in self.operations:
            name = type(part).__name__
            if part.needs_batch and points:
                raise ValueError(f"{name} mixes no boxes and no keypoints")
            if part.needs_batch and masks and not part.mixes_masks:
                raise ValueError(
                    f"{name} mixes no masks: a weighted mean of two classes is neither; CutMix does"
                )

    def _move_masks(self, masks: Batch, drawn: list[Drawn], n_jobs: int | None) -> Images:
        work = plan_masks(self.operations, drawn, masks.frame, self.mask_fill)
        result = masks.becoming(work.frame).empty()
        self._run(work.parts, masks, result, np.zeros(len(masks.frame), np.int64), 0, n_jobs)
        return result.original()

    def _run(self, parts: list[Part], batch: Batch, result: Batch, indices: Integers, epoch: int,
             n_jobs: int | None) -> None:  # fmt: skip
        """Part by part; what is between two parts is a batch of its own."""
        for k, part in enumerate(parts):
            last = k + 1 == len(parts)
            target = result if last else batch.becoming(parts[k + 1].frame).empty()
            run(part.steps, batch, target, indices, epoch, self.seed, n_jobs)
            batch = target


def read_indices(indices: npt.ArrayLike) -> Integers:
    """Checked indices (n_images,)."""
    array = np.asarray(indices)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"indices is {array.dtype} of shape {array.shape}; allowed are integers (N,)"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def check_length(array: npt.NDArray[Any], n_images: int, name: str) -> None:
    """Raise unless there is a row for each image."""
    if array.ndim == 0 or len(array) != n_images:
        raise ValueError(f"{name} has shape {array.shape}, there are {n_images} images")


def whole_number(value: int, greatest: int, name: str) -> int:
    """`value`, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is {value!r}; allowed is an integer")
    if not 0 <= value <= greatest:
        raise ValueError(f"{name} is {value!r}; allowed is an integer of 0 to {greatest}")
    return int(value)


def one_of(value: str, allowed: tuple[str, ...], name: str) -> str:
    """`value`, or an error that names what is allowed."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")
    return value
