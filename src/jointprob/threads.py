"""The one thread pool: row blocks of fixed size, results in block order.

Kernels release the GIL, so threads are enough; no OpenMP, whose runtimes hang after a fork and
clash with one another. Blocks depend on the number of rows alone, never on the number of threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from numbers import Integral
from typing import Any, TypeVar

from joblib import effective_n_jobs  # type: ignore[import-untyped]
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")

FEW_ROWS = 1000
MAX_WORKERS = 256  # a bound, not a size: the executor starts a thread only when one is asked for

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_thread = threading.local()
_n_serial = 0  # those within `one_blas_thread`, and the threads that libraries had before them
_n_before: list[int] = []


def _forget_pool() -> None:
    """Start afresh in a forked child, where the parent's threads do not exist."""
    global _lock, _pool, _thread, _n_serial
    _lock, _pool, _thread, _n_serial = threading.Lock(), None, threading.local(), 0


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_pool)


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(MAX_WORKERS, thread_name_prefix="jointprob")
        return _pool


@cache
def _libraries() -> list[Any]:
    """Those of linear algebra. Told one by one: a limit of them all takes ten times as long."""
    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy's linear algebra on one thread: small products only wait for their threads.

    The limit is the process's: the first to come sets it, the last to go lifts it.

    Examples
    --------
    >>> import numpy as np
    >>> with one_blas_thread():
    ...     float(np.ones(3) @ np.ones(3))
    3.0
    """
    global _n_serial, _n_before
    with _lock:
        if _n_serial == 0:
            _n_before = [library.num_threads for library in _libraries()]
            _set_threads([1] * len(_n_before))
        _n_serial += 1
    try:
        yield
    finally:
        with _lock:
            _n_serial -= 1
            if _n_serial == 0:
                _set_threads(_n_before)


def _set_threads(n_threads: list[int]) -> None:
    for library, n in zip(_libraries(), n_threads, strict=True):
        library.set_num_threads(n)


def n_threads(n_jobs: int | None = None) -> int:
    """Number of threads meant by ``n_jobs``: None and -1 are all cores, -2 all but one.

    Raises
    ------
    ValueError
        If `n_jobs` is 0 or no integer.

    Examples
    --------
    >>> n_threads(3)
    3
    """
    if isinstance(n_jobs, int) and n_jobs == 1:  # nothing to count, and asked most often
        return 1
    if n_jobs == 0 or not isinstance(n_jobs, Integral | None):
        raise ValueError(
            f"n_jobs is {n_jobs!r}; allowed are None, a positive count or a negative one"
        )
    return int(effective_n_jobs(-1 if n_jobs is None else n_jobs))


def threads_for(n_rows: int, n_jobs: int | None = None) -> int:
    """Threads for a fit of many small steps: one for few rows, whose steps wait for each other.

    Examples
    --------
    >>> threads_for(100, n_jobs=2), threads_for(10_000, n_jobs=2)
    (1, 2)
    """
    wanted = n_threads(n_jobs)
    return 1 if n_rows <= FEW_ROWS else wanted


def run_tasks(tasks: Sequence[Callable[[], Result]], n_jobs: int | None = None) -> list[Result]:
    """Call every task; return their results in the order of `tasks`.

    Serial for one thread or one task, and inside a task: a worker that waited for the pool it
    occupies could wait for ever. The first failing task (in order) raises; later ones may be left
    out.

    Examples
    --------
    >>> run_tasks([lambda: 1, lambda: 2], n_jobs=2)
    [1, 2]
    """
    workers = min(n_threads(n_jobs), len(tasks), MAX_WORKERS)
    if workers <= 1 or getattr(_thread, "busy", False):
        return [task() for task in tasks]
    pending = deque(enumerate(tasks))
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}
    drain = partial(_drain, pending, results, errors)
    futures = [_executor().submit(drain) for _ in range(workers - 1)]
    drain()  # the caller works too, so the tasks end even when other callers fill the pool
    for future in futures:
        if not future.cancel():
            future.result()
    if errors:
        raise errors[min(errors)]
    return [results[i] for i in range(len(tasks))]


def _drain(
    pending: deque[tuple[int, Callable[[], Result]]],
    results: dict[int, Result],
    errors: dict[int, BaseException],
) -> None:
    """Work through `pending` until it is empty or a task fails."""
    _thread.busy = True
    try:
        while True:
            try:
                index, task = pending.popleft()
            except IndexError:
                return
            try:
                results[index] = task()
            except BaseException as error:  # noqa: BLE001 (the caller raises it again)
                errors[index] = error
                pending.clear()
    finally:
        _thread.busy = False


def run_blocks(
    task: Callable[[int, int], Result], n_rows: int, block_rows: int, n_jobs: int | None = None
) -> list[Result]:
    """Call ``task(start, stop)`` for fixed-size row blocks; return the results in block order.

    Examples
    --------
    >>> run_blocks(lambda start, stop: stop - start, n_rows=10, block_rows=4)
    [4, 4, 2]
    """
    starts = range(0, n_rows, block_rows)
    return run_tasks([partial(task, i, min(i + block_rows, n_rows)) for i in starts], n_jobs)
