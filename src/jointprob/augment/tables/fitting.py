"""Fit the joint of a table and of its gaps, or one for every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jointprob.augment.tables.gaps import Gaps
from jointprob.augment.tables.model import Model
from jointprob.estimators.density import JEPADensity, fit_joint
from jointprob.estimators.imputer import find_bounds
from jointprob.joint.tree import Floats
from jointprob.predict.folds import ordered_rows
from jointprob.predict.labels import fit_labels
from jointprob.progress import reporting
from jointprob.query import Joint
from jointprob.table import Table
from jointprob.threads import threads_for


def fit_rows(table: Table, weight: Floats, seed: int, n_jobs: int | None, verbose: int) -> Model:
    """One joint of all rows, as in `JEPADensity`."""
    gaps, settings = Gaps.of(table), JEPADensity(n_jobs=n_jobs, verbose=verbose)
    joint = fit_joint(settings, gaps.tell(table), weight, np.random.RandomState(seed))
    return Model(joint, 1, gaps, None, find_bounds(table), whole_columns(table))


def fit_classes(
    table: Table,
    label: NDArray[np.int64],
    weight: Floats,
    seed: int,
    n_jobs: int | None,
    verbose: int,
) -> Model:
    """A joint for every class, and p(class | row), as in `JEPAClassifier`.

    Parameters
    ----------
    table : Table
    label : int64 (n_rows,)
        0 to the number of classes - 1; each has a row.
    weight : float64 (n_rows,)
        Positive.
    """
    gaps, n_classes = Gaps.of(table), int(label.max()) + 1
    told = gaps.tell(table)
    rows, row_weight = ordered_rows(told, label, weight)
    threads = threads_for(len(rows), n_jobs)
    with reporting(verbose) as progress:
        labels = fit_labels(
            told.take(rows), label[rows], row_weight, n_classes, seed, threads, progress
        )
    members = labels.joints.members(labels.pool.log_prior)
    joint = Joint(told.schema, members, float(weight.sum()))
    return Model(joint, n_classes, gaps, labels, find_bounds(table), whole_columns(table))


def whole_columns(table: Table) -> tuple[int, ...]:
    """Numeric columns that hold whole numbers alone."""
    found = []
    for j in table.schema.numeric:
        cells = table.columns[j][~np.isnan(table.columns[j])]
        if len(cells) and (cells == np.rint(cells)).all():
            found.append(j)
    return tuple(found)
