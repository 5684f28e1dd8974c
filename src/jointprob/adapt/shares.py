"""What is watched of rows: how a row, its cells and their dependence rank among a joint's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob.joint.tree import Floats
from jointprob.query import Joint
from jointprob.query.evidence import Given
from jointprob.query.explain import explain_rows
from jointprob.table import Table, conform

UNSEEN = -2  # code of a level that the joint does not know
CELL_STATES = 2**18  # states of all rows of a batch whose cells are scored: some milliseconds
Columns = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shares:
    """Numbers in [0, 1] that a joint makes of rows. Immutable.

    Parameters
    ----------
    joint : Joint
    columns : int64 (n_columns,)
        Those that the joint has a density of.
    alone : tuple of (cells, log p(cell))
        Of each of these, ascending; interpolated between.
    own : float64 (n_series, n_own)
        Scores of the joint's own samples, each series ascending.

    Notes
    -----
    The scores of a row x are log p(x); for every column log p(x_j | all other cells); and for every
    column log p(x_j | all other cells) - log p(x_j), the pointwise mutual information of a cell and
    its row, all in nats. A change that spares the columns' own distributions lowers the last by as
    much as it does the first, but its noise is far smaller: weak dependence has weak noise. Any
    function of a row would do where rows are independent, so that log p(x_j) may be interpolated.
    """

    joint: Joint
    columns: Columns
    alone: tuple[tuple[Floats, Floats], ...]
    own: Floats

    @classmethod
    def of(cls, joint: Joint, own: Any, n_jobs: int | None) -> Shares:
        """From the joint's own samples."""
        table = conform(own, joint.schema, False, "X", "Joint")
        columns = np.flatnonzero([not column.empty for column in joint.schema])
        alone = tuple(_alone(joint, table, int(j), n_jobs) for j in columns)
        empty = cls(joint, columns, alone, np.empty((0, 0)))
        return cls(joint, columns, alone, np.sort(empty.scores(table, n_jobs)))

    @property
    def n_series(self) -> int:
        return 1 + 2 * len(self.columns)

    def step(self, n_rows: int) -> int:
        """Of how many rows of a batch one has its cells scored, which costs more than the row."""
        n_states = sum(view.n_total for view in self.joint._views)
        return max(1, -(-n_rows * n_states // CELL_STATES))

    def scores(self, table: Table, n_jobs: int | None, step: int = 1) -> Floats:
        """Of rows, float64 (n_series, n_rows); NaN for missing cells. The first is log p(row).

        All others are NaN, too, but for every row that is a multiple of `step`.
        """
        some = table if step == 1 else table.take(np.arange(0, table.n_rows, step))
        cells = -explain_rows(self.joint._passes(Given(some), n_jobs), some, n_jobs).T[self.columns]
        pairs = zip(self.columns, self.alone, strict=True)
        alone = [np.interp(some.columns[j], *known) for j, known in pairs]
        out = np.full((self.n_series, table.n_rows), np.nan)
        out[0] = self.joint._log_prob(Given(table), n_jobs)
        out[1:, ::step] = np.vstack([cells, cells - alone])
        return out

    def among_own(self, scores: Floats) -> Floats:
        """Share of the own samples that are lower, float64 (n_rows, n_series); ties count half."""
        pairs = list(zip(self.own, scores, strict=True))
        ranks = [
            sum(own.searchsorted(row, side) for side in ("left", "right")) for own, row in pairs
        ]
        shares = np.array(ranks) / (2 * self.own.shape[1])
        return np.where(np.isnan(scores), np.nan, shares).T


def _alone(joint: Joint, table: Table, j: int, n_jobs: int | None) -> tuple[Floats, Floats]:
    """Cells of a column, ascending, and the log density of each by itself."""
    column = joint.schema.columns[j]
    if column.is_categorical:
        cells = np.array([UNSEEN, *range(len(column.levels))], np.int32)
    else:
        cells = np.unique(table.columns[j])
    one = joint.marginal([column.name])
    log_prob = one._log_prob(Given(Table(one.schema, len(cells), [cells])), n_jobs)
    return cells.astype(np.float64), log_prob
