"""The commands, one function each: arguments in, files and lines out."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Grid

from jointprob import files
from jointprob.cli import tables
from jointprob.cli.questions import parse

BATCH_ROWS = 50_000

ModelFile = Annotated[Path, typer.Argument(help="A file that `jointprob fit` wrote.")]
DataFile = Annotated[
    str, typer.Argument(help="CSV, Parquet, or a folder of it; - is CSV from standard input.")
]
Output = Annotated[str, typer.Option("--output", "-o", help="CSV or Parquet; - is CSV to stdout.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, an object a row.")]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]
Columns = dict[str, Any]


class Kind(StrEnum):
    """What can be fitted."""

    auto = "auto"
    density = "density"
    classifier = "classifier"
    regressor = "regressor"
    outliers = "outliers"
    imputer = "imputer"


def fit(
    data: DataFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="The model's file.")],
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    kind: Annotated[
        Kind, typer.Option(help="auto: a density, or with a target what predicts it.")
    ] = Kind.auto,
    categorical: Annotated[
        list[str] | None, typer.Option(help="A column of numbers that are levels; repeatable.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column that counts repeats of rows.")] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="A column to leave out; repeatable.")
    ] = None,
    seed: Seed = 0,
    jobs: Annotated[int | None, typer.Option(help="Threads; all cores if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a model to a table and write it to a file."""
    _check_folder(output)
    table = tables.read(data)
    for name in drop or []:
        _, table = _taken(table, name, data)
    y, table = _taken(table, target, data)
    weights, table = _taken(table, weight, data)
    _refuse_dates(table, data)
    chosen = _chosen(kind, target, y)
    estimator = _new(chosen)(
        random_state=seed,
        n_jobs=jobs,
        verbose=int(sys.stderr.isatty()),
        categorical_features=_levelled(table, categorical or [], data),
    )
    given = {} if weights is None else {"sample_weight": weights.to_numpy()}
    with naming(data):
        if y is None:
            estimator.fit(table, **given)
        else:
            known = y.is_valid()  # rows whose target is missing teach nothing of it
            given = {key: value[known.to_numpy()] for key, value in given.items()}
            estimator.fit(table.filter(known), _array(y.filter(known)), **given)
    estimator.set_params(verbose=0, n_jobs=None)
    estimator.save(output)
    told = {
        "file": str(output), "class": type(estimator).__name__, "bytes": output.stat().st_size,
        "rows": estimator.joint_.n_rows, "columns": len(estimator.joint_.schema),
    }  # fmt: skip
    if as_json:
        print(json.dumps(told))
    else:
        print(
            f"{told['class']} of {told['rows']:g} rows and {told['columns']} columns: "
            f"{output}, {told['bytes']:,} bytes"
        )


def score(model: ModelFile, data: DataFile, output: Output = "-", as_json: AsJson = False) -> None:
    """Log density of every row, nats; of an outlier detector how normal each row is."""
    loaded, joint = load(model)
    ask = loaded.score_samples if hasattr(loaded, "score_samples") else joint.log_prob
    name = "score" if type(loaded).__name__ == "JEPAOutlierDetector" else "log_prob"
    _answer(data, joint, lambda rows: {name: ask(rows)}, output, as_json)


