"""JEPAImputer: fill the missing cells of a table, as a scikit-learn transformer."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any, Literal, Self

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils._set_output import _get_output_config  # it has no public name
from sklearn.utils.validation import check_is_fitted

from jointprob import _query
from jointprob.estimators.density import fit_joint, keep_names, tune_joint
from jointprob.estimators.saved import Saved
from jointprob.estimators.tags import TakesTables
from jointprob.joint.rows import row_hash
from jointprob.joint.tree import Floats
from jointprob.query import Joint
from jointprob.query.evidence import blank_empty
from jointprob.query.impute import METHODS
from jointprob.refill import refill
from jointprob.schema import preview
from jointprob.table import Table, check_sample_weight, conform, read_table

NAME = "JEPAImputer"
BEYOND = 0.5  # of a column's range: so far may imputed numbers go beyond its ends


class JEPAImputer(Saved, TakesTables, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill missing cells from the other cells of their row, by the joint distribution of a table.

    Parameters
    ----------
    strategy : {"median", "mean", "mode", "sample"}
        What a number becomes, given its row: the median errs least in absolute terms, is a value
        that the column can take, and is the same whatever the column's unit or scale; the mean
        errs least in squares; the mode is the likeliest; "sample" draws all missing cells of a row
        together. Categories become their likeliest level, but for "sample".
    sample_posterior : bool
        Draw the model too, then the cells: one proper imputation (see Notes). `strategy` is then
        not looked at.
    n_subsets, n_trees : int or "auto"
        As in `JEPADensity`, but "auto" takes as many trees as from a complete table.
    categorical_features : "from_dtype", None, mask, indices or names
        Which columns are categorical; "from_dtype" takes category, string, object and bool.
    random_state : int, RandomState or None
        Of the fit, and of the draws in `transform`: an int gives the same draws in every call,
        None and a RandomState others each time.
    n_jobs : int or None
        Threads, None for all cores. No result depends on it.
    verbose : int
        1 shows progress (extra ``cli``).

    Attributes
    ----------
    joint_ : Joint
        Answers every other question about the table.
    bounds_ : float64 (n_features_in_, 2)
        Between which a column's imputed numbers stay; infinite for categories.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where all column names are strings.

    Notes
    -----
    A column that was all missing in fit is kept and stays as it is: nothing is known of it. A level
    that fit did not see is legal evidence and stays too.

    Imputed numbers go no further beyond the numbers that fit saw than half their range, and in a
    column without negative (positive) numbers are none either: a few dozen cells can leave a
    column with tails so heavy that one draw would outweigh all other cells.

    A draw depends on the seed, on the cells of its row, and on how many equal rows stand before it:
    not on the order of the rows.

    For multiple imputation (Rubin 1987, doi:10.1002/9780470316696) take an imputer of its own for
    each completed table, with another `random_state`, as with scikit-learn's `IterativeImputer`:

        [JEPAImputer(sample_posterior=True, random_state=i).fit_transform(X) for i in range(10)]

    Each weighs the rows anew by the Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338),
    fits the joint to them and draws from it, so the completed tables differ as much as the model is
    uncertain. Repeated calls of one imputer's `transform` share one model and differ by less.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob import JEPAImputer
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> X[:, 1] += 2 * X[:, 0]
    >>> JEPAImputer(random_state=0).fit(X).transform([[1.0, np.nan], [1.0, 3.0]]).round().tolist()
    [[1.0, 2.0], [1.0, 3.0]]
    """

    joint_: Joint
    bounds_: Floats

    def __init__(
        self,
        *,
        strategy: Literal["median", "mean", "mode", "sample"] = "median",
        sample_posterior: bool = False,
        n_subsets: int | Literal["auto"] = "auto",
        n_trees: int | Literal["auto"] = "auto",
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.strategy = strategy
        self.sample_posterior = sample_posterior
        self.n_subsets = n_subsets
        self.n_trees = n_trees
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the joint distribution.

        Parameters
        ----------
        X : pandas, polars or pyarrow frame, 2-D array, or dict of columns
            Missing cells (None, NaN, NA) are allowed everywhere.
        y : ignored
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
        self._method()
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        weight = check_sample_weight(sample_weight, table.n_rows)
        bounds = find_bounds(table.take(np.flatnonzero(weight)))
        random = check_random_state(self.random_state)
        if self.sample_posterior:
            weight = bootstrap_weight(table, weight, int(random.randint(2**31 - 1)))
        self.joint_ = fit_joint(self, table, weight, random, patient=True)
        self.bounds_ = bounds
        keep_names(self, self.joint_.schema)
        return self

    def fine_tune(
        self,
        X: Any,
        y: None = None,
        sample_weight: ArrayLike | None = None,
        strength: float | Literal["auto"] = "auto",
    ) -> Self:
        """An imputer for other rows whose joint leans on this one's; this one stays as it is.

        See `jointprob.Joint.fine_tune`. Imputed numbers may go as far as either table lets them.
        """
        check_is_fitted(self)
        tuned = copy(self)
        tuned.joint_ = tune_joint(self, X, sample_weight, strength).joint
        schema = tuned.joint_.schema
        here = find_bounds(conform(X, schema, False, "X", NAME))
        known = dict(zip(self.joint_.schema.names, self.bounds_, strict=True))
        there = [known.get(name, own) for name, own in zip(schema.names, here, strict=True)]
        ends = np.stack([here, np.stack(there)])
        tuned.bounds_ = np.stack([ends[:, :, 0].min(axis=0), ends[:, :, 1].max(axis=0)], axis=1)
        keep_names(tuned, schema)
        return tuned

    def transform(self, X: Any) -> Any:
        """Fill the missing cells.

        Parameters
        ----------
        X : frame, array or dict
            With the columns of fit.

        Returns
        -------
        Of the kind that X is, unless `set_output` asks for another
            Columns in the order of fit, with the dtypes that X has; cells that are not missing in X
            are the same bit for bit. An integer column gets whole numbers.

        Raises
        ------
        ValueError, TypeError
            Naming the column, the value and what is allowed.
        """
        check_is_fitted(self)
        table = conform(X, self.joint_.schema, estimator_name=NAME)
        known = replace(table, columns=blank_empty(table.columns, table.schema))
        filled = self.joint_._impute(known, self._method(), self.random_state, self.n_jobs)
        for j in table.schema.numeric:
            filled[j] = np.clip(filled[j], *self.bounds_[j])
        return _as_asked(refill(X, table, filled), _get_output_config("transform", self)["dense"])

    def _method(self) -> str:
        if self.strategy not in METHODS:
            raise ValueError(f"strategy is {self.strategy!r}; allowed are {preview(METHODS)}")
        return "sample" if self.sample_posterior else self.strategy

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def find_bounds(table: Table) -> Floats:
    """Smallest and largest number to impute in each column, float64 (n_columns, 2)."""
    bounds = np.full((len(table.schema), 2), (-np.inf, np.inf))
    for j in table.schema.numeric:
        if np.isnan(cells := table.columns[j]).all():
            continue
        low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
        room = BEYOND * high - BEYOND * low  # the range itself may overflow
        lowest, highest = 0.0 if low >= 0 else -np.inf, 0.0 if high <= 0 else np.inf
        bounds[j] = max(low - room, lowest), min(high + room, highest)
    return bounds


def bootstrap_weight(table: Table, weight: Floats, seed: int) -> Floats:
    """Bayesian bootstrap: the rows' shares drawn from Dirichlet(weights), times their sum.

    A row's draw depends on its cells alone, and equal rows share one draw of their joint weight:
    the order of rows means nothing, and whole weights are repeats.
    """
    distinct, first, which = np.unique(row_hash(table), return_index=True, return_inverse=True)
    uniform = np.empty((len(distinct), 1))
    _query.uniform(seed, distinct, uniform)
    total = np.bincount(which, weight)
    drawn = np.zeros(table.n_rows)
    drawn[first[total > 0]] = gammaincinv(total[total > 0], uniform[total > 0, 0])
    if not drawn.any():  # tiny weights: one row gets them all, as in the limit of the Dirichlet
        drawn[first[np.argmax(total)]] = 1.0
    return np.asarray(drawn * (weight.sum() / drawn.sum()))


def _as_asked(X: Any, container: str) -> Any:
    """A frame as another kind of frame; scikit-learn, which does the rest, would lose dtypes."""
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if container == "default" or not isinstance(frame, nw.DataFrame):
        return X
    return frame.to_pandas() if container == "pandas" else frame.to_polars()
