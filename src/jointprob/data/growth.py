"""How much more rows would bring: learning curves and their law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples  # it has no public name

from jointprob.data.rows import take_rows

Floats = NDArray[np.float64]

HELD_OUT, MOST_HELD_OUT = 0.2, 5000
LEAST_ROWS = 60
STEEPEST = 2.0  # exponents beyond belong to no law that data obey
LEVELS = np.array([0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95])
TINY = 1e-12


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
        Standard error of each, over fits; the same for all.
    limit, factor, exponent : float
        L_inf, B and beta.
    draws : float64 (n_draws, 3)
        Bootstrap of these three.
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
        return float(self.limit + self.factor * float(n) ** -self.exponent)

    def interval(self, n: float, coverage: float = 0.9) -> tuple[float, float]:
        """Central interval of the loss at n rows."""
        if not 0 < coverage < 1:
            raise ValueError(f"coverage is {coverage!r}; allowed are numbers inside (0, 1)")
        at = self.draws[:, 0] + self.draws[:, 1] * float(n) ** -self.draws[:, 2]
        low, high = np.quantile(at, [(1 - coverage) / 2, (1 + coverage) / 2])
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
    n_repeats: int = 3,
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
        Fits at each size, each on rows of its own drawing.
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
    The law is that of Hestness et al. (2017, arXiv:1712.00409), fitted by least squares with the
    loss at each size weighted by its rows. The bootstrap draws the losses anew by their standard
    errors over fits, and the residuals of the law (with a factor for the three parameters it spent)
    so that its own misfit counts.

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
    for name, given, least in (("n_sizes", n_sizes, 6), ("n_repeats", n_repeats, 1)):
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < least:
            raise ValueError(f"{name} is {given!r}; allowed are whole numbers from {least}")
    random = check_random_state(random_state)
    order = random.permutation(n)
    n_held_out = min(int(HELD_OUT * n), MOST_HELD_OUT)
    held_out, rest = order[:n_held_out], order[n_held_out:]
    sizes = np.unique(np.geomspace(max(8, len(rest) // 32), len(rest), n_sizes).astype(np.int64))
    losses = np.array(
        [
            [_loss(estimator, X, y, _drawn(rest, m, y, random), held_out) for m in sizes]
            for _ in range(n_repeats)
        ]
    )
    mean = losses.mean(axis=0)
    error = losses.std(axis=0, ddof=1) if n_repeats > 1 else np.zeros(len(sizes))
    # Three fits say little about an error, and the largest size has all rows in each: one for all.
    spread = np.full(len(sizes), np.sqrt(np.mean(error[:-1] ** 2) / n_repeats))
    law = fit_law(sizes, mean)
    return LearningCurve(
        sizes, mean, spread, *law, _bootstrap(sizes, mean, spread, law, n_draws, random)
    )


def fit_law(sizes: NDArray[Any], losses: Floats) -> tuple[float, float, float]:
    """L_inf, B and beta of least weighted squares: a grid of beta, then all three together.

    Examples
    --------
    >>> n = np.array([10, 20, 40, 80, 160, 320])
    >>> [round(float(v), 3) for v in fit_law(n, 0.5 + 2 * n**-0.4)]
    [0.5, 2.0, 0.4]
    """
    n = np.asarray(sizes, np.float64)
    root = (n / n.max()) ** 0.25  # losses of few rows scatter more, and the law holds less there

    def linear(beta: float) -> tuple[float, Floats]:
        design = np.stack([np.ones_like(n), n**-beta], axis=1) * root[:, None]
        found = np.linalg.lstsq(design, losses * root, rcond=None)[0]
        if found[1] < 0:  # more rows do not hurt
            found = np.array([np.average(losses, weights=root**2), 0.0])
        return float(np.sum((design @ found - losses * root) ** 2)), found

    grid = np.geomspace(0.02, STEEPEST, 60)
    costs = [linear(beta)[0] for beta in grid]
    k = int(np.argmin(costs))
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]

    def residual(log_beta: Floats) -> Floats:
        limit, factor = linear(float(np.exp(log_beta[0])))[1]
        return np.asarray((limit + factor * n ** -np.exp(log_beta[0]) - losses) * root)

    fit = least_squares(
        residual, [np.log(grid[k])], bounds=([np.log(low) - TINY], [np.log(high) + TINY])
    )
    beta = float(np.exp(fit.x[0]))
    limit, factor = linear(beta)[1]
    return float(limit), float(factor), beta


def _bootstrap(
    sizes: NDArray[np.int64],
    mean: Floats,
    spread: Floats,
    law: tuple[float, float, float],
    n_draws: int,
    random: np.random.RandomState,
) -> Floats:
    fitted = law[0] + law[1] * sizes.astype(float) ** -law[2]
    residual = (mean - fitted) * np.sqrt(len(sizes) / max(1, len(sizes) - 3))
    draws = []
    for _ in range(n_draws):
        noise = random.choice(residual, len(sizes)) + spread * random.standard_normal(len(sizes))
        draws.append(fit_law(sizes, fitted + noise))
    return np.array(draws)


def _drawn(
    rest: NDArray[np.int64], m: int, y: Any, random: np.random.RandomState
) -> NDArray[np.int64]:
    """m rows; for few rows of classes drawn again until two classes are there."""
    for _ in range(20):
        rows: NDArray[np.int64] = random.permutation(rest)[:m]
        if y is None or len(np.unique(np.asarray(y)[rows])) > 1:
            break
    return rows


def _loss(
    estimator: Any, X: Any, y: Any, rows: NDArray[np.int64], held_out: NDArray[np.int64]
) -> float:
    model, X_test = clone(estimator), take_rows(X, held_out)
    if y is None:
        return -float(np.mean(model.fit(take_rows(X, rows)).score_samples(X_test)))
    y = np.asarray(y)
    model.fit(take_rows(X, rows), y[rows])
    if is_classifier(model):
        return _log_loss(model, X_test, y[held_out], y)
    if hasattr(model, "predict_quantiles"):
        off = y[held_out, None] - model.predict_quantiles(X_test, LEVELS)
        return float(2 * np.mean(np.maximum(off * LEVELS, off * (LEVELS - 1))))
    return float(np.mean((model.predict(X_test) - y[held_out]) ** 2))


def _log_loss(model: Any, X: Any, truth: NDArray[Any], y: NDArray[Any]) -> float:
    """Classes that few rows lack share a hundredth of the mass."""
    classes = np.unique(y)
    proba = np.zeros((len(truth), len(classes)))
    proba[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(X)
    if len(model.classes_) < len(classes):
        proba = 0.99 * proba + 0.01 / len(classes)
    own = proba[np.arange(len(truth)), np.searchsorted(classes, truth)]
    return float(-np.mean(np.log(np.maximum(own, 1e-15))))
