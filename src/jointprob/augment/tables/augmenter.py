"""TableAugmenter: new rows of a table, in imbalanced-learn's and scikit-learn's ways."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from jointprob.augment.tables.append import append_labels, append_rows
from jointprob.augment.tables.checks import check_sources, check_strength, positions
from jointprob.augment.tables.fitting import fit_classes, fit_rows
from jointprob.augment.tables.model import Columns, Model
from jointprob.augment.tables.strategy import new_rows
from jointprob.estimators.density import _weighted, keep_names
from jointprob.estimators.saved import Saved
from jointprob.estimators.tags import TakesTables
from jointprob.estimators.target import check_labels, known_rows
from jointprob.query import Joint
from jointprob.query.evidence import blank_empty, read_given
from jointprob.query.sampling import row_keys, seed_of
from jointprob.refill import refill
from jointprob.restore import to_container
from jointprob.schema import Schema
from jointprob.table import Table, check_sample_weight, conform, read_table

NAME = "TableAugmenter"


class TableAugmenter(Saved, TakesTables, BaseEstimator):
    """New rows of a table, drawn from its joint distribution or moved a little by it.

    Where there is a target, every class has a joint distribution of its own that leans on the
    structure of all rows, as far as held-out rows want it to: so a class of a few rows can be
    drawn from as well.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable
        What `fit_resample` adds, as in imbalanced-learn's over-samplers. "auto" or
        "not majority": every class but the commonest gets as many rows as that has; "minority":
        the rarest does; "not minority": all but the rarest; "all". A float: rows of the rarer of
        two classes for each row of the commoner. A dict: rows that a class shall have, old and
        new. A callable takes y and returns such a dict.
    strength : float
        How far the rows that `fit_resample` adds are from the rows they start from, as in
        `jitter`; above 0.
    categorical_features : "from_dtype", None, mask, indices or names
        Which columns are categorical; "from_dtype" takes category, string, object and bool.
    random_state : int, RandomState, Generator or None
        Of the fit, and of draws where nothing else is said: an int gives the same in every call.
    n_jobs : int or None
        Threads, None for all cores. No result depends on it.
    verbose : int
        1 shows progress (extra ``cli``).

    Attributes
    ----------
    joint_ : Joint
        Of the columns of X; with a target, the mixture over classes of their joints.
    classes_ : ndarray (n_classes,)
        Only with a target.
    sampling_strategy_ : dict of class to int
        New rows of each class that gets any; only after `fit_resample`.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where all column names are strings.

    Notes
    -----
    `fit_resample` starts from rows of the class and moves them by `strength`. A moved row is taken
    in proportion to the probability that it is still of its class, p(class | row), by the pool of
    forests, boosted trees and joints of `JEPAClassifier`: how far each is believed was learnt from
    rows that it had not seen. So new rows keep off the ground of the other classes.

    Which cells rows miss is part of the model: a column that misses cells has a companion that
    tells so. In `fit_resample` and `jitter` a row misses the cells of the row it starts from.

    Numbers of new rows go no further beyond the numbers that fit saw than half their range, and a
    column of whole numbers stays one. A level that only other classes have may appear in a new row:
    with the probability that the joint gives it.

    More rows of a small class are no more knowledge of it: on some tables boosted trees rank rows
    better after it, on others no better than without. Measure it on held-out rows, as for any other
    over-sampler.

    A weight means repeats of its row.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.tables import TableAugmenter
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["usual", "rare"], [180, 20])
    >>> X = rng.normal(np.where(y == "rare", 3.0, 0.0)[:, None], size=(200, 2))
    >>> augmenter = TableAugmenter(random_state=0)
    >>> more, labels = augmenter.fit_resample(X, y)
    >>> more.shape, int((labels == "rare").sum())
    ((360, 2), 180)
    >>> bool((more[:200] == X).all())
    True
    >>> drawn, _ = augmenter.sample(5, y="rare", random_state=1)
    >>> drawn.shape
    (5, 2)
    >>> moved = augmenter.jitter(X, 0.1)
    >>> bool(0 < np.abs(moved - X).mean() < 0.2)
    True
    """

    joint_: Joint
    classes_: Annotated[NDArray[Any], "only where there is a target"]
    _model: Model
    _schema: Schema

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        strength: float = 0.4,
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.strength = strength
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    # ---- fit ----

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the joint distribution, one for each class where there is a target.

        Parameters
        ----------
        X : pandas, polars or pyarrow frame, 2-D array, or dict of columns
            Missing cells (None, NaN, NA) are allowed everywhere.
        y : (n_rows,), optional
            Classes: strings, booleans or whole numbers; none may be missing.
        sample_weight : (n_rows,), optional
            Non-negative; a weight means that many repeats of the row.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Naming the column, the value and what is allowed: also for a single class, and for a
            target of numbers that are no classes. The augmenter stays as it was.
        """
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        weight = check_sample_weight(sample_weight, table.n_rows)
        if y is not None:
            self._fit_classes(table, check_labels(y, table.n_rows), weight)
            return self
        kept, weight = _weighted(table, weight)
        model = fit_rows(kept, weight, self._seed(), self.n_jobs, self.verbose)
        if hasattr(self, "classes_"):
            del self.classes_
        self._keep(kept, model)
        return self

    def _fit_classes(
        self, table: Table, y: NDArray[Any], weight: NDArray[np.float64]
    ) -> tuple[Table, NDArray[np.int64], NDArray[np.float64]]:
        """Fit; return the rows of positive weight, their classes and weights."""
        kept, y, weight = known_rows(table, y, weight)
        classes, label = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y holds one class only, {classes.tolist()[0]!r}; at least two are needed"
            )
        model = fit_classes(kept, label, weight, self._seed(), self.n_jobs, self.verbose)
        self.classes_ = classes
        self._keep(kept, model)
        return kept, label, weight

    def _keep(self, table: Table, model: Model) -> None:
        self._model, self._schema = model, table.schema
        self.joint_ = model.joint.marginal(table.schema.names) if model.gaps.groups else model.joint
        keep_names(self, table.schema)

    def _seed(self, random_state: Any = None) -> int:
        seed = seed_of(self.random_state if random_state is None else random_state)
        return seed % (2**31 - 1)

    # ---- new rows ----

    def fit_resample(
        self,
        X: Any,
        y: Any,
        sampling_strategy: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[Any, Any]:
        """Fit, and add new rows of the classes that `sampling_strategy` asks for.

        Parameters
        ----------
        X, y, sample_weight :
            As in `fit`.
        sampling_strategy : str, float, dict or callable, optional
            Instead of the one the augmenter was made with.

        Returns
        -------
        X, y
            The rows given, in their order, then the new ones class by class; the same kinds of
            container, dtypes and categories. A pandas index starts anew.

        Raises
        ------
        ValueError, TypeError
            As `fit`, and for strategies that name unknown classes, ask for fewer rows than there
            are, or for new rows of a class of one. The augmenter stays as it was.
        """
        check_strength(self.strength, above_zero=True)
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        labels = check_labels(y, table.n_rows)
        weight = check_sample_weight(sample_weight, table.n_rows)
        classes, counts = np.unique(labels, return_counts=True)
        strategy = self.sampling_strategy if sampling_strategy is None else sampling_strategy
        added = new_rows(strategy, classes, counts, y)
        check_sources(classes[added > 0], labels[weight > 0])
        kept, label, weight = self._fit_classes(table, labels, weight)
        counted = dict(zip(classes.tolist(), added.tolist(), strict=True))
        self.sampling_strategy_ = {c: n for c, n in counted.items() if n}
        parts = [kept.take(np.empty(0, np.int64)).columns]
        for c, name in enumerate(self.classes_.tolist()):
            if name in self.sampling_strategy_:
                parts.append(self._breed(kept, label, weight, c, self.sampling_strategy_[name]))
        columns = [np.concatenate(cells) for cells in zip(*parts, strict=True)]
        new = np.repeat(classes, added)
        return append_rows(X, self._restored(kept, columns)), append_labels(y, new)

    def _breed(
        self, table: Table, label: NDArray[np.int64], weight: NDArray[np.float64], c: int, n: int
    ) -> Columns:
        own = np.flatnonzero(label == c)
        return self._model.breed(
            table.take(own), weight[own], c, n, float(self.strength), self._seed(), self.n_jobs
        )

    def _restored(self, table: Table, columns: Columns, like: Any = None) -> Any:
        return to_container(blank_empty(columns, table.schema), table.schema, like=like)

    def sample(self, n: int = 1, y: Any = None, given: Any = None, random_state: Any = None) -> Any:
        """Draw new rows from the joint distribution.

        Parameters
        ----------
        n : int
            Rows for each row of evidence; there is one where nothing is given.
        y : class, or one for each new row, optional
            Drawn with the rows, by their shares and the evidence, if not given.
        given : dict or table, optional
            What is known of the new rows, as in `Joint.condition`: values, sets of levels, and
            intervals (low, high).
        random_state : None, int, RandomState or Generator
            The augmenter's own if not given. Row i depends on the seed and on i alone: more rows
            start with the fewer.

        Returns
        -------
        X
            As fitted, with the same dtypes and categories. Cells are missing as often as in the
            class, but for those that are given.
        y : (n_rows,)
            Only where there was a target in fit.

        Raises
        ------
        ValueError
            Unknown columns, levels and classes, reversed intervals, evidence of probability 0.
        """
        check_is_fitted(self)
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise ValueError(f"n={n!r}; allowed are whole numbers from 1")
        read = read_given({} if given is None else given, self._schema)
        asked = self._asked(y, read.n_rows * int(n))
        columns, label = self._model.draw(
            read, int(n), asked, self._seed(random_state), self.n_jobs
        )
        rows = to_container(blank_empty(columns, self._schema), self._schema)
        return (rows, self.classes_[label]) if hasattr(self, "classes_") else rows

    def jitter(self, X: Any, strength: float, y: Any = None, random_state: Any = None) -> Any:
        """Move each row inside its own subsets.

        Parameters
        ----------
        X : frame, array or dict of n_rows
            With the columns of fit.
        strength : float
            0 returns the rows as they are, bit for bit; 1 draws every number anew from the
            Gaussian of its subset, and every level given the subsets around it.
        y : class, or (n_rows,), optional
            Each row moves inside its class; drawn given the row if not said.
        random_state : None, int, RandomState or Generator
            The augmenter's own if not given. A row's move depends on the seed, on its cells, and on
            how many equal rows stand before it.

        Returns
        -------
        As fitted, with the same dtypes
            Missing cells stay missing. The index of a pandas frame is kept.

        Raises
        ------
        ValueError, TypeError
            Columns that differ from those of fit, a strength outside 0 to 1, unknown classes.

        Notes
        -----
        Numbers take a step of an autoregression in normal scores, z' = m + sqrt(1 - s^2) (z - m)
        + s (e - m), with e from the row's Gaussian of mean m; levels are redrawn with probability
        s. Either leaves the fitted distribution as it is: rows of the table move, and their
        distribution, as far as the joint has learnt it, does not.
        """
        check_is_fitted(self)
        check_strength(strength)
        table = conform(X, self._schema, False, "X", NAME)
        asked = self._asked(y, table.n_rows)
        if strength == 0:
            return refill(X, table, table.columns)
        known = replace(table, columns=blank_empty(table.columns, table.schema))
        columns = self._model.move(
            known, asked, row_keys(known), float(strength), self._seed(random_state), self.n_jobs
        )
        return self._restored(known, columns, like=X)

    def _asked(self, y: Any, n_rows: int) -> NDArray[np.int64] | None:
        """Position of the class asked for, for each row."""
        if y is None:
            return None
        if not hasattr(self, "classes_"):
            raise ValueError("y is given, but the augmenter was fitted without a target")
        return positions(y, n_rows, self.classes_)
