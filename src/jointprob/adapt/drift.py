"""Is what comes in still what a joint expects, and if not, which columns and pairs have moved?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jointprob.adapt.adwin import Adwin
from jointprob.adapt.changes import Name, column_changes, pair_changes
from jointprob.adapt.reservoir import Reservoir
from jointprob.adapt.shares import UNSEEN, Shares
from jointprob.estimators.density import JEPADensity, fit_joint
from jointprob.query import Joint
from jointprob.query.evidence import Given, blank_empty
from jointprob.table import Table, conform, extend

NAME = "DriftMonitor"
OWN_ROWS = 4096  # drawn from the joint, to know what it expects
LEAST_ROWS = 200  # of a refresh
LEAST_SHARE = 0.25  # mean share of own samples below; 1/2 of its own rows, 0.36 to 0.64 of others
ACTIONS = ("alarm", "refresh")


@dataclass(frozen=True)
class DriftReport:
    """What a batch has shown.

    Parameters
    ----------
    drift : bool
        Did this batch raise an alarm?
    n_rows : int
        Rows that the monitor has seen.
    log_prob : float
        Mean log density of the batch, nats.
    expected : float
        The same of the monitor's reference, or else of the joint's own samples; other rows fall a
        little short of these, as the joint was fitted to some and not to all.
    n_since : int
        With an alarm, rows since the change, this batch included.
    nats : float
        With an alarm, by how much the mean log density has fallen since the change, or below the
        joint's own samples where no rows from before it, or of a reference, are kept.
    columns : dict of column to nats
        With an alarm, columns whose cells surprise more than before, given all other cells of
        their rows, and how much more; the clearest first. Before are the joint's own samples where
        no rows from before the change are kept.
    pairs : dict of (columns, columns) to nats
        With an alarm, neighbouring blocks of the heaviest tree between which the dependence has
        moved: divergence of the states of one given those of the other, after from before. To be
        sure of them takes some hundred rows since the change.
    refreshed : bool
        Was the joint learnt anew?
    """

    drift: bool
    n_rows: int
    log_prob: float
    expected: float
    n_since: int = 0
    nats: float = 0.0
    columns: dict[Name, float] | None = None
    pairs: dict[tuple[tuple[Name, ...], tuple[Name, ...]], float] | None = None
    refreshed: bool = False


class DriftMonitor:
    """Watches the log density of rows, and of their cells given the others, under a joint.

    Parameters
    ----------
    joint : Joint
    reference : table with the joint's columns, optional
        Rows that are as they should be and that the joint was not fitted to, in random order, a few
        hundred or more: what comes is then held against these from the first row on. After a
        refresh they count no more.
    false_alarm : float
        Probability that a stream without change ever raises an alarm, if its rows are
        independent.
    adapt : "alarm" or "refresh"
        After an alarm do nothing else, or learn the joint anew from the rows since the change, as
        soon as there are 200 of them.
    n_kept : int
        Recent rows that are kept: those that tell which columns moved, and that a refresh learns
        from.
    random_state : int
    n_jobs : int, optional

    Attributes
    ----------
    joint_ : Joint
        The joint, or what the last refresh has made of it.

    Notes
    -----
    Watched are a row's log density, every cell's given the others, and the latter less that of the
    cell alone; see `jointprob.adapt.shares.Shares`. Of large batches, and under joints of many
    states, cells are those of some rows, at equal steps. Each number becomes the share of the
    joint's own samples that have less. The means of these shares, 1/2 for the joint's own samples,
    are watched by ADWIN, which divides the rate of false alarms among them; see
    `jointprob.adapt.adwin.Adwin`. An alarm is raised where one changes, and, without reference and
    until there has been an alarm, where that of the rows' log density is clearly below 1/4: then
    rows are not what the joint expects from the first one on. Rows that were not fitted have means
    of 0.36 to 0.64 by how well a joint of few rows fits, so that less than this is told from misfit
    by a reference alone.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob import JEPADensity
    >>> from jointprob.adapt.drift import DriftMonitor
    >>> X = np.random.default_rng(0).normal(size=(3000, 2))
    >>> X[:, 1] += 2 * X[:, 0]
    >>> joint = JEPADensity(n_trees=1, random_state=0).fit(X[:1000]).joint_
    >>> monitor = DriftMonitor(joint)
    >>> any(monitor.update(batch).drift for batch in np.split(X[1000:2000], 10))
    False
    >>> reports = [monitor.update(batch + [0.0, 3.0]) for batch in np.split(X[2000:], 10)]
    >>> first = next(report for report in reports if report.drift)
    >>> bool(first.nats > 1)
    True
    """

    def __init__(
        self,
        joint: Joint,
        *,
        reference: Any = None,
        false_alarm: float = 0.05,
        adapt: Literal["alarm", "refresh"] = "alarm",
        n_kept: int = 5000,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        if not 0 < false_alarm < 1:
            raise ValueError(f"false_alarm is {false_alarm!r}; allowed are numbers inside (0, 1)")
        if adapt not in ACTIONS:
            raise ValueError(f"adapt is {adapt!r}; allowed are {', '.join(map(repr, ACTIONS))}")
        if n_kept < 2 * LEAST_ROWS:
            raise ValueError(f"n_kept is {n_kept!r}; allowed are whole numbers from 400")
        self.false_alarm, self.adapt, self.n_kept = false_alarm, adapt, int(n_kept)
        self.random_state, self.n_jobs = random_state, n_jobs
        self.n_rows_ = 0
        self._kept: Reservoir | None = None
        self._watch(joint)
        if reference is not None:
            self._refer_to(reference)

    def _watch(self, joint: Joint) -> None:
        """Begin to watch rows under this joint."""
        own = joint.sample(OWN_ROWS, random_state=self.random_state, n_jobs=self.n_jobs)
        self._shares = Shares.of(joint, own, self.n_jobs)
        self._expected = float(self._shares.own[0].mean())
        self.joint_ = joint
        self._window = Adwin.empty(self.false_alarm, self._shares.n_series, LEAST_SHARE)
        self._n_since: int | None = None  # rows since the change that a refresh waits for

    def _refer_to(self, reference: Any) -> None:
        """Begin as if these rows had been seen, and had been as they should be."""
        new = self._read(reference, "reference")
        table = _as_the_joint_knows(new, self.joint_)
        scores = self._shares.scores(table, self.n_jobs)
        known = Adwin.empty(self.false_alarm, self._shares.n_series)  # no least mean beside its own
        self._window = known.extended(self._shares.among_own(scores))
        self._expected, self._kept = float(scores[0].mean()), self._keep(new)

    def update(self, X: Any) -> DriftReport:
        """Look at a batch of rows.

        Parameters
        ----------
        X : table with the joint's columns, one row or more

        Raises
        ------
        ValueError, TypeError
            Naming the column, the value and what is allowed; the monitor stays as it was.
        """
        new = self._read(X, "X")
        kept, table = self._keep(new), _as_the_joint_knows(new, self.joint_)
        scores = self._shares.scores(table, self.n_jobs, self._shares.step(table.n_rows))
        window, n_since = self._window.update(self._shares.among_own(scores))
        n_rows = self.n_rows_ + table.n_rows
        n_since = None if n_since is None else min(n_since, n_rows)
        found = DriftReport(n_since is not None, n_rows, float(scores[0].mean()), self._expected)
        if n_since is not None:
            found = self._explained(found, kept, n_since)
        waiting = self._n_since if n_since is None else n_since - table.n_rows
        waiting = None if waiting is None else waiting + table.n_rows
        refreshed = None
        if self.adapt == "refresh" and waiting is not None and waiting >= LEAST_ROWS:
            refreshed = self._relearnt(kept.latest(waiting))
        self.n_rows_, self._kept = n_rows, kept
        self._window, self._n_since = window, waiting
        if refreshed is None:
            return found
        self._watch(refreshed)
        return DriftReport(**{**vars(found), "refreshed": True})

    def _read(self, X: Any, name: str) -> Table:
        """Rows, their levels numbered as those of the rows that are kept."""
        known = self.joint_.schema if self._kept is None else self._kept.table.schema
        return extend(X, known, name, NAME)

    def _keep(self, table: Table) -> Reservoir:
        weight = np.ones(table.n_rows)
        kept = Reservoir(table, weight) if self._kept is None else self._kept.add(table, weight)
        return kept.latest(self.n_kept)

    def _explained(self, found: DriftReport, kept: Reservoir, n_since: int) -> DriftReport:
        """The report with what has moved: rows kept before the change beside those after it."""
        table = _as_the_joint_knows(kept.table, self.joint_)
        cut = max(0, table.n_rows - n_since)
        before, after = table.take(np.arange(cut)), table.take(np.arange(cut, table.n_rows))
        if not cut:
            own = self.joint_.sample(OWN_ROWS, random_state=self.random_state, n_jobs=self.n_jobs)
            before = conform(own, self.joint_.schema, False, "X", NAME)
        means = [self.joint_._log_prob(Given(part), self.n_jobs).mean() for part in (before, after)]
        columns = column_changes(self.joint_, before, after, self.false_alarm, self.n_jobs)
        pairs = pair_changes(self.joint_, before, after, self.false_alarm)
        moved = {"n_since": n_since, "nats": float(means[0] - means[1])}
        return DriftReport(**{**vars(found), **moved, "columns": columns, "pairs": pairs})

    def _relearnt(self, kept: Reservoir) -> Joint:
        settings = JEPADensity(n_jobs=self.n_jobs)
        random = np.random.RandomState(self.random_state)
        return fit_joint(settings, kept.table.relearnt(), kept.weight, random)


def _as_the_joint_knows(table: Table, joint: Joint) -> Table:
    """Without cells of columns that were empty; levels that the joint does not know, as such."""
    columns = [
        np.where(cells < len(column.levels), cells, np.int32(UNSEEN))
        if column.is_categorical
        else cells
        for cells, column in zip(table.columns, joint.schema, strict=True)
    ]
    return Table(joint.schema, table.n_rows, blank_empty(columns, joint.schema))
