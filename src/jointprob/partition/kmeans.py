"""Subsets of rows: weighted k-means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jointprob import _partition
from jointprob.partition.panels import empty_panels
from jointprob.partition.weights import Floats, Labels, Points, drawn_rows, row_weights, rows_at
from jointprob.threads import run_blocks

BLOCK_ROWS = 4096  # rows of one task; sums of blocks are added in order
SEEDING_ROWS = 4096  # k-means++ draws centres among this many rows ...
LLOYD_ROWS = 65536  # ... and Lloyd's iterations move them among this many,
SEEDING_ROWS_PER_SUBSET, LLOYD_ROWS_PER_SUBSET = 16, 256  # or more, for many subsets


def kmeans(
    points: Points,
    n_subsets: int,
    weight: ArrayLike | None = None,
    seed: int = 0,
    n_iter: int = 10,
    n_jobs: int | None = None,
) -> tuple[Points, Labels]:
    """Weighted k-means: k-means++ seeding, then Lloyd's iterations.

    Of heavier tables both work on drawn rows (16 and 256 a subset, but at least 4,096 and 65,536);
    the labels are for all rows. A subset that loses its rows is seeded again.

    Parameters
    ----------
    points : float32 array, shape (n_rows, n_features)
        Finite coordinates.
    n_subsets : int
        Number of subsets asked for; with fewer distinct rows the surplus stays empty.
    weight : array, shape (n_rows,), optional
        Row weights; an integer weight means repeats.
    seed : int
        Key of the random numbers.
    n_iter : int
        Iterations at most.
    n_jobs : int, optional
        Threads; None means all cores. The result does not depend on it.

    Returns
    -------
    centers : float32 array, shape (n_subsets, n_features)
    labels : int32 array, shape (n_rows,)
        Nearest centre of each row, of equals the first.

    Raises
    ------
    ValueError
        If there are no rows, `n_subsets` is below 1, or no weight is positive.

    Notes
    -----
    Seeding as in Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding",
    SODA 2007, with one draw a centre.

    Examples
    --------
    >>> points = np.array([[0.0], [0.1], [5.0], [5.1]], dtype=np.float32)
    >>> centers, labels = kmeans(points, 2)
    >>> bool(labels[0] == labels[1] != labels[2] == labels[3])
    True
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    weight = row_weights(weight, len(points))
    _require_subsets(len(points), n_subsets, weight)
    # counter (0, 0, stage 2, 0): other stages draw other numbers from the same key
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 2, 0]))
    sample, mass = drawn_rows(
        points, weight, max(LLOYD_ROWS, LLOYD_ROWS_PER_SUBSET * n_subsets), rng
    )
    centers = _seeds(sample, n_subsets, mass, rng, n_jobs)
    centers = _lloyd(sample, centers, mass, n_iter, rng, n_jobs)
    return centers, assign(points, centers, n_jobs)[0]


def assign(points: Points, centers: Points, n_jobs: int | None = None) -> tuple[Labels, Points]:
    """Nearest centre of each row (of equals the first) and its squared distance.

    Parameters
    ----------
    points : float32 array, shape (n_rows, n_features)
    centers : float32 array, shape (n_subsets, n_features)
    n_jobs : int, optional
        Threads; None means all cores.

    Returns
    -------
    labels : int32 array, shape (n_rows,)
    distances : float32 array, shape (n_rows,)

    Examples
    --------
    >>> points = np.array([[0.0], [4.0]], dtype=np.float32)
    >>> assign(points, np.array([[1.0], [3.0]], dtype=np.float32))
    (array([0, 1], dtype=int32), array([1., 1.], dtype=float32))
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    centers = np.ascontiguousarray(centers, dtype=np.float32)
    packed = _packed(centers)
    labels = np.empty(len(points), dtype=np.int32)
    distances = np.empty(len(points), dtype=np.float32)
    run_blocks(
        lambda start, stop: _partition.kmeans_assign(
            points, centers, packed, start, stop, labels, distances
        ),
        len(points),
        BLOCK_ROWS,
        n_jobs,
    )
    return labels, distances


def _packed(centers: Points) -> Points:
    packed = empty_panels(_partition.packed_size(centers.shape[1], len(centers)))
    _partition.kmeans_pack(centers, packed)
    return packed


def _lloyd(
    points: Points,
    centers: Points,
    weight: Floats,
    n_iter: int,
    rng: np.random.Generator,
    n_jobs: int | None,
) -> Points:
    before: Labels | None = None
    for _ in range(n_iter):
        labels, distances = assign(points, centers, n_jobs)
        if before is not None and np.array_equal(labels, before):
            break
        before = labels
        centers, mass = _means(points, labels, weight, centers, n_jobs)
        for k in np.flatnonzero(mass == 0):
            row = _draw_far_row(distances, weight, rng)
            centers[k], distances[row] = points[row], 0
    return centers


def _means(
    points: Points, labels: Labels, weight: Floats, centers: Points, n_jobs: int | None
) -> tuple[Points, Floats]:
    """Mean of each subset's rows, and its weight; an empty subset keeps its centre."""

    def block(start: int, stop: int) -> tuple[Floats, Floats]:
        sums, mass = np.zeros(centers.shape), np.zeros(len(centers))
        _partition.kmeans_sums(points, weight, labels, start, stop, sums, mass)
        return sums, mass

    blocks = run_blocks(block, len(points), BLOCK_ROWS, n_jobs)
    sums, mass = (sum(parts[1:], start=parts[0]) for parts in zip(*blocks, strict=True))
    filled = mass > 0
    means = centers.copy()
    means[filled] = sums[filled] / mass[filled, None]
    return means, mass


def _seeds(
    points: Points, n_subsets: int, weight: Floats, rng: np.random.Generator, n_jobs: int | None
) -> Points:
    """Centres by k-means++: each next one drawn in proportion to weight x squared distance."""
    rows = max(SEEDING_ROWS, SEEDING_ROWS_PER_SUBSET * n_subsets)
    points, weight = drawn_rows(points, weight, rows, rng)
    distances = np.full(len(points), np.inf, dtype=np.float32)
    centers = np.empty((n_subsets, points.shape[1]), dtype=np.float32)
    centers[0] = points[rows_at(np.cumsum(weight), rng.random())]
    for k in range(1, n_subsets):
        _lower(distances, points, centers[k - 1], n_jobs)
        centers[k] = points[_draw_far_row(distances, weight, rng)]
    return centers


def _lower(distances: Points, points: Points, center: Points, n_jobs: int | None) -> None:
    """Lower squared distances to those from one more centre."""

    def block(start: int, stop: int) -> None:
        _partition.kmeans_nearer(points, center, start, stop, distances)

    run_blocks(block, len(points), BLOCK_ROWS, n_jobs)


def _draw_far_row(distances: Points, weight: Floats, rng: np.random.Generator) -> int:
    """A row drawn in proportion to weight x squared distance; by weight if all distances are 0."""
    cumulative = np.cumsum(weight * distances)
    if not cumulative[-1] > 0:
        cumulative = np.cumsum(weight)
    return int(rows_at(cumulative, rng.random()))


def _require_subsets(n_rows: int, n_subsets: int, weight: Floats) -> None:
    if n_rows == 0:
        raise ValueError("points has 0 rows; k-means needs at least 1")
    if n_subsets < 1:
        raise ValueError(f"n_subsets is {n_subsets}; allowed are integers >= 1")
    if not weight.sum() > 0:
        raise ValueError("weight is 0 in every row; at least one must be positive")
