"""How strange is a row to a joint distribution? Tail probabilities of rows and of their cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from jointprob.encode import Encoding
from jointprob.joint.tree import Floats, Sizes
from jointprob.marginal import Marginal
from jointprob.query import Joint
from jointprob.query.evidence import Given, blank_empty
from jointprob.query.explain import explain_rows
from jointprob.table import Table

TAIL = 0.05  # of the held-out rows: below this quantile a tail is exponential
LEAST_TAIL_ROWS = 10.0
USUAL_ROWS = 2_000  # tell what is usual in a column
LOWEST = -1e30  # a log density that underflows still is a number


@dataclass(frozen=True, eq=False)
class Tail:
    """P(value of a normal row <= v): the empirical one, exponential where rows are few.

    Parameters
    ----------
    values, log_share : float64 (n,)
        Ascending, from the quantile where the exponential tail begins.
    scale : float
        Of that tail: mean excess of the rows below.
    """

    values: Floats
    log_share: Floats
    scale: float

    def log_prob(self, values: Floats) -> Floats:
        """Nats, float64 (n_rows,)."""
        inside = np.interp(values, self.values, self.log_share)
        beyond = np.maximum(self.values[0] - values, 0.0) / self.scale
        return np.asarray(inside - beyond)


def fit_tail(values: Floats, weight: Floats) -> Tail:
    """The tail of held-out values."""
    order = np.argsort(values, kind="stable")
    values, weight = values[order], weight[order]
    total = float(weight.sum())
    share = (np.cumsum(weight) - 0.5 * weight) / total
    begin = min(max(TAIL, LEAST_TAIL_ROWS / total), 0.5)
    first = int(np.searchsorted(share, begin))
    first = min(first, len(values) - 1)
    below, lower = values[first] - values[: first + 1], weight[: first + 1]
    scale = float(below @ lower / lower.sum())
    return Tail(values[first:], np.log(share[first:]), max(scale, 1e-9))


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a table and their weights."""

    table: Table
    weight: Floats

    def take(self, rows: Sizes) -> Part:
        """The rows at these positions."""
        return Part(self.table.take(rows), self.weight[rows])


@dataclass(frozen=True, eq=False)
class Usual:
    """What is usual in each column, nats.

    Parameters
    ----------
    surprise : float64 (n_columns,)
        Mean of -log p(cell | other cells of its row).
    alone : float64 (n_columns,)
        Mean of -log p(cell).
    tied : float64 (n_columns,)
        What the other cells of a complete row take from it.
    """

    surprise: Floats
    alone: Floats
    tied: Floats

    def excess(self, joint: Joint, table: Table, n_jobs: int | None) -> Floats:
        """Log density of the known cells above what is usual for them, float64 (n_rows,).

        Cells tell of each other the more of them are known: the part tied grows with their number
        in proportion, which is exact for single cells and for complete rows.
        """
        known = known_cells(table)
        share = (known.sum(axis=1) - 1) / max(1, known.shape[1] - 1)
        total = joint._log_prob(Given(table), n_jobs)
        for own, alone, tied in zip(known.T, self.alone, self.tied, strict=True):
            total = total + own * (alone - share * tied)  # column by column: the same in any batch
        return np.asarray(np.maximum(total, LOWEST))


@dataclass(frozen=True, eq=False)
class Norm:
    """What normal rows look like.

    Parameters
    ----------
    cells : tuple of Numbers or Levels
        Tail probability of each column's cells.
    usual : Usual
    density, cell, both : Tail
        Of the rows' excess log densities, of their strangest cells, and of the sum of the logs of
        these two.
    """

    cells: tuple[Numbers | Levels, ...]
    usual: Usual
    density: Tail
    cell: Tail
    both: Tail

    def score(self, joint: Joint, table: Table, n_jobs: int | None) -> Floats:
        """Log of the share of normal rows that are so strange, nats."""
        excess = self.usual.excess(joint, table, n_jobs)
        least = strangest(self.cells, table)
        return self.both.log_prob(self.density.log_prob(excess) + self.cell.log_prob(least))


def fit_norm(
    joint: Joint, encoding: Encoding, fitted: Part, held_out: Part, n_jobs: int | None
) -> Norm:
    """Learn from held-out rows what is usual.

    Parameters
    ----------
    joint : Joint
    encoding : Encoding
        Normal scores of the numeric columns.
    fitted, held_out : Part
        Rows that the joint was fitted to, and others.
    """
    cells = cell_tails(encoding, fitted)
    some = held_out.take(np.arange(min(USUAL_ROWS, len(held_out.weight))))
    usual = fit_usual(joint, some, n_jobs)
    excess = usual.excess(joint, held_out.table, n_jobs)
    least = strangest(cells, held_out.table)
    density, cell = (fit_tail(part, held_out.weight) for part in (excess, least))
    both = fit_tail(density.log_prob(excess) + cell.log_prob(least), held_out.weight)
    return Norm(cells, usual, density, cell, both)


