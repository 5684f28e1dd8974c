"""Models outside the package's own calls: in onnxruntime, in numba's loops, with a user's density.

    python bench/elsewhere.py --data DIR --out bench/RESULTS.md

One thread each, one process; times are the best of several turns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import data
import numpy as np
import pandas as pd
import results
from comparison import Comparison, command_line
from measure import rows_per_second
from results import figure, number, table

from jointprob import JEPAClassifier, JEPADensity, Joint, jit
from jointprob.jit import Family

TARGETS = {"adult": "income", "hypothyroid": "class", "letter": "class"}
FIT_ROWS, SCORED_ROWS, STRANGE_ROWS = 3000, 1000, 100
MISSING_SHARE = 0.1  # of the cells of rows that miss them as no row did in fit
WAITING_ROWS = (300, 1000, 4000)


# ---- onnxruntime ----


def onnx(comparison: Comparison) -> str:
    rows = [
        row
        for name in comparison.options.sets or TARGETS
        for row in _onnx_rows(name, comparison.options.data)
    ]
    header = "model | MB | microseconds a row, ours | onnxruntime | largest difference"
    return (
        f"### ONNX\n\nFitted to {FIT_ROWS:,} rows, {SCORED_ROWS:,} in a batch; differences of log "
        "densities are relative to the larger of 1 and the density's own.\n\n" + table(header, rows)
    )


def _onnx_rows(name: str, folder: Path) -> list[list[str]]:
    train, _, test = data.load("mixed", name, folder)
    target = TARGETS[name]
    y, X = train[target][:FIT_ROWS], train.drop(columns=target)[:FIT_ROWS]
    new = test.drop(columns=target)[:SCORED_ROWS].reset_index(drop=True)
    joint = JEPADensity(random_state=0).fit(X).joint_
    classifier = JEPAClassifier(random_state=0, n_jobs=1).fit(X, y.astype(str))
    gone = np.random.default_rng(0).random(new.shape) < MISSING_SHARE
    strange = new.mask(gone)[:STRANGE_ROWS]
    return [
        _compared(f"{name}, joint", joint, 0, lambda X: joint.log_prob(X, n_jobs=1), new),
        _compared(f"{name}, classifier", classifier, 1, classifier.predict_proba, new),
        _compared(
            f"{name}, classifier, other gaps", classifier, 1, classifier.predict_proba, strange
        ),
    ]


def _compared(what: str, model: Any, output: int, ours: Any, X: pd.DataFrame) -> list[str]:
    import onnxruntime

    graph = model.to_onnx().SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options)
    fed = {value.name: _cells(X[value.name], value.type) for value in session.get_inputs()}
    said, expected = session.run(None, fed)[output], ours(X)
    apart = np.abs(said - expected) / np.maximum(1, np.abs(expected))
    rates = rows_per_second(ours, X), rows_per_second(_Run(session, fed), X)
    micro = (figure(1e6 / rate) for rate in rates)
    return [what, number(len(graph) / 1e6, 1), *micro, f"{apart.max():.1e}"]


class _Run:
    """The session on cells that it has been given before the clock runs."""

    def __init__(self, session: Any, fed: dict[str, Any]) -> None:
        self.session, self.fed = session, fed

    def __call__(self, X: pd.DataFrame) -> Any:
        return self.session.run(None, self.fed)


def _cells(column: pd.Series, kind: str) -> Any:
    if kind == "tensor(string)":
        return column.astype(object).where(column.notna(), "").to_numpy()[:, None]
    return column.astype(float).to_numpy()[:, None]


# ---- numba ----


def loops(comparison: Comparison) -> str:
    import numba

    train, _, test = data.load("mixed", "adult", comparison.options.data)
    joint: Joint = JEPADensity(random_state=0).fit(train[:FIT_ROWS]).joint_
    scorer, log_prob = joint.compile(), jit.log_prob(joint)
    rows = scorer.to_rows(test[:SCORED_ROWS])

    @numba.njit
    def every(rows: Any) -> Any:
        return np.array([log_prob(row) for row in rows])

    same = "the same bits" if every(rows).tobytes() == scorer(rows).tobytes() else "**other bits**"
    calls = {
        "jit.log_prob in a loop": every,
        "Scorer, a row a call": lambda rows: [scorer(row) for row in rows],
        "Scorer, all rows in a call": lambda rows: scorer(rows, n_jobs=1),
    }
    timed = [[what, figure(1e6 / rows_per_second(call, rows))] for what, call in calls.items()]
    return (
        f"### Numba\n\nadult, default bag; {same}.\n\n{table('what | microseconds a row', timed)}"
    )


# ---- a density of the user's own ----


def families(comparison: Comparison) -> str:
    """Exponential waits of two kinds of customers: the truth is known."""
    family, new = Family(_log_pdf, _estimate, n_parameters=1), _waits(20_000, 1)
    rows = []
    for n in WAITING_ROWS:
        X = _waits(n, 0)
        models = JEPADensity(random_state=0), JEPADensity(families={"wait": family}, random_state=0)
        scores = (model.fit(X).score(new) for model in models)
        rows.append([f"{n:,}", *(number(_truth(new) - score, 3) for score in scores)])
    header = "rows | without a family | with the exponential family"
    return f"### Own densities: nats a row short of the truth\n\n{table(header, rows)}"


def _log_pdf(x: float, parameters: np.ndarray) -> float:
    return np.log(parameters[0]) - parameters[0] * x if x >= 0 else -np.inf


def _estimate(x: np.ndarray, weight: np.ndarray, parameters: np.ndarray) -> None:
    parameters[0] = weight.sum() / (weight * x).sum()


RATES, ERROR = np.array([0.1, 1.0]), 0.1


def _waits(n_rows: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = rng.integers(2, size=n_rows)
    told = np.where(rng.random(n_rows) < ERROR, 1 - group, group)
    wait, y = rng.exponential(1 / RATES[group]), rng.normal(3.0 * group)
    return {"kind": np.array(["a", "b"])[told], "wait": wait, "y": y}


def _truth(X: dict[str, np.ndarray]) -> float:
    density = 0.0
    for group, rate in enumerate(RATES):
        told = np.where((X["kind"] == "b") == group, 1 - ERROR, ERROR)
        y = np.exp(-0.5 * (X["y"] - 3 * group) ** 2) / np.sqrt(2 * np.pi)
        density = density + 0.5 * told * y * rate * np.exp(-rate * X["wait"])
    return float(np.log(density).mean())


SECTIONS = {"onnx": onnx, "numba": loops, "families": families}


def main() -> None:
    options = command_line(__doc__.splitlines()[0], SECTIONS).parse_args()
    heading = f"## Elsewhere\n\n{results.machine(['onnxruntime', 'numba'])}"
    Comparison(options, Path(__file__)).report("elsewhere", heading, SECTIONS)


if __name__ == "__main__":
    main()
