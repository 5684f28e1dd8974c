"""One run of everything on a table that scikit-learn ships: ``python -m jointprob demo``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from threadpoolctl import threadpool_limits

from .estimators.density import JEPADensity

if TYPE_CHECKING:
    from .query import Joint

Columns = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]
LogDensity = Callable[[Floats], Floats]

CATEGORICAL = ("diagnosis", "worst_size")
MISSING_SHARE = 0.05
GAUSSIANS = [
    {"n_components": k, "reg_covar": reg} for k, reg in product((1, 2, 4, 8), (1e-6, 1e-4))
]
BANDWIDTHS = [{"bandwidth": width} for width in np.geomspace(0.1, 2.0, 12)]


def run() -> None:
    """Fit, compare, impute, sample, ask, explain; print every answer."""
    whole = breast_cancer()
    holed = remove_cells(whole, np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(n_rows(whole))
    train, test = order[: len(order) * 7 // 10], order[len(order) * 7 // 10 :]
    say(f"Breast cancer: {len(order)} rows, {len(numeric(whole))} numeric and {len(CATEGORICAL)}")
    say(f"categorical columns, {MISSING_SHARE:.0%} of the cells removed;")
    say(f"{len(train)} rows to fit, {len(test)} held out.")
    start = perf_counter()
    model = JEPADensity(random_state=0).fit(take(holed, train))
    say(f"JEPADensity fitted in {perf_counter() - start:.1f} s.")
    compare(model.joint_, take(holed, train), take(holed, test))
    show_imputation(model.joint_, take(whole, test), take(holed, test))
    show_samples(model)
    show_answers(model.joint_)
    show_strangest(model, take(holed, test))


# The table


def breast_cancer() -> Columns:
    """Ten measurements of a tumour, its diagnosis, and the size class of its largest cells."""
    data = load_breast_cancer()
    names = [name.removeprefix("mean ").replace(" ", "_") for name in data.feature_names[:10]]
    table: Columns = {name: data.data[:, i] for i, name in enumerate(names)}
    worst_radius = data.data[:, list(data.feature_names).index("worst radius")]
    sizes = np.array(["large", "medium", "small"], dtype=object)
    low, high = np.quantile(worst_radius, [1 / 3, 2 / 3])
    table["worst_size"] = sizes[2 - (worst_radius > low).astype(int) - (worst_radius > high)]
    table["diagnosis"] = data.target_names.astype(object)[data.target]
    return table


def remove_cells(table: Columns, rng: np.random.Generator) -> Columns:
    """Copy of the table with 5 % of its cells missing: NaN in numbers, None in categories."""
    holed = {name: column.copy() for name, column in table.items()}
    for name, column in holed.items():
        gone = rng.random(len(column)) < MISSING_SHARE
        column[gone] = None if name in CATEGORICAL else np.nan
    return holed


def numeric(table: Columns) -> Columns:
    """The numeric columns alone."""
    return {name: column for name, column in table.items() if name not in CATEGORICAL}


def take(table: Columns, rows: NDArray[np.intp]) -> Columns:
    """Some rows of a table."""
    return {name: column[rows] for name, column in table.items()}


def n_rows(table: Columns) -> int:
    """Number of rows of a table."""
    return len(next(iter(table.values())))


def matrix(table: Columns) -> Floats:
    """The numeric columns as float64 (n_rows, n_columns)."""
    return np.column_stack(list(numeric(table).values()))


def missing(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells are None or NaN."""
    return np.array([cell is None or cell != cell for cell in column])


# Held-out density beside scikit-learn


def compare(joint: Joint, train: Columns, test: Columns) -> None:
    """Print held-out nats a row on the numeric columns, the only ones that all can score."""
    complete = ~np.isnan(matrix(test)).any(axis=1)
    rows = take(numeric(test), np.flatnonzero(complete))
    ours = joint.marginal(list(rows)).log_prob(rows)
    with threadpool_limits(1):  # such small products only wait for their threads
        mixture, about_mixture = tuned(GaussianMixture, GAUSSIANS, train)
        kernels, about_kernels = tuned(KernelDensity, BANDWIDTHS, train)
    say(f"\nHeld-out nats a row: {len(ours)} test rows that are complete in the numeric columns")
    say(f"  JEPADensity      {np.mean(ours):8.2f}   table as it is: missing cells, categories")
    say(f"  GaussianMixture  {np.mean(mixture(matrix(rows))):8.2f}   {about_mixture}")
    say(f"  KernelDensity    {np.mean(kernels(matrix(rows))):8.2f}   {about_kernels}")
    say("  Both peers were given standardised numeric columns, and every setting both on the")
    say("  complete training rows and on all rows with means for the missing cells; the best on a")
    say("  quarter of the training rows was fitted again on all of them.")
    say(f"All {n_rows(test)} held-out rows, all columns, missing cells integrated out: ", end="")
    say(f"{np.mean(joint.log_prob(test)):.2f}")


