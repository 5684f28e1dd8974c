"""How well models keep up with streams, one pass beside a fit, and drift.

    python bench/stream.py --data DIR --out bench/RESULTS.md

Accuracy beside river's stream classifiers (``pip install river``), each run in a process of its
own; river learns row by row. Drift on halves of real tables with a changed column.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data
import measure
import numpy as np
import pandas as pd
import results
from comparison import Comparison, command_line
from measure import Result
from scipy.stats import ttest_ind

BATCH_ROWS = 100
STREAMS = {"elec2": ("class", ()), "gas_drift": ("gas", ("batch", "concentration"))}
LEAST = {"elec2": 0.788, "gas_drift": 0.694}
GOAL = 0.85
RIVER = ("arf", "hoeffding", "gaussian_nb")
DRIFT_TABLES = ("magic", "letter", "california_housing")
FALSE_ALARM = 0.05
N_STREAMS = {"magic": 68, "letter": 66, "california_housing": 66}  # 200 unchanged in all
N_CHANGED = 10
PASS_TABLES, PASS_ROWS = ("adult", "california_housing", "magic", "letter"), 500
NEAR = 0.005  # of the nats of a fit


# ---- accuracy ----


def load(name: str, folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows in the order of the stream, and their classes as numbers."""
    table = pd.read_parquet(folder / "tables" / f"{name}.parquet")
    target, left_out = STREAMS[name]
    return table.drop(columns=[target, *left_out]), pd.factorize(table[target])[0]


Learn = Callable[[pd.DataFrame, np.ndarray], Any]
Predict = Callable[[pd.DataFrame], np.ndarray]


def ours(n_jobs: int) -> tuple[Predict, Learn]:
    from jointprob import JEPAClassifier

    model = JEPAClassifier(random_state=0, n_jobs=n_jobs)
    predict, learn = model.predict, model.partial_fit
    return lambda X: predict(_as_read(X)), lambda X, y: learn(_as_read(X), y)


def _as_read(X: pd.DataFrame) -> Any:
    """An array where all columns are numbers: what is read fastest."""
    return X.to_numpy() if {dtype.kind for dtype in X.dtypes} <= set("iuf") else X


def last_label() -> tuple[Predict, Learn]:
    """No model: the last label that was learnt."""
    last = [0]

    def learn(X: pd.DataFrame, y: np.ndarray) -> None:
        last[0] = y[-1]

    return lambda X: np.full(len(X), last[0]), learn


def river(method: str) -> tuple[Predict, Learn]:
    from river import forest, naive_bayes, tree

    model = {
        "arf": lambda: forest.ARFClassifier(seed=0),
        "hoeffding": lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=0),
        "gaussian_nb": naive_bayes.GaussianNB,
    }[method]()

    def rows(X: pd.DataFrame) -> list[dict]:
        known = X.select_dtypes("number") if method == "gaussian_nb" else X
        return known.to_dict("records")

    def learn(X: pd.DataFrame, y: np.ndarray) -> None:
        for row, label in zip(rows(X), y.tolist(), strict=True):
            model.learn_one(row, label)

    def predict(X: pd.DataFrame) -> np.ndarray:
        said = [model.predict_one(row) for row in rows(X)]
        return np.array([-1 if label is None else label for label in said])

    return predict, learn


def prequential(predict: Predict, learn: Learn, X: pd.DataFrame, y: np.ndarray) -> Result:
    """Accuracy on all batches but the first, and CPU seconds for 1,000 rows."""
    hits, start = 0, time.process_time()
    for i in range(0, len(X), BATCH_ROWS):
        rows, labels = X[i : i + BATCH_ROWS], y[i : i + BATCH_ROWS]
        hits += int((predict(rows) == labels).sum()) if i else 0
        learn(rows, labels)
    seconds = time.process_time() - start
    return {"accuracy": hits / (len(X) - BATCH_ROWS), "seconds": 1000 * seconds / len(X)}


