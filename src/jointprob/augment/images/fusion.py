"""Fusion: consecutive geometric operations become one warp that reads the source once.

An operation joins the warp before it where the two are exactly one: both look alike beyond the
edge, both interpolate alike, and nothing that was cut off can come back into sight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import BORDERS, INTERPOLATIONS, Geometric, Move, Outside, whole
from .operation import DTYPES, GEOMETRY, MAX_CHANNELS, Floats, Frame, Integers, Step


@dataclass
class Warp:
    """Geometric operations that are one so far."""

    source: Frame
    matrices: Floats  # (n_images, 2, 3): source pixel of an output pixel
    sizes: Integers  # (n_images, 2) of the output
    windows: Integers  # (n_images, 4) of the source
    outside: Outside | None = None
    interpolation: str | None = None
    closed: bool = False  # something in sight of the source was cut off

    @classmethod
    def of(cls, frame: Frame) -> Warp:
        """The warp that moves nothing."""
        identity = np.broadcast_to(np.eye(2, 3), (len(frame), 2, 3))
        return cls(frame, identity, frame.sizes, whole(frame.sizes))

    @property
    def frame(self) -> Frame:
        """What leaves the warp."""
        return Frame(self.sizes, self.source.channels, self.source.dtype)

    def takes(self, operation: Geometric) -> bool:
        """Whether the operation can join."""
        alike = self.outside in (None, operation.outside)
        if operation.outside is not None and (self.closed or not alike):
            return False
        if not operation.exact and self.interpolation not in (None, operation.interpolation):
            return False
        return not (operation.cuts and not operation.exact and self.outside is not None)

    def join(self, operation: Geometric, move: Move) -> None:
        """Do the operation after what is done so far."""
        if move.windows is not None:
            self._cut(move.windows)
        if operation.outside is not None:
            self.outside = operation.outside
        if not operation.exact:
            self.interpolation = operation.interpolation
        self.matrices = product(self.matrices, move.matrices)
        self.sizes = move.sizes

    def _cut(self, windows: Integers) -> None:
        """Narrow what is seen of the source; once its surroundings are in sight, only close it."""
        if self.outside is not None:
            self.closed = True
            return
        corners = windows.reshape(-1, 2, 2).astype(np.float64)
        corners[:, 1] -= 1  # the last pixel inside
        moved = np.rint(transform(self.matrices, corners)).astype(np.int64)
        self.windows = np.concatenate([moved.min(axis=1), moved.max(axis=1) + 1], axis=1)

    def step(self, position: int) -> Step:
        """The warp as a step."""
        outside = self.outside or Outside()
        parameters = np.empty((len(self.sizes), 10))
        parameters[:, :6] = self.matrices.reshape(-1, 6)
        parameters[:, 6:] = self.windows
        fill = np.zeros(MAX_CHANNELS)
        fill[: self.source.channels] = outside.fill
        options = (BORDERS[outside.border], INTERPOLATIONS[self.interpolation or "nearest"])
        return Step(GEOMETRY, parameters, DTYPES[self.source.dtype], self.source.channels, position,
                    options, sizes=np.ascontiguousarray(self.sizes),
                    shared=fill.view(np.uint8))  # fmt: skip


def product(first: Floats, second: Floats) -> Floats:
    """Matrices of `second` followed by `first`: (n, 2, 3) each, last rows (0, 0, 1) left out."""
    result = np.matmul(first[:, :, :2], second)
    result[:, :, 2] += first[:, :, 2]
    return result


def transform(matrices: Floats, points: Floats) -> Floats:
    """Points (n, k, 2) of each image through its matrix (n, 2, 3)."""
    turned: Floats = np.einsum("nij,nkj->nki", matrices[:, :, :2], points)
    return turned + matrices[:, None, :, 2]
