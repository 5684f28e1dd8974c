"""One run of everything on a table that scikit-learn ships: ``python -m jointprob demo``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import log_loss
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from .estimators.classifier import JEPAClassifier
from .estimators.density import JEPADensity
from .estimators.outliers import JEPAOutlierDetector
from .threads import one_blas_thread

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
    """Fit, compare, impute, sample, ask, explain, predict, detect; print every answer."""
    whole = breast_cancer()
    holed = remove_cells(whole, np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(n_rows(whole))
    train, test = order[: len(order) * 7 // 10], order[len(order) * 7 // 10 :]
    say(f"Breast cancer: {len(order)} tumours, {len(numeric(whole))} measurements, ", end="")
    say(f"{len(CATEGORICAL)} categories ({', '.join(CATEGORICAL)});")
    say(
        f"{MISSING_SHARE:.0%} of the cells removed; {len(train)} rows to fit, {len(test)} held out."
    )
    start = perf_counter()
    model = JEPADensity(random_state=0).fit(take(holed, train))
    say(f"JEPADensity fitted in {perf_counter() - start:.1f} s: a bag of {model.n_trees_} trees.")
    compare(model.joint_, take(holed, train), take(holed, test))
    show_imputation(model.joint_, take(whole, test), take(holed, test))
    show_samples(model)
    show_answers(model.joint_, whole)
    show_strangest(model.joint_, take(holed, train), take(holed, test))
    show_predictions(holed, whole["diagnosis"], train, test)
    show_outliers(take(holed, train), take(whole, test))


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
    with one_blas_thread():  # such small products only wait for their threads
        mixture, about_mixture = tuned(GaussianMixture, GAUSSIANS, train)
        kernels, about_kernels = tuned(KernelDensity, BANDWIDTHS, train)
    say("\n1. How probable is a new row? Mean log density of held-out rows, nats: more is better")
    say(f"  JEPADensity      {np.mean(ours):8.2f}   the table as it is: missing cells, categories")
    say(f"  GaussianMixture  {np.mean(mixture(matrix(rows))):8.2f}   {about_mixture}")
    say(f"  KernelDensity    {np.mean(kernels(matrix(rows))):8.2f}   {about_kernels}")
    say(f"  Scored on what all three can score: {len(ours)} rows without gaps, numeric columns.")
    say("  scikit-learn's two were tuned on a quarter of the training rows, standardised, once")
    say("  with the incomplete rows left out and once with means for the missing cells.")
    say(f"  JEPADensity on all {n_rows(test)} rows and {len(test)} columns, ", end="")
    say(f"missing cells integrated out: {np.mean(joint.log_prob(test)):.2f}")


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
    say("\n2. What were the removed cells? Those of the held-out rows, imputed")
    say(f"  numbers: {np.mean(errors):.2f} of the error (root mean square) of the column's mean")
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
    say(f"\n3. What does a new row look like? Five that were drawn (5 of {len(rows)} columns)")
    say("  " + "".join(f"{name:>12}" for name in shown))
    for i in range(5):
        say("  " + "".join(f"{show(rows[name][i]):>12}" for name in shown))


def show_answers(joint: Joint, whole: Columns) -> None:
    """Print conditional questions: on values, on an interval, on a level."""
    given = joint.condition({"radius": 15.0, "texture": 20.0})
    malignant = given.predict_proba("diagnosis")[0, 1]  # sorted levels: benign, malignant
    large = {"radius": (17.0, None)}
    both = joint.probability({**large, "diagnosis": {"malignant"}}) / joint.probability(large)
    counted = np.mean(whole["diagnosis"][whole["radius"] >= 17] == "malignant")
    area = joint.condition({"diagnosis": "malignant"})
    low, high = area.quantile("area", [0.05, 0.95])[0]
    say("\n4. What does one column say about another?")
    say(f"  P(malignant | radius = 15, texture = 20) = {malignant:.3f}")
    say(f"  P(malignant | radius >= 17) = {both:.3f}; counted in the whole table: {counted:.3f}")
    say(f"  area of a malignant tumour: {area.mean('area')[0]:.0f} on average, ", end="")
    say(f"nine in ten between {low:.0f} and {high:.0f}")


def show_strangest(joint: Joint, train: Columns, test: Columns) -> None:
    """Print the least probable held-out row without gaps, and the cells that surprise most."""
    complete = np.flatnonzero(~np.any([missing(column) for column in test.values()], axis=0))
    row = complete[np.argmin(joint.log_prob(take(test, complete)))]
    one = take(test, np.array([row]))
    excess = excess_surprise(joint, train, one)
    say("\n5. Which cell is out of place? The least probable held-out row without gaps: ", end="")
    say(f"number {row}")
    say(f"  {'':<15} {'column':<17} {'cell':>8}   the rest of the row expects")
    for name in sorted(excess, key=excess.__getitem__, reverse=True)[:3]:
        words = "strangest cell" if excess[name] == max(excess.values()) else ""
        say(f"  {words:<15} {name:<17} {show(one[name][0]):>8}   {expected(joint, one, name)}")


def excess_surprise(joint: Joint, train: Columns, one: Columns) -> dict[str, np.float64]:
    """Nats by which each cell of a row surprises more than is usual in its column.

    A density has a unit, so the surprises of two columns compare only after this.
    """
    usual, surprise = joint.explain(train), joint.explain(one)
    return {name: surprise[name][0] - np.nanmean(usual[name]) for name in one}


def expected(joint: Joint, one: Columns, name: str) -> str:
    """What the other cells of a row say of one cell."""
    given = joint.condition({key: column for key, column in one.items() if key != name})
    if name in CATEGORICAL:
        level = given.mode(name)[0]
        return f"{level} with probability {given.predict_proba(name).max():.2f}"
    low, high = given.quantile(name, [0.05, 0.95])[0]
    return f"{show(low)} to {show(high)}, nine times in ten"


# Predictions beside scikit-learn


def show_predictions(
    table: Columns, diagnosis: NDArray[Any], train: NDArray[np.intp], test: NDArray[np.intp]
) -> None:
    """Print how well the diagnosis is told from the other columns."""
    known = {name: column for name, column in table.items() if name != "diagnosis"}
    numbers = np.column_stack([matrix(known), size_numbers(known["worst_size"])])
    sizes_last = [numbers.shape[1] - 1]
    peers = {
        "HistGradientBoosting": HistGradientBoostingClassifier(
            categorical_features=sizes_last, random_state=0
        ),
        "RandomForest": RandomForestClassifier(300, random_state=0),
    }
    say("\n6. Which diagnosis do the other columns suggest? Held-out rows, default settings")
    say(f"  {'':<20} {'log loss, nats':>15} {'right':>8} {'seconds to fit':>15}")
    start = perf_counter()
    ours = JEPAClassifier(random_state=0).fit(take(known, train), diagnosis[train])
    seconds = perf_counter() - start
    say_scores("JEPAClassifier", ours, take(known, test), diagnosis[test], seconds)
    for name, peer in peers.items():
        start = perf_counter()
        with one_blas_thread():  # as above
            peer.fit(numbers[train], diagnosis[train])
        say_scores(name, peer, numbers[test], diagnosis[test], perf_counter() - start)
    say("  Less log loss is better; so few rows leave the order to chance. The forest has 300")
    say("  trees. JEPAClassifier runs on all cores, scikit-learn's two on one.")


def size_numbers(sizes: NDArray[Any]) -> Floats:
    """The size classes as numbers for scikit-learn's trees, NaN for missing ones."""
    order = {"small": 0.0, "medium": 1.0, "large": 2.0}
    return np.array([order.get(size, np.nan) for size in sizes])


