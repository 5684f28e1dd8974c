"""How many new rows each class gets: the strategies of imbalanced-learn's over-samplers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.schema import preview

Sizes = NDArray[np.int64]


def new_rows(strategy: Any, classes: NDArray[Any], counts: Sizes, y: Any) -> Sizes:
    """New rows of each class, int64 (n_classes,).

    Parameters
    ----------
    strategy : str, float, dict or callable
        "auto" or "not majority": every class but the commonest gets as many rows as that has;
        "minority": the rarest does; "not minority": all but the rarest; "all". A float: rows of the
        rarer of two classes for each row of the commoner. A dict: rows that a class shall have,
        new and old. A callable takes y and returns such a dict.
    classes : (n_classes,)
    counts : int64 (n_classes,)
        Rows of each class.
    y : (n_rows,)

    Raises
    ------
    ValueError
        Unknown strategies and classes, fewer rows than a class has, a float for many classes.

    Examples
    --------
    >>> new_rows("auto", np.array(["a", "b"]), np.array([7, 3]), None)
    array([0, 4])
    >>> new_rows({"b": 5}, np.array(["a", "b"]), np.array([7, 3]), None)
    array([0, 2])
    """
    if callable(strategy):
        strategy = strategy(y)
        if not isinstance(strategy, Mapping):
            raise ValueError(
                f"sampling_strategy returned {strategy!r}; allowed is a dict of class: rows"
            )
    if isinstance(strategy, Mapping):
        return _by_class(strategy, classes, counts)
    if isinstance(strategy, str) and strategy in _NAMED:
        return np.where(_NAMED[strategy](counts), counts.max() - counts, 0)
    if isinstance(strategy, Real) and not isinstance(strategy, bool):
        return _by_ratio(float(strategy), classes, counts)
    raise ValueError(
        f"sampling_strategy={strategy!r}; allowed are {preview(list(_NAMED), 9)}, a ratio, a dict "
        "of class: rows, and a callable that returns one"
    )


def _other_than(find: Callable[[Sizes], np.integer[Any]]) -> Callable[[Sizes], NDArray[np.bool_]]:
    return lambda counts: np.arange(len(counts)) != find(counts)


_NAMED: dict[str, Callable[[Sizes], NDArray[np.bool_]]] = {
    "auto": _other_than(np.argmax),
    "not majority": _other_than(np.argmax),
    "not minority": _other_than(np.argmin),
    "minority": lambda counts: np.arange(len(counts)) == np.argmin(counts),
    "all": lambda counts: np.ones(len(counts), np.bool_),
}


def _by_ratio(ratio: float, classes: NDArray[Any], counts: Sizes) -> Sizes:
    if len(classes) != 2:
        raise ValueError(
            f"sampling_strategy={ratio} is a ratio of two classes, and y holds {len(classes)}; "
            "give a dict of class: rows"
        )
    if not 0 < ratio <= 1:
        raise ValueError(f"sampling_strategy={ratio}; allowed ratios are above 0, at most 1")
    rare = 1 - int(np.argmax(counts))
    wanted = int(ratio * counts.max())
    if wanted < counts[rare]:
        raise ValueError(
            f"sampling_strategy={ratio} asks for {wanted} rows of the class "
            f"{classes.tolist()[rare]!r}, which has {counts[rare]} already; rows are never removed"
        )
    added = np.zeros(2, np.int64)
    added[rare] = wanted - counts[rare]
    return added


def _by_class(wanted: Mapping[Any, Any], classes: NDArray[Any], counts: Sizes) -> Sizes:
    known = {label: c for c, label in enumerate(classes.tolist())}
    added = np.zeros(len(classes), np.int64)
    for label, n in wanted.items():
        c = known.get(label.item() if isinstance(label, np.generic) else label)
        if c is None:
            raise ValueError(
                f"sampling_strategy names the class {label!r}; allowed are {preview(list(known))}"
            )
        if isinstance(n, bool) or not isinstance(n, Integral):
            raise ValueError(
                f"sampling_strategy asks for {n!r} rows of the class {label!r}; allowed are whole "
                "numbers"
            )
        if n < counts[c]:
            raise ValueError(
                f"sampling_strategy asks for {n} rows of the class {label!r}, which has "
                f"{counts[c]} already; rows are never removed"
            )
        added[c] = int(n) - counts[c]
    return added
