"""Classes and strengths, checked."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.estimators.target import check_labels
from jointprob.schema import preview


def check_sources(needed: NDArray[Any], known: NDArray[Any]) -> None:
    """Refuse new rows of classes that have not two rows to start from.

    Parameters
    ----------
    needed : (n_needed,)
        Classes that get new rows.
    known : (n_rows,)
        Classes of the rows of positive weight.
    """
    for label in needed.tolist():
        n = int((known == label).sum())
        if n < 2:
            rows = "no row" if n == 0 else "one row"
            raise ValueError(
                f"y holds {rows} of the class {label!r} of weight above 0; new rows of a class "
                "need at least two"
            )


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
