"""The sections of the comparison of predictions, each a function that returns Markdown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import predict_sets as sets
import targets
from comparison import Comparison
from measure import Result
from results import figure, number, table, verdict
from scipy.stats import rankdata

Runs = dict[str, dict[str, Result]]  # set, then method

SPLITS = (
    "every table without the rows whose target is missing is shuffled by `default_rng(0)` and cut "
    "60/20/20; at most 50,000 rows to fit on, 20,000 to report. Rows per second: best of the calls "
    "on test within about two seconds."
)
CLASSIFIERS = {
    "ours": "classifier",
    "LightGBM": "lightgbm",
    "HistGradientBoosting": "hist_gradient_boosting",
    "RandomForest": "random_forest",
    "ExtraTrees": "extra_trees",
    "LogisticRegression": "logistic_regression",
    "naive Bayes": "naive_bayes",
}
REGRESSORS = {
    "ours": "regressor",
    "LightGBM": "lightgbm",
    "HistGradientBoosting": "hist_gradient_boosting",
    "RandomForest": "random_forest",
    "ExtraTrees": "extra_trees",
    "Ridge": "ridge",
    "quantile forest": "quantile_forest",
    "quantile extra trees": "quantile_extra_trees",
    "LightGBM quantiles": "lightgbm_quantiles",
}
DETECTORS = {
    "ours": "outlier_detector",
    "IsolationForest": "isolation_forest",
    "LocalOutlierFactor": "local_outlier_factor",
    "5 neighbours": "nearest_neighbours",
    "GaussianMixture": "gaussian_mixture",
    "ECOD": "ecod",
}
IMPUTERS = {
    "ours": "imputer",
    "IterativeImputer": "iterative",
    "KNNImputer": "nearest_neighbours",
    "LightGBM per column": "lightgbm",
    "mean or commonest": "mean_or_commonest",
}


def _run_all(
    comparison: Comparison, kind: str, names: tuple[str, ...], module: str, methods: dict[str, str]
) -> Runs:
    return {
        name: {
            shown: comparison.ours(method, kind, name)
            if shown == "ours"
            else comparison.peer(f"{module}.{method}", kind, name)
            for shown, method in methods.items()
        }
        for name in comparison.named(names)
    }


def _matrix(
    title: str, runs: Runs, key: str, shown: Callable[[float | None], str], best: str = ""
) -> str:
    """One figure of each method on each set; `best` is 'low' or 'high' and set in bold type."""
    methods = _methods_with(runs, key)
    if not methods:
        return ""
    rows = [[name, *_cells([run[m].get(key) for m in methods], shown, best)]
            for name, run in runs.items()]  # fmt: skip
    return f"#### {title}\n\n" + table("set | " + " | ".join(methods), rows) + "\n"


def _methods_with(runs: Runs, key: str) -> list[str]:
    """Those that have the figure on any set."""
    methods = next(iter(runs.values()), {})
    return [method for method in methods if any(key in run[method] for run in runs.values())]


def _cells(
    values: list[float | None], shown: Callable[[float | None], str], best: str
) -> list[str]:
    finite = [value for value in values if value is not None]
    top = {"low": min, "high": max}[best](finite) if best and finite else None
    return [f"**{shown(v)}**" if top is not None and v == top else shown(v) for v in values]


def _digits(n_digits: int) -> Callable[[float | None], str]:
    return lambda value: number(value, n_digits)


def _costs(runs: Runs) -> str:
    return _matrix("Fit seconds", runs, "fit_seconds", figure) + _matrix(
        "Rows predicted per second", runs, "rows_per_second", figure
    )


def _others(run: dict[str, Result], key: str) -> list[float]:
    return [result[key] for method, result in run.items() if method != "ours" and key in result]


def _ratios(runs: Runs, key: str) -> str:
    """Ours to the other methods' lowest, on each set."""
    found = {
        name: run["ours"][key] / min(_others(run, key))
        for name, run in runs.items()
        if key in run["ours"] and _others(run, key)
    }
    return ", ".join(f"{name} {value:.3f}" for name, value in found.items()) or "-"