def predict(
    model: ModelFile,
    data: DataFile,
    proba: Annotated[bool, typer.Option(help="Probabilities of all classes too.")] = False,
    interval: Annotated[
        float | None, typer.Option(help="Ends of an interval that holds so much, such as 0.9.")
    ] = None,
    output: Output = "-",
    as_json: AsJson = False,
) -> None:
    """Predict every row: its class, its number with --interval, or -1 for an outlier."""
    loaded, joint = load(model)
    name = type(loaded).__name__
    if not hasattr(loaded, "predict"):
        raise ValueError(f"{model}: a {name} predicts no column; impute and query do")
    if proba and name != "JEPAClassifier":
        raise ValueError(f"{model}: --proba needs a classifier, and it holds a {name}")
    if interval is not None and name != "JEPARegressor":
        raise ValueError(f"{model}: --interval needs a regressor, and it holds a {name}")
    if interval is not None and not 0 < interval < 1:
        raise ValueError(f"--interval is {interval:g}; allowed are shares between 0 and 1, as 0.9")

    def ask(rows: Any) -> Columns:
        said: Columns = {"prediction": loaded.predict(rows)}
        if proba:
            shares = loaded.predict_proba(rows)
            said |= {f"P({c})": shares[:, i] for i, c in enumerate(loaded.classes_.tolist())}
        if interval is not None:
            ends = loaded.predict_distribution(rows).interval(interval)
            said |= {"low": ends[:, 0], "high": ends[:, 1]}
        return said

    _answer(data, joint, ask, output, as_json)


def sample(
    model: ModelFile,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="How many.")] = 10,
    seed: Seed = 0,
    output: Output = "-",
    as_json: AsJson = False,
) -> None:
    """Draw rows like those of the fit."""
    tables.check_output(output, as_json)
    _, joint = load(model)
    tables.write(_columns(joint.sample(rows, random_state=seed), joint), output, as_json)


def impute(
    model: ModelFile,
    data: DataFile,
    method: Annotated[
        str | None, typer.Option(help="mean, median, mode or sample; median if not given.")
    ] = None,
    seed: Seed = 0,
    output: Output = "-",
    as_json: AsJson = False,
) -> None:
    """Fill the missing cells of every row from its other cells."""
    tables.check_output(output, as_json)
    loaded, joint = load(model)
    rows = tables.read(data, joint.schema)
    with naming(data):
        if hasattr(loaded, "transform"):
            loaded.set_params(**({"strategy": method} if method else {}), random_state=seed)
            filled = loaded.transform(rows)
        else:
            filled = joint.impute(rows, method or "median", random_state=seed)
    tables.write(_columns(filled, joint), output, as_json)


def explain(
    model: ModelFile, data: DataFile, output: Output = "-", as_json: AsJson = False
) -> None:
    """What every cell adds, nats: to the surprise of its row, or to the class predicted."""
    loaded, joint = load(model)
    ask = loaded.explain if hasattr(loaded, "explain") else joint.explain
    _answer(data, joint, lambda rows: _columns(ask(rows), joint), output, as_json)


def query(
    model: ModelFile,
    question: Annotated[
        str, typer.Argument(help='"P(age > 40 | sex = \'F\')", "E(age | ...)", mode, median.')
    ],
    as_json: AsJson = False,
) -> None:
    """Ask the model: a probability, an expectation, a median, a mode."""
    asked = parse(question)
    _, joint = load(model)
    answer = asked.answer(joint)
    answer = answer.item() if isinstance(answer, np.generic) else answer
    print(json.dumps({"question": question, "answer": answer}) if as_json else _shown(answer))


def info(model: ModelFile, as_json: AsJson = False) -> None:
    """What a model's file says of itself."""
    told = files.describe(model)
    if as_json:
        print(json.dumps(told))
        return
    training = told["training"]
    print(f"{told['class']}, written by jointprob {told['library_version']}")
    print(f"{training['rows']:g} rows, {training['trees']} trees of the joint")
    grid = Grid("column", "kind", "levels")
    for column in told["schema"]["columns"]:
        levels = ", ".join(map(str, column["levels"][:8]))
        more = len(column["levels"]) - 8
        grid.add_row(
            str(column["name"]),
            column["kind"],
            f"{levels}, and {more} more" if more > 0 else levels,
        )
    Console(width=None if sys.stdout.isatty() else 120).print(grid)


# ---- models ----


def load(path: Path) -> tuple[Any, Any]:
    """A model and its joint."""
    loaded = files.load(path)
    return loaded, getattr(loaded, "joint_", loaded)


