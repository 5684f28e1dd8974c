"""Parquet files, and other data sets of pyarrow, as batches of rows."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike, fspath
from typing import Any

import pyarrow as pa
import pyarrow.dataset

BATCH_ROWS = 65_536
READ_AHEAD = 2  # batches and files under way, to read while the last batch is learnt


class DatasetBatches:
    """Batches of a data set, read anew at every iteration.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[Any]:
        batches = self.dataset.to_batches(
            batch_size=BATCH_ROWS, batch_readahead=READ_AHEAD, fragment_readahead=READ_AHEAD
        )
        for batch in batches:
            yield pa.Table.from_batches([batch])


def open_parquet(source: Any) -> DatasetBatches:
    """Batches of a data set, or of a file or folder of Parquet.

    Parameters
    ----------
    source : str, PathLike or pyarrow.dataset.Dataset

    Raises
    ------
    ValueError
        If there is no row, or a column is of one type in one file and of another in a later one.
    """
    dataset = _open(fspath(source)) if isinstance(source, str | PathLike) else source
    dataset = _widened(dataset, _common_schema(dataset))
    if not dataset.count_rows():
        raise ValueError(f"X holds no row: {_name(source)} is empty; allowed are one or more")
    return DatasetBatches(dataset)


def _open(path: str) -> Any:
    try:
        return pyarrow.dataset.dataset(path, format="parquet")
    except FileNotFoundError:
        raise FileNotFoundError(f"X is {path!r}: there is no such file or folder") from None
    except pa.ArrowInvalid as error:
        raise ValueError(f"X is {path!r}, which is no Parquet: {error}") from None


def _widened(dataset: Any, schema: Any) -> Any:
    """The same files read by a schema in which they all agree."""
    if schema == dataset.schema or not isinstance(dataset, pyarrow.dataset.FileSystemDataset):
        return dataset
    fragments = list(dataset.get_fragments())
    return pyarrow.dataset.FileSystemDataset(
        fragments, schema, dataset.format, filesystem=dataset.filesystem
    )


def _name(source: Any) -> str:
    return repr(source) if isinstance(source, str) else str(source)


def _common_schema(dataset: Any) -> Any:
    """Schema in which all files agree: whole numbers may widen, everything else is as it is."""
    common, home = dataset.schema, "the first file"
    for fragment in dataset.get_fragments():
        own = fragment.physical_schema
        for field in own:
            _check_field(field, common, getattr(fragment, "path", "a fragment"), home)
        common = pa.unify_schemas([common, own], promote_options="permissive")
    return common


def _check_field(field: Any, common: Any, file: str, home: str) -> None:
    """ValueError unless the field fits to the files before."""
    if field.name not in common.names:
        return
    before = common.field(field.name)
    try:
        pa.unify_schemas([pa.schema([before]), pa.schema([field])], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        raise ValueError(
            f"column {field.name!r} is {field.type} in {file}, and {before.type} in {home} and "
            "those before; the files of a data set must agree"
        ) from None
