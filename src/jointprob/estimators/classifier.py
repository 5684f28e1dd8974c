"""JEPAClassifier: class probabilities from forests, boosted trees and joints of classes."""

from __future__ import annotations

from copy import copy
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import check_is_fitted

from jointprob.adapt.classes import check_declared, first_classes, positions, with_classes
from jointprob.adapt.columns import Target, read_beside, read_target
from jointprob.adapt.forest import ForestStream
from jointprob.adapt.labels import LabelStream
from jointprob.adapt.recent import RecentJoint
from jointprob.adapt.stream import check_half_life
from jointprob.adapt.transfer import check_strength, transfer_rows
from jointprob.estimators.density import keep_names, own_kinds
from jointprob.estimators.saved import Saved
from jointprob.estimators.tags import TakesTables
from jointprob.estimators.target import check_labels, joined_classes, known_rows
from jointprob.predict.folds import ordered_rows
from jointprob.predict.labels import LabelModel
from jointprob.predict.source import LabelSource
from jointprob.predict.taught import fit_taught
from jointprob.progress import reporting
from jointprob.query import Joint
from jointprob.schema import Schema, preview
from jointprob.table import Table, check_sample_weight, conform, extend, read_table
from jointprob.threads import threads_for

NAME = "JEPAClassifier"
Floats = NDArray[np.float64]


