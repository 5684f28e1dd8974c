"""The command that watches rows as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

from jointprob.adapt.drift import DriftMonitor, DriftReport
from jointprob.cli import tables
from jointprob.cli.commands import DataFile, ModelFile, load, naming

DRIFT = 3  # exit code of `drift` after an alarm; 1 is an error, 2 the usage


def drift(
    model: ModelFile,
    data: DataFile,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows looked at together.")] = 200,
    false_alarms: Annotated[
        float,
        typer.Option(
            "--false-alarms", "--alpha",
            help="Probability that a stream without change ever raises an alarm.",
        ),
    ] = 0.05,
    reference: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="Table of rows that are as they should be, and that the model was not fitted to.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, an object a batch.")] = False,
) -> None:  # fmt: skip
    """Are rows, in their order, still what the model expects? Exit code 3 where they are not.

    Every alarm says after which row it came, where the change began, by how many nats a row the
    log density has fallen, and which columns and pairs of columns moved. With a reference, rows
    are held against it from the first one on.
    """
    joint, usual = load(model)[1], None
    if reference is not None:
        usual = tables.read(str(reference), joint.schema)
    with naming(data if reference is None else str(reference)):
        monitor = DriftMonitor(joint, reference=usual, false_alarm=false_alarms)
    alarms = 0
    for rows in _followed(data, tables.batches(data, monitor.joint_.schema, batch_size)):
        with naming(data):
            report = monitor.update(rows)
        alarms += report.drift
        if as_json:
            print(json.dumps(_told(report)), flush=True)
        elif report.drift:
            print(_alarm(report), flush=True)
    if not as_json:
        print(f"{alarms} alarm{'s' * (alarms != 1)} in {monitor.n_rows_:,} rows")
    if alarms:
        raise typer.Exit(DRIFT)


def _followed(data: str, batches: Iterator[Any]) -> Iterator[Any]:
    """Batches, with a line of progress where someone looks on."""
    console = Console(stderr=True)
    line = Progress(
        SpinnerColumn(), "{task.description} {task.completed:,} rows", TimeElapsedColumn(),
        console=console, disable=not sys.stderr.isatty(), redirect_stdout=sys.stdout.isatty(),
    )  # fmt: skip
    with line:
        task = line.add_task(Path(data).name, total=None)
        for rows in batches:
            yield rows
            line.advance(task, len(rows))


def _told(report: DriftReport) -> dict[str, Any]:
    """A report as JSON has it: pairs as a list, and of an alarm where the change began."""
    told = {name: getattr(report, name) for name in ("drift", "n_rows", "log_prob", "expected")}
    if report.drift:
        pairs = [
            {"columns": [list(names) for names in pair], "nats": nats}
            for pair, nats in (report.pairs or {}).items()
        ]
        told |= {"first_row": _first_row(report), "nats": report.nats, "columns": report.columns}
        told["pairs"] = pairs
    return told


def _alarm(report: DriftReport) -> str:
    """An alarm in a few lines."""
    moved = [f"{name} {nats:+.3g}" for name, nats in (report.columns or {}).items()]
    pairs = [
        f"{' '.join(map(str, one))} - {' '.join(map(str, other))} {nats:.3g}"
        for (one, other), nats in (report.pairs or {}).items()
    ]
    lines = [
        f"row {report.n_rows:,}: drift since about row {_first_row(report):,}, "
        f"{report.nats:.3g} nats a row below before",
        f"  columns: {', '.join(moved) or 'none stands out'}",
        f"  pairs: {', '.join(pairs) or 'none stands out'}",
    ]
    return "\n".join(lines)


def _first_row(report: DriftReport) -> int:
    return report.n_rows - report.n_since + 1
