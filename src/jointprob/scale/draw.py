"""The second pass: rows drawn by their number, to start from and to hold out; marginals of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.scale.sketch import Sketch
from jointprob.scale.source import count_rows
from jointprob.schema import Schema
from jointprob.table import Table, conform
from jointprob.threads import run_blocks

DRAW_STREAM = 41  # second word of the key: no two uses of a seed share a stream
HELD_OUT_ROWS = 20_000
WORDS = 4  # of a Philox counter


@dataclass(frozen=True)
class Lot:
    """Which rows are held out and which are drawn to start from, whatever batches they stand in.

    Parameters
    ----------
    n_rows : int
    n_drawn : int
        Rows to start from, about; no more rows than that are drawn all, and none is held out here.
    seed : int
    holds_out : bool
        False where rows to choose on are given.

    Notes
    -----
    Row i has word i of a Philox stream: below a first bound it is held out, below a second one it
    is drawn. The numbers of rows are binomial, with means of 20,000 (a tenth of fewer than 200,000
    rows) and `n_drawn`.
    """

    n_rows: int
    n_drawn: int
    seed: int
    holds_out: bool = True

    @property
    def whole(self) -> bool:
        """Are the rows few enough to be drawn all?"""
        return self.n_rows <= self.n_drawn

    def keys(self, start: int, stop: int) -> NDArray[np.float64]:
        """Uniform numbers of rows start..stop."""
        stream = np.random.Philox(key=[self.seed, DRAW_STREAM], counter=start // WORDS)
        first = start % WORDS
        words = stream.random_raw(first + stop - start)[first:]
        return np.asarray((words >> np.uint64(11)) * 2.0**-53)

    def held_out(self, key: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Rows held out, by their keys."""
        return np.asarray(key < self._held_share)

    def drawn(self, key: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Rows to start from, by their keys."""
        bound = self._held_share + self.n_drawn / self.n_rows
        return np.asarray(~self.held_out(key) & (key < bound))

    def counted(self, key: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
        """A share of the rows that are not held out, those to start from last of all."""
        return np.asarray(~self.held_out(key) & (key >= 1 - share * (1 - self._held_share)))

    @property
    def _held_share(self) -> float:
        share = min(0.1, HELD_OUT_ROWS / self.n_rows)
        return share if self.holds_out and not self.whole else 0.0


@dataclass(frozen=True)
class Layout:
    """What every later pass knows of the batches.

    Parameters
    ----------
    schema : Schema
    starts : tuple of int
        Number of the first row of each batch, and of all rows.
    lot : Lot
    estimator_name : str
    """

    schema: Schema
    starts: tuple[int, ...]
    lot: Lot
    estimator_name: str

    def read(self, batch: Any, number: int) -> tuple[Table, NDArray[np.float64]] | None:
        """The rows of a batch and their keys; None where it has none.

        Raises
        ------
        ValueError
            If the batch is not as long as it was in the first pass.
        """
        known = number + 1 < len(self.starts)
        start, stop = self.starts[number : number + 2] if known else (0, 0)
        n_rows = count_rows(batch)
        if n_rows != stop - start:
            raise ValueError(
                f"batch {number} has {n_rows} rows, and had {stop - start} in the first pass; "
                "every pass must give the same batches"
            )
        if not n_rows:
            return None
        table = conform(batch, self.schema, False, f"batch {number}", self.estimator_name)
        return table, self.lot.keys(start, stop)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What the second pass brings.

    Parameters
    ----------
    sample, held_out : Table
    sketches : tuple of Sketch
        Of each numeric column, of the rows that are not held out; none where all rows are drawn.
    """

    sample: Table
    held_out: Table
    sketches: tuple[Sketch, ...]


def merge_drawn(first: Drawn | None, second: Drawn | None) -> Drawn | None:
    """The rows of both, in their order."""
    if first is None or second is None:
        return second if first is None else first
    pairs = zip(first.sketches, second.sketches, strict=True)
    return Drawn(
        first.sample.stacked(second.sample),
        first.held_out.stacked(second.held_out),
        tuple(one.merged(other) for one, other in pairs),
    )


@dataclass(frozen=True)
class Draw:
    """Task of the second pass."""

    layout: Layout
    n_jobs: int | None

    def __call__(self, batch: Any, number: int) -> Drawn | None:
        read = self.layout.read(batch, number)
        if read is None:
            return None
        (table, key), lot = read, self.layout.lot
        held_out = lot.held_out(key)
        numeric = () if lot.whole else table.schema.numeric
        sketches = run_blocks(
            lambda i, _: Sketch.of(table.columns[numeric[i]][~held_out]),
            len(numeric), 1, self.n_jobs,
        )  # fmt: skip
        return Drawn(
            table.take(np.flatnonzero(lot.drawn(key))),
            table.take(np.flatnonzero(held_out)),
            tuple(sketches),
        )
