"""Tables in and out of the command line: CSV and Parquet, by pyarrow."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from jointprob.schema import Column, Schema, preview

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?")  # cells of a CSV file
PARQUET = (".parquet", ".pq")


def read(path: str, schema: Schema | None = None) -> Any:
    """A table as pyarrow has it.

    Parameters
    ----------
    path : str
        Parquet by the ending, else CSV; "-" is CSV from the standard input.
    schema : Schema, optional
        Of a model: only its columns are read, cells as what they were in fit.

    Raises
    ------
    ValueError
        Naming the file, and the column and row where one is at fault.
    """
    try:
        if path.lower().endswith(PARQUET):
            table = pyarrow.parquet.read_table(path)
            return table if schema is None else table.select(_wanted(table.column_names, schema))
        return _read_csv(_bytes(path), schema)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{_name(path)}: {error}") from None


def _bytes(path: str) -> bytes:
    return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()


def _name(path: str) -> str:
    return "standard input" if path == "-" else path


def _read_csv(data: bytes, schema: Schema | None) -> Any:
    if schema is None:
        return pyarrow.csv.read_csv(BytesIO(data), convert_options=_options({}))
    # All as text first: so every cell that is at fault can be named.
    names = pyarrow.csv.open_csv(BytesIO(data)).schema.names
    texts = dict.fromkeys(names, pa.string())
    table = pyarrow.csv.read_csv(BytesIO(data), convert_options=_options(texts))
    wanted = _wanted(names, schema)
    columns = zip(wanted, schema, strict=True)
    return pa.table({name: _column(table[name], name, column) for name, column in columns})


def _options(types: dict[str, Any]) -> Any:
    return pyarrow.csv.ConvertOptions(
        column_types=types, null_values=MISSING, strings_can_be_null=True
    )


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


def _column(texts: Any, name: str, column: Column) -> Any:
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
            _try(cell, kind, name, row)
        raise


def _try(cell: str | None, kind: Any, name: str, row: int) -> None:
    try:
        pa.array([cell], pa.string()).cast(kind)
    except pa.ArrowInvalid:
        what = "neither true nor false" if kind == pa.bool_() else "no number"
        raise ValueError(f"column {name!r}, row {row + 1}: {cell!r} is {what}") from None


# ---- out ----


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
    elif path.lower().endswith(PARQUET):
        pyarrow.parquet.write_table(table, path)
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
