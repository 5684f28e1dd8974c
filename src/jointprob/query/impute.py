"""Fill missing cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jointprob.joint.tree import Sizes
from jointprob.query.answers import Answers, shares
from jointprob.query.passes import BLOCK_ROWS, Pass
from jointprob.query.sampling import draw_rows
from jointprob.table import MISSING, Table
from jointprob.threads import run_blocks


def fill(
    passes: Sequence[Pass], table: Table, method: str, seed: int, n_jobs: int | None
) -> list[Any]:
    """Columns of the table with their missing cells filled; new arrays."""
    columns = [cells.copy() for cells in table.columns]
    missing = [
        cells == MISSING if column.is_categorical else np.isnan(cells)
        for column, cells in zip(table.schema, columns, strict=True)
    ]
    holes = np.flatnonzero(np.logical_or.reduce(missing)).astype(np.int64)

    def fill_rows(start: int, stop: int) -> None:
        rows = holes[start:stop]
        if method == "sample":
            _fill_sampled(passes, rows, columns, missing, seed)
        else:
            _fill_expected(passes, rows, columns, missing, method)

    block_rows = BLOCK_ROWS if method == "sample" else min(one.block_rows for one in passes)
    run_blocks(fill_rows, len(holes), block_rows, n_jobs)
    return columns


def _fill_sampled(
    passes: Sequence[Pass], rows: Sizes, columns: list[Any], missing: list[Any], seed: int
) -> None:
    own = [one.take(rows) for one in passes]
    share = shares(np.array([one.log_prob(n_jobs=1) for one in own]), rows)
    drawn = draw_rows(own, share, np.arange(len(rows)), rows.astype(np.uint64), seed)
    for cells, gone, new in zip(columns, missing, drawn, strict=True):
        cells[rows[gone[rows]]] = new[gone[rows]]


def _fill_expected(
    passes: Sequence[Pass], rows: Sizes, columns: list[Any], missing: list[Any], method: str
) -> None:
    answers, encoding = Answers(passes, rows), passes[0].view.encoding
    for code, column in enumerate(encoding.categorical):
        gone = np.flatnonzero(missing[column][rows])
        if len(gone) and code in answers.passes[0].view.block_of_code:
            columns[column][rows[gone]] = answers.predict_levels(code, gone).argmax(axis=1)
    for j, column in enumerate(encoding.numeric):
        gone = np.flatnonzero(missing[column][rows])
        if len(gone) and j in answers.passes[0].view.place_of_numeric:
            mixture = answers.mixture(j, gone)
            columns[column][rows[gone]] = mixture.mean() if method == "mean" else mixture.mode()
