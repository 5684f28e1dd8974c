"""The sections of the comparison in service, each a function that returns Markdown."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import data
import numpy as np
import pandas as pd
from comparison import Comparison
from measure import Result
from results import figure, number, table
from threadpoolctl import threadpool_limits

from jointprob import JEPAClassifier, JEPADensity, JEPARegressor

TABLES = {"20 columns": "10 numbers and 10 categories, 5 % missing (synthetic)", "adult": ""}
NAMES = {
    "scorer": "scorer, 64 subsets in one tree",
    "bag": "scorer, default bag",
    "posterior": "scorer of a column's levels, default bag",
    "frame": "Joint.log_prob of a frame, default bag",
    "classifier": "JEPAClassifier.predict_proba",
    "regressor": "JEPARegressor.predict",
    "mixture": "GaussianMixture(64).score_samples",
    "forest": "RandomForestClassifier.predict_proba",
    "boosting": "LightGBM predict_proba",
}
ROUNDS, BURST = 40, 10
BATCH_ROWS, BATCH_ROUNDS = 20_000, 5
N_CALLS = 10_000_000

Calls = dict[str, Callable[[int], Any]]  # of a row's number


def one_row(comparison: Comparison) -> str:
    parts = ["### One row, microseconds\n\n"]
    for name, what in TABLES.items():
        if comparison.options.sets and name not in comparison.options.sets:
            continue
        run = comparison.together("one_row_trial", "one row", name)
        rows = [
            [NAMES[method], figure(run[method][0]), figure(run[method][1])]
            for method in NAMES
            if method in run
        ]
        parts.append(f"#### {name}{': ' * bool(what)}{what}\n\n")
        parts.append(table("method | median | 99 % within", rows) + "\n")
    parts.append(
        f"From Python, one thread, {ROUNDS * BURST} calls, methods in turns, {BURST} calls each. "
        "Peers get one float64 row (categories as codes, 0 for missing cells), we a row with its "
        "missing cells, the methods for frames a frame of one row.\n"
    )
    return "".join(parts)


def batches(comparison: Comparison) -> str:
    parts = [f"### Batches of {BATCH_ROWS:,} rows, rows per second\n\n"]
    for name in TABLES:
        if comparison.options.sets and name not in comparison.options.sets:
            continue
        run = comparison.together("batch_trial", "batches", name)
        rows = [
            [NAMES[method], *(figure(rate) for rate in run[method])]
            for method in NAMES
            if method in run
        ]
        parts.append(f"#### {name}\n\n{table('method | 1 thread | 2 threads', rows)}\n")
    return "".join(parts)


def steady(comparison: Comparison) -> str:
    run = comparison.together("steady_trial", "steady", "20 columns", n_calls=N_CALLS)
    if "growth" not in run:
        return ""
    same = "the same bits" if run["same"] else "**other bits**"
    return (
        f"### Many calls\n\n{N_CALLS:,} calls of one row: resident memory grew by "
        f"{number(run['growth'] / 1e3, 0)} kB after the first thousand. 8 threads on one scorer, "
        f"{run['shared']:,} rows each: {same}.\n"
    )


# ---- in the fresh process ----


class Fitted:
    """One table, and every method fitted to it when it is first asked for."""

    def __init__(self, name: str, folder: Path) -> None:
        self.train, self.test = _frames(name, folder)
        kinds = [isinstance(dtype, pd.CategoricalDtype) for dtype in self.train.dtypes]
        self.label = self.train.columns[kinds.index(True)]
        self.number = self.train.columns[kinds.index(False)]
        self.bag = JEPADensity(random_state=0).fit(self.train).joint_
        self.scorer = self.bag.compile()
        self.rows = self.scorer.to_rows(self.test)
        self.filled = np.nan_to_num(self.rows)
        self.known = np.nan_to_num(self.scorer.to_rows(self.train))

    def one_tree(self) -> Any:
        model = JEPADensity(n_subsets=64, n_trees=1, random_state=0)
        return model.fit(self.train).joint_.compile()

    def labelled(self, column: str) -> tuple[pd.DataFrame, pd.Series]:
        rows = self.train[self.train[column].notna()]
        return rows.drop(columns=column), rows[column]

    def frames(self, column: str) -> list[pd.DataFrame]:
        """Frames of one row, made before the clock runs."""
        return [self.test.iloc[[i]].drop(columns=column) for i in range(ROUNDS * BURST)]

    def peers(self) -> dict[str, Any]:
        from lightgbm import LGBMClassifier
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.mixture import GaussianMixture

        j = self.train.columns.get_loc(self.label)
        X, y = np.delete(self.known, j, axis=1), self.known[:, j]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {
                "mixture": GaussianMixture(64, reg_covar=1e-3, random_state=0).fit(self.known),
                "forest": RandomForestClassifier(random_state=0, n_jobs=1).fit(X, y),
                "boosting": LGBMClassifier(verbose=-1, n_jobs=1, random_state=0).fit(X, y),
            }

    def without_label(self) -> np.ndarray:
        return np.delete(self.filled, self.train.columns.get_loc(self.label), axis=1).copy()


def _frames(name: str, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    if name == "20 columns":
        return data.synthetic(3_000, 20), data.synthetic(BATCH_ROWS, 20, seed=1)
    split = data.load("mixed", name, folder)
    return split.train, split.test


def one_row_trial(name: str, folder: Path, with_ours: bool, with_peers: bool) -> Result:
    """(median, 99th percentile) microseconds of every method."""
    fitted, calls = Fitted(name, folder), {}
    if with_ours:
        calls |= _our_calls(fitted)
    if with_peers:
        calls |= _peer_calls(fitted)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        return _in_turns(calls)


def _our_calls(fitted: Fitted) -> Calls:
    rows = list(fitted.rows)
    tree, levels = fitted.one_tree(), fitted.bag.compile(("levels", fitted.label))
    whole = [fitted.test.iloc[[i]] for i in range(ROUNDS * BURST)]
    classes, numbers = fitted.frames(fitted.label), fitted.frames(fitted.number)
    classifier = JEPAClassifier(random_state=0).fit(*fitted.labelled(fitted.label))
    regressor = JEPARegressor(random_state=0).fit(*fitted.labelled(fitted.number))
    classifier.set_params(n_jobs=1), regressor.set_params(n_jobs=1)
    return {
        "scorer": lambda i: tree(rows[i]),
        "bag": lambda i: fitted.scorer(rows[i]),
        "posterior": lambda i: levels(rows[i]),
        "frame": lambda i: fitted.bag.log_prob(whole[i], n_jobs=1),
        "classifier": lambda i: classifier.predict_proba(classes[i]),
        "regressor": lambda i: regressor.predict(numbers[i]),
    }


def _peer_calls(fitted: Fitted) -> Calls:
    models, rows, X = fitted.peers(), fitted.filled, fitted.without_label()
    return {
        "mixture": lambda i: models["mixture"].score_samples(rows[i : i + 1]),
        "forest": lambda i: models["forest"].predict_proba(X[i : i + 1]),
        "boosting": lambda i: models["boosting"].predict_proba(X[i : i + 1]),
    }


def _in_turns(calls: Calls) -> Result:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(ROUNDS):
        for name, call in calls.items():
            call(turn)  # the one that finds the caches full of another method
            for i in range(turn * BURST, (turn + 1) * BURST):
                start = perf_counter()
                call(i)
                seconds[name].append(perf_counter() - start)
    return {
        name: [1e6 * float(np.quantile(one, q)) for q in (0.5, 0.99)]
        for name, one in seconds.items()
    }


def batch_trial(name: str, folder: Path, with_ours: bool, with_peers: bool) -> Result:
    """Rows per second of every method on one and two threads: the best of several turns."""
    fitted = Fitted(name, folder)
    rows, filled, X = fitted.rows[:BATCH_ROWS], fitted.filled[:BATCH_ROWS], fitted.without_label()
    X, frame = X[:BATCH_ROWS], fitted.test.iloc[:BATCH_ROWS]
    calls: dict[str, Callable[[int], Any]] = {}
    if with_ours:
        tree = fitted.one_tree()
        calls |= {
            "scorer": lambda n: tree(rows, n_jobs=n),
            "bag": lambda n: fitted.scorer(rows, n_jobs=n),
            "frame": lambda n: fitted.bag.log_prob(frame, n_jobs=n),
        }
    if with_peers:
        models = fitted.peers()
        calls |= {
            "mixture": lambda n: models["mixture"].score_samples(filled),
            "forest": lambda n: models["forest"].set_params(n_jobs=n).predict_proba(X),
            "boosting": lambda n: models["boosting"].predict_proba(X, num_threads=n),
        }
    return {method: _rates(call, len(rows)) for method, call in calls.items()}


def _rates(call: Callable[[int], Any], n_rows: int) -> list[float]:
    best = [np.inf, np.inf]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(BATCH_ROUNDS):
            for n in (1, 2):
                with threadpool_limits(n):
                    start = perf_counter()
                    call(n)
                    best[n - 1] = min(best[n - 1], perf_counter() - start)
    return [n_rows / seconds for seconds in best]


def steady_trial(
    name: str, folder: Path, n_calls: int, with_ours: bool, with_peers: bool
) -> Result:
    """Growth of resident memory over many calls, and what threads that share a scorer say."""
    fitted = Fitted(name, folder)
    tree, rows = fitted.one_tree(), list(fitted.rows[:1000])
    want = [tree(row) for row in rows]
    answers: list[list[float]] = [[] for _ in range(8)]
    threads = [
        threading.Thread(target=lambda to=to: to.extend(tree(row) for row in rows))
        for to in answers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = _resident()
    for _ in range(n_calls // len(rows)):
        for row in rows:
            tree(row)
    same = all(one == want for one in answers)
    return {"growth": _resident() - before, "same": same, "shared": len(rows)}


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
