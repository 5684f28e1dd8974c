"""The classes of a stream: those that later batches bring are added at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.schema import preview


def first_classes(y: NDArray[Any], declared: Any) -> NDArray[Any]:
    """Classes of a first batch, sorted: those declared, or else its own.

    Raises
    ------
    ValueError
        A label that was not declared, or a class declared twice.
    """
    if declared is None:
        return np.asarray(np.unique(y))
    classes = _as_labels(declared)
    if classes.ndim != 1 or not len(classes) or len(np.unique(classes)) < len(classes):
        raise ValueError(f"classes is {declared!r}; allowed are distinct classes, one or more")
    _check_same_kind(y, classes)
    absent = np.setdiff1d(y, classes)
    if len(absent):
        raise ValueError(
            f"y holds {absent.tolist()[0]!r}, which is none of classes: {preview(classes.tolist())}"
        )
    return np.asarray(np.sort(classes))


def check_declared(known: NDArray[Any], declared: Any) -> None:
    """Later calls may repeat what the first one declared.

    Raises
    ------
    ValueError
        Classes that differ from those so far.
    """
    if not np.isin(_as_labels(declared), known).all():
        raise ValueError(
            f"classes is {declared!r}, but the stream began with {preview(known.tolist())}; "
            "leave classes out: those that y brings are added"
        )


def with_classes(known: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """The classes so far, and after them those that y brings.

    Raises
    ------
    ValueError
        Labels of another kind.
    """
    _check_same_kind(y, known)
    new = np.setdiff1d(y, known)
    return np.concatenate([known, new]) if len(new) else known


def positions(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Position of each label among the classes."""
    order = np.argsort(classes, kind="stable")
    return np.asarray(order[np.searchsorted(classes[order], y)], np.int64)


def _as_labels(declared: Any) -> NDArray[Any]:
    """An array of their own type, as labels are read."""
    found = np.asarray(declared)
    return np.array(found.tolist()) if found.dtype == object else found


def _check_same_kind(y: NDArray[Any], classes: NDArray[Any]) -> None:
    texts = [array.dtype.kind in "US" for array in (y, classes)]
    if texts[0] != texts[1]:
        raise ValueError(
            f"y holds labels like {y.tolist()[0]!r}, of another kind than the classes: "
            f"{preview(classes.tolist())}"
        )