def _mean_ranks(runs: Runs, key: str, best: str) -> str:
    """1 is best; a method that failed on a set comes last there."""
    methods = _methods_with(runs, key)
    sign = 1 if best == "low" else -1
    losses = [[sign * run[m].get(key, sign * np.inf) for m in methods] for run in runs.values()]
    if not methods:
        return "-"
    ranks = rankdata(np.nan_to_num(losses, nan=np.inf), axis=1).mean(axis=0)
    return ", ".join(f"{methods[k]} {ranks[k]:.2f}" for k in np.argsort(ranks, kind="stable"))


def _listed(points: dict[str, str]) -> str:
    return "".join(f"- {what}: {found}.\n" for what, found in points.items())


def classification(comparison: Comparison) -> str:
    """Probabilities of classes: whole test rows, then rows with holes."""
    runs = _run_all(comparison, "classification", sets.CLASSIFICATION, "classifiers", CLASSIFIERS)
    return (
        "### Classification\n\n"
        + _matrix("Log loss, nats", runs, "log_loss", _digits(4), "low")
        + _matrix("Accuracy", runs, "accuracy", _digits(4), "high")
        + _matrix("Expected calibration error", runs, "calibration", _digits(4), "low")
        + _matrix(
            "Log loss, 30 % of the test cells missing", runs, "log_loss_holed", _digits(4), "low"
        )
        + _costs(runs)
        + _listed(_classification_points(runs))
        + "\nProbabilities are clipped at 1e-15. Calibration: 15 equal bins of the probability of "
        "the likeliest class. Missing test cells: the models are those fitted on the complete "
        "training rows, cells chosen by `default_rng(1)`. Categories and missing cells: "
        "LightGBM and HistGradientBoosting take both as they are; forests (300 trees) take codes, "
        "-1 where missing, and missing numbers as they are; logistic regression takes "
        "standardised numbers and 0/1 columns, missing cells filled with the training median or "
        "commonest level; naive Bayes (a Gaussian or smoothed counts a column) leaves them out.\n"
    )


def _classification_points(runs: Runs) -> dict[str, str]:
    return {
        "mean rank on log loss": _mean_ranks(runs, "log_loss", "low"),
        "mean rank on accuracy": _mean_ranks(runs, "accuracy", "high"),
        "mean rank on log loss with missing cells": _mean_ranks(runs, "log_loss_holed", "low"),
        "our log loss / the best other": _ratios(runs, "log_loss"),
        "our log loss with missing cells / the best other": _ratios(runs, "log_loss_holed"),
        f"our calibration error, tables of {targets.CALIBRATED_ROWS:,} rows or more":
            _our_calibration(runs),
        **_cost_points(runs),
    }  # fmt: skip


def _cost_points(runs: Runs) -> dict[str, str]:
    large = {
        name: run
        for name, run in runs.items()
        if run["ours"].get("n_train", 0) > targets.LARGE_TRAIN_ROWS
    }
    return {
        f"our fit / LightGBM's, over {targets.LARGE_TRAIN_ROWS:,} training rows, "
        f"at most {targets.FIT_TO_LIGHTGBM}":
            _judged(_against(large, "fit_seconds", "LightGBM"), most=targets.FIT_TO_LIGHTGBM),
        f"our fit, at most {targets.CLASSIFIER_SECONDS} s": _judged(
            {name: run["ours"].get("fit_seconds") for name, run in runs.items()},
            most=targets.CLASSIFIER_SECONDS,
        ),
        f"our rows per second / RandomForest's, at least {targets.FOREST_SPEED}": _judged(
            _against(runs, "rows_per_second", "RandomForest"), least=targets.FOREST_SPEED
        ),
    }  # fmt: skip


def _our_calibration(runs: Runs) -> str:
    found = {
        name: run["ours"].get("calibration")
        for name, run in runs.items()
        if run["ours"].get("n_rows", 0) >= targets.CALIBRATED_ROWS
    }
    return _judged(found)


