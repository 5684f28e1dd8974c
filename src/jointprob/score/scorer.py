"""A joint compiled for service: one row in microseconds, many at the speed of the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jointprob import _score
from jointprob.joint.tree import Floats
from jointprob.schema import Level
from jointprob.score.plan import Wish, plan_of
from jointprob.table import conform
from jointprob.threads import run_blocks

if TYPE_CHECKING:
    from jointprob.query.joint import Joint

BLOCK_ROWS = 512
NAMED = ("columns", "column_names", "iloc", "keys")  # frames, series and dicts
INSTEAD = (
    "allowed are real numbers, and codes for levels: scorer.to_rows(table) makes them of a table"
)


class Scorer(_score.Kernel):
    """Answers for rows of plain numbers; made by `Joint.compile`.

    Parameters
    ----------
    joint : Joint
    outputs : sequence of "log_prob", "subsets", ("levels", column)

    Attributes
    ----------
    columns : tuple
        Names of a row's cells, in order.
    levels : mapping of column to tuple
        The level that each code of a categorical column stands for.
    outputs : tuple
    slices : tuple of slice
        Where the numbers of each output stand.
    width : int
        Numbers of all outputs together.
    work_size, address, capsule
        For other compiled code, see ``score.h`` in `jointprob.get_include()`: bytes of work space
        that a call needs, and the ``jp_scorer`` as a number and in a capsule of that name. The
        number is valid as long as the scorer lives.

    Notes
    -----
    Threads may share a scorer, and a forked or pickled one goes on working. It keeps one work
    space for each call that ever ran at the same time, and allocates nothing else. A row's bits
    depend neither on the number of threads nor on the rows beside it.
    """

    joint: Joint
    outputs: tuple[Wish, ...]
    slices: tuple[slice, ...]
    width: int

    def __new__(cls, joint: Joint, outputs: Sequence[Wish] = ("log_prob",)) -> Self:
        plan = plan_of(joint, outputs)
        self = super().__new__(cls, plan)
        self.joint, self.outputs = joint, tuple(outputs)
        self.width = plan.width
        self.slices = tuple(slice(o.at, o.at + o.size) for o in plan.outputs)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.joint, self.outputs)

    def __repr__(self) -> str:
        return f"Scorer({self.joint!r}, outputs={self.outputs!r})"

    @property
    def columns(self) -> tuple[str | int, ...]:
        return self.joint.schema.names

    @property
    def levels(self) -> Mapping[str | int, tuple[Level, ...]]:
        found = {
            column.name: column.levels for column in self.joint.schema if column.is_categorical
        }
        return MappingProxyType(found)

    def to_rows(self, X: Any) -> Floats:
        """A table as rows of plain numbers, float64 (n_rows, n_columns).

        Parameters
        ----------
        X : frame, array or dict
            As for `Joint.log_prob`.
        """
        table = conform(X, self.joint.schema, estimator_name="Scorer")
        return np.stack([np.asarray(cells, np.float64) for cells in table.columns], axis=1)

    def _call(self, rows: ArrayLike, out: Floats | None, n_jobs: int | None) -> float | Floats:
        """Anything but one row of float64 with one number for answer."""
        cells = np.ascontiguousarray(_numbers(rows), dtype=np.float64)
        if cells.ndim not in (1, 2) or cells.shape[-1] != len(self.columns):
            raise ValueError(
                f"rows has shape {cells.shape}; allowed are ({len(self.columns)},) and "
                f"(n_rows, {len(self.columns)})"
            )
        many = cells.reshape(-1, len(self.columns))
        shape = (*cells.shape[:-1], *((self.width,) if self.outputs != ("log_prob",) else ()))
        answers = np.empty(shape) if out is None else _checked_out(out, shape)
        numbers = answers.reshape(len(many), self.width)
        run_blocks(
            lambda start, stop: self.score(many, start, stop, numbers),
            len(many), BLOCK_ROWS, n_jobs,
        )  # fmt: skip
        return float(answers) if answers.ndim == 0 and out is None else answers

    def _refuse(self, rows: Any, start: int, status: int) -> None:
        """ValueError that names the first cell that is no number or code, or the row."""
        cells = np.atleast_2d(np.asarray(rows, np.float64))
        for i in range(start, len(cells)):
            for j, column in enumerate(self.joint.schema):
                _check_cell(i, column.name, float(cells[i, j]), column.is_categorical)
        raise ValueError(
            f"a row from {start} on has probability 0; nothing follows from it (error {status})"
        )


def _numbers(rows: Any) -> NDArray[Any]:
    """Rows as an array; TypeError for names, which position would pass over, and for no numbers."""
    if not isinstance(rows, np.ndarray) and any(hasattr(rows, name) for name in NAMED):
        raise TypeError(
            f"rows is a {type(rows).__name__}, whose cells have names; a scorer takes plain "
            "numbers by position: scorer.to_rows(table) makes them of a frame or dict"
        )
    cells = np.asarray(rows)
    if cells.dtype.kind == "O":
        try:
            return cells.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"rows holds what is no number: {error}; {INSTEAD}") from None
    if cells.dtype.kind not in "biuf":
        raise TypeError(f"rows is of dtype {cells.dtype}; {INSTEAD}")
    return cells


def _checked_out(out: Any, shape: tuple[int, ...]) -> Floats:
    is_array = isinstance(out, np.ndarray) and out.dtype == np.float64
    if not is_array or out.shape != shape or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f"out must be a writeable contiguous array of float64 of shape {shape}")
    found: NDArray[np.float64] = out
    return found


def _check_cell(row: int, name: str | int, cell: float, is_code: bool) -> None:
    if is_code and not np.isnan(cell) and not (-2 <= cell < 2**31 and cell == int(cell)):
        raise ValueError(
            f"row {row}, column {name!r}: {cell} is no code; allowed are integers from 0 (see "
            "Scorer.levels), -1 or NaN for a missing cell, -2 for a level that fit did not see"
        )
    if np.isinf(cell):
        raise ValueError(
            f"row {row}, column {name!r}: {cell} is infinity; allowed are finite numbers, and NaN "
            "for a missing cell"
        )