def _new(kind: Kind) -> Any:
    import jointprob

    names = {
        Kind.density: "JEPADensity",
        Kind.classifier: "JEPAClassifier",
        Kind.regressor: "JEPARegressor",
        Kind.outliers: "JEPAOutlierDetector",
        Kind.imputer: "JEPAImputer",
    }
    return getattr(jointprob, names[kind])


def _chosen(kind: Kind, target: str | None, y: Any) -> Kind:
    predicts = kind in (Kind.classifier, Kind.regressor)
    if predicts and target is None:
        raise ValueError(f"a {kind} needs a --target")
    if target is not None and kind not in (Kind.auto, Kind.classifier, Kind.regressor):
        raise ValueError(f"--target is not for {kind}: it learns all columns alike")
    if kind is not Kind.auto:
        return kind
    if target is None:
        return Kind.density
    return Kind.regressor if _is_number(y.type) else Kind.classifier


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


# ---- rows ----


def _taken(table: Any, name: str | None, data: str) -> tuple[Any, Any]:
    """A column on its own, and the others."""
    if name is None:
        return None, table
    if name not in table.column_names:
        raise ValueError(f"{data}: no column {name!r}; the columns are {table.column_names!r}")
    return table[name].combine_chunks(), table.drop_columns([name])


def _check_folder(output: Path) -> None:
    """OSError before a long fit, not after it, where its model could not be written."""
    fault = None if output.parent.is_dir() else errno.ENOENT
    if fault is None and not os.access(output.parent, os.W_OK):
        fault = errno.EACCES
    if fault is not None:
        raise OSError(fault, os.strerror(fault), str(output))


def _refuse_dates(table: Any, data: str) -> None:
    for field in table.schema:
        if pa.types.is_temporal(field.type):
            raise ValueError(
                f"{data}: column {field.name!r} holds dates or times ({field.type}); allowed are "
                f"numbers and levels: make it a number, or leave it out with --drop {field.name!r}"
            )


def _array(column: Any) -> Any:
    """A target as scikit-learn takes it."""
    values = column.to_numpy(zero_copy_only=False)
    return values.astype(str) if values.dtype == object else values


def _levelled(table: Any, named: list[str], data: str) -> list[str]:
    """Columns of levels: texts, true and false, and those that are named."""
    for name in named:
        _taken(table, name, data)
    return [f.name for f in table.schema if f.name in named or not _is_number(f.type)]


def _answer(
    data: str, joint: Any, ask: Callable[[Any], Columns], output: str, as_json: bool
) -> None:
    """Ask about the rows of a file, some at a time, and write what is said."""
    tables.check_output(output, as_json)
    rows = tables.read(data, joint.schema)
    parts: list[Columns] = []
    console, shown = Console(stderr=True), sys.stderr.isatty()
    with Progress(console=console, disable=not shown, redirect_stdout=False) as progress:
        starts = range(0, max(1, len(rows)), BATCH_ROWS)
        for start in progress.track(starts, description=Path(data).name):
            with naming(data):
                parts.append(ask(rows.slice(start, BATCH_ROWS)))
    joined = {name: np.concatenate([np.asarray(p[name]) for p in parts]) for name in parts[0]}
    tables.write(joined, output, as_json)


class naming:
    """Errors inside name the file as well."""

    def __init__(self, data: str) -> None:
        self.data = data

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, ValueError | TypeError):
            raise ValueError(f"{self.data}: {error}") from None


def _columns(table: Any, joint: Any) -> Columns:
    """The columns of whatever the model gives: a frame, an array or a dict."""
    if isinstance(table, np.ndarray):
        return {str(name): table[:, i] for i, name in enumerate(joint.schema.names)}
    if isinstance(table, pa.Table):
        return {name: table[name] for name in table.column_names}
    names = list(table) if isinstance(table, dict) else list(table.columns)
    return {str(name): np.asarray(table[name]) for name in names}


def _shown(answer: Any) -> str:
    return f"{answer:.6g}" if isinstance(answer, float) else str(answer)
