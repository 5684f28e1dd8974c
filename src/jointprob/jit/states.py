"""The states of a block whose densities are of the user's own family.

To the tree they are what `jointprob.density.Gaussians` are: likelihoods of rows, and tables that an
M-step moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jointprob.jit.family import Family

Floats = NDArray[np.float64]
Points = NDArray[np.float32]
Labels = NDArray[np.int32]
Rows = NDArray[np.int64]

WHOLE = 1 - 1e-9  # share of the rows after which an M-step is due


@dataclass(eq=False)
class Responsibilities:
    """P(state | row) times the row's weight, of the rows seen since the last M-step.

    Parameters
    ----------
    x : list of float64 (n_rows,)
        Of each batch.
    weight : list of float64 (n_states, n_rows)
    seen : float
        Weight of these rows.
    """

    x: list[Floats] = field(default_factory=list)
    weight: list[Floats] = field(default_factory=list)
    seen: float = 0.0

    @property
    def kernel(self) -> Responsibilities:
        return self

    @property
    def state(self) -> list[NDArray[Any]]:
        """Nothing that EM would have to undo: every epoch starts anew."""
        return []


@dataclass(frozen=True, eq=False)
class OwnDensities:
    """Members of a family, one for each state of a block of one column.

    Parameters
    ----------
    family : Family
    name : str or int
        Of the table's column, for messages.
    columns : int64 (1,)
        Column of z, which holds the cells as they are.
    parameters : float64 (n_states, n_parameters)
    """

    family: Family
    name: str | int
    columns: NDArray[np.int64]
    parameters: Floats

    @property
    def n_states(self) -> int:
        return len(self.parameters)

    @property
    def kernel(self) -> OwnDensities:
        return self

    @property
    def state(self) -> list[NDArray[Any]]:
        """Every array that EM changes."""
        return [self.parameters]

    def moments(self) -> Responsibilities:
        return Responsibilities()

    def copy(self) -> OwnDensities:
        return replace(self, parameters=self.parameters.copy())

    def derive(self) -> None:
        """Nothing follows from the parameters."""

    def work(self) -> None:
        """No work space is needed."""

    def take(self, z: Points) -> Points:
        """The column, contiguous (n_rows, 1)."""
        return np.ascontiguousarray(z[:, self.columns])

    def select(self, z: dict[int, int]) -> OwnDensities | None:
        """The same in a table of other columns of z; None where theirs is not kept."""
        kept = z.get(int(self.columns[0]))
        return None if kept is None else replace(self, columns=np.array([kept], np.int64))

    # ---- densities ----

    def log_pdf(self, z: Points, rows: Rows) -> Floats:
        """Log density of rows by state, (n_rows, n_states); 0 where missing."""
        out = np.empty((len(rows), self.n_states))
        self.family.loops.log_pdf(z, rows, self.parameters, out)
        if np.isnan(out).any():
            i, s = np.argwhere(np.isnan(out))[0]
            raise ValueError(
                f"column {self.name!r}: log_pdf({z[rows[i], 0]}, {self.parameters[s].tolist()}) "
                "is NaN"
            )
        return out

    def leaf(
        self, z: Points, rows: Rows, start: int, stop: int, negligible: float, leaf: Points,
        leaf_at: int, log_scale: Floats, work: None,
    ) -> None:  # fmt: skip
        """As `jp_gauss_leaf`: likelihoods of each row over its largest, whose log is added."""
        log_pdf = self.log_pdf(z, rows[start:stop])
        best = log_pdf.max(axis=1)
        best[np.isneginf(best)] = 0.0  # no state allows for the row
        beyond = log_pdf - best[:, None]
        own = leaf[start:stop, leaf_at : leaf_at + self.n_states]
        own[:] = np.where(beyond > -negligible, np.exp(beyond), 0.0)
        log_scale[start:stop] += best

    def within(self, low: float, high: float) -> Floats:
        """P(low <= X <= high) in every state, (n_states,)."""
        if self.family.cdf is None:
            raise ValueError(f"column {self.name!r}: intervals need the family's cdf")
        below, above = np.zeros(self.n_states), np.ones(self.n_states)
        for end, out in ((low, below), (high, above)):
            if np.isfinite(end):
                self.family.loops.cdf(end, self.parameters, out)
        return np.maximum(above - below, 0.0)

    def draw(self, state: Labels, uniform: Floats) -> Floats:
        """A number for each state drawn, (n,)."""
        if self.family.draw is None:
            raise ValueError(f"column {self.name!r}: samples need the family's draw")
        out = np.empty(len(state))
        self.family.loops.draw(self.parameters, state, np.ascontiguousarray(uniform), out)
        return out

    # ---- EM ----

    def start(
        self, z: Points, labels: Labels, weight: Floats, shrinkage: float, floor: float
    ) -> Responsibilities:
        """Fit each state to the rows that carry its label; -1 leaves a row out.

        Raises
        ------
        ValueError
            If a row has no density in any state, naming it.
        """
        known = np.flatnonzero((labels >= 0) & ~np.isnan(z[:, 0]))
        x, share = z[known, 0].astype(np.float64), np.zeros((self.n_states, len(known)))
        share[labels[known], np.arange(len(known))] = weight[known]
        self._estimate(x, share, shrinkage)
        impossible = np.isneginf(self.log_pdf(z, known)).all(axis=1)
        if impossible.any():
            raise ValueError(
                f"column {self.name!r}: log_pdf is -inf at {x[impossible][0]} in every state"
            )
        return self.moments()

    def expect(
        self, z: Points, rows: Rows, posterior: Points, leaf_at: int, start: int, stop: int,
        sums: Responsibilities,
    ) -> None:  # fmt: skip
        """Keep the rows' responsibilities."""
        own = posterior[start:stop, leaf_at : leaf_at + self.n_states]
        x = z[rows[start:stop], 0]
        known = ~np.isnan(x)
        sums.x.append(x[known].astype(np.float64))
        sums.weight.append(own[known].T.astype(np.float64))

    def maximise(
        self, batch: Responsibilities, running: Responsibilities, batch_rows: float, step: float,
        total: float, shrinkage: float, floor: float, work: None,
    ) -> None:  # fmt: skip
        """Fit the parameters anew, once all rows have been seen."""
        batch.seen += batch_rows if step > 0 else 0.0
        if batch.seen >= total * WHOLE:
            weight = np.concatenate(batch.weight, axis=1)
            self._estimate(np.concatenate(batch.x), weight, shrinkage)
            batch.x, batch.weight, batch.seen = [], [], 0.0

    def _estimate(self, x: Floats, weight: Floats, shrinkage: float) -> None:
        by_row = weight.sum(axis=0)
        if not by_row.sum() > 0:
            return
        leant = np.ascontiguousarray(weight + shrinkage * by_row / by_row.sum())
        self.family.loops.estimate(x, leant, self.parameters)
        if not np.isfinite(self.parameters).all():
            s = int(np.flatnonzero(~np.isfinite(self.parameters).all(axis=1))[0])
            raise ValueError(
                f"column {self.name!r}: estimate wrote {self.parameters[s].tolist()}; "
                "parameters must be finite"
            )