def streams(comparison: Comparison) -> str:
    rows = []
    for name in comparison.named(tuple(STREAMS)):
        own = comparison.ours("ours", "prequential", name, module="stream")
        peers = [comparison.peer(method, "prequential", name) for method in RIVER]
        none = comparison.peer("last_label", "prequential", name)
        rows.append(_stream_row(name, own, peers, none))
    header = (
        "stream | ours | above the best of river in print | goal .85 | ours s | "
        "ARF | s | Hoeffding adaptive tree | s | Gaussian naive Bayes | s | ARF s / ours | "
        "at least 10 | last label"
    )
    return (
        "### Accuracy, each batch of 100 rows predicted before it is learnt\n\n"
        + results.table(header, rows)
        + "\nSeconds are of CPU time for 1,000 rows. Last label: no model at all; where rows are "
        "in order of time, labels repeat. Gaussian naive Bayes sees numeric columns only.\n"
    )


def _stream_row(name: str, own: Result, peers: list[Result], none: Result) -> list[str]:
    accuracy, seconds = own.get("accuracy"), own.get("seconds")
    ratio = peers[0]["seconds"] / seconds if seconds and "seconds" in peers[0] else None
    cells = [
        cell
        for peer in peers
        for cell in (results.number(peer.get("accuracy"), 3), results.figure(peer.get("seconds")))
    ]
    return [
        name,
        results.number(accuracy, 3),
        results.verdict(None if accuracy is None else accuracy > LEAST[name]),
        results.verdict(None if accuracy is None else accuracy >= GOAL),
        results.figure(seconds),
        *cells,
        results.figure(ratio),
        results.verdict(None if ratio is None else ratio >= 10),
        results.number(none.get("accuracy"), 3),
    ]


# ---- one pass ----


def one_pass(name: str, folder: Path, n_jobs: int) -> Result:
    """Nats per test row after a fit, and after one pass over shuffled batches."""
    from jointprob import JEPADensity

    split = data.load("mixed", name, folder)
    fitted = JEPADensity(random_state=0, n_jobs=n_jobs).fit(split.train)
    stream = JEPADensity(random_state=0, n_jobs=n_jobs)
    for i in range(0, len(split.train), PASS_ROWS):
        stream.partial_fit(split.train[i : i + PASS_ROWS])
    return {"fit": fitted.score(split.test), "pass": stream.score(split.test)}


def passes(comparison: Comparison) -> str:
    """Is a stream that never forgets as good as a fit?"""
    rows = []
    for name in comparison.named(PASS_TABLES):
        own = comparison.ours("one_pass", "one_pass", name, module="stream")
        less = (own["fit"] - own["pass"]) / abs(own["fit"]) if "fit" in own else None
        rows.append(
            [
                name,
                results.number(own.get("fit"), 3),
                results.number(own.get("pass"), 3),
                "-" if less is None else f"{less:.2%}",
                results.verdict(None if less is None else less <= NEAR),
            ]
        )
    return (
        "### One pass that never forgets, nats per test row\n\n"
        + results.table(f"table | fit | one pass | below the fit | at most {NEAR:.1%}", rows)
        + f"\nShuffled rows in batches of {PASS_ROWS}.\n"
    )


# ---- drift ----


def monitored(name: str, folder: Path, n_jobs: int) -> Result:
    """Alarms on unchanged streams; delay and the column named on changed ones."""
    from jointprob import JEPADensity

    table = data.load("mixed", name, folder).train
    X = table.sample(frac=1, random_state=0).reset_index(drop=True)
    third = len(X) // 3
    joint = JEPADensity(random_state=0, n_trees=1, n_jobs=n_jobs).fit(X[:third]).joint_
    rest = X[third:].reset_index(drop=True)
    false = sum(
        _alarm(joint, _halves(rest, seed), n_jobs) is not None for seed in range(N_STREAMS[name])
    )
    out: Result = {"false_alarms": false, "n_streams": N_STREAMS[name]}
    for change in ("permuted", "shifted"):
        drawn = [_changed(rest, change, seed) for seed in range(N_CHANGED)]
        found = [_found(joint, *one, n_jobs) for one in drawn]
        delays = [delay for delay, _ in found if delay is not None]
        out[change] = {
            "detectable": sum(_detectable(joint, *one, n_jobs) for one in drawn),
            "found": len(delays),
            "delay": float(np.median(delays)) if delays else None,
            "named": sum(named for _, named in found),
        }
    return out


def _halves(rest: pd.DataFrame, seed: int) -> pd.DataFrame:
    """3,000 rows in an order of their own."""
    return rest.sample(n=min(3000, len(rest)), random_state=seed).reset_index(drop=True)