def tuned(family: Any, settings: list[dict[str, Any]], train: Columns) -> tuple[LogDensity, str]:
    """Best of the settings by a quarter of the rows: its log density, and its description."""
    points = matrix(train)
    fit_rows, choose_rows = points[len(points) // 4 :], points[: len(points) // 4]

    def held_out(candidate: tuple[dict[str, Any], str]) -> np.float64:
        setting, given = candidate
        candidate_density = log_density(family, setting, PREPARATIONS[given](fit_rows))
        return np.float64(candidate_density(complete_rows(choose_rows)).mean())

    setting, given = max(product(settings, PREPARATIONS), key=held_out)
    words = ", ".join(f"{name}={value:.3g}" for name, value in setting.items())
    return log_density(family, setting, PREPARATIONS[given](points)), f"{words}; {given}"


def log_density(family: Any, setting: dict[str, Any], points: Floats) -> LogDensity:
    """Fit one peer on standardised points; its log density is in the columns' own units."""
    mean, scale = points.mean(axis=0), points.std(axis=0)
    seed = {"random_state": 0} if family is GaussianMixture else {}
    peer = family(**setting, **seed).fit((points - mean) / scale)
    return lambda x: peer.score_samples((x - mean) / scale) - np.log(scale).sum()


def complete_rows(points: Floats) -> Floats:
    """The rows without a missing cell."""
    return points[~np.isnan(points).any(axis=1)]


def fill_with_means(points: Floats) -> Floats:
    """All rows, each missing cell replaced by its column's mean."""
    return np.where(np.isnan(points), np.nanmean(points, axis=0), points)


# What a peer that takes no missing cells can be given.
PREPARATIONS = {"complete rows": complete_rows, "all rows, means for missing": fill_with_means}


# Questions


def show_imputation(joint: Joint, whole: Columns, holed: Columns) -> None:
    """Print how near the imputed cells come to the ones that were removed."""
    filled = joint.impute(holed)
    gone = {name: missing(column) for name, column in holed.items()}
    errors = [relative_error(whole[n], filled[n], holed[n], gone[n]) for n in numeric(whole)]
    right = [np.asarray(filled[n])[gone[n]] == whole[n][gone[n]] for n in CATEGORICAL]
    say("\nImputing the removed cells of the held-out rows")
    say(f"  numbers: root mean square error {np.mean(errors):.2f} of the column mean's")
    say(f"  categories: {np.concatenate(right).mean():.0%} right")


def relative_error(
    truth: Floats, filled: Floats, holed: Floats, gone: NDArray[np.bool_]
) -> np.float64:
    """Root mean square error of the filled cells over that of the column's mean."""
    error = np.asarray(filled)[gone] - truth[gone]
    baseline = np.nanmean(holed) - truth[gone]
    return np.float64(np.sqrt(np.mean(error**2) / np.mean(baseline**2)))


def show_samples(model: JEPADensity) -> None:
    """Print five rows drawn from the joint."""
    rows = model.sample(5, random_state=0)
    shown = ("radius", "texture", "concavity", "worst_size", "diagnosis")
    say("\nFive sampled rows (5 of their 12 columns)")
    say("  " + "".join(f"{name:>12}" for name in shown))
    for i in range(5):
        say("  " + "".join(f"{show(rows[name][i]):>12}" for name in shown))


def show_answers(joint: Joint) -> None:
    """Print two conditional questions: one on a value, one on an interval."""
    at_15 = joint.condition({"radius": 15.0, "texture": 20.0}).predict_proba("diagnosis")
    malignant = np.ravel(at_15)[1]  # levels are in sorted order: benign, malignant
    large = joint.probability({"radius": (17, None)})
    both = joint.probability({"radius": (17, None), "diagnosis": {"malignant"}})
    say("\nQuestions")
    say(f"  P(malignant | radius = 15, texture = 20) = {malignant:.3f}")
    say(f"  P(radius > 17) = {float(large):.3f}")
    say(f"  P(malignant | radius > 17) = {float(both) / float(large):.3f}")


def show_strangest(model: JEPADensity, test: Columns) -> None:
    """Print the least probable held-out row and the cell of it that surprises most."""
    row = np.argmin(model.score_samples(test))
    one = take(test, np.array([row]))
    surprise = model.joint_.explain(one)
    name = max(surprise, key=lambda n: np.nan_to_num(surprise[n][0], nan=-np.inf))
    say(f"\nStrangest held-out row: number {row}")
    say(f"  its strangest cell: {name} = {show(one[name][0])} ({surprise[name][0]:.1f} nats)")
    others = {key: column for key, column in one.items() if key != name}
    expected = model.joint_.impute({**others, name: missing_like(one[name])})
    say(f"  the rest of the row would expect {name} = {show(expected[name][0])}")


def missing_like(column: NDArray[Any]) -> NDArray[Any]:
    """A column of the same kind with every cell missing."""
    return np.full(len(column), None if column.dtype == object else np.nan, dtype=column.dtype)


def show(value: Any) -> str:
    """A cell in a few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def say(text: str, end: str = "\n") -> None:
    """The one place of the package, beside the versions, that prints."""
    print(text, end=end)
