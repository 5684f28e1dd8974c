"""Density: one distribution for each subset of rows.

Gaussians over a block of numeric columns live here; a categorical block's tables are part of the
latent tree (`jointprob.joint`), whose kernels count them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob import _density

Floats = NDArray[np.float64]
Points = NDArray[np.float32]
Labels = NDArray[np.int32]

LANES = 16  # states that the kernels treat at once
LANED = ("mean_lanes", "covariance_lanes", "whitening_lanes", "log_norm")
NEGLIGIBLE = 60.0  # nats below a row's best subset at which a subset counts as zero


@dataclass(frozen=True, eq=False)
class Gaussians:
    """One Gaussian for each state of a numeric block.

    Parameters
    ----------
    columns : int64 (n_columns,)
        Columns of z in this block, at most 64.
    n_states : int
    mean_lanes : float32 (n_columns, n_padded)
    covariance_lanes : float64 (triangle, n_padded)
        Element (i, j <= i) of every state's covariance at row i (i + 1) / 2 + j; double, since
        variances may be a millionth of the scale. n_padded is n_states rounded up to a
        multiple of 16.
    grain : float64 (n_columns,), optional
        Least variance of each column: what the step of a grid is worth.
    """

    columns: NDArray[np.int64]
    n_states: int
    mean_lanes: Points
    covariance_lanes: Floats
    whitening_lanes: Points = field(repr=False)
    log_norm: Points = field(repr=False)
    grain: Floats | None = field(default=None, repr=False)

    @classmethod
    def empty(
        cls, columns: NDArray[np.int64], n_states: int, grain: Floats | None = None
    ) -> Gaussians:
        """Standard normal distributions."""
        d, padded = len(columns), -(-n_states // LANES) * LANES
        covariance = np.zeros((d * (d + 1) // 2, padded))
        covariance[[i * (i + 1) // 2 + i for i in range(d)]] = 1
        gaussians = cls(
            columns,
            n_states,
            np.zeros((d, padded), np.float32),
            covariance,
            np.empty(covariance.shape, np.float32),
            np.empty(padded, np.float32),
            grain,
        )
        gaussians.derive()
        return gaussians

    @cached_property
    def kernel(self) -> _density.Gauss:
        return _density.Gauss(
            self.n_states,
            self.mean_lanes,
            self.whitening_lanes,
            self.log_norm,
            self.covariance_lanes,
            self.grain,
            writable=all(getattr(self, name).flags.writeable for name in LANED),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "kernel"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def derive(self) -> None:
        """Refresh what follows from the covariances."""
        self.kernel.derive(self.work())

    def work(self) -> NDArray[np.uint8]:
        """Work space for one thread's calls to the kernel."""
        return np.empty(self.kernel.work_size(), np.uint8)

    def take(self, z: Points) -> Points:
        """This block's columns of z, contiguous."""
        return np.ascontiguousarray(z[:, self.columns])

    def copy(self) -> Gaussians:
        return Gaussians(
            self.columns,
            self.n_states,
            self.mean_lanes.copy(),
            self.covariance_lanes.copy(),
            self.whitening_lanes.copy(),
            self.log_norm.copy(),
            self.grain,
        )

    @property
    def state(self) -> list[NDArray[Any]]:
        """Every array that EM changes."""
        return [self.mean_lanes, self.covariance_lanes]

    def moments(self) -> Moments:
        """Sums that the block is fitted from, all 0."""
        return Moments(self.n_states, len(self.columns))

    def start(
        self, z: Points, labels: Labels, weight: Floats, shrinkage: float, floor: float
    ) -> Moments:
        """See `start_gaussians`."""
        return start_gaussians(self, z, labels, weight, shrinkage, floor)

    @property
    def means(self) -> Floats:
        """float64 (n_states, n_columns)"""
        return self.mean_lanes[:, : self.n_states].T.astype(np.float64)

    @property
    def covariances(self) -> Floats:
        """float64 (n_states, n_columns, n_columns)"""
        d = len(self.columns)
        rows, cols = np.tril_indices(d)
        full = np.empty((self.n_states, d, d))
        full[:, rows, cols] = self.covariance_lanes[:, : self.n_states].T
        full[:, cols, rows] = full[:, rows, cols]
        return full


class Moments:
    """Responsibility-weighted sums of a block: number of rows, sum and sum of squares by state."""

    def __init__(self, n_states: int, n_columns: int) -> None:
        self.weight = np.zeros(n_states)
        self.sum = np.zeros((n_states, n_columns))
        self.square = np.zeros((n_states, n_columns * (n_columns + 1) // 2))

    @property
    def state(self) -> list[NDArray[Any]]:
        """Every array that EM changes."""
        return [self.weight, self.sum, self.square]

    @cached_property
    def kernel(self) -> _density.Sums:
        return _density.Sums(self.weight, self.sum, self.square)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "kernel"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # joblib hands large arrays to its workers as read-only memory maps.
        own = {name: np.require(value, requirements="W") for name, value in state.items()}
        self.__dict__.update(own)


def start_gaussians(
    gaussians: Gaussians, z: Points, labels: Labels, weight: Floats, shrinkage: float, floor: float
) -> Moments:
    """Fit each state's Gaussian to the rows that carry its label; return the sums it came from.

    Parameters
    ----------
    z : float32 (n_rows, n_columns)
        The block's own columns; NaN is missing.
    labels : int32 (n_rows,)
        State of each row; -1 leaves the row out.
    weight : float64 (n_rows,)
    """
    batch, running = (Moments(gaussians.n_states, z.shape[1]) for _ in range(2))
    for start in range(0, len(z), 4096):
        rows = np.arange(start, min(start + 4096, len(z)))
        known = rows[labels[rows] >= 0]
        if len(known) == 0:
            continue
        hard = np.zeros((len(known), gaussians.n_states), np.float32)
        hard[np.arange(len(known)), labels[known]] = weight[known]
        gaussians.kernel.expect(z, known, hard, 0, 0, len(known), batch.kernel)
    total = float(batch.weight.sum()) or 1.0
    gaussians.kernel.maximise(
        batch.kernel, running.kernel, total, 1.0, total, shrinkage, floor, gaussians.work()
    )
    return running
