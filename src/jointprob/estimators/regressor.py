"""JEPARegressor: predictive distributions of a number from forests, boosted trees and joints."""

from __future__ import annotations

from copy import copy
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from jointprob.adapt.columns import read_target
from jointprob.adapt.numbers import NumberStream
from jointprob.adapt.recent import RecentJoint
from jointprob.adapt.stream import check_half_life
from jointprob.adapt.transfer import check_strength, transfer_rows
from jointprob.estimators.density import keep_names, own_kinds
from jointprob.estimators.saved import Saved
from jointprob.estimators.tags import TakesTables
from jointprob.estimators.target import check_numbers, known_rows
from jointprob.predict.folds import ordered_rows
from jointprob.predict.numbers import NumberModel, fit_numbers
from jointprob.predict.offset import NumberSource, TunedNumbers, fit_tuned
from jointprob.predict.predictive import PredictiveDistribution, check_levels
from jointprob.progress import reporting
from jointprob.query import Joint
from jointprob.table import Table, check_sample_weight, conform, extend, read_table
from jointprob.threads import threads_for

NAME = "JEPARegressor"
Floats = NDArray[np.float64]


class JEPARegressor(Saved, TakesTables, RegressorMixin, BaseEstimator):
    """Predictive distributions of a number for tables with numeric, categorical, missing cells.

    Boosted trees, three bags of trees and a joint distribution say what the mean is; the leaves of
    a bag and the joint say how targets spread about it. What is believed, and how much, is learnt
    from rows not seen.

    Parameters
    ----------
    categorical_features : "from_dtype", None, mask, indices or names
        Which columns are categorical; "from_dtype" takes category, string, object and bool.
    random_state : int, RandomState or None
    half_life : float or None
        Rows after which `partial_fit` counts a row half in its trees; None never forgets.
    n_jobs : int or None
        Threads, None for all cores. No result depends on it.
    verbose : int
        1 shows progress (extra ``cli``).

    Attributes
    ----------
    joint_ : Joint
        Of the columns of X: the mixture over bins of the target of their joints.
    feature_importances_ : float64 (n_features_in_,)
        What the splits on each column gain out of bag in the bag of best splits: squared error of
        a tree, as a share of the target's variance. Columns that mislead are below 0.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where all column names are strings.

    Notes
    -----
    - Mean: boosted trees, and bags of best splits (fine and coarse leaves) and of random ones,
      stacked with the non-negative weights of least squared error on rows not seen (Breiman 1996,
      doi:10.1007/BF00117832). What is worth less than 0.4 % of that error is left out, and bags
      that a third of their trees show to be so are not grown on.
    - Spread: a training row counts as often as it shares a leaf with the row in question
      (quantile regression forests, Meinshausen 2006, https://jmlr.org/papers/v7/meinshausen06a.html),
      with its target in one of 256 cells. Before, none, half or all of the mean is taken off the
      targets, and put back after; that, and the leaves' size, are those of the least continuous
      ranked probability score out of bag. Probabilities then pass through a beta distribution that
      makes them uniform out of bag.
    - Joint: Bayes' rule over joints of the rows of up to 16 bins of the target, which lean on a
      joint of all rows. Its share in the distribution is chosen by the same score.
    - A target of at most 256 distinct values, each seen twice or more on average, is a distribution
      over these values, unless taking part of the mean off helps.

    A row that misses cells as no row did in fit goes both ways at every split on one of them, by
    the share of rows that went there, and has weights of its own, learnt on rows from which cells
    were taken away. The joint integrates missing cells out.

    A weight means repeats: whole weights give the fit of repeated rows, bit for bit unless they add
    up to more than four times the rows and 100,000.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from jointprob import JEPARegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = JEPARegressor(random_state=0).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2]) > 0.35
    True
    >>> model.predict_distribution(X[:2]).interval(0.9).shape
    (2, 2)
    """

    joint_: Annotated[Joint, "not after partial_fit"] = RecentJoint()  # type: ignore[assignment]
    feature_importances_: Annotated[Floats, "not after partial_fit"]
    _model: NumberModel | TunedNumbers | NumberStream

    def __init__(
        self,
        *,
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        half_life: float | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.half_life = half_life
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the predictive distribution.

        Parameters
        ----------
        X : pandas, polars or pyarrow frame, 2-D array, or dict of columns
            Missing cells (None, NaN, NA) are allowed everywhere.
        y : (n_rows,)
            Finite numbers, at least two, none beyond 1e100.
        sample_weight : (n_rows,), optional
            Non-negative; a weight means that many repeats of the row.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Naming the column, the value and what is allowed; the estimator stays as it was.
        """
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        y = check_numbers(y, table.n_rows)
        weight = check_sample_weight(sample_weight, table.n_rows)
        table, y, weight = known_rows(table, y, weight)
        seed = self._seed()
        rows, weight = ordered_rows(table, y, weight)
        if len(rows) < 2:
            raise ValueError("n_samples=1: X holds one row only; at least two are needed")
        n_jobs = threads_for(len(rows), self.n_jobs)
        with reporting(self.verbose) as progress:
            model = fit_numbers(table.take(rows), y[rows], weight, seed, n_jobs, progress)
        members = model.joint.joints.members(model.joint.pool.log_prior)
        self.joint_ = Joint(table.schema, members, float(weight.sum()))
        self.feature_importances_ = model.importances
        self._model = model
        keep_names(self, table.schema)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Learn another batch of rows of a stream.

        A forest keeps up with the stream, as that of `JEPAClassifier.partial_fit` does: its leaves
        count every row, as one of up to 64 cells of the target. After `fit` the fitted model goes
        on predicting beside its trees, as long as it is believed.

        ``joint_`` is learnt from the last 8,000 rows, which are kept, when it is first asked for,
        or is the joint of `fit` moved by them. There are no `feature_importances_` and no
        `fine_tune` after this.

        Parameters
        ----------
        X : like the X of the first call
            One row or more. A level not seen before is added to its column.
        y : (n_rows,)
            Finite numbers, none beyond 1e100.
        sample_weight : (n_rows,), optional
            Non-negative.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Naming the column, the value and what is allowed; the estimator stays as it was.

        Notes
        -----
        See `jointprob.adapt.numbers.NumberStream`.

        Examples
        --------
        >>> import numpy as np
        >>> from jointprob import JEPARegressor
        >>> X = np.random.default_rng(0).normal(size=(600, 2))
        >>> y = X[:, 0] + X[:, 1]
        >>> model = JEPARegressor(random_state=0)
        >>> for rows in np.split(np.arange(500), 5):
        ...     model = model.partial_fit(X[rows], y[rows])
        >>> model.score(X[500:], y[500:]) > 0.8
        True
        """
        half_life, stream = check_half_life(self.half_life), self._stream()
        table = (
            read_table(X, self.categorical_features, estimator_name=NAME)
            if stream is None
            else extend(X, stream.schema, "X", NAME)
        )
        y = check_numbers(y, table.n_rows)
        weight = check_sample_weight(sample_weight, table.n_rows)
        if not weight.all():
            kept = np.flatnonzero(weight)
            table, y, weight = table.take(kept), y[kept], weight[kept]
        if stream is None:
            seed = self._seed()
            stream = NumberStream.empty(table, y, weight, seed)
        stream = stream.learn(table, y, weight, half_life, self.n_jobs)
        for name in ("joint_", "feature_importances_"):
            self.__dict__.pop(name, None)
        self._model = stream
        keep_names(self, table.schema)
        return self

    def _stream(self) -> NumberStream | None:
        """The stream so far, one that goes on from a fit, or none."""
        model = getattr(self, "_model", None)
        if model is None or isinstance(model, NumberStream):
            return model
        seed = self._seed()
        return NumberStream.of(model, self.joint_, seed)

    def fine_tune(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        strength: float | Literal["auto"] = "auto",
    ) -> Self:
        """A regressor of other rows, often few, that leans on this one; this one stays as it is.

        Parameters
        ----------
        X : frame, array or dict
            As in `jointprob.Joint.fine_tune`: columns that it lacks are missing to this regressor,
            new columns and new levels are added.
        y : (n_rows,)
        sample_weight : (n_rows,), optional
        strength : "auto" or float from 0 to 1
            Weight of this regressor's own predictive distribution; "auto" chooses it on rows not
            seen.

        Returns
        -------
        JEPARegressor

        Raises
        ------
        ValueError
            As in `fit` and in `jointprob.Joint.fine_tune`.

        Notes
        -----
        The predictive distribution is a mixture of this regressor's, of one fitted to what its
        mean leaves of the targets, and of one of the target rows alone; the weights are those of
        the least continuous ranked probability score on rows not seen. ``joint_`` is fine-tuned.
        """
        own = self._fitted_whole()
        a0 = check_strength(strength)
        target = read_target(X, self.joint_.schema, own_kinds(self.categorical_features))
        table = target.table
        y = check_numbers(y, table.n_rows)
        weight = check_sample_weight(sample_weight, table.n_rows)
        seed = self._seed()
        order, ordered = ordered_rows(table, y, weight)
        if len(order) < 2:
            raise ValueError("n_samples=1: X holds one row only; at least two are needed")
        source = NumberSource(own, self.joint_.schema, a0)
        tuned, n_jobs = copy(self), threads_for(len(order), self.n_jobs)
        joint = transfer_rows(self.joint_, target, weight, strength, seed, self.n_jobs).joint
        with reporting(self.verbose) as progress:
            tuned._model = fit_tuned(
                table.take(order), y[order], ordered, source, seed, n_jobs, progress
            )
        tuned.joint_, tuned.feature_importances_ = joint, tuned._model.importances
        keep_names(tuned, table.schema)
        return tuned

    def predict(self, X: Any) -> Floats:
        """Mean of each row's target, float64 (n_rows,)."""
        table = self._table(X)
        return self._model.mean(table, self.n_jobs)

    def predict_quantiles(self, X: Any, q: ArrayLike) -> Floats:
        """Quantiles of each row's target.

        Parameters
        ----------
        X : table of n_rows
        q : float or (k,)
            Inside (0, 1).

        Returns
        -------
        float64 (n_rows,) or (n_rows, k)

        Raises
        ------
        ValueError
            If a level is not inside (0, 1).
        """
        check_levels(q)
        return self.predict_distribution(X).quantile(q)

    def predict_distribution(self, X: Any) -> PredictiveDistribution:
        """Distribution of each row's target, to be asked for whatever is wanted."""
        table = self._table(X)
        return self._model.distribution(table, self.n_jobs)

    def _fitted_whole(self) -> NumberModel | TunedNumbers:
        check_is_fitted(self)
        if isinstance(self._model, NumberStream):
            raise AttributeError(f"{NAME} has no fine_tune after partial_fit; call fit")
        return self._model

    def _table(self, X: Any) -> Table:
        check_is_fitted(self)
        model = self._model
        schema = model.schema if isinstance(model, NumberStream) else self.joint_.schema
        return conform(X, schema, False, "X", NAME)