def _against(runs: Runs, key: str, other: str) -> dict[str, float | None]:
    return {
        name: run["ours"][key] / run[other][key]
        for name, run in runs.items()
        if key in run["ours"] and key in run[other]
    }


def _judged(
    found: dict[str, float | None], most: float | None = None, least: float | None = None
) -> str:
    """Each set's figure, and whether all of them keep to the target."""
    known = {name: value for name, value in found.items() if value is not None}
    listed = ", ".join(f"{name} {figure(value)}" for name, value in known.items())
    if not known or (most is None and least is None):
        return listed or "-"
    kept = all(
        (most is None or value <= most) and (least is None or value >= least)
        for value in known.values()
    )
    return f"{listed}: {verdict(kept)}"


def forests(comparison: Comparison) -> str:
    """Our bags of trees alone beside scikit-learn's, 300 trees at the same settings."""
    pairs = {
        "ours, best splits": "best_splits", "RandomForest": "random_forest",
        "ours, random splits": "random_splits", "ExtraTrees": "extra_trees",
    }  # fmt: skip
    runs = {
        name: {
            shown: comparison.ours(method, "classification", name, module="our_forests")
            if shown.startswith("ours")
            else comparison.peer(f"classifiers.{method}", "classification", name)
            for shown, method in pairs.items()
        }
        for name in comparison.named(sets.CLASSIFICATION)
    }
    points = {}
    for own, other in (list(pairs)[:2], list(pairs)[2:]):
        grown = _times_as(runs, "fit_seconds", other, own)
        descended = _times_as(runs, "rows_per_second", own, other)
        points[f"{own}, fit {targets.GROW_SPEED} times as fast as {other}"] = _judged(
            grown, least=targets.GROW_SPEED
        )
        points[f"{own}, {targets.DESCENT_SPEED} times the rows per second of {other}"] = _judged(
            descended, least=targets.DESCENT_SPEED
        )
    return (
        "### Forests alone\n\n"
        + _costs(runs)
        + _matrix("Log loss, nats", runs, "log_loss", _digits(4), "low")
        + _listed(points)
        + "\n300 trees, the root of the columns tried at a node, leaves of one row, two threads. "
        "Ours: bootstraps, with the choice of how much leaves shrink and all out-of-bag scores in "
        "the time; ExtraTrees takes every row in every tree.\n"
    )


def _times_as(runs: Runs, key: str, above: str, below: str) -> dict[str, float | None]:
    return {
        name: run[above][key] / run[below][key]
        for name, run in runs.items()
        if key in run[above] and key in run[below]
    }


def few_rows(comparison: Comparison) -> str:
    """Log loss after a hundred training rows."""
    runs = _run_all(comparison, "few_rows", sets.CLASSIFICATION, "classifiers", CLASSIFIERS)
    points = {
        "mean rank on log loss": _mean_ranks(runs, "log_loss", "low"),
        "our log loss / the best other": _ratios(runs, "log_loss"),
    }
    return (
        "### Classification from 100 training rows\n\n"
        + _matrix("Log loss, nats, mean of 5 seeds", runs, "log_loss", _digits(3), "low")
        + _listed(points)
        + "\nThe first 100 training rows of a permutation by each seed; all test rows count, even "
        "of classes that the 100 rows lack: therefore every method's probabilities p are "
        "replaced with 0.99 p + 0.01 / number of classes.\n"
    )


