"""Tables larger than memory: the same rows in memory, out of core, and on Dask.

    python bench/scale.py --out bench/RESULTS.md

The rows are those of `bench/data.py`, written as Parquet to a temporary folder. Every fit runs in a
process of its own; what it takes beside a running interpreter with its libraries counts as memory.
"""

from __future__ import annotations

import argparse
import json
import logging
import pickle
import sys
import tempfile
from pathlib import Path
from typing import Any

import data
import measure
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import results
from measure import Result

N_COLS = 20
ROWS = "100000,1000000,20000000"
IN_MEMORY = 1_000_000  # rows at most that are also fitted in memory
FILE_ROWS = 1_000_000
GROUP_ROWS = 131_072
TEST_ROWS = 20_000
MEMORY = 2e9  # bytes that a fit of 20,000,000 rows may take
CLOSE = 0.01  # nats a row between one machine and several
WORKERS = (1, 2)
MODEL_ROWS = 20_000  # of a partition, behind the sizes of messages
QUICK = {"n_subsets": 32, "n_trees": 2}
FAR = (10**11, 100)  # rows and workers of the estimate on paper


# ---- the rows ----


def write_rows(folder: Path, n_rows: int) -> Path:
    """Rows 0..n_rows of the generator as Parquet files of a million rows; done once."""
    path = folder / f"{n_rows}"
    if not path.exists():
        path.mkdir()
        for number, start in enumerate(range(0, n_rows, FILE_ROWS)):
            _write_file(path / f"{number:04}.parquet", number, min(FILE_ROWS, n_rows - start))
    return path


def _write_file(path: Path, number: int, n_rows: int) -> None:
    rows = data.synthetic(n_rows, N_COLS, seed=100 + number)
    numbers = rows.select_dtypes("number").columns
    table = pa.Table.from_pandas(
        rows.astype(dict.fromkeys(numbers, np.float32)), preserve_index=False
    )
    pq.write_table(table, path, row_group_size=GROUP_ROWS)


def test_rows() -> Any:
    rows = data.synthetic(TEST_ROWS, N_COLS, seed=1)
    return pa.Table.from_pandas(rows, preserve_index=False)


# ---- one fit, in a fresh process ----


class Passes(logging.Handler):
    """Seconds at which each stage of a fit ended, by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, float] = {}
        logger = logging.getLogger("jointprob")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        stage = record.getMessage().partition(":")[0]
        if stage.split()[0] in ("survey", "draw", "start", "pass"):
            n_before = sum(name.startswith("pass") for name in self.ends)
            name = f"pass {n_before + 1}" if stage.startswith("pass") else stage
            self.ends[name] = record.created

    def seconds(self, begin: float) -> dict[str, float]:
        """Of each stage, in order."""
        times = [begin, *self.ends.values()]
        return dict(zip(self.ends, np.diff(times).tolist(), strict=True))


def in_memory(path: str, n_jobs: int, settings: Result) -> Result:
    """The whole table read, then fitted."""
    estimator, table = _estimator(n_jobs, settings), pq.read_table(path)
    return _measured(lambda: estimator.fit(table))


def out_of_core(path: str, n_jobs: int, settings: Result) -> Result:
    """The path fitted."""
    estimator = _estimator(n_jobs, settings)
    return _measured(lambda: estimator.fit(path))


def on_dask(path: str, n_workers: int, settings: Result) -> Result:
    """Fitted on a cluster of this machine."""
    import dask
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    import jointprob.dask

    dask.config.set({"dataframe.convert-string": False})
    options = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        rows = dd.read_parquet(path, split_row_groups=True)
        estimator = _estimator(n_workers, settings)
        result = _measured(lambda: jointprob.dask.fit(estimator, rows, client), as_pandas=True)
        memory = client.run(measure.peak_resident)
    first = rows.partitions[0].compute()
    model = _estimator(n_workers, settings).fit([first[:MODEL_ROWS]])
    return {
        **result,
        "n_partitions": rows.npartitions,
        "worker_bytes": max(memory.values()),
        **message_bytes(model, first),
    }


def message_bytes(model: Any, part: Any) -> Result:
    """Bytes that a partition's answers take in every pass, and a task that is sent to workers."""
    from jointprob.scale.counts import Count, Growing
    from jointprob.scale.draw import Draw, Layout, Lot
    from jointprob.scale.survey import TakeSurvey

    joint, n_rows = model.joint_, len(part)
    lot = Lot(20 * n_rows, 0, 0)  # neither drawn nor held out: rows that are come once
    layout = Layout(joint.schema, (0, n_rows), lot, "JEPADensity")
    trees = tuple(Growing(m.tree, m.encoding, m.plan) for m in joint.members[:4])
    count = Count(layout, trees, 1.0, 1)
    return {
        "survey_bytes": len(pickle.dumps(TakeSurvey("from_dtype", "")(part, 0))),
        "draw_bytes": len(pickle.dumps(Draw(layout, 1)(part, 0))),
        "count_bytes": len(pickle.dumps(count(part, 0))),
        "task_bytes": len(pickle.dumps(count)),
    }