class JEPAClassifier(Saved, TakesTables, ClassifierMixin, BaseEstimator):
    """Class probabilities for tables with numeric, categorical and missing cells.

    Two bags of trees, boosted trees and a joint distribution for every class each say what they
    make of a row. How far each is believed is learnt from rows that it has not seen, so that the
    probabilities are calibrated.

    Parameters
    ----------
    categorical_features : "from_dtype", None, mask, indices or names
        Which columns are categorical; "from_dtype" takes category, string, object and bool.
    class_weight : None, "balanced" or dict of class -> weight
        Weights of the classes, as in scikit-learn: they multiply `sample_weight`. The products mean
        importance, not repeats.
    random_state : int, RandomState or None
    half_life : float or None
        Rows after which `partial_fit` counts a row half in its trees; None never forgets.
    n_jobs : int or None
        Threads, None for all cores. No result depends on it.
    verbose : int
        1 shows progress (extra ``cli``).

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    joint_ : Joint
        Of the columns of X: the mixture over classes of their joints. Answers every other question.
    feature_importances_ : float64 (n_features_in_,)
        What the splits on each column gain out of bag in the bag of best splits: mean log loss of
        a tree, nats. Columns that mislead are below 0.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where all column names are strings.

    Notes
    -----
    - Bags: bootstraps of the rows, best or random splits (Breiman 2001,
      doi:10.1023/A:1010933404324; Geurts et al. 2006, doi:10.1007/s10994-006-6226-1), levels
      divided as sets. Leaves hold class shares shrunk towards all their ancestors (Agarwal et al.
      2022, arXiv:2202.00858), how much is chosen out of bag.
    - Boosted trees: Newton steps on the log loss, a run for each fold of the rows, stopped on that
      fold and averaged; many classes share each tree through a sketch of their gradients
      (Iosipoi & Vakhrushev 2022, arXiv:2211.12858).
    - Joints: one latent tree structure, with tables of its own for every class that lean on the
      tables of all rows; Bayes' rule turns them into class probabilities. Missing cells are
      integrated out exactly.
    - Pool: p(c | x) is proportional to p(c) times the product over members of
      (p_m(c | x) / p(c))^w_m, with the w_m >= 0 of least log loss out of bag (Genest & Zidek 1986,
      doi:10.1214/ss/1177013825). Members that are worth less than 0.4 % of the loss are left out,
      and bags that a third of their trees show to be so are not grown on. Of more than two classes,
      joints are asked about those that the other members put within 9 nats of the likeliest; any
      other keeps its odds to the likeliest.

    In trees, a missing cell goes where missing cells of the column did well in fit, as long as the
    row misses cells as some row did in fit. Any other row with missing cells goes both ways at
    every such split, by the share of rows that went there, and has a pool of its own, learnt on
    rows from which cells were taken away. A row that misses every cell gets the shares of the
    classes, unless fit saw such rows.

    A weight means repeats: whole weights give the fit of repeated rows, bit for bit unless they add
    up to more than four times the rows and 100,000.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from jointprob import JEPAClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = JEPAClassifier(random_state=0).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2]) > 0.9
    True
    >>> X.iloc[[0], 2:] = None
    >>> model.predict_proba(X.iloc[[0]]).round().tolist()
    [[1.0, 0.0, 0.0]]
    """

    joint_: Annotated[Joint, "not after partial_fit"] = RecentJoint()  # type: ignore[assignment]
    classes_: NDArray[Any]
    feature_importances_: Annotated[Floats, "not after partial_fit"]
    _model: LabelModel | LabelStream

    def __init__(
        self,
        *,
        categorical_features: Any = "from_dtype",
        class_weight: Any = None,
        random_state: Any = None,
        half_life: float | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.categorical_features = categorical_features
        self.class_weight = class_weight
        self.random_state = random_state
        self.half_life = half_life
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, unlabeled: Any = None
    ) -> Self:
        """Fit the class probabilities.

        Parameters
        ----------
        X : pandas, polars or pyarrow frame, 2-D array, or dict of columns
            Missing cells (None, NaN, NA) are allowed everywhere.
        y : (n_rows,)
            Classes: strings, booleans or whole numbers; none may be missing.
        sample_weight : (n_rows,), optional
            Non-negative; a weight means that many repeats of the row.
        unlabeled : like X, optional
            Rows whose class is not known. Classes spread to them along a graph of near rows, a
            further member of the pool; students are then fitted to all rows, with classes drawn
            from what the model says of these, and are pooled with it.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Naming the column, the value and what is allowed; the estimator stays as it was.
        """
        table = read_table(X, self.categorical_features, estimator_name=NAME)
        y = check_labels(y, table.n_rows)
        weight = check_sample_weight(sample_weight, table.n_rows)
        table, y, weight = known_rows(table, y, weight)
        classes, label = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y holds one class only, {classes.tolist()[0]!r}; at least two are needed"
            )
        if len(classes) > 65_535:
            raise ValueError(f"y holds {len(classes)} classes; at most 65,535 are allowed")
        weight = weight * self._class_weights(classes, y)[label]
        more = None
        if unlabeled is not None:
            table, more = read_beside(unlabeled, table)
        seed = self._seed()
        rows, weight = ordered_rows(table, label, weight, repeats=self.class_weight is None)
        n_jobs = threads_for(len(rows), self.n_jobs)
        with reporting(self.verbose) as progress:
            model = fit_taught(
                table.take(rows), label[rows], weight, len(classes), seed, n_jobs, progress,
                unlabelled=more,
            )  # fmt: skip
        whole = model.students[0] if model.students else model
        members = whole.joints.members(whole.pool.log_prior)
        n_rows = float(weight.sum()) + (more.n_rows if model.students and more else 0)
        self.joint_ = Joint(table.schema, members, n_rows)
        self.classes_ = classes
        self.feature_importances_ = model.importances
        self._model = model
        keep_names(self, table.schema)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn another batch of rows of a stream.

        A forest keeps up with the stream: its leaves count every row, and the trees that have
        predicted worst of late, each row before it was learnt, give way to trees grown on the last
        8,000 rows, which are kept. Discriminants of running sums predict beside them, and half of
        the trees also see how far numbers are from where they have been of late: rows come in the
        order of the stream, in a batch too. Each is believed as far as it has predicted well. After
        `fit` the fitted model goes on predicting beside these, as long as it is believed.

        ``joint_`` is learnt from the rows kept when it is first asked for, or is the joint of
        `fit` moved by them. There are no `feature_importances_` and no `fine_tune` after this.

        Parameters
        ----------
        X : like the X of the first call
            One row or more. A level not seen before is added to its column.
        y : (n_rows,)
        classes : (n_classes,), optional
            Of the first call: all classes there may be. Classes that come later are added to
            `classes_` at the end.
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
        See `jointprob.adapt.forest.ForestStream`.

        Examples
        --------
        >>> import numpy as np
        >>> from jointprob import JEPAClassifier
        >>> X = np.random.default_rng(0).normal(size=(600, 2))
        >>> y = np.where(X[:, 0] > X[:, 1], "above", "below")
        >>> model = JEPAClassifier(random_state=0)
        >>> for rows in np.split(np.arange(500), 5):
        ...     model = model.partial_fit(X[rows], y[rows])
        >>> model.score(X[500:], y[500:]) > 0.85
        True
        """
        half_life, stream = check_half_life(self.half_life), self._stream()
        table = (
            read_table(X, self.categorical_features, estimator_name=NAME)
            if stream is None
            else extend(X, stream.schema, "X", NAME)
        )
        y = check_labels(y, table.n_rows)
        weight = check_sample_weight(sample_weight, table.n_rows)
        if self.class_weight is not None:
            raise ValueError("class_weight is for fit; give partial_fit a sample_weight")
        if not weight.all():
            kept = np.flatnonzero(weight)
            table, y, weight = table.take(kept), y[kept], weight[kept]
        known = first_classes(y, classes) if stream is None else with_classes(self.classes_, y)
        if stream is None:
            seed = self._seed()
            stream = LabelStream(ForestStream.empty(table, len(known), seed))
        elif classes is not None:
            check_declared(self.classes_, classes)
        stream = stream.learn(
            table, positions(y, known), weight, len(known), half_life, self.n_jobs
        )
        for name in ("joint_", "feature_importances_"):
            self.__dict__.pop(name, None)
        self.classes_, self._model = known, stream
        keep_names(self, table.schema)
        return self

    def _stream(self) -> LabelStream | None:
        """The stream so far, one that goes on from a fit, or none."""
        model = getattr(self, "_model", None)
        if not isinstance(model, LabelModel):
            return model
        seed = self._seed()
        return LabelStream.of(model, self.joint_, seed)

    def fine_tune(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        strength: float | Literal["auto"] = "auto",
        unlabeled: Any = None,
    ) -> Self:
        """A classifier of other rows, often few, that leans on this one; this one stays as it is.

        Parameters
        ----------
        X : frame, array or dict
            As in `jointprob.Joint.fine_tune`: columns that it lacks are missing to this classifier,
            new columns and new levels are added.
        y : (n_rows,)
            Classes; those that this classifier does not know are added, those that it knows stay.
        sample_weight : (n_rows,), optional
        strength : "auto" or float from 0 to 1
            How far this classifier is believed beside what the rows show; "auto" chooses it on
            rows not seen.
        unlabeled : like X, optional
            Rows of the target whose class is not known, as in `fit`; ``joint_`` is fine-tuned to
            them too.

        Returns
        -------
        JEPAClassifier

        Raises
        ------
        ValueError
            As in `fit` and in `jointprob.Joint.fine_tune`; classes of another kind; one row only.
            One class only is no error: the other classes of this classifier stay.

        Notes
        -----
        What this classifier says of a row, over its own class prior, is a further member of the
        pool that is fitted to the rows. The class prior counts as many of its rows as make the
        target's classes likeliest, given what is said of their rows, and ``joint_`` is fine-tuned.
        """
        own = self._fitted_whole("fine_tune")
        a0 = check_strength(strength)
        target = read_target(X, self.joint_.schema, own_kinds(self.categorical_features))
        table, y = target.table, check_labels(y, target.table.n_rows)
        weight = check_sample_weight(sample_weight, table.n_rows)
        classes = joined_classes(self.classes_, y)
        label = np.searchsorted(classes, y)
        present, place = np.unique(y, return_inverse=True)
        weight = weight * self._class_weights(present, y)[place]
        seed = self._seed()
        # In the order of `fit`, whatever classes there are beside these.
        order, ordered = ordered_rows(table, place, weight, repeats=self.class_weight is None)
        if len(order) < 2:
            raise ValueError("n_samples=1: X holds one row only; at least two are needed")
        known = np.searchsorted(classes, self.classes_)
        shown = np.unique(label[order])
        shown = shown if len(shown) > 1 else np.arange(len(classes))
        source = LabelSource(own, self.joint_.schema, known, shown, len(classes), a0)
        tuned, n_jobs = copy(self), threads_for(len(order), self.n_jobs)
        more, whole, whole_weight = None, target, weight
        if unlabeled is not None:
            table, more = read_beside(unlabeled, table)
            whole = Target(table.stacked(more), target.n_shared)
            whole_weight = np.concatenate([weight, np.ones(more.n_rows)])
        joint = transfer_rows(self.joint_, whole, whole_weight, strength, seed, self.n_jobs).joint
        with reporting(self.verbose) as progress:
            tuned._model = fit_taught(
                table.take(order), label[order], ordered, len(classes), seed, n_jobs, progress,
                source, more,
            )  # fmt: skip
        tuned.joint_, tuned.classes_ = joint, classes
        tuned.feature_importances_ = tuned._model.importances
        keep_names(tuned, table.schema)
        return tuned

    def _class_weights(self, classes: NDArray[Any], y: NDArray[Any]) -> Floats:
        weights = compute_class_weight(self.class_weight, classes=classes, y=y)
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ValueError(
                f"class_weight holds {preview(weights.tolist())}; allowed are numbers above 0"
            )
        return np.asarray(weights, np.float64)

    def predict_log_proba(self, X: Any) -> Floats:
        """Log probability of each class, float64 (n_rows, n_classes), nats."""
        check_is_fitted(self)
        return self._model.log_proba(self._table(X), self.n_jobs)

    def predict_proba(self, X: Any) -> Floats:
        """Probability of each class, float64 (n_rows, n_classes), in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each row, (n_rows,)."""
        likeliest = self.predict_log_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[likeliest])

    def score_samples(self, X: Any) -> Floats:
        """Log density log p(x) of each row, float64 (n_rows,), nats."""
        check_is_fitted(self)
        return self.joint_.log_prob(X, n_jobs=self.n_jobs)

    def explain(self, X: Any, y: ArrayLike | None = None) -> Floats:
        """What each cell adds to the log probability of a class.

        Parameters
        ----------
        X : table of n_rows
        y : (n_rows,), optional
            Class that each row is asked about; the likeliest one if not given.

        Returns
        -------
        float64 (n_rows, n_features_in_)
            log p(c | x) - log p(c | x without the cell), nats: the weight of evidence of the cell
            given all others (Good 1950). 0 for missing cells. They need not add up.

        Raises
        ------
        ValueError
            If y holds a class that fit did not see.
        """
        check_is_fitted(self)
        table = self._table(X)
        asked = None if y is None else self._positions(np.asarray(y), table.n_rows)
        return self._model.explain(table, asked, self.n_jobs)

    def to_onnx(self) -> Any:
        """The class probabilities as an ONNX graph, for runtimes without Python (extra ``onnx``).

        Returns
        -------
        onnx.ModelProto
            Outputs ``label`` (n_rows,) and ``probabilities``, float64 (n_rows, n_classes). Inputs
            as in `jointprob.Joint.to_onnx`.

        Raises
        ------
        ImportError
            Without onnx.
        ValueError
            After `fine_tune`, or a fit with unlabeled rows; and as `jointprob.Joint.to_onnx`.
        AttributeError
            After `partial_fit`.

        Notes
        -----
        Everything is held: forests, boosted trees, joints and both pools. Sums round in another
        order than in `predict_proba`, so probabilities agree to about a millionth. A row that
        misses cells as no row did in fit takes much longer, for it goes both ways down every tree,
        which the graph does leaf by leaf.
        """
        from jointprob.onnx import classifier_graph

        model = self._fitted_whole("to_onnx")
        return classifier_graph(self.classes_, model, self._schema)

    def _fitted_whole(self, what: str) -> LabelModel:
        check_is_fitted(self)
        if isinstance(self._model, LabelStream):
            raise AttributeError(f"{NAME} has no {what} after partial_fit; call fit")
        return self._model

    def _positions(self, y: NDArray[Any], n_rows: int) -> NDArray[np.int64]:
        if y.shape != (n_rows,):
            raise ValueError(f"y has shape {y.shape}; allowed is ({n_rows},), a class for each row")
        known = {label: position for position, label in enumerate(self.classes_.tolist())}
        found = np.array([known.get(label, -1) for label in y.tolist()], np.int64)
        unseen = np.flatnonzero(found < 0)
        if unseen.size:
            raise ValueError(
                f"y holds {y.tolist()[unseen[0]]!r} in row {unseen[0]}, a class that fit did not "
                f"see; allowed are {preview(self.classes_.tolist())}"
            )
        return found

    @property
    def _schema(self) -> Schema:
        model = self._model
        return model.schema if isinstance(model, LabelStream) else self.joint_.schema

    def _table(self, X: Any) -> Table:
        return conform(X, self._schema, False, "X", NAME)
