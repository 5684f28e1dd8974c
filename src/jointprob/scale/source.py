"""Where batches of rows come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from typing import Any, Protocol, TypeVar

from jointprob.containers import is_table
from jointprob.scale.reduction import Reduction

Part = TypeVar("Part")
Task = Callable[[Any, int], Part]


class Source(Protocol):
    """Batches that can be passed over again and again.

    Attributes
    ----------
    n_jobs : int or None
        Threads of a task.
    """

    n_jobs: int | None

    def fold(self, task: Task[Part], merge: Callable[[Part, Part], Part]) -> Part:
        """One pass: ``task(batch, number)`` of every batch, merged as `Reduction` does.

        Parameters
        ----------
        task : callable
            Takes a table and the number of its batch, from 0. It can be pickled.
        merge : callable
            Of two parts; changes neither.
        """


class Batches:
    """Batches read one after another by this process.

    Parameters
    ----------
    batches : iterable
        Of frames, 2-D arrays or dicts of columns; every iteration starts anew.
    n_jobs : int, optional
    """

    def __init__(self, batches: Iterable[Any], n_jobs: int | None = None) -> None:
        self.batches, self.n_jobs = batches, n_jobs
        self._n_batches: int | None = None  # in the first pass

    def fold(self, task: Task[Part], merge: Callable[[Part, Part], Part]) -> Part:
        """As `Source.fold`."""
        parts: Reduction[Part] = Reduction(merge)
        n_batches = 0
        for number, batch in enumerate(self.batches):
            if batch is None:
                raise TypeError(
                    f"batch {number} of X is None; allowed are frames, 2-D arrays, dicts of columns"
                )
            parts.add(task(batch, number))
            n_batches += 1
        self._check_number(n_batches)
        return parts.result()

    def _check_number(self, n_batches: int) -> None:
        before = n_batches if self._n_batches is None else self._n_batches
        if n_batches != before:
            raise ValueError(
                f"X has {n_batches} batches, and had {before} in the first pass; every pass must "
                "give the same batches"
            )
        if not n_batches:
            raise ValueError("X has no batch: allowed are one or more, with a row in all")
        self._n_batches = n_batches


def source_of(X: Any, n_jobs: int | None = None) -> Batches | None:
    """Batches where X is a `pyarrow.dataset.Dataset`, a path, or a re-iterable; else None.

    Raises
    ------
    TypeError
        If X is an iterator, which can be passed over only once.
    ValueError
        If X is a path with no Parquet file, or with files whose columns differ.
    """
    if isinstance(X, str | PathLike) or type(X).__module__ == "pyarrow._dataset":
        from jointprob.scale.parquet import open_parquet

        return Batches(open_parquet(X), n_jobs)
    if isinstance(X, Iterator):
        raise TypeError(
            f"X is an iterator ({type(X).__name__}), which can be read only once, and a fit passes "
            "over its batches several times; allowed is an object whose __iter__ starts anew, such "
            "as a list of frames or a class with a generator for its __iter__"
        )
    return Batches(X, n_jobs) if _holds_batches(X) else None


def _holds_batches(X: Any) -> bool:
    """Is X a sequence of tables, or another iterable that is no table itself?"""
    if isinstance(X, list | tuple):
        return len(X) > 0 and is_table(X[0])
    table_like = ("__array__", "__array_interface__", "__dataframe__", "__arrow_c_stream__")
    if isinstance(X, Mapping | bytes) or any(hasattr(X, name) for name in table_like):
        return False
    # sparse matrices and lazy frames are no batches: they are refused as tables
    return hasattr(X, "__iter__") and not any(hasattr(X, n) for n in ("shape", "columns"))


def count_rows(batch: Any) -> int:
    """Rows of a frame, an array or a dict of columns."""
    if not isinstance(batch, Mapping):
        return len(batch)
    return len(next(iter(batch.values()))) if batch else 0
