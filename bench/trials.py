"""What one run measures: a method is fitted on one set, and its predictions of test are scored.

Every trial takes the function that makes the method's estimator, the set's name and the folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import predict_sets as sets
import scores
from measure import Result, fitted, rows_per_second
from sklearn.metrics import average_precision_score, roc_auc_score

N_SEEDS = 5
MISSING_TEST_CELLS = 0.3
KNOCKED_OUT = 0.2
LEVELS = tuple(np.linspace(0.01, 0.99, 99).round(2))
COVERAGE = 0.9

Maker = Callable[[], Any]


def classification(make: Maker, name: str, folder: Path) -> Result:
    """Probabilities of test, whole and with missing cells."""
    train, valid, test = sets.labelled(name, folder)
    estimator = make()
    model, cost = fitted(lambda: estimator.fit(train.X, train.y))
    classes, truth = _truth(train, test)
    proba = _probabilities(model, test.X, classes)
    holed, _ = sets.knock_out(test.X, MISSING_TEST_CELLS, seed=1)
    return {
        **cost,
        "n_train": len(train.y),
        "n_rows": sum(len(part.y) for part in (train, valid, test)),
        "accuracy": float((proba.argmax(axis=1) == truth).mean()),
        "log_loss": scores.log_loss(proba, truth),
        "calibration": scores.calibration_error(proba, truth),
        "log_loss_holed": scores.log_loss(_probabilities(model, holed, classes), truth),
        "rows_per_second": rows_per_second(model.predict_proba, test.X),
    }


def few_rows(make: Maker, name: str, folder: Path) -> Result:
    """Mean log loss over seeds, after a hundred rows; all probabilities are given a floor."""
    train, _, test = sets.labelled(name, folder)
    classes, truth = _truth(train, test)
    losses = []
    for seed in range(N_SEEDS):
        rows = sets.few(train, seed)
        proba = _probabilities(make().fit(rows.X, rows.y), test.X, classes)
        losses.append(scores.log_loss(scores.with_floor(proba), truth))
    return {"log_loss": float(np.mean(losses)), "log_losses": losses}


def _truth(train: sets.Labelled, test: sets.Labelled) -> tuple[np.ndarray, np.ndarray]:
    """All classes, in order, and the position of each test row's class."""
    classes = np.unique(np.concatenate([train.y, test.y]))
    return classes, np.searchsorted(classes, test.y)


def _probabilities(model: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    proba = np.asarray(model.predict_proba(X), dtype=np.float64)
    return scores.whole_table(proba, model.classes_, classes)


def regression(make: Maker, name: str, folder: Path) -> Result:
    """Means, quantiles and densities of test, whichever the method gives."""
    train, valid, test = sets.labelled(name, folder)
    estimator = make()
    model, cost = fitted(lambda: estimator.fit(train.X, train.y))
    if hasattr(model, "calibrate"):
        model.calibrate(valid)
    result = {**cost, "n_train": len(train.y)}
    for measured in (_means, _quantiles, _densities):
        result |= measured(model, test)
    return result


def _means(model: Any, test: sets.Labelled) -> Result:
    if not hasattr(model, "predict"):
        return {}
    rate = rows_per_second(model.predict, test.X)
    return {"rmse": scores.rmse(model.predict(test.X), test.y), "rows_per_second": rate}


def _quantiles(model: Any, test: sets.Labelled) -> Result:
    if not hasattr(model, "predict_quantiles"):
        return {}
    levels = getattr(model, "levels", LEVELS)
    quantiles = np.asarray(model.predict_quantiles(test.X, list(levels)))
    low, high = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
    lower, upper = (quantiles[:, np.argmin(np.abs(np.array(levels) - q))] for q in (low, high))
    rate = rows_per_second(lambda X: model.predict_quantiles(X, list(levels)), test.X)
    return {
        "crps": scores.crps(quantiles, levels, test.y),
        "covered": scores.covered(lower, upper, test.y),
        "quantile_rows_per_second": rate,
    }


def _densities(model: Any, test: sets.Labelled) -> Result:
    if not hasattr(model, "predict_distribution"):
        return {}
    found = model.predict_distribution(test.X)
    lower, upper = np.asarray(found.interval(COVERAGE)).T
    return {
        "covered": scores.covered(lower, upper, test.y),
        "width": float(np.mean(upper - lower)),
        "log_density": float(np.mean(found.log_prob(test.y))),
    }


def outliers(make: Maker, name: str, folder: Path) -> Result:
    """Fitted on normal rows alone."""
    train, _, test = sets.labelled(name, folder)
    return _detection(make, sets.normal(train), test)


def contaminated(make: Maker, name: str, folder: Path) -> Result:
    """Fitted on rows that hold some outliers, which nobody tells the method."""
    train, _, test = sets.labelled(name, folder)
    rows = sets.contaminated(train)
    share = float((rows.y == sets.OUTLIER).mean())
    return _detection(make, rows, test) | {"share": share}


def _detection(make: Maker, rows: sets.Labelled, test: sets.Labelled) -> Result:
    estimator = make()
    model, cost = fitted(lambda: estimator.fit(rows.X))
    strangeness, truth = -np.asarray(model.score_samples(test.X)), test.y == sets.OUTLIER
    return {
        **cost,
        "n_train": len(rows.y),
        "roc_auc": float(roc_auc_score(truth, strangeness)),
        "average_precision": float(average_precision_score(truth, strangeness)),
        "rows_per_second": rows_per_second(model.score_samples, test.X),
    }


def imputation(make: Maker, name: str, folder: Path) -> Result:
    """A fifth of the cells of train and of test are gone; those of test are to be restored."""
    train, _, test = sets.split(sets.load(name, folder))
    holed_train, _ = sets.knock_out(train, KNOCKED_OUT, seed=2)
    holed_test, chosen = sets.knock_out(test, KNOCKED_OUT, seed=1)
    estimator = make()
    model, cost = fitted(lambda: estimator.fit(holed_train))
    spread = train.std(numeric_only=True)
    return {
        **cost,
        "n_train": len(train),
        **scores.restored(model.transform(holed_test), test, chosen, spread),
        "rows_per_second": rows_per_second(model.transform, holed_test),
    }
