"""Tables in and out of the command line: CSV and Parquet, by pyarrow."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from jointprob.scale.parquet import ENDINGS, open_parquet
from jointprob.schema import Column, Schema, preview

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?")  # cells of a CSV file
PLAIN = ("", ".csv", ".txt")  # endings of what is written, but for Parquet
JSON = ("", ".json", ".jsonl", ".ndjson", ".txt")
OPENING = re.compile(rb'(?<![^,\r\n])"')  # a quote elsewhere than first in its cell is text
LONGEST_LINE = 1 << 24  # bytes
MOST_BLOCK = 2**31 - 1  # bytes, of pyarrow


def read(path: str, schema: Schema | None = None) -> Any:
    """A table as pyarrow has it.

    Parameters
    ----------
    path : str
        Parquet by the ending, or a folder of it, else CSV; "-" is CSV from the standard input.
    schema : Schema, optional
        Of a model: only its columns are read, cells as what they were in fit.

    Raises
    ------
    ValueError
        Naming the file, and the column and row where one is at fault.
    """
    try:
        table = (_read_parquet if _is_parquet(path) else _read_csv)(path, schema)
        if not len(table):
            raise ValueError("it has no rows")
        return table
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{_name(path)}: {error}") from None


def batches(path: str, schema: Schema, n_rows: int) -> Iterator[Any]:
    """The same rows, so many at a time, read as they come: a pipe may never end.

    Raises
    ------
    ValueError
        As `read`; rows are counted from the first of the file.
    """
    waiting: list[Any] = []
    done = 0
    try:
        for piece in _pieces(path, schema):
            known = piece if _is_parquet(path) else _typed(piece, schema, done)
            done += len(known)
            waiting.append(known)
            if sum(map(len, waiting)) >= n_rows:
                rows = pa.concat_tables(waiting)
                whole = len(rows) // n_rows * n_rows
                yield from (rows.slice(at, n_rows) for at in range(0, whole, n_rows))
                waiting = [rows.slice(whole)]
        rest = pa.concat_tables(waiting) if waiting else ()
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{_name(path)}: {error}") from None
    if len(rest):
        yield rest


def _pieces(path: str, schema: Schema) -> Iterator[Any]:
    """Tables of a few rows, those of CSV as texts."""
    if Path(path).is_dir():
        folder = open_parquet(path)
        wanted = _wanted(folder.dataset.schema.names, schema)
        yield from (rows.select(wanted) for rows in folder)
        return
    if _is_parquet(path):
        with open(path, "rb") as file:
            parquet = pyarrow.parquet.ParquetFile(file)
            wanted = _wanted(parquet.schema_arrow.names, schema)
            for batch in parquet.iter_batches(columns=wanted):
                yield pa.table(batch).select(wanted)
        return
    # Unbuffered: a reader of a pipe waits for its next lines, not for a megabyte of them.
    source = sys.stdin.fileno() if path == "-" else path
    with open(source, "rb", buffering=0, closefd=path != "-") as file:
        names: list[str] = []
        done = 0
        for lines in _lines(file):
            known = lines
            if not names:
                names, known = _header(lines)
                _wanted(names, schema)
            if known:
                rows = _parse(known, dict.fromkeys(names, pa.string()), names, done)
                done += len(rows)
                yield rows
        if not names:
            raise ValueError("it is empty")


def _lines(file: RawIOBase) -> Iterator[bytes]:
    """Whole lines as they come; a line break in quotes ends none."""
    kept, at, end, quoted = b"", 0, 0, False
    while more := file.read(1 << 20):
        kept += more
        at, end, quoted = _look_on(kept, at, end, quoted)
        if end:
            yield kept[:end]
            kept, at, end = kept[end:], at - end, 0
        if len(kept) > LONGEST_LINE:
            raise ValueError(f"a line is longer than {LONGEST_LINE:,} bytes: is a quote left open?")
    if kept:
        yield kept


def _look_on(text: bytes, at: int, end: int, quoted: bool) -> tuple[int, int, bool]:
    """Reads on from `at`: how far, where whole lines end, and whether a quote is open there."""
    while at < len(text):
        if quoted:
            close = text.find(b'"', at)
            if close < 0 or close + 1 == len(text):  # the last one may be the first of two
                return (len(text) if close < 0 else close), end, True
            doubled = text[close + 1 : close + 2] == b'"'
            at, quoted = close + 1 + doubled, doubled
        else:
            opened = OPENING.search(text, at)
            stop = opened.start() if opened else len(text)
            end = max(end, text.rfind(b"\n", at, stop) + 1)
            at, quoted = (stop + 1, True) if opened else (stop, False)
    return at, end, quoted


def _header(lines: bytes) -> tuple[list[str], bytes]:
    """Names of the columns, and the lines below."""
    first, _, below = lines.partition(b"\n")
    if not first.strip():
        raise ValueError("it has no line that names the columns")
    return pyarrow.csv.read_csv(BytesIO(first + b"\n")).column_names, below


def _bytes(path: str) -> bytes:
    return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()


def _name(path: str) -> str:
    return "standard input" if path == "-" else path


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(ENDINGS) or Path(path).is_dir()


def _read_parquet(path: str, schema: Schema | None) -> Any:
    if Path(path).is_dir():
        table = open_parquet(path).dataset.to_table()
    else:
        with open(path, "rb") as file:  # its errors say what is wrong with the file
            table = pyarrow.parquet.read_table(file)
    return table if schema is None else table.select(_wanted(table.column_names, schema))


def _read_csv(path: str, schema: Schema | None) -> Any:
    data = _bytes(path)
    if schema is None:
        return _parse(data, {})
    # All as text first: so every cell that is at fault can be named.
    names, below = _header(data)
    _wanted(names, schema)
    if not below:
        raise ValueError("it has no rows")
    return _typed(_parse(below, dict.fromkeys(names, pa.string()), names), schema)


def _parse(
    data: bytes, types: dict[str, Any], names: list[str] | None = None, done: int = 0
) -> Any:
    """Rows of a CSV file whose header is `names`, if not its first line."""
    options = pyarrow.csv.ConvertOptions(
        column_types=types, null_values=MISSING, strings_can_be_null=True
    )
    # A column's kind is guessed from a block: from all of them, or a late 0.5 is no whole number.
    block = len(data) + 1 if not types and len(data) < MOST_BLOCK else 1 << 20
    read = pyarrow.csv.ReadOptions(column_names=names, block_size=block)
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    try:
        return pyarrow.csv.read_csv(BytesIO(data), read, parse, options)
    except pa.ArrowInvalid:
        _refuse_row(data, read, done)
        raise


def _refuse_row(data: bytes, read: Any, done: int) -> None:
    """ValueError for the first row that has more or fewer cells than columns have names."""
    odd: list[Any] = []

    def note(row: Any) -> str:
        odd.append(row)
        return "skip"

    read.use_threads = False  # rows have numbers only if one thread reads them
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note)
    with suppress(pa.ArrowInvalid):
        pyarrow.csv.read_csv(BytesIO(data), read, parse)
    if odd:
        row, header = odd[0], not read.column_names
        raise ValueError(
            f"row {done + row.number - header}: {row.actual_columns} cells; "
            f"the header names {row.expected_columns} columns"
        )


def _typed(table: Any, schema: Schema, done: int = 0) -> Any:
    """The model's columns of a table of texts, some rows of which came before."""
    columns = zip(_wanted(table.column_names, schema), schema, strict=True)
    return pa.table({name: _column(table[name], name, column, done) for name, column in columns})


