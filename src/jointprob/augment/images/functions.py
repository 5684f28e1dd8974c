"""The user's own functions as machine code that a kernel can call without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Compiled(NamedTuple):
    """A function ``void(const float *x, float *out, int64_t n)``; alive as long as `owner` is."""

    address: int
    owner: Any


def compiled(function: Callable[[float], float]) -> Compiled:
    """A loop over floats around a scalar function.

    Raises
    ------
    ImportError
        Without numba.
    TypeError
        If `function` is no function that numba can compile for one float.
    """
    if not callable(function):
        raise TypeError(f"function is {function!r}; allowed is a function of one float")
    try:
        import numba
        from numba import types
    except ImportError as error:
        raise ImportError("PointOp needs numba: pip install 'jointprob[jit]'") from error
    scalar = function if isinstance(function, numba.core.dispatcher.Dispatcher) else (
        numba.njit(function)
    )  # fmt: skip
    signature = types.void(
        types.CPointer(types.float32),  # type: ignore[no-untyped-call]
        types.CPointer(types.float32),  # type: ignore[no-untyped-call]
        types.int64,
    )

    def loop(x: Any, out: Any, n: int) -> None:
        for i in range(n):
            out[i] = scalar(x[i])

    try:
        kernel = numba.cfunc(signature)(loop)
    except numba.core.errors.NumbaError as error:
        raise TypeError(f"numba cannot compile {function!r} for one float: {error}") from error
    return Compiled(int(kernel.address or 0), kernel)