def regression(comparison: Comparison) -> str:
    """Means, and whole predictive distributions."""
    runs = _run_all(comparison, "regression", sets.REGRESSION, "regressors", REGRESSORS)
    points = {
        "mean rank on RMSE": _mean_ranks(runs, "rmse", "low"),
        "mean rank on CRPS": _mean_ranks(runs, "crps", "low"),
        "our RMSE / the best other": _ratios(runs, "rmse"),
        "our CRPS / the best other": _ratios(runs, "crps"),
        "our mean log density, nats": _judged(
            {name: run["ours"].get("log_density") for name, run in runs.items()}
        ),
        **_cost_points(runs),
    }
    return (
        "### Regression\n\n"
        + _matrix("RMSE", runs, "rmse", figure, "low")
        + _matrix("CRPS", runs, "crps", figure, "low")
        + _matrix("Share of test rows inside the 90 % interval", runs, "covered", _digits(3))
        + _costs(runs)
        + _matrix("Rows of quantiles per second", runs, "quantile_rows_per_second", figure)
        + _listed(points)
        + "\nCRPS: twice the mean pinball loss at 99 levels, 0.01 to 0.99. LightGBM, "
        "HistGradientBoosting and Ridge predict a mean: their quantiles are those of a Gaussian "
        "around it, as wide as the standard deviation of their errors on the validation part. "
        "RandomForest and ExtraTrees give the mean, quantile-forest's forests of 300 trees the "
        "quantiles (missing numbers filled with medians); LightGBM quantiles: ten models, levels "
        "0.05 to 0.95, sorted, CRPS over these ten. Other interval ends: the 5 % and 95 % "
        "quantiles. flights: without dep_delay, dep_time, arr_time and air_time, which give the "
        "target away.\n"
    )


def outliers(comparison: Comparison) -> str:
    """Outliers found after clean and after contaminated training."""
    clean, soiled = (
        _run_all(comparison, kind, sets.OUTLIERS, "detectors", DETECTORS)
        for kind in ("outliers", "contaminated")
    )
    return (
        "### Outliers\n\n"
        + _matrix("ROC-AUC", clean, "roc_auc", _digits(4), "high")
        + _matrix("Average precision", clean, "average_precision", _digits(4), "high")
        + _matrix(
            "ROC-AUC, 3 % of the training rows outliers", soiled, "roc_auc", _digits(4), "high"
        )
        + _costs(clean)
        + _listed(_outlier_points(clean, soiled))
        + "\nFitted on the normal rows of train, tested on all of test; the other methods on "
        "standardised columns. Contaminated training: outliers of train, drawn by "
        "`default_rng(0)`, are 3 % of the rows, or fewer where train has no more (mammography "
        "2.1 %). IsolationForest: 300 trees; LocalOutlierFactor: 20 neighbours; 5 neighbours: mean "
        "distance to them; GaussianMixture: 16 Gaussians.\n"
    )


def _outlier_points(clean: Runs, soiled: Runs) -> dict[str, str]:
    return {
        "mean rank on ROC-AUC": _mean_ranks(clean, "roc_auc", "high"),
        "mean rank on average precision": _mean_ranks(clean, "average_precision", "high"),
        "mean rank on ROC-AUC, contaminated": _mean_ranks(soiled, "roc_auc", "high"),
        "mean ROC-AUC": _means(clean, "roc_auc"),
        "mean ROC-AUC, contaminated": _means(soiled, "roc_auc"),
    }


def _means(runs: Runs, key: str) -> str:
    """Over the sets, of each method that none of them broke."""
    found = {
        method: [run[method][key] for run in runs.values()]
        for method in next(iter(runs.values()), {})
        if all(key in run[method] for run in runs.values())
    }
    return ", ".join(f"{method} {np.mean(values):.4f}" for method, values in found.items()) or "-"


def imputation(comparison: Comparison) -> str:
    """Cells restored."""
    runs = _run_all(comparison, "imputation", sets.IMPUTATION, "imputers", IMPUTERS)
    return (
        "### Imputation\n\n"
        + _matrix("RMSE of numeric cells / standard deviation", runs, "rmse", _digits(4), "low")
        + _matrix("Mean absolute error / standard deviation", runs, "mae", _digits(4), "low")
        + _matrix("Share of categorical cells right", runs, "right", _digits(4), "high")
        + _costs(runs)
        + "\nAll columns, the target among them. A fifth of the cells is taken out, of test by "
        "`default_rng(1)`, of train by `default_rng(2)`; errors over the observed cells taken out "
        "of test, in units of the column's standard deviation in train. IterativeImputer: codes, "
        "rounded to the nearest, 10 rounds; KNNImputer: standardised numbers and 0/1 columns, the "
        "commonest level of its neighbours, at most 5,000 training rows, for it is slow.\n"
    )
