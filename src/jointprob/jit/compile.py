"""Functions of the user's own as machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def numba_for(what: str) -> Any:
    """The package numba; ImportError that says what needs it."""
    try:
        import numba
    except ImportError as error:
        raise ImportError(f"{what} needs numba: pip install 'jointprob[jit]'") from error
    return numba


def scalar(function: Callable[..., Any], numba: Any) -> Any:
    """An ``@njit`` function as it is, or a plain one made into one."""
    is_compiled = isinstance(function, numba.core.dispatcher.Dispatcher)
    return function if is_compiled else numba.njit(function)


def loop_of(loop: Callable[..., None], signature: Any, numba: Any, what: str) -> Any:
    """A loop around a function of the user's, compiled now, and free of the GIL when it runs.

    Raises
    ------
    TypeError
        If numba cannot compile it, naming the function.
    """
    try:
        return numba.njit(signature, nogil=True)(loop)
    except numba.core.errors.NumbaError as error:
        raise TypeError(f"numba cannot compile {what}: {error}") from error