def _wanted(names: list[str], schema: Schema) -> list[str]:
    """The file's names of the model's columns, in the model's order."""
    if schema.container == "numpy":  # it has no names: by position
        if len(names) != len(schema):
            raise ValueError(f"{len(names)} columns; the model has {len(schema)}, without names")
        return names
    wanted = [str(name) for name in schema.names]
    absent = [name for name in wanted if name not in names]
    if absent:
        raise ValueError(f"no column {absent[0]!r}; the columns are {preview(names)}")
    return wanted


def _column(texts: Any, name: str, column: Column, done: int) -> Any:
    """A column of texts as its kind: numbers, or levels."""
    levels = column.levels
    if column.is_categorical and (not levels or isinstance(levels[0], str)):
        return texts
    kind = pa.float64()
    if column.is_categorical:
        kind = pa.bool_() if isinstance(levels[0], bool) else pa.float64()
        kind = pa.int64() if type(levels[0]) is int else kind
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        for row, cell in enumerate(texts.to_pylist()):
            _try(cell, kind, name, done + row)
        raise


def _try(cell: str | None, kind: Any, name: str, row: int) -> None:
    try:
        pa.array([cell], pa.string()).cast(kind)
    except pa.ArrowInvalid:
        what = "neither true nor false" if kind == pa.bool_() else "no number"
        raise ValueError(f"column {name!r}, row {row + 1}: {cell!r} is {what}") from None


# ---- out ----


def check_output(path: str, as_json: bool) -> None:
    """ValueError, before any work, for a file name that says another format than is written."""
    allowed = JSON if as_json else (*PLAIN, *ENDINGS)
    if path != "-" and Path(path).suffix.lower() not in allowed:
        endings = ", ".join(ending for ending in allowed if ending)
        raise ValueError(
            f"--output {path}: allowed endings are {endings}{' with --json' if as_json else ''}"
        )


def write(columns: dict[str, Any], path: str, as_json: bool) -> None:
    """Columns of equal length as CSV, Parquet (by the ending), or an object a row.

    Parameters
    ----------
    columns : dict of str to array
    path : str
        "-" is the standard output.
    as_json : bool
    """
    table = pa.table({name: _arrow(column) for name, column in columns.items()})
    if as_json:
        lines = (json.dumps(row, default=str, allow_nan=False) for row in _rows(table))
        _write_text("".join(f"{line}\n" for line in lines), path)
    elif path.lower().endswith(ENDINGS):
        with open(path, "wb") as file:
            pyarrow.parquet.write_table(table, file)
    else:
        out = BytesIO()
        options = pyarrow.csv.WriteOptions(quoting_style="needed")
        pyarrow.csv.write_csv(table, out, options)
        _write_text(out.getvalue().decode(), path)


def _arrow(column: Any) -> Any:
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column
    return pa.array(np.asarray(column), from_pandas=True)


def _rows(table: Any) -> Iterable[dict[str, Any]]:
    for row in table.to_pylist():
        yield {
            k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()
        }


def _write_text(text: str, path: str) -> None:
    if path == "-":
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, encoding="utf-8")
