"""Mutual information of every pair of label columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jointprob import _partition
from jointprob.partition.panels import empty_panels
from jointprob.partition.weights import Floats, Labels, row_weights
from jointprob.threads import run_blocks, run_tasks

GRAM_ROWS = 1024  # rows of one Gram product: their counts are exact in float32
GRAM_MAX_STATES = 6  # mean states a column above which a table for each pair is cheaper
GRAM_MAX_INDICATORS = 8192  # 512 MB of counts


def mutual_information(
    labels: Labels,
    n_states: Sequence[int],
    weight: ArrayLike | None = None,
    condition: Labels | None = None,
    n_jobs: int | None = None,
) -> Floats:
    """Mutual information of every pair of label columns, in nats.

    Parameters
    ----------
    labels : int32 array, shape (n_rows, n_blocks)
        State of each row in each block; below 0 where missing. A pair is counted on the rows that
        know both.
    n_states : sequence of int, length n_blocks
        States of each block.
    weight : array, shape (n_rows,), optional
        Row weights; an integer weight means repeats, exactly.
    condition : int32 array, shape (n_rows,), optional
        Gives the information conditional on these labels; rows where it is below 0 are left out.
    n_jobs : int, optional
        Threads; None means all cores. The result does not depend on it.

    Returns
    -------
    float64 array, shape (n_blocks, n_blocks)
        Symmetric, at least 0; the entropy of each block on the diagonal; 0 for pairs never known
        together.

    Notes
    -----
    From the estimate ``sum p(a, b) log(p(a, b) / (p(a) p(b)))`` the bias of Miller and Madow,
    ``(K_ab - K_a - K_b + 1) / (2 N)``, is subtracted, K counting the states that occur (Miller,
    "Note on the bias of information estimates", 1955); on the diagonal that adds
    ``(K_a - 1) / (2 N)`` to the entropy.

    Examples
    --------
    >>> labels = np.array([[0, 0], [0, 0], [1, 1], [1, 1]] * 100, dtype=np.int32)
    >>> mutual_information(labels, [2, 2]).round(2)
    array([[0.69, 0.69],
           [0.69, 0.69]])
    """
    columns = _transposed(labels, n_jobs)
    states = np.maximum(np.asarray(n_states, dtype=np.int32), 1)
    _require_states(columns, states)
    weight = row_weights(weight, len(labels))
    counted = _Information(states, columns, weight)
    for rows in _groups(condition, len(labels)):
        counted.add(np.ascontiguousarray(columns[:, rows]), weight[rows], n_jobs)
    return counted.mean()


def _transposed(labels: Labels, n_jobs: int | None) -> Labels:
    """Labels (n_blocks, n_rows); -1 where missing."""
    columns = np.empty(labels.shape[::-1], dtype=np.int32)

    def block(start: int, stop: int) -> None:
        np.maximum(labels[start:stop].T, -1, out=columns[:, start:stop])

    run_blocks(block, len(labels), GRAM_ROWS, n_jobs)
    return columns


def _groups(condition: Labels | None, n_rows: int) -> list[Any]:
    """The rows of each label of `condition`."""
    if condition is None:
        return [slice(None)] if n_rows else []
    order = np.argsort(condition, kind="stable")
    ends = np.flatnonzero(np.diff(condition[order])) + 1
    return [rows for rows in np.split(order, ends) if len(rows) and condition[rows[0]] >= 0]


def _require_states(columns: Labels, n_states: Labels) -> None:
    if len(columns) != len(n_states):
        raise ValueError(f"labels has {len(columns)} columns, n_states {len(n_states)}")
    for j, (column, n) in enumerate(zip(columns, n_states, strict=True)):
        if len(column) and column.max() >= n:
            raise ValueError(f"labels: block {j} holds {column.max()}; allowed is below {n}")


class _Information:
    """Information and weight of all pairs, added up over groups of rows."""

    def __init__(self, n_states: Labels, columns: Labels, weight: Floats) -> None:
        n_columns = len(n_states)
        self.n_states = n_states
        self.information = np.zeros((n_columns, n_columns))
        self.mass = np.zeros((n_columns, n_columns))
        # indicator 0 is always one; every column has one for each state but its last, and one for
        # "not missing" if it has missing labels
        missing = (columns < 0).any(axis=1)
        sizes = n_states - 1 + missing
        self.first = 1 + np.cumsum(sizes) - sizes
        self.known = np.where(missing, self.first + n_states - 1, 0)
        lanes = _partition.LANES
        self.n_indicators = int(-(-(1 + sizes.sum()) // lanes) * lanes)
        self.least = weight[weight > 0].min(initial=1) / 2
        self.by_gram = self.n_indicators <= min(GRAM_MAX_STATES * n_columns, GRAM_MAX_INDICATORS)

    def add(self, columns: Labels, weight: Floats, n_jobs: int | None) -> None:
        """Add one group of rows; columns (n_columns, n_rows)."""
        gram = self.gram(columns, weight, n_jobs) if self.by_gram else None

        def pairs(start: int, stop: int) -> None:
            largest = int(self.n_states.max())
            out = np.empty((largest + 1) * (largest + 2)), self.information, self.mass
            if gram is None:
                _partition.information_scatter(columns, self.n_states, weight, start, stop, *out)
            else:
                layout = gram, self.n_states, self.first, self.known, self.least
                _partition.information_gram(*layout, start, stop, *out)

        run_blocks(pairs, len(columns), 1 if gram is None else 16, n_jobs)

    def gram(self, columns: Labels, weight: Floats, n_jobs: int | None) -> Floats:
        """Weighted counts of every pair of indicators, row block after row block."""
        n_rows, lanes = len(weight), _partition.LANES
        gram = np.zeros((self.n_indicators, self.n_indicators))
        plain, weighted = (empty_panels(self.n_indicators * GRAM_ROWS) for _ in range(2))
        for start in range(0, n_rows, GRAM_ROWS):
            depth = min(GRAM_ROWS, n_rows - start)
            layout = self.n_states, self.first, self.known, weight, start, depth
            _partition.indicators(columns, *layout, self.n_indicators, plain, weighted)
            product = partial(_partition.indicator_gram, plain, weighted, depth)
            panels = reversed(range(self.n_indicators // lanes))  # the longest first
            run_tasks([partial(product, j, j + 1, gram) for j in panels], n_jobs)
        return gram

    def mean(self) -> Floats:
        """Information of each pair: symmetric, at least 0."""
        with np.errstate(invalid="ignore"):
            upper = np.where(self.mass > 0, self.information / self.mass, 0)
        upper = np.triu(np.maximum(upper, 0))
        return upper + np.triu(upper, 1).T
