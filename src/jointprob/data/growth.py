"""How much more rows would bring: learning curves and their law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples  # it has no public name

from jointprob.data.law import Curve, Floats, fit_law, law_at
from jointprob.data.rows import take_rows

Rows = NDArray[np.int64]

N_FOLDS, MOST_HELD_OUT = 5, 5000
LEAST_ROWS = 60
LEVELS = np.array([0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95])


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve:
    """Held-out loss against rows, and the law L(n) = L_inf + B n^-beta.

    Attributes
    ----------
    sizes : int64 (n_sizes,)
    losses : float64 (n_sizes,)
        Mean held-out loss at each size; nats, or squared error of regressors without a
        distribution.
    spread : float64 (n_sizes,)
        Standard error of each, over held-out rows and over draws of the rows that were fitted.
    limit, factor, exponent : float
        L_inf, B and beta.
    draws : float64 (n_draws, 4)
        Bootstrap of these three and of an offset n0, with which L(n) = L_inf + B (n + n0)^-beta.
    """

    sizes: NDArray[np.int64]
    losses: Floats
    spread: Floats
    limit: float
    factor: float
    exponent: float
    draws: Floats

    def predict(self, n: float) -> float:
        """Loss expected of n rows."""
        return float(law_at(n, self.limit, self.factor, self.exponent))

    def interval(self, n: float, coverage: float = 0.9) -> tuple[float, float]:
        """Central interval of the loss expected at n rows, if the law goes on as far."""
        if not 0 < coverage < 1:
            raise ValueError(f"coverage is {coverage!r}; allowed are numbers inside (0, 1)")
        low, high = np.quantile(law_at(n, *self.draws.T), [(1 - coverage) / 2, (1 + coverage) / 2])
        return float(low), float(high)

    def gain_of_doubling(self) -> float:
        """What twice the rows would take off the loss."""
        n = float(self.sizes[-1])
        return self.predict(n) - self.predict(2 * n)

    def rows_to_limit(self, share: float = 0.01) -> float:
        """Rows until the loss is within a share of L_inf; infinite where it stays beyond."""
        if not share > 0:
            raise ValueError(f"share is {share!r}; allowed are numbers above 0")
        left = share * abs(self.limit)
        if left == 0 or self.exponent <= 0:
            return np.inf if self.factor > 0 else float(self.sizes[0])
        with np.errstate(over="ignore"):
            rows = float(np.float64(max(self.factor, 0.0) / left) ** (1 / self.exponent))
        return max(rows, 1.0)

    @property
    def bound_by(self) -> str:
        """What limits the loss: "data" where twice the rows gain clearly, else "model".

        Clearly: more than a standard error of the last loss, and than a thousandth of it.
        """
        least = max(float(self.spread[-1]), 1e-3 * abs(float(self.losses[-1])))
        return "data" if self.gain_of_doubling() > least else "model"

    def __repr__(self) -> str:
        law = f"{self.limit:.4g} + {self.factor:.4g} n^-{self.exponent:.3g}"
        return f"LearningCurve({law}, bound by {self.bound_by})"


def learning_curve(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    n_sizes: int = 7,
    n_repeats: int = 5,
    n_draws: int = 400,
    random_state: Any = None,
) -> LearningCurve:
    """Held-out loss at several sizes, and what more rows would bring.

    Parameters
    ----------
    estimator : density, classifier or regressor
        Cloned, never fitted itself. Densities are judged by -`score_samples`, classifiers by log
        loss, regressors by the continuous ranked probability score of `predict_quantiles` or else
        by squared error.
    X : frame, array or dict
        At least 60 rows.
    y : (n_rows,), optional
    n_sizes : int
        At least 6, geometrically from a thirty-second of the rows to all that are not held out.
    n_repeats : int
        Fits at each size, each on rows of its own drawing; every repeat holds out another fifth of
        the rows, or 5,000.
    n_draws : int
        Bootstrap draws of the law.
    random_state : None, int, RandomState

    Returns
    -------
    LearningCurve

    Raises
    ------
    ValueError
        Fewer rows or sizes.

    Notes
    -----
    The law is that of Hestness et al. (2017, arXiv:1712.00409), fitted by least squares weighted by
    the errors of the losses, with L_inf >= 0 but for densities, whose loss may have any sign. The
    errors are those of the held-out rows, by how far these differ, and of the rows that were drawn
    to be fitted, by how far repeats differ beyond that.

    The bootstrap draws weights of the held-out rows, which all sizes share, and the rest of the
    error anew for each size. From which size on the law holds is not known, nor whether sizes count
    from 0, nor whether a loss that may not be negative ends anywhere above 0: each draw leaves out
    none to all but four of the sizes, the smallest first; adds one of 0 to a quarter of the largest
    to the others (an offset as in Viering & Loog 2021, arXiv:2103.10948); and fits the limit or has
    it at 0, in proportion to how likely the losses then are. Where these lie farther from such a
    law than their errors explain, these are enlarged. That estimators may change their ways with
    more rows than there are, no interval can know.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob import JEPADensity
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> model = JEPADensity(n_subsets=2, n_trees=1, random_state=0)
    >>> curve = learning_curve(model, X, n_repeats=1, random_state=0)
    >>> len(curve.sizes), bool(curve.losses[-1] < curve.losses[0])
    (7, True)
    """
    n = _num_samples(next(iter(X.values())) if isinstance(X, dict) else X)
    if n < LEAST_ROWS:
        raise ValueError(f"X has {n} rows; a learning curve needs at least {LEAST_ROWS}")
    for name, given, fewest in (("n_sizes", n_sizes, 6), ("n_repeats", n_repeats, 1)):
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < fewest:
            raise ValueError(f"{name} is {given!r}; allowed are whole numbers from {fewest}")
    random = check_random_state(random_state)
    splits = _splits(n, n_repeats, random)
    most = min(len(rest) for _, rest in splits)
    sizes = np.unique(np.geomspace(max(8, most // 32), most, n_sizes).astype(np.int64))
    losses = [
        np.array([_losses(estimator, X, y, _drawn(rest, m, y, random), rows) for m in sizes])
        for rows, rest in splits
    ]
    curve = Curve(sizes, tuple(rows for rows, _ in splits), tuple(losses))
    mean, error, least = curve.mean, curve.error, -np.inf if y is None else 0.0
    law, draws = fit_law(sizes, mean, error, (least, np.inf)), curve.draw(least, n_draws, random)
    return LearningCurve(sizes, mean, error, *law, draws)


def _splits(n: int, n_repeats: int, random: np.random.RandomState) -> list[tuple[Rows, Rows]]:
    """Rows held out and all others, by repeat; of five in turn no row is held out twice."""
    splits = []
    for repeat in range(n_repeats):
        if repeat % N_FOLDS == 0:
            folds = np.array_split(random.permutation(n), N_FOLDS)
        fold = folds[repeat % N_FOLDS]
        others = [*folds[: repeat % N_FOLDS], *folds[repeat % N_FOLDS + 1 :], fold[MOST_HELD_OUT:]]
        splits.append((fold[:MOST_HELD_OUT], np.concatenate(others)))
    return splits


def _drawn(rest: Rows, m: int, y: Any, random: np.random.RandomState) -> Rows:
    """m rows; for few rows of classes drawn again until two classes are there."""
    for _ in range(20):
        rows: Rows = random.permutation(rest)[:m]
        if y is None or len(np.unique(np.asarray(y)[rows])) > 1:
            break
    return rows


def _losses(estimator: Any, X: Any, y: Any, rows: Rows, held_out: Rows) -> Floats:
    """Of each held-out row."""
    model, X_test = clone(estimator), take_rows(X, held_out)
    if y is None:
        return -np.asarray(model.fit(take_rows(X, rows)).score_samples(X_test))
    y = np.asarray(y)
    model.fit(take_rows(X, rows), y[rows])
    if is_classifier(model):
        return log_losses(model, X_test, y[held_out], y)
    if hasattr(model, "predict_quantiles"):
        off = y[held_out, None] - model.predict_quantiles(X_test, LEVELS)
        return np.asarray(2 * np.mean(np.maximum(off * LEVELS, off * (LEVELS - 1)), axis=1))
    return np.asarray((model.predict(X_test) - y[held_out]) ** 2)


def log_losses(model: Any, X: Any, truth: NDArray[Any], y: NDArray[Any]) -> Floats:
    """Of each row; classes that few rows lack share a hundredth of the mass."""
    classes = np.unique(y)
    proba = np.zeros((len(truth), len(classes)))
    proba[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(X)
    if len(model.classes_) < len(classes):
        proba = 0.99 * proba + 0.01 / len(classes)
    own = proba[np.arange(len(truth)), np.searchsorted(classes, truth)]
    return np.asarray(-np.log(np.maximum(own, 1e-15)))