def _estimator(n_jobs: int, settings: Result) -> Any:
    from jointprob import JEPADensity

    return JEPADensity(random_state=0, n_jobs=n_jobs, **settings)


def _measured(fit: Any, as_pandas: bool = False) -> Result:
    import time

    passes, begin = Passes(), time.time()
    model, cost = measure.fitted(fit)
    test = test_rows()
    nats = model.score_samples(test.to_pandas() if as_pandas else test).mean()
    stages = passes.seconds(begin)
    return {**cost, "nats": float(nats), "trees": model.n_trees_, "stages": stages}


METHODS = {"in memory": in_memory, "out of core": out_of_core, "Dask": on_dask}


# ---- all fits, and the report ----


def report(options: argparse.Namespace, folder: Path) -> str:
    runs: dict[int, dict[str, Result]] = {}
    for n_rows in options.rows:
        path = write_rows(folder, n_rows)
        runs[n_rows] = {
            name: run(method, path, options, argument)
            for name, method, argument in wanted(n_rows, options)
        }
    return "\n".join([_rows_table(runs), _stages(runs), _cluster(runs)])


def wanted(n_rows: int, options: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Name, method and threads or workers of every fit of so many rows."""
    fits = [("in memory", "in memory", options.jobs)] if n_rows <= options.in_memory else []
    fits.append(("out of core", "out of core", options.jobs))
    if n_rows <= options.on_dask:
        fits += [(f"Dask, {n} x 1 thread", "Dask", n) for n in WORKERS]
    return fits


def run(method: str, path: Path, options: argparse.Namespace, argument: int) -> Result:
    print(f"{path.name} rows, {method}, {argument}", file=sys.stderr, flush=True)
    settings = QUICK if options.quick else {}
    task = {"method": method, "arguments": [str(path), argument, settings]}
    result = measure.in_fresh_process(Path(__file__), task, options.limit)
    print(json.dumps(result), file=sys.stderr, flush=True)
    return result


def _rows_table(runs: dict[int, dict[str, Result]]) -> str:
    rows = []
    per_row = None  # seconds a row in memory, of the most rows that were
    for n_rows, fits in runs.items():
        nats = fits.get("out of core", {}).get("nats")
        for name, fit in fits.items():
            seconds = fit.get("fit_seconds")
            if name == "in memory" and seconds is not None:
                per_row = seconds / n_rows
            rows.append(_row(n_rows, name, fit, per_row, nats))
    header = (
        "rows | fit | s | microseconds a row | ratio to in memory | peak MB above the start "
        "| within 2 GB | trees | nats | beside out of core | within 0.01"
    )
    return (
        f"### Rows, {N_COLS} columns\n\n"
        + results.table(header, rows)
        + "\nThe ratio is of seconds a row, to the fit in memory of the most rows so far. Of Dask, "
        "the memory is all that the larger worker has. Nats a row on "
        f"{TEST_ROWS:,} fresh rows of the same generator.\n"
    )


def _row(
    n_rows: int, name: str, fit: Result, per_row: float | None, nats: float | None
) -> list[str]:
    if "error" in fit:
        return [f"{n_rows:,}", f"{name}: {fit['error']}", *["-"] * 9]
    seconds, own = fit["fit_seconds"], fit["nats"]
    peak = fit.get("worker_bytes", fit["peak_bytes"])
    apart = None if nats is None or not name.startswith("Dask") else own - nats
    return [
        f"{n_rows:,}", name, results.figure(seconds), results.figure(1e6 * seconds / n_rows),
        results.figure(None if per_row is None else seconds / n_rows / per_row),
        results.megabytes(peak), results.verdict(peak <= MEMORY), str(fit["trees"]),
        results.number(own, 3), "-" if apart is None else f"{apart:+.4f}",
        results.verdict(None if apart is None else abs(apart) <= CLOSE),
    ]  # fmt: skip


def _stages(runs: dict[int, dict[str, Result]]) -> str:
    fits = [
        (f"{n_rows:,}, {name}", fit["stages"])
        for n_rows, by_name in runs.items()
        for name, fit in by_name.items()
        if fit.get("stages")
    ]
    names = list(dict.fromkeys(stage for _, stages in fits for stage in stages))
    rows = [
        [name, *(results.figure(stages.get(stage)) for stage in names)] for name, stages in fits
    ]
    return (
        "### Seconds of each stage\n\n"
        + results.table("rows, fit | " + " | ".join(names), rows)
        + "\n`start` fits the rows drawn, on the driver; every other stage is a pass over all "
        "rows.\n"
    )


def _cluster(runs: dict[int, dict[str, Result]]) -> str:
    """Scaling over workers, and on paper the time of many more."""
    sizes = [n for n, fits in runs.items() if f"Dask, {WORKERS[-1]} x 1 thread" in fits]
    if not sizes or "error" in runs[sizes[-1]][f"Dask, {WORKERS[-1]} x 1 thread"]:
        return ""
    n_rows = sizes[-1]
    fits = [runs[n_rows][f"Dask, {n} x 1 thread"] for n in WORKERS]
    passes = [sum(s for name, s in f["stages"].items() if name != "start") for f in fits]
    last = fits[-1]
    header = "rows | " + " | ".join(f"passes, {n} workers, s" for n in WORKERS) + " | gain"
    return (
        "### Workers of one machine\n\n"
        + results.table(
            header,
            [[f"{n_rows:,}", *map(results.figure, passes), results.figure(passes[0] / passes[-1])]],
        )
        + "\n"
        + _far(n_rows, fits[0], last)
    )


def _far(n_rows: int, one: Result, last: Result) -> str:
    far_rows, workers = FAR
    seconds = {s: t * far_rows / n_rows / workers for s, t in one["stages"].items() if s != "start"}
    total = sum(seconds.values()) + one["stages"].get("start", 0)
    return (
        f"On paper, {far_rows:.0e} rows on {workers} workers of one thread each, in proportion to "
        f"one worker here: {total / 3600:.1f} hours, "
        + ", ".join(f"{name} {t / 3600:.1f}" for name, t in seconds.items())
        + f" (start {one['stages'].get('start', 0):.0f} s on the driver). A partition answers with "
        f"{last['survey_bytes']:,} bytes in the survey, {last['draw_bytes']:,} in the draw and "
        f"{last['count_bytes']:,} in a pass; {last['task_bytes']:,} bytes of trees go to each "
        "worker before it.\n"
    )


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    counts = {"type": lambda s: [int(float(n)) for n in s.split(",")]}
    parser.add_argument("--rows", default=counts["type"](ROWS), help="10000,1e6", **counts)
    parser.add_argument("--in-memory", type=lambda s: int(float(s)), default=IN_MEMORY)
    parser.add_argument("--on-dask", type=lambda s: int(float(s)), default=IN_MEMORY)
    parser.add_argument("--jobs", type=int, default=measure.n_cores(), help="our threads")
    parser.add_argument("--quick", action="store_true", help="32 subsets, two trees: to try it out")
    parser.add_argument("--limit", type=float, default=7200.0, help="seconds of a fit, at most")
    parser.add_argument("--folder", type=Path, help="where the rows are, or are written and kept")
    parser.add_argument("--out", type=Path, help="results file whose section is replaced")
    return parser


def main(arguments: list[str]) -> None:
    options = command_line().parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        sections = report(options, options.folder or Path(temporary))
    machine = results.machine(["dask", "distributed", "pyarrow"])
    settings = f"Settings: {QUICK}.\n\n" if options.quick else ""
    text = f"## Larger than memory\n\n{machine}\n{settings}{sections}"
    print(text)
    if options.out:
        results.replace_section(options.out, "scale", text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        given = json.loads(sys.argv[2])
        measure.hand_back(METHODS[given["method"]](*given["arguments"]))
    else:
        main(sys.argv[1:])
