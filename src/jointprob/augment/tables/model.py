"""A joint of every class, and rows drawn from it or moved by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointprob import _query
from jointprob.augment.tables.gaps import Gaps, missing_cells
from jointprob.joint.tree import Floats, Sizes
from jointprob.predict.labels import LabelModel
from jointprob.query import Joint
from jointprob.query.answers import shares
from jointprob.query.evidence import Given
from jointprob.query.moving import move_rows
from jointprob.query.passes import Keys, Pass
from jointprob.query.sampling import choose_pass, draw_rows
from jointprob.table import MISSING, Table
from jointprob.threads import run_blocks

BLOCK_ROWS = 8192
MOST_TRIES = 20  # candidates for each new row, at most
SUREST = 0.95  # share of candidates that are less sure of their class than those always taken
TRIAL_KEY = np.uint64(1 << 62)  # candidates have smaller ones
SOURCE, JUDGED = 0, 1  # draws of a candidate: the row it starts from, and what it has to pass

Columns = list[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Model:
    """What a `TableAugmenter` has learnt.

    Parameters
    ----------
    joint : Joint
        Of the table and of its gaps: the mixture over classes of their joints.
    n_classes : int
        Member i of the joint belongs to class i % n_classes; 1 without a target.
    gaps : Gaps
    labels : LabelModel or None
        p(class | row), where there is a target.
    bounds : float64 (n_columns, 2)
        Between which the numbers of new rows stay.
    whole : tuple of int
        Numeric columns of whole numbers.
    """

    joint: Joint
    n_classes: int
    gaps: Gaps
    labels: LabelModel | None
    bounds: Floats
    whole: tuple[int, ...]

    def draw(
        self, given: Given, n_per_row: int, asked: Sizes | None, seed: int, n_jobs: int | None
    ) -> tuple[Columns, Sizes]:
        """Rows given evidence, and their classes.

        Parameters
        ----------
        given : Given
            On the columns of the table.
        n_per_row : int
            Rows for each row of evidence.
        asked : int64 (n_rows * n_per_row,), optional
            Class of each row; drawn too if not given.

        Raises
        ------
        ValueError
            Evidence of probability 0.
        """
        events = [*given.sets, *given.intervals, *given.atoms]
        passes = self.joint._passes(
            replace(given, table=self.gaps.assume(given.table, events)), n_jobs
        )
        if not passes:
            raise ValueError("the evidence has probability 0; nothing follows from it")
        log_prob, of_class = self._log_prob(passes, n_jobs)

        def draw(start: int, stop: int) -> list[NDArray[Any]]:
            key = np.arange(start, stop)
            rows, number = key // n_per_row, key.astype(np.uint64)
            own = _of_class(log_prob[:, rows], of_class, None if asked is None else asked[key])
            share, uniform = shares(own, rows), np.empty((len(key), 1))
            _query.uniform(seed, number, uniform)  # the first number of a draw chooses its pass
            label = of_class[choose_pass(share, uniform[:, 0])]
            drawn = self._finished(draw_rows(passes, share, rows, number, seed))
            known = [cells[rows] for cells in given.table.columns]
            return [*map(_prefer, known, drawn), label]

        *columns, label = _joined(run_blocks(draw, given.n_rows * n_per_row, BLOCK_ROWS, n_jobs))
        return columns, label

    def move(
        self, table: Table, asked: Sizes | None, key: Keys, strength: float, seed: int,
        n_jobs: int | None,
    ) -> Columns:  # fmt: skip
        """Rows of a table, each moved inside its own subsets; missing cells stay missing."""
        mover = _Mover(self, table, asked, seed, strength, n_jobs)

        def move(start: int, stop: int) -> Columns:
            return mover.move(np.arange(start, stop), key[start:stop])

        return _joined(run_blocks(move, table.n_rows, BLOCK_ROWS, n_jobs))

    def breed(
        self, table: Table, weight: Floats, label: int, n: int, strength: float, seed: int,
        n_jobs: int | None,
    ) -> Columns:  # fmt: skip
        """New rows of a class: its rows moved, as far as they are still of the class.

        Candidates are numbered. Each starts from a row of the class in proportion to the weights,
        and is taken with a probability in proportion to p(class | candidate), 1 for the surest
        twentieth; of too few taken, the rest are those that came nearest to it.

        Parameters
        ----------
        table : Table
            The rows of the class.
        n : int
            New rows, at least 1.
        """
        mover = _Mover(self, table, np.full(table.n_rows, label), seed, strength, n_jobs)
        below = np.cumsum(weight)
        trial = np.arange(min(table.n_rows, BLOCK_ROWS))
        tried = mover.move(trial, trial.astype(np.uint64) + TRIAL_KEY)
        sure = float(np.quantile(self._chance(table, tried, label), SUREST))
        choice = int(np.random.SeedSequence([seed, label]).generate_state(1, np.uint64)[0])

        def candidates(start: int, stop: int) -> Columns:
            key = np.arange(start, stop).astype(np.uint64)
            uniform = np.empty((len(key), 2))
            _query.uniform(choice, key, uniform)
            rows = np.searchsorted(below, uniform[:, SOURCE] * below[-1], side="right")
            moved = mover.move(np.minimum(rows, len(below) - 1), key)
            return [*moved, self._chance(table, moved, label) / (sure * uniform[:, JUDGED])]

        return _first_taken(candidates, n, n_jobs)

    def _chance(self, table: Table, columns: Columns, label: int) -> Floats:
        """P(class | row) of new rows."""
        assert self.labels is not None
        rows = self.gaps.tell(Table(table.schema, len(columns[0]), columns))
        return np.asarray(np.exp(self.labels.log_proba(rows, 1)[:, label]))

    def _log_prob(self, passes: Sequence[Pass], n_jobs: int | None) -> tuple[Floats, Sizes]:
        """log p(pass, row) and the class of each pass."""
        place = {id(member): i for i, member in enumerate(self.joint.members)}
        of_class = np.array([place[id(one.view.member)] % self.n_classes for one in passes])
        return np.array([one.log_prob(n_jobs) for one in passes]), of_class

    def _finished(self, columns: Columns) -> Columns:
        """Columns of the table: within bounds, whole where they were, with gaps."""
        columns = self.gaps.blank(columns)
        for j in range(len(columns)):
            if columns[j].dtype.kind == "f":
                columns[j] = np.clip(columns[j], *self.bounds[j])
        for j in self.whole:
            columns[j] = np.rint(columns[j])
        return columns


class _Mover:
    """Rows, and how likely each pass is for them."""

    def __init__(
        self, model: Model, table: Table, asked: Sizes | None, seed: int, strength: float,
        n_jobs: int | None,
    ) -> None:  # fmt: skip
        self.model, self.table, self.seed, self.strength = model, table, seed, strength
        self.passes = model.joint._passes(Given(model.gaps.tell(table)), n_jobs)
        log_prob, of_class = model._log_prob(self.passes, n_jobs)
        self.share = shares(_of_class(log_prob, of_class, asked), np.arange(table.n_rows))
        encoding = self.passes[0].view.encoding
        first = len(table.schema)
        self.fixed = {i for i, c in enumerate(encoding.categorical) if c >= first}

    def move(self, rows: Sizes, key: Keys) -> Columns:
        """Some of the rows, moved; a row may stand there many times."""
        moved = move_rows(
            self.passes, self.share[:, rows], rows, key, self.seed, self.strength, self.fixed
        )
        n = len(self.table.schema)
        told = [np.full(len(rows), MISSING, np.int32)] * (len(moved) - n)  # gaps are the row's own
        columns = self.model._finished([*moved[:n], *told])
        for j, column in enumerate(self.table.schema):
            before = self.table.columns[j][rows]
            gone = missing_cells(column, before) | missing_cells(column, columns[j])
            columns[j] = np.where(gone, before, columns[j]).astype(columns[j].dtype)
        return columns


def _first_taken(candidates: Any, n: int, n_jobs: int | None) -> Columns:
    """The first n candidates that pass; the last column of candidates tells by how far (1 is just).

    How many are tried at once changes nothing.
    """
    most = MOST_TRIES * n
    tried: list[Columns] = []
    n_tried = n_taken = 0
    while n_taken < n and n_tried < most:
        share = max(n_taken, 1) / n_tried if n_tried else 0.8
        stop = min(most, n_tried + int((n - n_taken) / share * 1.1) + 1)
        start = n_tried
        tried += run_blocks(
            lambda a, b, start=start: candidates(start + a, start + b),  # type: ignore[misc]
            stop - start, BLOCK_ROWS, n_jobs,
        )  # fmt: skip
        n_tried, n_taken = stop, sum(int((part[-1] > 1).sum()) for part in tried)
    *columns, margin = _joined(tried)
    best = np.argsort(-np.minimum(margin, 1.0), kind="stable")[:n]
    return [cells[np.sort(best)] for cells in columns]


def _of_class(log_prob: Floats, of_class: Sizes, asked: Sizes | None) -> Floats:
    """log p(pass, row), -inf where the pass is not of the class asked for."""
    if asked is None:
        return log_prob
    return np.where(of_class[:, None] == asked, log_prob, -np.inf)


def _joined(blocks: Sequence[Columns]) -> Columns:
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def _prefer(known: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """The known cells where there are some."""
    unknown = known == MISSING if known.dtype.kind == "i" else np.isnan(known)
    return np.where(unknown, other, known).astype(known.dtype)
