"""Classes and strengths, checked."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.estimators.target import check_labels
from jointprob.schema import preview


def check_counts(classes: NDArray[Any], counts: NDArray[np.int64]) -> None:
    if len(classes) < 2:
        raise ValueError(
            f"y holds one class only, {classes.tolist()[0]!r}; at least two are needed"
        )
    alone = classes[counts < 2].tolist()
    if alone:
        raise ValueError(f"y holds classes of one row, {preview(alone)}; at least two are needed")


def check_weighted(needed: NDArray[Any], known: NDArray[Any]) -> None:
    for label in needed.tolist():
        if label not in known:
            raise ValueError(f"every row of the class {label!r} has weight 0; none can be added")


def check_strength(strength: Any, above_zero: bool = False) -> None:
    number = isinstance(strength, Real) and not isinstance(strength, bool)
    if not number or not 0 <= strength <= 1 or (above_zero and strength == 0):
        raise ValueError(
            f"strength={strength!r}; allowed are numbers {'above' if above_zero else 'from'} 0 to 1"
        )


def positions(y: Any, n_rows: int, classes: NDArray[Any]) -> NDArray[np.int64]:
    """Place among the classes of a label for all rows, or of one for each, (n_rows,)."""
    one = isinstance(y, str) or np.ndim(y) == 0
    labels = [y] * n_rows if one else check_labels(y, n_rows).tolist()
    place = {label: c for c, label in enumerate(classes.tolist())}
    found = np.array([place.get(label, -1) for label in labels], np.int64)
    unseen = np.flatnonzero(found < 0)
    if unseen.size:
        raise ValueError(
            f"y holds {labels[unseen[0]]!r}, a class that fit did not see; allowed are "
            f"{preview(classes.tolist())}"
        )
    return found
