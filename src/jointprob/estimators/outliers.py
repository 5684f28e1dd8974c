"""JEPAOutlierDetector: rows, and cells, that are strange to the joint distribution of a table."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from jointprob.adapt.columns import Target, read_target
from jointprob.adapt.norm import tune_norm
from jointprob.adapt.transfer import check_strength
from jointprob.encode import distinct
from jointprob.estimators.density import _checked_size, _weighted, keep_names, own_kinds
from jointprob.estimators.saved import Saved
from jointprob.estimators.strangeness import Norm, Part, fit_norm
from jointprob.estimators.tags import TakesTables
from jointprob.joint import View, fit_bag
from jointprob.joint.rows import canonical_rows, hold_out
from jointprob.joint.tree import Floats, Sizes
from jointprob.joint.views import views_of
from jointprob.marginal import FARTHEST, weighted_moments
from jointprob.progress import Progress, reporting
from jointprob.query import Joint
from jointprob.query.evidence import Given, blank_empty, float_schema
from jointprob.query.explain import explain_rows
from jointprob.restore import to_container
from jointprob.table import Table, check_sample_weight, conform, read_table

NAME = "JEPAOutlierDetector"
RESOLUTION = 0.1  # of a column's spread: finer detail of a density is no matter of outliers
WINSORISED = 0.05  # of the rows in each tail do not set a column's spread
FALSE_ALARMS = 0.01  # of the normal rows are called outliers by contamination="auto"
FIRST_ROWS = 20_000  # show whether some rows stand apart
BODY = (0.4, 0.2, 0.1)  # shares of rows whose quantiles foretell the tail of normal rows
FALSE_DISCOVERIES = 0.1  # of the rows that are left out, at most
LEAST_ROWS = 20  # of a target: of fewer, none is left out
GAP_CHANCE = 0.001  # of a gap in the tail of a clean table
SHAPE_ERROR = 1.8  # standard error of a tail's shape, times the root of the tail's rows
BLUR_STREAM = 11  # second word of the key: no two uses of a seed share a stream


class JEPAOutlierDetector(Saved, TakesTables, OutlierMixin, BaseEstimator):
    """Find strange rows, and the cells that make them strange, in any table.

    Parameters
    ----------
    contamination : "auto" or float in (0, 0.5]
        A float: the share of the training rows that is called outliers. "auto": a row is an outlier
        if at most one in a hundred normal rows that fit has not seen would score so low.
    n_subsets, n_trees : int or "auto"
        As in `JEPADensity`.
    categorical_features : "from_dtype", None, mask, indices or names
        Which columns are categorical; "from_dtype" takes category, string, object and bool.
    random_state : int, RandomState or None
    n_jobs : int or None
        Threads, None for all cores. No result depends on it.
    verbose : int
        1 shows progress (extra ``cli``).

    Attributes
    ----------
    joint_ : Joint
        Of the normal rows, each number blurred by a tenth of its column's spread (see Notes).
    offset_ : float
        Rows that score below it are outliers.
    kept_share_ : float
        Share of the rows that `joint_` was fitted to; the others stood apart.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where all column names are strings.

    Notes
    -----
    Two questions are asked of a row. Are its cells together as likely as those of other rows? That
    is its log density. Does one of its cells lie where its column has nearly nothing? That is the
    least tail probability of its cells: of a number twice the smaller tail, of a level the mass of
    all levels that are as rare. Held-out rows turn each answer into the share of normal rows that
    would answer so badly (below their lowest twentieth an exponential tail goes on), the logs of
    the two shares are added (Fisher's method), and held-out rows once more turn the sum into a
    share. Its log is the score: a score of log 0.01 means as strange as one normal row in a
    hundred.

    A density is high wherever values repeat or columns fall into line, however thin the line, so
    it is taken at a resolution: numbers are blurred by Gaussian noise of a tenth of their column's
    standard deviation (winsorised by a twentieth) before the fit. Atoms, grids and continuous
    values are then comparable. Missing cells are integrated out, and a log density is taken above
    what is usual for the cells that are known: rows with many missing cells are neither favoured
    nor punished.

    Training rows may hold outliers. Rows that stand apart in a first fit with a single Gaussian,
    which has none to spare for a small cluster, are left out: in normal scores, rows that lie
    where the body foretells less than a tenth of their number (a generalised Pareto tail through
    three quantiles, Pickands 1975, doi:10.1214/aos/1176343003); in the table's own units, rows
    behind a gap that even a heavy tail would not leave. That is at most a tenth of the rows, or
    the share `contamination`, and few or none of a clean table.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob import JEPAOutlierDetector
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> X[:, 1] += 2 * X[:, 0]
    >>> detector = JEPAOutlierDetector(random_state=0).fit(X)
    >>> detector.predict([[1.0, 2.0], [1.0, -4.0]]).tolist()
    [1, -1]
    """

    joint_: Joint
    kept_share_: float
    offset_: float
    _norm: Norm

    def __init__(
        self,
        *,
        contamination: float | Literal["auto"] = "auto",
        n_subsets: int | Literal["auto"] = "auto",
        n_trees: int | Literal["auto"] = "auto",
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.contamination = contamination
        self.n_subsets = n_subsets
        self.n_trees = n_trees
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn what normal rows look like.

        Parameters
        ----------
        X : pandas, polars or pyarrow frame, 2-D array, or dict of columns
            Missing cells (None, NaN, NA) are allowed everywhere. A few of the rows may be outliers.
        y : ignored
        sample_weight : (n_rows,), optional
            Non-negative; a weight means that many repeats of the row.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Naming the parameter or column, the value and what is allowed; the estimator stays as it
            was.
        """
        contamination = _checked_share(self.contamination)
        sizes = (
            _checked_size(self.n_subsets, "n_subsets", 256),
            _checked_size(self.n_trees, "n_trees", 1000),
        )
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        table, weight = _weighted(table, check_sample_weight(sample_weight, table.n_rows))
        seed = self._seed()
        rows, weight = canonical_rows(table, weight)
        every = Part(table.take(rows), weight)
        with reporting(self.verbose) as progress:
            found = _fit_kept(every, contamination, sizes, seed, self.n_jobs, progress)
        offset = _offset(found, every, contamination, self.n_jobs)
        self.joint_, self._norm, self.kept_share_ = found.joint, found.norm, found.kept_share
        self.offset_ = offset
        keep_names(self, table.schema)
        return self

    def fine_tune(
        self,
        X: Any,
        y: None = None,
        sample_weight: ArrayLike | None = None,
        strength: float | Literal["auto"] = "auto",
    ) -> Self:
        """A detector for other rows, often few, that leans on this one; this one stays as it is.

        Parameters
        ----------
        X : frame, array or dict
            As in `jointprob.Joint.fine_tune`: columns that it lacks are no longer asked about, new
            columns and new levels are added. A few of the rows may be outliers.
        y : ignored
        sample_weight : (n_rows,), optional
        strength : "auto" or float from 0 to 1
            See `jointprob.Joint.fine_tune`.

        Returns
        -------
        JEPAOutlierDetector

        Raises
        ------
        ValueError
            As `fit` and `jointprob.Joint.fine_tune`.

        Notes
        -----
        ``joint_`` is fine-tuned to the rows that do not stand apart. What is usual is learnt from
        each quarter of them by a joint fine-tuned to the others, and from the tails that this
        detector knows, as far as it is believed; see `jointprob.adapt.norm`.
        """
        check_is_fitted(self)
        contamination = _checked_share(self.contamination)
        check_strength(strength)
        target = read_target(X, self.joint_.schema, own_kinds(self.categorical_features))
        weight = check_sample_weight(sample_weight, target.table.n_rows)
        seed = self._seed()
        order, weight = canonical_rows(target.table, weight)
        every = Part(target.table.take(order), weight)
        rows, kept_share = every, 1.0
        if len(weight) >= LEAST_ROWS:
            views = views_of(_blurred(every, seed), weight, None, seed, self.n_jobs)
            most = BODY[-1] if contamination is None else min(contamination, BODY[-1])
            kept, kept_share = _kept(every, views, most, seed, self.n_jobs)
            rows = every.take(kept)
        blurred = Target(_blurred(rows, seed), target.n_shared)
        joint, norm = tune_norm(self.joint_, self._norm, rows, blurred, strength, seed, self.n_jobs)
        tuned = copy(self)
        tuned.joint_, tuned._norm, tuned.kept_share_ = joint, norm, kept_share
        tuned.offset_ = _offset(_Found(joint, norm, kept_share), every, contamination, self.n_jobs)
        keep_names(tuned, joint.schema)
        return tuned

    def score_samples(self, X: Any) -> Floats:
        """Log of the share of normal rows that are as strange, float64 (n_rows,), nats.

        At most 0; higher is more normal.
        """
        table = self._read(X)
        return self._norm.score(self.joint_, table, self.n_jobs)

    def decision_function(self, X: Any) -> Floats:
        """`score_samples` less `offset_`, float64 (n_rows,): negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """-1 for outliers, 1 for the others, int64 (n_rows,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: Any) -> Any:
        """Excess surprise of every cell: which cells make a row strange.

        Parameters
        ----------
        X : frame, array or dict

        Returns
        -------
        frame, array or dict of float64
            -log p(cell | other cells of its row) less the mean of that in the cell's column, nats:
            columns compare, and 0 is usual. NaN where a cell is missing.
        """
        table = self._read(X)
        passes = self.joint_._passes(Given(table), self.n_jobs)
        excess = explain_rows(passes, table, self.n_jobs) - self._norm.usual.surprise
        return to_container(list(excess.T.copy()), float_schema(table.schema), like=X)

    def _read(self, X: Any) -> Table:
        check_is_fitted(self)
        table = conform(X, self.joint_.schema, estimator_name=NAME)
        return Table(table.schema, table.n_rows, blank_empty(table.columns, table.schema))


class _Found(NamedTuple):
    """What a fit leaves behind."""

    joint: Joint
    norm: Norm
    kept_share: float


def _checked_share(given: Any) -> float | None:
    if isinstance(given, str) and given == "auto":
        return None
    number = isinstance(given, float | int | np.floating) and not isinstance(given, bool)
    if not number or not 0 < given <= 0.5:
        raise ValueError(
            f"contamination is {given!r}; allowed are 'auto' and numbers above 0, up to 0.5"
        )
    return float(given)


def _offset(found: _Found, rows: Part, contamination: float | None, n_jobs: int | None) -> float:
    """The score that divides outliers from normal rows."""
    if contamination is None:
        return float(np.log(FALSE_ALARMS))
    score = found.norm.score(found.joint, rows.table, n_jobs)
    if (rows.weight == 1.0).all():
        return float(np.quantile(score, contamination))
    return float(np.quantile(score, contamination, weights=rows.weight, method="inverted_cdf"))


def _fit_kept(
    every: Part,
    contamination: float | None,
    sizes: tuple[int | None, int | None],
    seed: int,
    n_jobs: int | None,
    progress: Progress,
) -> _Found:
    """Leave out the rows that stand apart, and fit the others."""
    blurred = _blurred(every, seed)
    views = views_of(blurred, every.weight, None, seed, n_jobs)
    most = BODY[-1] if contamination is None else min(contamination, BODY[-1])
    kept, kept_share = _kept(every, views, most, seed, n_jobs)
    rows = every
    if len(kept) < len(every.weight):
        rows = every.take(kept)
        blurred = _blurred(rows, seed)
        views = views_of(blurred, rows.weight, None, seed, n_jobs)
    members = fit_bag(views, *sizes, seed, n_jobs, progress)
    joint = Joint(blurred.schema, members, float(rows.weight.sum()))
    order, weight = canonical_rows(blurred, rows.weight)  # the division that `views_of` made
    fitted, held_out = (
        Part(rows.table.take(order[part]), weight[part]) for part in hold_out(len(order), seed)
    )
    norm = fit_norm(joint, views[0].encoding, fitted, held_out, n_jobs)
    return _Found(joint, norm, kept_share)


def _blurred(rows: Part, seed: int) -> Table:
    """The rows with Gaussian noise on their numbers; a row's noise goes with its place."""
    table = rows.table
    random = np.random.Generator(np.random.Philox(key=[seed, BLUR_STREAM]))
    columns = [
        cells
        if column.is_categorical
        else _blurred_column(cells, rows.weight, random.standard_normal(table.n_rows))
        for column, cells in zip(table.schema, table.columns, strict=True)
    ]
    return Table(table.schema, table.n_rows, columns)


def _blurred_column(cells: Floats, weight: Floats, noise: Floats) -> Floats:
    cells = np.clip(cells, -FARTHEST, FARTHEST)
    return np.clip(cells + RESOLUTION * _spread(cells, weight) * noise, -FARTHEST, FARTHEST)


def _spread(cells: Floats, weight: Floats) -> float:
    """Winsorised standard deviation; the plain one where that is 0."""
    values, mass = distinct(cells, weight)
    if len(values) < 2:
        return 0.0
    share = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
    low, high = np.searchsorted(share, [WINSORISED, 1 - WINSORISED])
    clipped = np.clip(values, values[low], values[min(int(high), len(values) - 1)])
    return weighted_moments(clipped, mass)[1] or weighted_moments(values, mass)[1]


def _kept(
    every: Part, views: list[View], most: float, seed: int, n_jobs: int | None
) -> tuple[Sizes, float]:
    """Rows that do not stand apart, ascending, and their share; at most `most` do."""
    foretold = _foretold(_surprise(every, views[0], 0.0, seed, n_jobs), every.weight)
    if len(views) > 1:
        far = _surprise(every, views[1], BODY[-1], seed, n_jobs)
        foretold[_behind_gap(far, every.weight, most)] = 0.0
    order = np.argsort(foretold, kind="stable")
    share = np.cumsum(every.weight[order]) / every.weight.sum()
    apart = np.flatnonzero((foretold[order] < FALSE_DISCOVERIES * share) & (share <= most))
    n_apart = int(apart[-1]) + 1 if len(apart) else 0
    return np.sort(order[n_apart:]), 1.0 - float(share[n_apart - 1] if n_apart else 0.0)


def _surprise(every: Part, view: View, trimmed: float, seed: int, n_jobs: int | None) -> Floats:
    """-log density of all rows by one Gaussian, and one state for each categorical column.

    `trimmed` is the share of the rows, the least likely ones, that a second fit does without.
    """
    some = np.arange(0, len(view.rows), -(-len(view.rows) // FIRST_ROWS))  # hashed: any will do
    rows = view.rows.take(some)
    members = fit_bag([replace(view, rows=rows)], 1, 1, seed, n_jobs)
    if trimmed:
        log_prob = members[0].tree.log_prob(rows.codes, rows.z, n_jobs)
        near = np.flatnonzero(log_prob >= np.quantile(log_prob, trimmed))
        members = fit_bag([replace(view, rows=rows.take(near))], 1, 1, seed, n_jobs)
    return -Joint(every.table.schema, members)._log_prob(Given(every.table), n_jobs)


def _behind_gap(surprise: Floats, weight: Floats, most: float) -> Sizes:
    """Rows beyond the nearest gap that a tail, however heavy, would hardly leave.

    The i-th largest of numbers with a Pareto tail exceeds the next by a factor whose log is
    exponential with mean shape / i (Renyi 1953, doi:10.1007/BF02127580).
    """
    order = np.argsort(-surprise, kind="stable")
    rank = np.cumsum(weight[order])
    share = rank / rank[-1]
    sizes = np.maximum(surprise[order] - np.median(surprise), 1e-9)
    start, outer = sizes[np.searchsorted(share, [BODY[-1], BODY[0]])]
    shape = max(1.0, float(np.log(start / outer) / np.log(BODY[0] / BODY[-1])))
    step = np.log(sizes[:-1] / sizes[1:])
    gap = rank[:-1] * step > shape * np.log(rank[-1] / GAP_CHANCE)
    behind = np.flatnonzero(gap & (share[:-1] <= most))
    return order[: int(behind[-1]) + 1 if len(behind) else 0]


def _foretold(surprise: Floats, weight: Floats) -> Floats:
    """Share of rows that the body of the distribution foretells beyond each; 1 in the body."""
    order = np.argsort(surprise, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    places = np.minimum(np.searchsorted(share, 1 - np.array(BODY)), len(share) - 1)
    middle, outer, start = surprise[order[places]]
    if not middle < outer < start:
        return np.ones(len(surprise))
    shape = max(0.0, float(np.log2((start - outer) / (outer - middle))))
    shape += SHAPE_ERROR / np.sqrt(BODY[-1] * len(surprise))
    scale = shape * (start - outer) / np.expm1(shape * np.log(2))
    beyond = np.maximum(surprise - start, 0.0) / scale
    tail = BODY[-1] * np.exp(-np.log1p(shape * beyond) / shape)
    return np.where(surprise > start, tail, 1.0)
