"""Boxes and keypoints move with the picture.

Pixel (column x, row y) covers [x, x + 1) x [y, y + 1) of a box's coordinates, and its centre is
(x, y) in a keypoint's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jointprob.augment.images.fusion import transform
from jointprob.augment.images.moves import Move
from jointprob.augment.images.operation import Floats, Integers

BOX_FORMATS = ("pascal_voc", "coco", "yolo")
Rows = npt.NDArray[Any] | Sequence[npt.ArrayLike]


def read_rows(rows: Rows, n_images: int, least: int, name: str) -> list[Floats]:
    """A float array (k, m) for each image, m at least `least`."""
    if len(rows) != n_images:
        raise ValueError(f"{name} has {len(rows)} entries, there are {n_images} images")
    result = []
    for i, entry in enumerate(rows):
        array = np.asarray(entry, dtype=np.float64)
        if array.size == 0:
            array = array.reshape(0, array.shape[1] if array.ndim == 2 else least)
        if array.ndim != 2 or array.shape[1] < least:
            raise ValueError(
                f"{name}[{i}] has shape {array.shape}; allowed is (k, {least} or more)"
            )
        if not np.isfinite(array[:, :least]).all():
            raise ValueError(f"{name}[{i}] has a coordinate that is not finite")
        result.append(array)
    return result


def inverses(matrices: Floats) -> Floats:
    """Matrices from input pixels to output pixels."""
    (a, b), (c, d) = matrices[:, :, :2].transpose(1, 2, 0)
    turned = np.stack([d, -b, -c, a], axis=1).reshape(-1, 2, 2)
    turned /= (a * d - b * c)[:, None, None]
    shift = -np.matmul(turned, matrices[:, :, 2:])
    return np.concatenate([turned, shift], axis=2)


def move_keypoints(points: list[Floats], moves: list[Move]) -> list[Floats]:
    """Keypoints (k, 2 or more) x, y, ...: all of them, also those that leave the picture."""
    counts = np.array([len(entry) for entry in points], dtype=np.int64)
    owner = np.repeat(np.arange(len(points)), counts)
    place = np.concatenate([entry[:, :2] for entry in points])[:, None]
    for move in moves:
        place = transform(inverses(move.matrices)[owner], place)
    moved = np.split(place[:, 0], np.cumsum(counts)[:-1])
    return [np.concatenate([new, old[:, 2:]], axis=1)
            for new, old in zip(moved, points, strict=True)]  # fmt: skip


def move_boxes(boxes: list[Floats], moves: list[Move], sizes: Integers, box_format: str,
               min_visibility: float) -> list[Floats]:  # fmt: skip
    """Boxes (k, 4 or more): the upright box around what is in sight of the moved box.

    Those of which no more than the share `min_visibility` of the area stays are dropped.
    """
    counts = np.array([len(entry) for entry in boxes], dtype=np.int64)
    owner = np.repeat(np.arange(len(boxes)), counts)
    corners = _corners(np.concatenate([entry[:, :4] for entry in boxes]), sizes[owner], box_format)
    _check(corners, owner, sizes)
    corners = _clip(corners, sizes[owner])
    visible = np.ones(len(owner))
    for move in moves:
        whole = _around(corners, inverses(move.matrices)[owner])
        sizes = move.sizes
        corners = _clip(whole, sizes[owner])
        area = _area(whole)
        visible *= np.divide(_area(corners), area, out=np.zeros_like(area), where=area > 0)
    kept = (visible > min_visibility) & (_area(corners) > 0)
    moved = _formatted(corners, sizes[owner], box_format)
    ends = np.cumsum(counts)[:-1]
    parts = zip(boxes, np.split(moved, ends), np.split(kept, ends), strict=True)
    return [np.concatenate([new, old[:, 4:]], axis=1)[keep] for old, new, keep in parts]


def _corners(boxes: Floats, sizes: Integers, box_format: str) -> Floats:
    """x0, y0, x1, y1 in pixels, of any format."""
    scale = np.tile(sizes[:, ::-1], (1, 2))
    if box_format == "pascal_voc":
        return boxes.copy()
    if box_format == "coco":
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1) * scale


def _formatted(corners: Floats, sizes: Integers, box_format: str) -> Floats:
    low, high = corners[:, :2], corners[:, 2:]
    if box_format == "pascal_voc":
        return corners
    if box_format == "coco":
        return np.concatenate([low, high - low], axis=1)
    return np.concatenate([(low + high) / 2, high - low], axis=1) / np.tile(sizes[:, ::-1], (1, 2))


def _check(corners: Floats, owner: Integers, sizes: Integers) -> None:
    """Raise for boxes without area and boxes that miss their image."""
    clipped = _clip(corners, sizes[owner])
    for bad, what in [((corners[:, :2] >= corners[:, 2:]).any(axis=1), "has no area"),
                      ((clipped[:, :2] >= clipped[:, 2:]).any(axis=1), "is outside")]:  # fmt: skip
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            image = int(owner[first])
            height, width = sizes[image].tolist()
            raise ValueError(
                f"a box of image {image}, x0 y0 x1 y1 = {corners[first].tolist()}, {what}; "
                f"the image has height {height} and width {width}"
            )


def _clip(corners: Floats, sizes: Integers) -> Floats:
    return np.clip(corners, 0, np.tile(sizes[:, ::-1], (1, 2)))


def _area(corners: Floats) -> Floats:
    sides: Floats = corners[:, 2:] - corners[:, :2]
    return sides[:, 0] * sides[:, 1]


def _around(corners: Floats, matrices: Floats) -> Floats:
    """Upright boxes around moved ones."""
    four = corners[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)
    moved = transform(matrices, four - 0.5) + 0.5
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
