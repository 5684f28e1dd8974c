"""Rows in an order of their own, and the folds they are held out in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.joint.rows import canonical_rows
from jointprob.schema import Column, Schema
from jointprob.table import Table

Floats = NDArray[np.float64]

FOLD_STREAM = 15  # second word of the key: no two uses of a seed share a stream
MANY_ROWS = 5000
LEAST_WEIGHT = 1e-30  # float32 would round what is less to 0, and leaves of no weight have no mean
FEW_FOLDS, MANY_FOLDS = 4, 8
JUDGED_ROWS = 8000  # at most


def ordered_rows(
    table: Table, target: NDArray[Any], weight: Floats, repeats: bool = True
) -> tuple[NDArray[np.int64], Floats]:
    """Rows to fit, in an order that does not depend on the order they came in.

    A weight means repeats, as in `canonical_rows`, here of rows with their targets; or else
    importance: rows that judge are then no copies of rows that were fitted on.

    Returns
    -------
    rows : int64
        Positions in the table.
    weight : float64
        Weight of each.
    """
    schema = Schema((*table.schema, Column("target", "numeric")), table.schema.container)
    columns = [*table.columns, target.astype(np.float64)]
    return canonical_rows(Table(schema, table.n_rows, columns), weight, repeats)


def scaled(weight: Floats) -> NDArray[np.float32]:
    """Weights of mean 1: how much leaves shrink must not depend on the unit of the weights."""
    return np.asarray(np.maximum(weight / weight.mean(), LEAST_WEIGHT), np.float32)


def judged_rows(n_rows: int) -> NDArray[np.int64]:
    """Positions of the rows on which members are weighed, at even steps."""
    n = min(n_rows, JUDGED_ROWS)
    return np.arange(n) * n_rows // max(n, 1)


def assign_folds(label: NDArray[np.integer[Any]], seed: int) -> NDArray[np.int64]:
    """Fold of each row: every class is spread evenly over the folds."""
    n = len(label)
    n_folds = min(n, FEW_FOLDS if n > MANY_ROWS else MANY_FOLDS)
    random = np.random.Generator(np.random.Philox(key=[seed, FOLD_STREAM]))
    order = random.permutation(n)
    order = order[np.argsort(label[order], kind="stable")]
    folds = np.empty(n, np.int64)
    folds[order] = np.arange(n) % n_folds
    return folds
