"""Class probabilities that learn from rows without a class: a teacher, and its students."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jointprob.joint.rows import canonical_rows
from jointprob.predict.labels import LabelModel, fit_labels
from jointprob.predict.source import LabelSource
from jointprob.progress import Progress, silent
from jointprob.table import Table

MOST_ROWS = 20_000  # without a class, that a student is fitted to
MOST_STUDENTS, STUDENT_ROWS = 3, 2000  # rows of all students together, if that takes no more
DRAW_STREAM = 38  # second word of the key: no two uses of a seed share a stream

Floats = NDArray[np.float64]


def fit_taught(
    table: Table,
    label: NDArray[np.int64],
    weight: Floats,
    n_classes: int,
    seed: int,
    n_jobs: int | None,
    progress: Progress = silent,
    source: LabelSource | None = None,
    unlabelled: Table | None = None,
) -> LabelModel:
    """A model of labelled rows, and of others if there are any.

    Notes
    -----
    The others get classes drawn from what a first model, the teacher, says of them: drawn, not the
    likeliest ones (as in Lee 2013), so that a student, fitted to all rows, is as doubtful as its
    teacher. It says the same of a row but for what the rows nearby, which the teacher did not see,
    make of it. The two are pooled log-linearly. Where rows are few, up to three students with
    draws of their own take the chance out of them.
    """
    if unlabelled is None or not unlabelled.n_rows:
        return fit_labels(table, label, weight, n_classes, seed, n_jobs, progress, source)
    order, times = canonical_rows(unlabelled, np.ones(unlabelled.n_rows))
    some = slice(None, None, -(-len(order) // MOST_ROWS))
    others, times = unlabelled.take(order[some]), times[some]
    teacher = fit_labels(table, label, weight, n_classes, seed, n_jobs, progress, source, others)
    every = table.stacked(others)
    every_weight = np.concatenate([weight, times * weight.mean()])
    proba = np.exp(teacher.log_proba(others, n_jobs))
    students = []
    for i in range(min(MOST_STUDENTS, -(-STUDENT_ROWS // every.n_rows))):
        labels = np.concatenate([label, _drawn(proba, seed + i)])
        students.append(
            fit_labels(every, labels, every_weight, n_classes, seed + i, n_jobs, progress)
        )
    return replace(teacher, students=tuple(students))


def _drawn(proba: Floats, seed: int) -> NDArray[np.int64]:
    """A class for each row."""
    random = np.random.Generator(np.random.Philox(key=[seed, DRAW_STREAM]))
    share = proba.cumsum(axis=1)
    return np.asarray((random.random((len(share), 1)) * share[:, -1:] >= share).sum(axis=1))