def say_scores(name: str, model: Any, rows: Any, truth: NDArray[Any], seconds: float) -> None:
    """Print one line of the comparison."""
    proba = model.predict_proba(rows)
    right = np.mean(model.classes_[proba.argmax(axis=1)] == truth)
    loss = log_loss(truth, proba, labels=model.classes_)
    say(f"  {name:<20} {loss:>15.3f} {right:>8.1%} {seconds:>15.2f}")


# Outliers


def show_outliers(train: Columns, test: Columns) -> None:
    """Print which rows are called outliers once a number of each is another row's."""
    detector = JEPAOutlierDetector(random_state=0).fit(train)
    swapped, where = swap_numbers(test, np.random.default_rng(2))
    before, after = detector.predict(test) == -1, detector.predict(swapped) == -1
    surprise = matrix(detector.explain(swapped))
    strangest = surprise.argmax(axis=1)
    named = strangest == where
    row = detector.score_samples(swapped).argmin()
    name = list(numeric(test))[strangest[row]]
    say("\n7. Which rows are wrong? One number of each held-out row replaced by another row's")
    say(f"  called outliers: {before.sum()} of {len(before)} rows before, {after.sum()} after,")
    say(f"  {named[after].sum()} of these with the replaced number as the strangest")
    say(f"  the strangest, row {row}, for its {name}: {show(swapped[name][row])}, ", end="")
    say(f"{surprise[row].max():.0f} nats above what is usual; it was {show(test[name][row])}")


def swap_numbers(table: Columns, rng: np.random.Generator) -> tuple[Columns, NDArray[np.intp]]:
    """Copy with one number of each row replaced by another row's, and which column it is."""
    names = list(numeric(table))
    where = rng.integers(len(names), size=n_rows(table))
    swapped = {name: column.copy() for name, column in table.items()}
    for row, j in enumerate(where):
        swapped[names[j]][row] = rng.choice(table[names[j]])
    return swapped, where


def show(value: Any) -> str:
    """A cell in a few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def say(text: str, end: str = "\n") -> None:
    """The one place of the package, beside the versions, that prints."""
    print(text, end=end)
