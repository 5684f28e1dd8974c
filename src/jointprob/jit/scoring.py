"""A joint's log density inside numba's loops: the function that C calls, called by its address."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jointprob import _score
from jointprob.jit.compile import numba_for

if TYPE_CHECKING:
    from jointprob.query.joint import Joint

CAPSULE = b"jointprob._C_API"  # JP_SCORE_CAPSULE
OK = 0  # JP_OK


class _Interface(ctypes.Structure):
    """``jp_score_api`` of score.h; addresses are whole numbers to numba."""

    _fields_ = (
        ("version", ctypes.c_int64),
        ("work_size", ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_size_t)),
        (
            "rows",
            ctypes.CFUNCTYPE(
                ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int64, ctypes.c_int64,
                ctypes.c_size_t, ctypes.c_size_t,
            ),
        ),
    )  # fmt: skip


def _interface() -> _Interface:
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = pointer_of(_score._C_API, CAPSULE)
    return _Interface.from_address(address)


@cache
def log_prob(joint: Joint) -> Callable[[Any], float]:
    """The log density of one row, as a function for ``@njit`` loops (extra ``jit``).

    Parameters
    ----------
    joint : Joint

    Returns
    -------
    function
        An ``@njit`` function of a row, float64 (n_columns,), that returns its log density in nats:
        bit for bit what ``joint.compile()`` says of it, which also tells how rows are written.
        Threads may call it at the same time (``prange``).

    Raises
    ------
    ImportError
        Without numba.
    ValueError
        From the function: a row of another length, infinity, cells of a categorical column that
        are no codes.

    Notes
    -----
    Machine code that calls the function knows where the model is: the joint stays in memory until
    the process ends, and a joint asked for twice gives the same function. The function neither
    pickles nor is cached on disk.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import njit
    >>> from jointprob import JEPADensity, jit
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> joint = JEPADensity(n_trees=1, random_state=0).fit(X).joint_
    >>> log_prob = jit.log_prob(joint)
    >>> @njit
    ... def likeliest(rows):
    ...     return np.argmax(np.array([log_prob(row) for row in rows]))
    >>> likeliest(np.array([[5.0, 5.0], [0.0, 0.0]]))
    1
    """
    numba = numba_for("jit.log_prob")
    scorer = joint.compile()
    score_rows, address, work_size = _interface().rows, scorer.address, scorer.work_size
    n_columns = len(scorer.columns)

    def log_prob_of_row(row: Any) -> Any:
        if len(row) != n_columns:
            raise ValueError("the row's length is not the joint's number of columns")
        cells, work, out = np.ascontiguousarray(row), np.empty(work_size, np.uint8), np.empty(1)
        status = score_rows(address, cells.ctypes.data, 0, 1, work.ctypes.data, out.ctypes.data)
        if status != OK:
            raise ValueError("a cell is infinity, or no code of its column's levels")
        return out[0]

    row = numba.types.float64
    compiled = numba.njit([row(row[::1]), row(row[:])])(log_prob_of_row)
    compiled.scorer = scorer  # whose address is in the machine code
    function: Callable[[Any], float] = compiled
    return function
