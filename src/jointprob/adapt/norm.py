"""What normal rows of a target look like: by its own rows, and by the source's."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.special import ndtri

from jointprob.adapt.candidates import Split
from jointprob.adapt.columns import Target
from jointprob.adapt.transfer import Strength, Transfer, divide, transfer_rows
from jointprob.encode import distinct
from jointprob.estimators.strangeness import (
    Levels,
    Norm,
    Numbers,
    Part,
    Tail,
    Usual,
    fit_tail,
    fit_usual,
    strangest,
)
from jointprob.joint.tree import Floats, Sizes
from jointprob.knots import fit_marginal
from jointprob.marginal import Marginal
from jointprob.query import Joint
from jointprob.query.evidence import Given
from jointprob.table import UNSEEN, Table

TAIL_ROWS = 100.0  # of the target, that a source wholly believed counts as in the tails of rows
COLUMN_ROWS = (1000.0, 100.0, 10.0, 1.0)  # the same in the marginal of a column
LEAST_NATS = 2.0  # that held-out cells must gain by fewer
POINTS = 200  # that stand for a distribution of the source's

Tails = tuple[Numbers | Levels, ...]


def tune_norm(
    source: Joint,
    norm: Norm,
    rows: Part,
    blurred: Target,
    strength: Strength,
    seed: int,
    n_jobs: int | None,
) -> tuple[Joint, Norm]:
    """Fine-tune a joint, and learn from rows that it did not see what is usual.

    Parameters
    ----------
    source : Joint
    norm : Norm
        What is normal to the source.
    rows : Part
        Of the target, in the order of `canonical_rows`.
    blurred : Target
        The same rows with noise on their numbers, as the source saw its own.
    strength : "auto" or float
    seed : int
    n_jobs : int, optional

    Notes
    -----
    Tails are empirical: those of the source count as at most a hundred rows beside the target's,
    times the source's share in the joint.
    """

    def tuned(learnt: Sizes, strength: Strength) -> Transfer:
        part = Target(blurred.table.take(learnt), blurred.n_shared)
        return transfer_rows(source, part, rows.weight[learnt], strength, seed, n_jobs)

    every = np.arange(len(rows.weight))
    whole = tuned(every, strength)
    splits = divide(rows.table, seed)
    # What was chosen for all rows is not chosen again for each part of them.
    parts = [tuned(s.learnt, whole.source_share) for s in splits]
    splits, parts = (splits, parts) if splits else ([Split(every, every)], [whole])
    column_tails = partial(_column_tails, source, norm, blurred, rows.weight, n_jobs=n_jobs)
    cells = column_tails(whole, every, splits)
    seen = [rows.take(s.held_out) for s in splits]
    usual = _mean_usual(
        [fit_usual(p.joint, s, n_jobs) for p, s in zip(parts, seen, strict=True)],
        [float(s.weight.sum()) for s in seen],
    )
    excess = np.concatenate(
        [usual.excess(p.joint, s.table, n_jobs) for p, s in zip(parts, seen, strict=True)]
    )
    least = np.concatenate(
        [
            strangest(column_tails(p, s.learnt, []), held_out.table)
            for p, s, held_out in zip(parts, splits, seen, strict=True)
        ]
    )
    weight = np.concatenate([s.weight for s in seen])
    share = TAIL_ROWS * whole.source_share
    density = _tail(norm.density, share, excess, weight)
    cell = _tail(norm.cell, share, least, weight)
    both = _tail(norm.both, share, density.log_prob(excess) + cell.log_prob(least), weight)
    return whole.joint, Norm(cells, usual, density, cell, both)


def _mean_usual(parts: list[Usual], weight: list[float]) -> Usual:
    def mean(name: str) -> Floats:
        values = [getattr(part, name) for part in parts]
        return np.asarray(np.average(values, axis=0, weights=weight))

    return Usual(mean("surprise"), mean("alone"), mean("tied"))


def _tail(source: Tail, rows: float, values: Floats, weight: Floats) -> Tail:
    """The tail of values and of some rows of the source."""
    if rows <= 0:
        return fit_tail(values, weight)
    points = quantiles(source, (np.arange(POINTS) + 0.5) / POINTS)
    own = np.full(POINTS, rows / POINTS)
    return fit_tail(np.concatenate([values, points]), np.concatenate([weight, own]))


def quantiles(tail: Tail, share: Floats) -> Floats:
    """Values of which a tail says that a share of rows lies below."""
    log_share = np.log(share)
    inside = np.interp(log_share, tail.log_share, tail.values)
    beyond = np.maximum(tail.log_share[0] - log_share, 0.0)
    return np.asarray(inside - tail.scale * beyond)


# ---- cells ----


def _column_tails(
    source: Joint,
    norm: Norm,
    target: Target,
    weight: Floats,
    found: Transfer,
    learnt: Sizes,
    splits: list[Split],
    n_jobs: int | None,
) -> Tails:
    """Tail probabilities of all columns, in the order of the target."""
    here = {name: norm.cells[source.schema.position(name)] for name in target.shared}
    tails: list[Numbers | Levels] = []
    for j, column in enumerate(target.table.schema):
        known = here.get(column.name)
        if column.is_categorical:
            tails.append(_level_tail(found.joint, column.name, len(column.levels), n_jobs))
            continue
        before = known if isinstance(known, Numbers) else None
        cells = target.table.columns[j]
        marginal = _marginal(before, cells, weight, found.source_share, learnt, splits)
        atoms = before.atoms if before else np.empty(0)
        tails.append(Numbers(marginal, atoms, before.log_rest if before else 0.0))
    return tuple(tails)


def _level_tail(joint: Joint, name: str | int, n_levels: int, n_jobs: int | None) -> Levels:
    """By the fine-tuned joint: the mass of all levels that are as rare."""
    alone = joint.marginal([name])
    codes = np.append(np.arange(n_levels), UNSEEN).astype(np.int32)
    log_prob = alone._log_prob(Given(Table(alone.schema, len(codes), [codes])), n_jobs)
    share = np.exp(log_prob)
    mass = np.array([share[share <= own].sum() for own in share])
    log_mass = np.minimum(np.log(np.maximum(mass, 1e-300)), 0.0)
    return Levels(np.append(log_mass, 0.0))  # the last is that of `MISSING`


def _marginal(
    source: Numbers | None,
    cells: Floats,
    weight: Floats,
    source_share: float,
    learnt: Sizes,
    splits: list[Split],
) -> Marginal:
    """The column's marginal; held-out cells say how many rows the source's counts as."""
    if source is None:
        return _joined(None, 0.0, cells[learnt], weight[learnt])
    tried = [rows * max(source_share, 1e-3) for rows in COLUMN_ROWS]
    scores = [0.0] * len(tried)
    for split in splits if len(splits) > 1 else []:
        asked = cells[split.held_out]
        known = np.flatnonzero(~np.isnan(asked))
        for k, rows in enumerate(tried):
            marginal = _joined(source, rows, cells[split.learnt], weight[split.learnt])
            log_density = marginal.log_density(asked[known])
            scores[k] += float(weight[split.held_out][known] @ log_density)
    best = int(np.argmax(scores))
    best = best if scores[best] > scores[0] + LEAST_NATS else 0
    return _joined(source, tried[best], cells[learnt], weight[learnt])


def _joined(source: Numbers | None, rows: float, cells: Floats, weight: Floats) -> Marginal:
    """The marginal of cells and of some rows of the source."""
    known = ~np.isnan(cells)
    values, mass = cells[known], weight[known]
    if source is not None:
        points = source.marginal.inverse(ndtri((np.arange(POINTS) + 0.5) / POINTS))
        values = np.concatenate([values, points])
        mass = np.concatenate([mass, np.full(POINTS, rows / POINTS)])
    if not len(values):
        values, mass = np.zeros(1), np.ones(1)
    return fit_marginal(*distinct(values, mass))
