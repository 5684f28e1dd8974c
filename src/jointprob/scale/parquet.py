"""Parquet files, and other data sets of pyarrow, as batches of rows."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs

BATCH_ROWS = 65_536
ENDINGS = (".parquet", ".parq", ".pq")
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
        Of a folder of this machine the files that end in .parquet, .parq or .pq are read, all files
        if none does; names of folders such as ``year=2020`` are a column of levels, as they are to
        pandas. Files of a data set may lack columns: its schema is its maker's.

    Raises
    ------
    ValueError
        If there is no row, a file of a folder has other columns than the first one, or a column is
        of one type in one file and of another in a later one.
    """
    is_path = isinstance(source, str | PathLike)
    dataset = _open(fspath(source)) if is_path else source
    if is_path:
        _check_columns(dataset)
    dataset = _widened(dataset, _common_schema(dataset))
    if not dataset.count_rows():
        raise ValueError(f"X holds no row: {_name(source)} is empty; allowed are one or more")
    return DatasetBatches(dataset)


def _open(path: str) -> Any:
    try:
        if not Path(path).is_dir():  # a file, or a URI
            return pyarrow.dataset.dataset(path, format="parquet")
        named = pyarrow.dataset.HivePartitioning.discover(infer_dictionary=True)
        return pyarrow.dataset.dataset(
            _files(path) or path, format="parquet", partitioning=named, partition_base_dir=path
        )
    except FileNotFoundError:
        raise FileNotFoundError(f"X is {path!r}: there is no such file or folder") from None
    except pa.ArrowInvalid as error:
        raise ValueError(f"X is {path!r}, which is no Parquet: {error}") from None


def _files(folder: str) -> list[str]:
    """Files of Parquet by their endings; as to Arrow, a name that starts with . or _ is hidden."""
    chosen = pyarrow.fs.FileSelector(folder, recursive=True)
    found = [file.path for file in pyarrow.fs.LocalFileSystem().get_file_info(chosen)]
    return sorted(
        path
        for path in found
        if path.lower().endswith(ENDINGS)
        and not any(part.startswith((".", "_")) for part in Path(path).relative_to(folder).parts)
    )


def _check_columns(dataset: Any) -> None:
    """ValueError unless all files have the columns of the first one, in whatever order."""
    first: Any = None
    for fragment in dataset.get_fragments():
        names = fragment.physical_schema.names
        first = first or (fragment.path, names)
        odd = sorted(set(names) ^ set(first[1]))
        if odd:
            lacking = fragment.path if odd[0] in first[1] else first[0]
            having = first[0] if odd[0] in first[1] else fragment.path
            raise ValueError(
                f"files differ in their columns: {lacking} has no column {odd[0]!r}, which is in "
                f"{having}; the files of a folder must have the same"
            )


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
