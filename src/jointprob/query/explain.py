"""How surprising is each cell of a row, given all its other cells?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jointprob.encode import CONTINUOUS, MISSING, Encoding
from jointprob.joint.tree import Floats, Sizes
from jointprob.query.answers import Answers
from jointprob.query.passes import Marginals, Pass, log_sum_exp, pattern_keys
from jointprob.table import Table
from jointprob.threads import run_blocks

TINY = float(
    np.finfo(np.float32).tiny
)  # smallest probability that a float32 message tells from zero


def explain_rows(passes: Sequence[Pass], table: Table, n_jobs: int | None) -> Floats:
    """`surprises` of all rows of a table."""
    slopes: dict[int, Floats] = {}
    for one in passes:
        if id(one.view.encoding) not in slopes:
            slopes[id(one.view.encoding)] = _log_slopes(one.view.encoding, table)
    by_pass = [slopes[id(one.view.encoding)] for one in passes]
    parts = run_blocks(
        lambda start, stop: surprises(passes, by_pass, np.arange(start, stop)),
        table.n_rows, min(one.block_rows for one in passes), n_jobs,
    )  # fmt: skip
    return np.concatenate(parts)


def _log_slopes(encoding: Encoding, table: Table) -> Floats:
    """log dz/dx of every numeric cell, float64 (n_rows, n_numeric)."""
    slopes = [
        marginal.forward(table.columns[column])[1]
        for column, marginal in zip(encoding.numeric, encoding.marginals, strict=True)
    ]
    return np.array(slopes).T.reshape(table.n_rows, len(slopes))


def surprises(passes: Sequence[Pass], slopes: Sequence[Floats], rows: Sizes) -> Floats:
    """-log p(cell | rest of the row), nats, float64 (n_rows, n_columns), NaN for missing cells.

    Parameters
    ----------
    passes : sequence of Pass
        One for each member, without further evidence.
    slopes : sequence of float64 (n_all_rows, n_numeric)
        log dz/dx of each cell, by pass.

    Notes
    -----
    p(cell | rest) = sum_m w_m p_m(row) / sum_m w_m p_m(rest), so all that is asked of a member is
    log p(rest) for each cell.
    """
    answers = Answers(passes, rows)
    rest = np.array(
        [
            _log_rest(one, marginals, log_prob, slope[rows], rows)
            for one, marginals, log_prob, slope in zip(
                passes, answers.marginals, answers.log_prob, slopes, strict=True
            )
        ]
    )
    whole = log_sum_exp(answers.log_prob)[:, None]
    rest_of_all = log_sum_exp(rest)
    possible = np.where(np.isneginf(whole), 0.0, whole)
    surprise = np.where(np.isneginf(rest_of_all), np.inf, rest_of_all) - possible
    return np.asarray(surprise)


def _log_rest(
    one: Pass, marginals: Marginals, log_prob: Floats, slope: Floats, rows: Sizes
) -> Floats:
    """log(weight) + log p(rest of the row) for each cell, float64 (n_rows, n_columns)."""
    encoding = one.view.encoding
    out = np.full((len(rows), len(encoding.categorical) + len(encoding.numeric)), np.nan)
    for i in one.view.block_of_code:
        column, log_level = encoding.columns[i], _log_level(one, marginals, i, rows)
        known = one.codes[rows, i] != MISSING
        if i >= len(encoding.categorical):  # a companion alone answers for atoms
            known &= one.codes[rows, i] > CONTINUOUS
        out[known, column] = (log_prob - log_level)[known]
    numeric = list(encoding.numeric)
    without = _log_without_number(one, marginals, rows) + log_prob[:, None] - slope
    known = ~np.isnan(one.z[rows])
    places = np.where(known)
    out[places[0], np.array(numeric, np.int64)[places[1]]] = without[known]
    for j in encoding.companions:
        _log_without_both(one, j, slope[:, j], rows, out[:, numeric[j]])
    return out


def _log_level(one: Pass, marginals: Marginals, column: int, rows: Sizes) -> Floats:
    """log P(the row's level | rest), float64 (n_rows,)."""
    view = one.view
    cavity = view.block(view.block_of_code[column], marginals.cavity)
    levels, codes = view.levels[column], one.codes[rows, column]
    states = levels.first[codes, None] + np.arange(levels.emission.shape[1])
    mass = (np.take_along_axis(cavity, states, axis=1) * levels.emission[codes]).sum(axis=1)
    return np.log(np.maximum(np.where(codes < 0, levels.unseen, mass), TINY))


def _log_without_number(one: Pass, marginals: Marginals, rows: Sizes) -> Floats:
    """log p(rest) - log p(row) in z for each number, float64 (n_rows, n_numeric)."""
    view = one.view
    out = np.full((len(rows), one.z.shape[1]), np.nan)
    for g, block in enumerate(view.tree.numeric_blocks):
        densities = view.own(g)
        if densities is not None:
            own = densities.log_pdf(one.parts[g], rows)
            mass = np.maximum(view.block(block, marginals.cavity), TINY)
            out[:, int(densities.columns[0])] = -log_sum_exp((own + np.log(mass)).T)
            continue
        kernel, z = view.states[g], np.ascontiguousarray(one.parts[g][rows])
        order = np.argsort(pattern_keys(z), kind="stable").astype(np.int64)
        whole, rest = np.empty(len(rows)), np.empty(z.shape)
        kernel.leave_one_out(
            z, order, marginals.cavity, int(view.state_at[block]), np.empty(kernel.work_size()),
            whole, rest,
        )  # fmt: skip
        possible = np.where(np.isneginf(whole), 0.0, whole)
        out[:, view.tree.gaussians[g].columns] = rest - possible[:, None]
    return out


def _log_without_both(one: Pass, j: int, slope: Floats, rows: Sizes, out: Floats) -> None:
    """A continuous cell of a column with atoms stands in two blocks: a pass without it answers."""
    place = one.view.encoding.companion_of[j]
    assert place is not None
    asked = np.flatnonzero(one.codes[rows, place] == CONTINUOUS)
    if len(asked):
        rest = one.take(rows[asked]).forget(j, place, slope[asked])
        out[asked] = rest.log_prob(n_jobs=1)
