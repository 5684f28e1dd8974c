"""What is wrong with a table: rows twice over, cells that do not fit, regions of few rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state

from jointprob.data.rows import take_rows
from jointprob.estimators.density import JEPADensity
from jointprob.joint.rows import row_hash
from jointprob.query import Joint
from jointprob.query.evidence import Given, read_rows
from jointprob.query.explain import explain_rows
from jointprob.table import Table

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SAMPLE_ROWS = 20_000
SAME = 1e-3  # normal scores within which two numbers are nearly the same
N_FOLDS = 3
FOLD_STREAM = 33  # second word of the key: no two uses of a seed share a stream
THIN = 0.01  # share of rows below which a subset is thin


@dataclass(frozen=True, eq=False, repr=False)
class Quality:
    """What `quality` found.

    Attributes
    ----------
    duplicates : list of int64 arrays
        Positions of rows with the same cells, ascending; one array for each group.
    near_duplicates : list of int64 arrays
        Rows that are nearly the same, but not all the same.
    implausible : list of (row, column, p)
        Cells that the joint finds implausible given the rest of their row, least plausible first; p
        is the share of cells of that column, of rows drawn from the joint, that surprise as much.
    thin : list of (subset, share, rows)
        Subsets of the joint that hold less than a hundredth of the rows.
    """

    duplicates: list[Rows]
    near_duplicates: list[Rows]
    implausible: list[tuple[int, str | int, float]]
    thin: list[tuple[int, float, Rows]]

    def __repr__(self) -> str:
        return (
            f"Quality({len(self.duplicates)} groups of duplicates, {len(self.near_duplicates)} of "
            f"near-duplicates, {len(self.implausible)} implausible cells, "
            f"{len(self.thin)} thin regions)"
        )


def quality(
    X: Any,
    *,
    joint: Joint | None = None,
    false_alarms: float = 0.005,
    categorical_features: Any = "from_dtype",
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Quality:
    """Duplicates, implausible cells and thin regions of a table.

    Parameters
    ----------
    X : frame, array or dict
    joint : Joint, optional
        Of clean rows with these columns; fitted to X if not given.
    false_alarms : float
        Expected share of the cells of a faultless table that are called implausible.
    categorical_features : "from_dtype", None, mask, indices or names
    random_state : None, int, RandomState
    n_jobs : int, optional
        Number of threads; the result does not depend on it.

    Returns
    -------
    Quality

    Raises
    ------
    ValueError
        If `false_alarms` is not inside (0, 1), or the joint has other columns than X.

    Notes
    -----
    Without a joint given, cells are judged by joints fitted to other thirds of the rows. Nearly the
    same: the same levels and missing cells, and normal scores that round to the same
    thousandth on one of two grids, half a step apart; rows without a number have no near-duplicates
    but their duplicates. Of a table in which whole rows are common (few columns of few levels)
    duplicates are no fault.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=1000)
    >>> X = np.stack([x, 2 * x + 0.1 * rng.normal(size=1000)], axis=1)
    >>> X[7], X[9] = (2.0, -4.0), X[8]
    >>> found = quality(X, random_state=0)
    >>> found.duplicates, 7 in [row for row, _, _ in found.implausible]
    ([array([8, 9])], True)
    """
    if not (isinstance(false_alarms, float) and 0 < false_alarms < 1):
        raise ValueError(f"false_alarms is {false_alarms!r}; allowed are numbers inside (0, 1)")
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    density = JEPADensity(
        categorical_features=categorical_features, random_state=seed, n_jobs=n_jobs
    )
    given, joint = joint, joint or density.fit(X).joint_
    table = read_rows(X, joint.schema)
    duplicates = _groups(row_hash(table))
    near = _near(joint, table, duplicates, n_jobs)
    if given is None:
        cells = _cross_fitted(density, X, table, false_alarms, seed)
    else:
        cells = _implausible(joint, table, false_alarms, seed, n_jobs)
    cells.sort(key=lambda cell: (cell[2], cell[0]))
    return Quality(duplicates, near, cells, _thin(joint, table, n_jobs))


def _groups(keys: NDArray[np.uint64]) -> list[Rows]:
    """Positions that share a key, two at least."""
    order = np.argsort(keys, kind="stable")
    ends = np.flatnonzero(np.diff(keys[order])) + 1
    groups = [np.sort(g).astype(np.int64) for g in np.split(order, ends) if len(g) > 1]
    return sorted(groups, key=lambda group: int(group[0]))


def _near(joint: Joint, table: Table, duplicates: list[Rows], n_jobs: int | None) -> list[Rows]:
    encoding = joint.members[0].encoding
    encoded = encoding.encode(table, n_jobs)
    if not encoded.z.shape[1]:
        return []
    whole = {tuple(group.tolist()) for group in duplicates}
    found: dict[tuple[int, ...], Rows] = {}
    for shift in (0.0, 0.5):
        z = np.floor(encoded.z.astype(np.float64) / SAME + shift)
        columns = [*encoded.codes.T.astype(np.float64), *z.T]
        keys = row_hash(Table(table.schema, table.n_rows, columns))
        for group in _groups(keys):
            found.setdefault(tuple(group.tolist()), group)
    return [group for key, group in sorted(found.items()) if key not in whole]


def _implausible(
    joint: Joint, table: Table, false_alarms: float, seed: int, n_jobs: int | None
) -> list[tuple[int, str | int, float]]:
    """Cells that surprise more than all but a few cells of rows drawn from the joint."""
    drawn = read_rows(joint.sample(SAMPLE_ROWS, seed, n_jobs=n_jobs), joint.schema)
    usual = _surprise(joint, drawn, n_jobs)
    here = _surprise(joint, table, n_jobs)
    found = []
    for j, column in enumerate(joint.schema):
        known = np.sort(usual[~np.isnan(usual[:, j]), j])
        rows = np.flatnonzero(~np.isnan(here[:, j]))
        beyond = len(known) - np.searchsorted(known, here[rows, j], side="left")
        p = (beyond + 0.5) / (len(known) + 1)
        bad = p < false_alarms
        found += [(int(r), column.name, float(q)) for r, q in zip(rows[bad], p[bad], strict=True)]
    return found


def _cross_fitted(
    density: JEPADensity, X: Any, table: Table, false_alarms: float, seed: int
) -> list[tuple[int, str | int, float]]:
    """Cells judged by joints that have not seen their row: a joint may give one row a subset."""
    group = np.unique(row_hash(table), return_inverse=True)[1]
    n_folds = min(N_FOLDS, int(group.max()) + 1)
    if n_folds < 2:
        return []
    random = np.random.Generator(np.random.Philox(key=[seed, FOLD_STREAM]))
    fold = random.permutation(int(group.max()) + 1)[group] % n_folds
    found = []
    for f in range(n_folds):
        rows, others = np.flatnonzero(fold == f), np.flatnonzero(fold != f)
        joint = clone(density).fit(take_rows(X, others)).joint_
        part = read_rows(take_rows(X, rows), joint.schema)
        cells = _implausible(joint, part, false_alarms, seed, density.n_jobs)
        found += [(int(rows[row]), name, p) for row, name, p in cells]
    return found


def _surprise(joint: Joint, table: Table, n_jobs: int | None) -> Floats:
    return explain_rows(joint._passes(Given(table), n_jobs), table, n_jobs)


def _thin(joint: Joint, table: Table, n_jobs: int | None) -> list[tuple[int, float, Rows]]:
    subset = joint._subsets(table, n_jobs).argmax(axis=1)
    counts = np.bincount(subset)
    return [
        (int(k), float(counts[k] / len(subset)), np.flatnonzero(subset == k).astype(np.int64))
        for k in np.flatnonzero((counts > 0) & (counts < THIN * len(subset)))
    ]
