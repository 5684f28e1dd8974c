"""JEPADensity: the joint distribution of a table as a scikit-learn density estimator."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from jointprob.adapt.reservoir import Reservoir, brings_columns
from jointprob.adapt.stream import JointStream, check_half_life, kept_share
from jointprob.estimators.saved import Saved
from jointprob.estimators.tags import TakesTables
from jointprob.joint import fit_bag
from jointprob.joint.tree import Floats
from jointprob.joint.views import views_of
from jointprob.marginal import AsItIs
from jointprob.progress import reporting
from jointprob.query import Joint
from jointprob.scale import Settings, Source, fit_batches, source_of
from jointprob.schema import Schema, preview
from jointprob.table import Table, check_sample_weight, conform, extend, read_table

if TYPE_CHECKING:
    from jointprob.adapt.transfer import Transfer

NAME = "JEPADensity"
RESERVOIR_ROWS = 50_000  # from which a structure is kept
GROWTH = 1.5  # of the rows kept that is worth another fit


class JEPADensity(Saved, TakesTables, DensityMixin, BaseEstimator):
    """Density of a table with numeric, categorical and missing cells.

    Rows are divided into subsets, each subset's columns get a distribution, and latent trees
    combine them; see `jointprob.Joint` for the questions that the fitted ``joint_`` answers.

    Parameters
    ----------
    n_subsets : int or "auto"
        Subsets of rows: states in each cell of a categorical column, and Gaussians of a numeric
        block (a quarter of them, but at least 8, for a column on its own). "auto" chooses on
        held-out rows.
    n_trees : int or "auto"
        Latent trees in the bag, at most. "auto" adds trees while the held-out score gains.
    categorical_features : "from_dtype", None, mask, indices or names
        Which columns are categorical; "from_dtype" takes category, string, object and bool.
    families : dict of column to `jointprob.jit.Family`, or None
        Numeric columns whose densities are of a family of your own, by name (by position for
        arrays). Each has a block to itself, and no atoms; the extra ``jit`` is needed.
    random_state : int, RandomState or None
    half_life : float or None
        Rows after which `partial_fit` counts a row half; None never forgets.
    n_jobs : int or None
        Threads, None for all cores. The fit does not depend on it.
    verbose : int
        1 shows progress (extra ``cli``).

    Attributes
    ----------
    joint_ : Joint
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where all column names are strings.
    n_subsets_, n_trees_ : int
        Subsets at the root of the heaviest tree (its Gaussians where that block is numeric), and
        trees kept.

    Notes
    -----
    The model is a mixture of block latent trees (hidden Chow-Liu trees: Liu & Van den Broeck
    2021, arXiv:2106.02264, with blocks of numeric columns, a hard-count start and states tied to
    levels), refined by stepwise EM and stopped on held-out rows. A tenth of the rows is held out
    (of small tables up to a quarter, at most 20,000) unless `X_val` is given. Equal tables give
    equal fits whatever the order of their rows, and whole weights give the fit of repeated rows,
    bit for bit unless they add up to more than four times the rows and 100,000.

    Batches are passed over two to five times, in memory of a few batches, a sample and the joint.
    Up to 131,072 rows this gives the fit of one table. Of more rows, 131,072 are drawn by their
    number to choose and start the joint, and all rows then move its tables (EM, stopped on rows
    held out). How rows are cut into batches changes nothing but the rounding of sums and, in
    columns of more than 65,536 values, the last digits of quantiles. See `jointprob.dask` for more
    than one machine.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob import JEPADensity
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> X[:, 1] += 2 * X[:, 0]
    >>> density = JEPADensity(random_state=0).fit(X)
    >>> density.score_samples([[1.0, 2.0], [1.0, -2.0]]).round().tolist()
    [-2.0, -10.0]
    """

    joint_: Joint
    n_trees_: int
    n_subsets_: int
    source_share_: Annotated[float, "after fine_tune"]

    def __init__(
        self,
        *,
        n_subsets: int | Literal["auto"] = "auto",
        n_trees: int | Literal["auto"] = "auto",
        categorical_features: Any = "from_dtype",
        families: Any = None,
        random_state: Any = None,
        half_life: float | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_subsets = n_subsets
        self.n_trees = n_trees
        self.categorical_features = categorical_features
        self.families = families
        self.random_state = random_state
        self.half_life = half_life
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: None = None,
        sample_weight: ArrayLike | None = None,
        X_val: Any = None,
    ) -> Self:
        """Fit the joint distribution.

        Parameters
        ----------
        X : pandas, polars or pyarrow frame, 2-D array, or dict of columns
            Missing cells (None, NaN, NA) are allowed everywhere. Or batches of rows that need not
            fit into memory together: a path to a file or folder of Parquet, a
            `pyarrow.dataset.Dataset`, or an iterable of frames, arrays or dicts, such as a list,
            that gives the same batches whenever it is iterated over.
        y : ignored
        sample_weight : (n_rows,), optional
            Non-negative; a weight means that many repeats of the row, also where it is no whole
            number: twenty rows of weight 0.5 are the evidence of ten. A row of weight 0 is not
            there, nor is a level that only such rows hold. Not with batches.
        X_val : like X, optional
            Rows to choose and stop on, instead of rows held out of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Naming the column, the value and what is allowed; the estimator stays as it was.
        """
        source = source_of(X, self.n_jobs)
        if source is not None:
            self._keep(fit_source(self, source, sample_weight, X_val))
            return self
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        weight = check_sample_weight(sample_weight, table.n_rows)
        self._keep(fit_joint(self, table, weight, check_random_state(self.random_state), X_val))
        return self

    def fine_tune(
        self,
        X: Any,
        y: None = None,
        sample_weight: ArrayLike | None = None,
        strength: float | Literal["auto"] = "auto",
    ) -> Self:
        """A density of other rows, often few, that leans on this one; this one stays as it is.

        Parameters
        ----------
        X : frame, array or dict
        y : ignored
        sample_weight : (n_rows,), optional
        strength : "auto" or float from 0 to 1
            See `jointprob.Joint.fine_tune`.

        Returns
        -------
        JEPADensity
            With an attribute ``source_share_``, how much of this density is in it, 0 to 1.

        Raises
        ------
        ValueError
            As `jointprob.Joint.fine_tune`.
        """
        check_is_fitted(self)
        self.joint_._refuse_families("fine_tune does not move them")
        tuned = copy(self)
        found = tune_joint(self, X, sample_weight, strength)
        tuned._keep(found.joint)
        tuned.source_share_ = found.source_share
        return tuned

    def partial_fit(self, X: Any, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn another batch of rows.

        The first rows are kept, and the joint is fitted to them anew whenever they are half as
        many again, until there are 50,000. From then on, and after `fit`, every batch moves the
        tables of the joint in one pass, and no row is kept.

        Parameters
        ----------
        X : like the X of the first call
            One row or more. A level not seen before is added to its column.
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

        Notes
        -----
        See `jointprob.adapt.stream.JointStream`. A column that has been empty joins the joint with
        its first value, but after 50,000 rows and after `fit` is passed over until the next `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from jointprob import JEPADensity
        >>> X = np.random.default_rng(0).normal(size=(300, 1))
        >>> density = JEPADensity(n_trees=1, random_state=0)
        >>> for batch in np.split(X, 3):
        ...     density = density.partial_fit(batch)
        >>> density.joint_.n_rows
        300.0
        """
        half_life = check_half_life(self.half_life)
        if self.families:
            raise ValueError("families are for fit: partial_fit does not move them")
        seen = getattr(self, "joint_", None)
        if seen is not None:  # whatever the parameter says by now
            seen._refuse_families("partial_fit does not move them")
        table = (
            read_table(X, self.categorical_features, estimator_name=NAME)
            if seen is None
            else extend(X, seen.schema, "X", NAME)
        )
        weight = check_sample_weight(sample_weight, table.n_rows)
        table, weight = _weighted(table, weight) if seen is None else _present(table, weight)
        stream, kept = self._next(table, weight, half_life)
        self._keep(stream.joint, stream, kept)
        return self

    def _next(
        self, table: Table, weight: Floats, half_life: float | None
    ) -> tuple[JointStream, Reservoir | None]:
        """The stream after a batch, and the rows kept; a structure of its own where it is due."""
        if not hasattr(self, "joint_"):
            kept = Reservoir(table, weight)
            return self._restart(kept), kept
        stream, rows = getattr(self, "_under_way", (None, None))
        stream = stream or JointStream.of(self.joint_)
        if rows is None:
            return stream.learn(table, weight, half_life, self.n_jobs), None
        lost = kept_share(float(weight.sum()), half_life)
        kept = rows.add(table, weight, lost)
        full = len(kept) >= RESERVOIR_ROWS
        due = len(kept) >= GROWTH * stream.n_fitted or brings_columns(table.schema, stream.schema)
        if full or due:
            return self._restart(kept), None if full else kept
        return stream.learn(table, weight, half_life, self.n_jobs), kept

    def _restart(self, kept: Reservoir) -> JointStream:
        random = check_random_state(self.random_state)
        return JointStream.of(fit_joint(self, kept.table, kept.weight, random), len(kept))

    def _keep(
        self, joint: Joint, stream: JointStream | None = None, kept: Reservoir | None = None
    ) -> None:
        for name in ("_under_way", "source_share_"):
            self.__dict__.pop(name, None)
        if stream is not None:
            self._under_way = stream, kept
        self.joint_ = joint
        self.n_trees_ = len(joint.members)
        tree = joint.members[0].tree
        self.n_subsets_ = int(tree.n_states[0] // tree.n_cells[0])
        keep_names(self, joint.schema)

    def score_samples(self, X: Any) -> Floats:
        """Log density of each row, float64 (n_rows,), nats."""
        check_is_fitted(self)
        return self.joint_.log_prob(X, n_jobs=self.n_jobs)

    def score(self, X: Any, y: None = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log density of the rows, nats."""
        log_prob = self.score_samples(X)
        return float(
            np.average(log_prob, weights=check_sample_weight(sample_weight, len(log_prob)))
        )

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Draw rows: the same kind of table as was fitted."""
        check_is_fitted(self)
        return self.joint_.sample(n_samples, random_state=random_state, n_jobs=self.n_jobs)


def fit_joint(
    settings: Any,
    table: Table,
    weight: Floats,
    random: np.random.RandomState,
    X_val: Any = None,
    patient: bool = False,
) -> Joint:
    """The joint of a table.

    Parameters
    ----------
    settings : estimator
        With the n_subsets, n_trees, n_jobs and verbose of `JEPADensity`.
    table : Table
    weight : float64 (n_rows,)
    random : RandomState
        One seed is drawn.
    X_val : frame, array or dict, optional
    patient : bool
        See `fit_bag`.
    """
    n_subsets = _checked_size(settings.n_subsets, "n_subsets", 256)
    n_trees = _checked_size(settings.n_trees, "n_trees", 1000)
    n_jobs = settings.n_jobs
    table, weight = _weighted(table, weight)
    validation = None if X_val is None else conform(X_val, table.schema, False, "X_val", NAME)
    seed = int(random.randint(2**31 - 1))
    families = _checked_families(getattr(settings, "families", None), table.schema)
    views = views_of(table, weight, validation, seed, n_jobs, families=families)
    with reporting(settings.verbose) as progress:
        members = fit_bag(views, n_subsets, n_trees, seed, n_jobs, progress, patient)
    return Joint(table.schema, members, float(weight.sum()))


def fit_source(
    estimator: JEPADensity, source: Source, sample_weight: Any = None, X_val: Any = None
) -> Joint:
    """The joint of batches of rows, by the settings of an estimator."""
    if sample_weight is not None:
        raise ValueError(
            "sample_weight is given, and X is batches of rows, which have none; allowed is None"
        )
    if estimator.families:
        raise ValueError("families are for tables in memory: passes over batches do not fit them")
    n_subsets = _checked_size(estimator.n_subsets, "n_subsets", 256)
    n_trees = _checked_size(estimator.n_trees, "n_trees", 1000)
    seed = estimator._seed()
    with reporting(estimator.verbose) as progress:
        settings = Settings(
            n_subsets,
            n_trees,
            estimator.categorical_features,
            seed,
            NAME,
            estimator.n_jobs,
            progress,
        )
        return fit_batches(source, settings, X_val)


def tune_joint(
    estimator: Any, X: Any, sample_weight: ArrayLike | None, strength: float | Literal["auto"]
) -> Transfer:
    """The estimator's ``joint_`` fine-tuned by its settings."""
    # The stage after this one: imported where it is asked for, so that imports run one way.
    from jointprob.adapt.transfer import transfer

    seed = estimator._seed()
    kinds = own_kinds(estimator.categorical_features)
    return transfer(estimator.joint_, X, sample_weight, strength, kinds, seed, estimator.n_jobs)


def own_kinds(categorical_features: Any) -> Any:
    """The setting for new columns: positions and names of the source's say nothing about them."""
    general = categorical_features is None or isinstance(categorical_features, str)
    return categorical_features if general else "from_dtype"


def keep_names(estimator: Any, schema: Schema) -> None:
    """scikit-learn's attributes of a fitted table: how many columns, and what they are called."""
    estimator.n_features_in_ = len(schema)
    names = schema.names
    if schema.container != "numpy" and all(isinstance(name, str) for name in names):
        estimator.feature_names_in_ = np.array(names, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def _checked_size(given: Any, name: str, most: int) -> int | None:
    if isinstance(given, str) and given == "auto":
        return None
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or not 1 <= given <= most:
        raise ValueError(f"{name} is {given!r}; allowed are 'auto' and whole numbers 1 to {most}")
    return int(given)


def _checked_families(given: Any, schema: Schema) -> dict[int, AsItIs]:
    """By numeric column (a column of z), compiled."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"families is {given!r}; allowed is a dict of column: jointprob.jit.Family")
    found = {}
    for name, family in given.items():
        column = schema.position(name)
        if column not in schema.numeric or schema.columns[column].empty:
            raise ValueError(f"families: column {name!r} is not numeric, or empty")
        if not hasattr(family, "loops"):
            raise TypeError(f"families: {name!r} has {family!r}; allowed is a jointprob.jit.Family")
        found[schema.numeric.index(column)] = AsItIs.of(family, name)
    return found


def _weighted(table: Table, weight: Floats) -> tuple[Table, Floats]:
    """Rows of positive weight: those of weight 0, and levels that only they hold, are not there."""
    if not weight.all():
        table, weight = table.take(np.flatnonzero(weight)).relearnt(), weight[weight > 0]
    if all(column.empty for column in table.schema):
        raise ValueError(
            f"X holds no value: every cell of the columns {preview(table.schema.names)} is "
            "missing in every row of positive weight; at least one must be known"
        )
    return table, weight


def _present(table: Table, weight: Floats) -> tuple[Table, Floats]:
    """Rows of positive weight of a later batch, which may know no cell."""
    return table.take(np.flatnonzero(weight)), weight[weight > 0]