def _alarm(joint: Any, stream: pd.DataFrame, n_jobs: int, after: int = 0) -> Any:
    """The first alarm after so many rows."""
    from jointprob.adapt.drift import DriftMonitor

    monitor = DriftMonitor(joint, false_alarm=FALSE_ALARM, n_jobs=n_jobs)
    for i in range(0, len(stream), BATCH_ROWS):
        report = monitor.update(stream[i : i + BATCH_ROWS])
        if report.drift and report.n_rows > after:
            return report
    return None


def _changed(rest: pd.DataFrame, change: str, seed: int) -> tuple[pd.DataFrame, int, str]:
    """A stream, the rows before its change, and the column that changes."""
    stream, random = _halves(rest, seed), np.random.default_rng(seed)
    half = len(stream) // 2 // BATCH_ROWS * BATCH_ROWS
    numeric = stream.select_dtypes("number").columns
    column = random.choice(list(stream.columns if change == "permuted" else numeric))
    tail = stream[column][half:]
    if change == "permuted":
        new = tail.to_numpy()[random.permutation(len(tail))]
    else:
        new = tail + stream[column].std()
    stream[column] = pd.concat([stream[column][:half], pd.Series(new, index=tail.index)])
    return stream, half, column


def _found(
    joint: Any, stream: pd.DataFrame, half: int, column: str, n_jobs: int
) -> tuple[int | None, bool]:
    report = _alarm(joint, stream, n_jobs, after=half)
    if report is None:
        return None, False
    return report.n_rows - half, next(iter(report.columns or {}), None) == column


def _detectable(joint: Any, stream: pd.DataFrame, half: int, column: str, n_jobs: int) -> bool:
    """Could one who knows the column and the place tell all rows after it from those before?

    By a t test of the column's log density given the other columns, with and without that of the
    column alone, at the rate of false alarms.
    """
    given = -joint.explain(stream, n_jobs=n_jobs)[column].to_numpy()
    alone = joint.marginal([column]).log_prob(stream[[column]], n_jobs=n_jobs)
    tests = [
        ttest_ind(v[:half], v[half:], equal_var=False, nan_policy="omit").pvalue
        for v in (given, given - alone)
    ]
    return bool(2 * min(tests) < FALSE_ALARM)


def drift(comparison: Comparison) -> str:
    rows = []
    for name in comparison.named(DRIFT_TABLES):
        own = comparison.ours("monitor", "monitored", name, module="stream")
        cells = [f"{own.get('false_alarms', '-')} of {own.get('n_streams', '-')}"]
        for change in ("permuted", "shifted"):
            found = own.get(change, {})
            cells += [f"{found.get(key, '-')} of {N_CHANGED}" for key in ("detectable", "found")]
            cells += [results.figure(found.get("delay"))]
            cells += [f"{found.get('named', '-')} of {N_CHANGED}"]
        rows.append([name, *cells])
    header = (
        "table | false alarms | permuted: detectable | found | rows until then "
        "| column named first | shifted: detectable | found | rows until then "
        "| column named first"
    )
    return (
        "### Drift monitor\n\n"
        + results.table(header, rows)
        + f"\nStreams of 3,000 rows in batches of 100; stated false alarms {FALSE_ALARM:g} a "
        "stream. A column is permuted, or shifted by its deviation, after half of them; median "
        "rows until the alarm. Detectable: the column's density given the others differs, by a "
        "t test of one who knows the column and the place.\n"
    )


SECTIONS = {"streams": streams, "one pass": passes, "drift": drift}


def work(task: dict[str, Any]) -> Result:
    """In the fresh process: run one method on one set."""
    folder, method = Path(task["data"]), task["method"].rpartition(".")[2]
    if task["kind"] == "monitored":
        return monitored(task["name"], folder, task["options"]["n_jobs"])
    if task["kind"] == "one_pass":
        return one_pass(task["name"], folder, task["options"]["n_jobs"])
    own = {"ours": lambda: ours(**task["options"]), "last_label": last_label}
    predict, learn = own.get(method, lambda: river(method))()
    return prequential(predict, learn, *load(task["name"], folder))


def compare(arguments: list[str]) -> None:
    options = command_line(__doc__.splitlines()[0], SECTIONS).parse_args(arguments)
    heading = f"## Streams\n\n{results.machine(['river'])}\nAll methods: default settings.\n"
    Comparison(options, Path(__file__)).report("stream", heading, SECTIONS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        measure.hand_back(work(json.loads(sys.argv[2])))
    else:
        compare(sys.argv[1:])