def fit_usual(joint: Joint, rows: Part, n_jobs: int | None) -> Usual:
    """What is usual in rows that a joint has not seen."""
    given, names = Given(rows.table), joint.schema.names
    among = explain_rows(joint._passes(given, n_jobs), rows.table, n_jobs)
    alone = np.stack(
        [
            -joint.marginal([name])._log_prob(Given(_column(rows.table, i)), n_jobs)
            for i, name in enumerate(names)
        ],
        axis=1,
    )
    known = known_cells(rows.table)
    weight = rows.weight[:, None] * known
    count = np.maximum(weight.sum(axis=0), 1e-300)
    among = np.where(np.isfinite(among), among, alone)
    mean_among, mean_alone = ((weight * part).sum(axis=0) / count for part in (among, alone))
    share = (known.sum(axis=1) - 1) / max(1, len(names) - 1)
    gap = mean_alone - mean_among
    most = float(((weight * share[:, None]) * gap).sum())
    tied = float((weight * mean_alone).sum()) + float(
        (joint._log_prob(given, n_jobs) * rows.weight).sum()
    )
    return Usual(mean_among, mean_alone, gap * (np.clip(tied / most, 0.0, 1.0) if most > 0 else 0))


def _column(table: Table, i: int) -> Table:
    return Table(table.schema.select((table.schema.names[i],)), table.n_rows, [table.columns[i]])


def known_cells(table: Table) -> NDArray[np.bool_]:
    """Which cells are not missing, bool (n_rows, n_columns)."""
    known = [
        cells != -1 if column.is_categorical else ~np.isnan(cells)
        for column, cells in zip(
            table.schema, blank_empty(table.columns, table.schema), strict=True
        )
    ]
    return np.stack(known, axis=1)


# ---- cells ----


@dataclass(frozen=True, eq=False)
class Numbers:
    """Tail probabilities of a numeric column: twice the smaller tail.

    Parameters
    ----------
    marginal : Marginal
        To normal scores.
    atoms : float64 (n_atoms,)
        Values that many rows share; they lie in no tail.
    log_rest : float
        Log of the share of other values.
    """

    marginal: Marginal
    atoms: Floats
    log_rest: float

    def log_tail(self, cells: Floats) -> Floats:
        z = np.abs(self.marginal.forward(cells)[0])
        tail = self.log_rest + np.minimum(np.log(2) + log_ndtr(-z), 0.0)
        return np.where(np.isnan(cells) | np.isin(cells, self.atoms), 0.0, tail)


@dataclass(frozen=True, eq=False)
class Levels:
    """Tail probabilities of a categorical column: the mass of all levels that are as rare.

    Parameters
    ----------
    log_mass : float64 (n_levels + 2,)
        Of every level, of levels that fit did not see (-2), and of missing cells (-1).
    """

    log_mass: Floats

    def log_tail(self, cells: NDArray[np.int32]) -> Floats:
        return self.log_mass[cells]


def cell_tails(encoding: Encoding, rows: Part) -> tuple[Numbers | Levels, ...]:
    """Tail probabilities of all columns, in the order of the table."""
    tails: dict[int, Numbers | Levels] = {}
    for column, n_levels in zip(encoding.categorical, encoding.levels, strict=True):
        tails[column] = _level_tail(rows.table.columns[column], rows.weight, n_levels)
    for column, marginal, atoms in zip(
        encoding.numeric, encoding.marginals, encoding.atoms, strict=True
    ):
        cells = rows.table.columns[column]
        known = rows.weight * ~np.isnan(cells)
        rest = float(known @ ~np.isin(cells, atoms)) if len(atoms) else float(known.sum())
        tails[column] = Numbers(marginal, atoms, np.log((rest + 0.5) / (known.sum() + 0.5)))
    return tuple(tails[column] for column in range(len(tails)))


def _level_tail(codes: NDArray[np.int32], weight: Floats, n_levels: int) -> Levels:
    known = codes >= 0
    counts = np.bincount(codes[known], weight[known], n_levels)
    mass = np.array([counts[counts <= own].sum() for own in counts])
    log_mass = np.log((np.append(mass, 0.0) + 0.5) / (counts.sum() + 0.5))
    return Levels(np.append(log_mass, 0.0))


def strangest(cells: tuple[Numbers | Levels, ...], table: Table) -> Floats:
    """Log tail probability of each row's strangest cell, 0 where nothing is known."""
    lowest = np.zeros(table.n_rows)
    for tail, own in zip(cells, blank_empty(table.columns, table.schema), strict=True):
        lowest = np.minimum(lowest, tail.log_tail(own))
    return lowest
