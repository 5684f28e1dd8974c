"""The distribution of a table's columns given evidence on some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jointprob.joint.tree import Floats, Sizes
from jointprob.query.answers import Answers, shares
from jointprob.query.evidence import Given, blank_empty, float_schema, read_rows
from jointprob.query.numeric import Mixture
from jointprob.query.passes import Pass
from jointprob.query.sampling import draw_rows, seed_of
from jointprob.restore import to_container
from jointprob.schema import Schema
from jointprob.table import MISSING, UNSEEN, Table
from jointprob.threads import run_blocks

if TYPE_CHECKING:
    from jointprob.query.joint import Joint

DRAWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Conditional:
    """p(other columns | evidence), for one or many rows of evidence; made by `Joint.condition`.

    Columns known by value answer with that value. Every method treats all rows of evidence in one
    vectorised call.

    Parameters
    ----------
    joint : Joint
    given : Given
    n_jobs : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob import JEPADensity
    >>> rng = np.random.default_rng(0)
    >>> size = rng.choice(["S", "L"], 300)
    >>> weight = rng.normal(np.where(size == "S", 2.0, 6.0))
    >>> model = JEPADensity(n_trees=1, random_state=0)
    >>> joint = model.fit({"size": size, "weight": weight}).joint_
    >>> given = joint.condition({"size": ["S", "L"]})
    >>> given.mean("weight").round()
    array([2., 6.])
    >>> given.quantile("weight", [0.1, 0.5, 0.9]).shape
    (2, 3)
    >>> joint.condition({"weight": (5, None)}).mode("size")
    array(['L'], dtype='<U1')
    """

    joint: Joint
    given: Given
    n_jobs: int | None = None

    def __repr__(self) -> str:
        return f"Conditional({self.n_rows} rows of evidence on {self.joint!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"joint": self.joint, "given": self.given, "n_jobs": self.n_jobs}

    @property
    def schema(self) -> Schema:
        """The columns, known ones included."""
        return self.joint.schema

    @property
    def n_rows(self) -> int:
        """Rows of evidence."""
        return self.given.n_rows

    @cached_property
    def _passes(self) -> list[Pass]:
        passes = self.joint._passes(self.given, self.n_jobs)
        if not passes:
            raise ValueError("the evidence has probability 0; nothing follows from it")
        return passes

    @cached_property
    def _log_evidence(self) -> Floats:
        return self.joint._log_prob(self.given, self.n_jobs)

    def log_prob(self, X: Any) -> Floats:
        """Log density of the other columns' cells given the evidence.

        Parameters
        ----------
        X : frame, array or dict
            As many rows as there are rows of evidence, or any number for one row of evidence (or
            one row for many). Columns may be left out; cells of columns known by value are passed
            over. A cell outside its column's known set or interval has density 0.

        Returns
        -------
        float64 (n_rows,)
            Nats: log p(cells, evidence) - log p(evidence).
        """
        asked = read_rows(X, self.schema, partial=True)
        if asked.n_rows != self.n_rows and 1 not in (asked.n_rows, self.n_rows):
            raise ValueError(
                f"X has {asked.n_rows} rows, but there are {self.n_rows} rows of evidence"
            )
        both = [
            _prefer(*pair) for pair in zip(self.given.table.columns, asked.columns, strict=True)
        ]
        table = Table(self.schema, len(both[0]), both)
        given = Given(table, self.given.sets, self.given.intervals, self.given.atoms)
        shares(self._log_evidence[None], np.arange(self.n_rows))  # refuses impossible evidence
        return self.joint._log_prob(given, self.n_jobs) - self._log_evidence

    def predict_proba(self, column: str | int) -> Floats:
        """Probabilities of a categorical column's levels, in the order of the schema.

        Returns
        -------
        float64 (n_evidence, n_levels)
            Rows sum to 1: the level is taken to be one that fit saw. A level known to be another
            has zeros.
        """
        position = self._categorical(column)
        if self.schema.columns[position].empty:
            return np.empty((self.n_rows, 0))
        code = self.joint.members[0].encoding.categorical.index(position)
        proba = self._ask(lambda answers, rows: answers.predict_levels(code, rows))
        known = self.given.table.columns[position]
        levels = np.arange(proba.shape[1])
        return np.where((known == MISSING)[:, None], proba, known[:, None] == levels)

    def mean(self, column: str | int | None = None) -> Any:
        """Expectation of a numeric column, in its unit, by quadrature.

        The normal score that fit expected half a row to exceed counts as the end of a column:
        beyond it only a tail is known, and heavy ones have no expectation to speak of.

        Parameters
        ----------
        column : name, optional
            Every numeric column when left out.

        Returns
        -------
        float64 (n_evidence,)
            For all columns: the same kind of frame as was fitted.
        """
        if column is None:
            return self._all_means()
        return self._numeric(column, Mixture.mean)

    def mode(self, column: str | int) -> NDArray[Any]:
        """Most probable level, or the number of largest density.

        Returns
        -------
        array (n_evidence,)
            Levels, or float64. A numeric column answers with its commonest atom where atoms hold
            at least half of the probability.
        """
        position = self.schema.position(column)
        if not self.schema.columns[position].is_categorical:
            return self._numeric(column, Mixture.mode)
        levels = self.schema.columns[position].levels
        if not levels:
            return np.full(self.n_rows, None)
        best = np.asarray(levels)[self.predict_proba(column).argmax(axis=1)]
        unseen = self.given.table.columns[position] == UNSEEN
        if unseen.any():
            best = best.astype(object)
            best[unseen] = None
        return np.asarray(best)

    def quantile(self, column: str | int, q: ArrayLike) -> Floats:
        """Smallest number x with P(column <= x | evidence) >= q.

        Parameters
        ----------
        column : name
        q : float or sequence of float
            Levels in (0, 1).

        Returns
        -------
        float64 (n_evidence,), or (n_evidence, n_levels) for a sequence
        """
        levels = np.asarray(q, np.float64)
        if not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"q={q!r}; allowed are levels between 0 and 1, both excluded")
        if levels.ndim == 0:
            return self._numeric(column, lambda mixture: mixture.quantile(float(levels)))
        return self._numeric(
            column,
            lambda mixture: np.stack([mixture.quantile(level) for level in levels.tolist()], 1),
        )

    def cdf(self, column: str | int, x: ArrayLike) -> Floats:
        """P(column <= x | evidence).

        Parameters
        ----------
        column : name
        x : float or float64 (n_evidence,)

        Returns
        -------
        float64 (n_evidence,)
        """
        position = self._position(column)
        ends = np.broadcast_to(np.asarray(x, np.float64), (self.n_rows,))
        if np.isnan(ends).any():
            raise ValueError(f"column {column!r}: x holds NaN; allowed are numbers")
        below = self._ask(
            lambda answers, rows: answers.mixture(self._z_column(position), rows).cdf(
                ends[answers.rows[rows]]
            )
        )
        known = self.given.table.columns[position]
        return np.where(np.isnan(known), below, known <= ends)

    def sample(self, n_per_row: int = 1, random_state: Any = None) -> Any:
        """Draw complete rows: known cells as they are, the others given them.

        Parameters
        ----------
        n_per_row : int
            Draws for each row of evidence; they stand together.
        random_state : None, int, RandomState or Generator
            A draw depends on the seed, its place and its evidence alone.

        Returns
        -------
        frame, array or dict with n_evidence * n_per_row rows

        Notes
        -----
        Exact, but for two or more intervals inside one block of numeric columns, where each
        draw is one of 256 weighted proposals.
        """
        if n_per_row < 1 or n_per_row != int(n_per_row):
            raise ValueError(f"n_per_row={n_per_row}; allowed are integers from 1")
        seed = seed_of(random_state)
        log_prob = np.array([one.log_prob(self.n_jobs) for one in self._passes])
        share = shares(log_prob, np.arange(self.n_rows))

        def draw(start: int, stop: int) -> list[Any]:
            key = np.arange(start, stop)
            rows = key // int(n_per_row)
            drawn = draw_rows(self._passes, share[:, rows], rows, key.astype(np.uint64), seed)
            known = [cells[rows] for cells in self.given.table.columns]
            return [_prefer(*pair) for pair in zip(known, drawn, strict=True)]

        blocks = run_blocks(draw, self.n_rows * int(n_per_row), DRAWS_AT_ONCE, self.n_jobs)
        columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
        return to_container(blank_empty(columns, self.schema), self.schema)

    # ---- asking ----

    def _all_means(self) -> Any:
        """Means of every numeric column from one pass."""
        kept = [j for j in self.schema.numeric if not self.schema.columns[j].empty]
        z = [self._z_column(j) for j in kept]
        means = self._ask(
            lambda answers, rows: np.stack([answers.mixture(j, rows).mean() for j in z], axis=1)
        )
        columns = [
            _prefer(self.given.table.columns[j], mean)
            for j, mean in zip(kept, means.T, strict=True)
        ]
        names = tuple(self.schema.columns[j].name for j in kept)
        return to_container(columns, float_schema(self.schema.select(names)))

    def _ask(self, question: Callable[[Answers, Sizes], Floats]) -> Floats:
        """Answers to one question for all rows of evidence."""
        passes = self._passes

        def ask(start: int, stop: int) -> Floats:
            rows = np.arange(start, stop)
            return question(Answers(passes, rows), np.arange(stop - start))

        block_rows = min(one.block_rows for one in passes)
        return np.concatenate(run_blocks(ask, self.n_rows, block_rows, self.n_jobs))

    def _numeric(self, column: str | int, question: Callable[[Mixture], Floats]) -> Floats:
        position = self._position(column)
        j = self._z_column(position)
        answer = self._ask(lambda answers, rows: question(answers.mixture(j, rows)))
        known = self.given.table.columns[position].reshape(-1, *[1] * (answer.ndim - 1))
        return np.where(np.isnan(known), answer, known)

    def _z_column(self, position: int) -> int:
        return self.joint.members[0].encoding.numeric.index(position)

    def _position(self, column: str | int) -> int:
        position = self.schema.position(column)
        if self.schema.columns[position].is_categorical:
            raise ValueError(f"column {column!r} is categorical; allowed are numeric columns")
        if self.schema.columns[position].empty:
            raise ValueError(f"column {column!r} was all missing in fit: it has no distribution")
        return position

    def _categorical(self, column: str | int) -> int:
        position = self.schema.position(column)
        if not self.schema.columns[position].is_categorical:
            raise ValueError(f"column {column!r} is numeric; allowed are categorical columns")
        return position


def _prefer(known: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """The known cells where there are some; either may have one row for all."""
    missing = known == MISSING if known.dtype.kind == "i" else np.isnan(known)
    return np.where(missing, other, known).astype(known.dtype)
