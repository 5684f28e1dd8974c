"""Fill missing cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jointprob.joint.tree import Floats, Sizes
from jointprob.query.answers import NEGLIGIBLE, Answers, shares
from jointprob.query.passes import BLOCK_ROWS, Keys, Pass
from jointprob.query.sampling import draw_rows, row_keys
from jointprob.table import MISSING, Table
from jointprob.threads import run_blocks

METHODS = ("mean", "median", "mode", "sample")


def fill(
    passes: Sequence[Pass], table: Table, method: str, seed: int, n_jobs: int | None
) -> list[Any]:
    """Columns of the table with their missing cells filled; new arrays.

    Parameters
    ----------
    passes : sequence of Pass
    table : Table
    method : {"mean", "median", "mode", "sample"}
        What becomes of numbers; categories get their mode, but for "sample".
    seed : int
        For "sample": a row's draw depends on the seed, its cells, and how many equal rows stand
        before it.
    n_jobs : int, optional
    """
    columns = [cells.copy() for cells in table.columns]
    missing = [
        cells == MISSING if column.is_categorical else np.isnan(cells)
        for column, cells in zip(table.schema, columns, strict=True)
    ]
    holes = np.flatnonzero(np.logical_or.reduce(missing)).astype(np.int64)
    key = row_keys(table) if method == "sample" else np.empty(0, np.uint64)

    def fill_rows(start: int, stop: int) -> None:
        rows = holes[start:stop]
        if method == "sample":
            _fill_sampled(passes, rows, columns, missing, key[rows], seed)
        else:
            _fill_expected(passes, rows, columns, missing, method)

    block_rows = BLOCK_ROWS if method == "sample" else min(one.block_rows for one in passes)
    run_blocks(fill_rows, len(holes), block_rows, n_jobs)
    return columns


def _fill_sampled(
    passes: Sequence[Pass],
    rows: Sizes,
    columns: list[Any],
    missing: list[Any],
    key: Keys,
    seed: int,
) -> None:
    own = [one.take(rows) for one in passes]
    share = shares(np.array([one.log_prob(n_jobs=1) for one in own]), rows)
    drawn = draw_rows(own, share, np.arange(len(rows)), key, seed)
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
            columns[column][rows[gone]] = _ANSWERS[method](answers, j, gone)


def _mean(answers: Answers, j: int, within: Sizes) -> Floats:
    return answers.mixture(j, within).mean()


def _mode(answers: Answers, j: int, within: Sizes) -> Floats:
    return answers.mixture(j, within).mode()


def _median(answers: Answers, j: int, within: Sizes) -> Floats:
    """An atom that holds more than half is the median, whatever the rest looks like."""
    atoms, weight = answers.atoms(j, within)
    median = np.full(len(within), np.nan)
    clear = weight.max(axis=1, initial=0.0) > 0.5 + NEGLIGIBLE
    median[clear] = atoms[weight[clear].argmax(axis=1)] if len(atoms) else np.nan
    rest = np.flatnonzero(~clear)
    if len(rest):
        median[rest] = answers.mixture(j, within[rest]).quantile(0.5)
    return median


_ANSWERS: dict[str, Callable[[Answers, int, Sizes], Floats]] = {
    "mean": _mean,
    "median": _median,
    "mode": _mode,
}
