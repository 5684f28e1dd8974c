"""Named arrays and short texts in one file: the safetensors format, written and read here.

The library of that name copies every array that it reads; a model that many processes share must
not be copied. Its files and these are the same: either reads what the other wrote.
"""

from __future__ import annotations

import json
import math
import mmap as memory_map
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}
ALIGNMENT = 64  # of the first array; sizes fall from array to array, so all stand at their own
MOST_HEADER = 100_000_000  # bytes, as in safetensors
MOST_DIMENSIONS = 8
LARGEST = 2**62
MOST_TIMES = 4  # the size of a file: memory that loading it may take
PART_BYTES, FEW_BYTES = 64, 100_000  # of the smallest list or dict; of a file too small to matter


class Content(NamedTuple):
    """What a file holds."""

    arrays: dict[str, Array]
    texts: dict[str, str]


# ---- writing ----


def write(path: str | os.PathLike[str], content: Content) -> None:
    """Write a file, all of it or nothing.

    It grows under another name in the same folder, reaches the disk, and only then takes the name:
    whatever happens on the way, the name stands for the whole old file or for the whole new one.
    """
    target = Path(os.path.realpath(path))
    growing = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        # As open() makes it: the user's umask decides who may read it.
        descriptor = os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with open(descriptor, "wb") as file:
            _write_all(file, content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(growing, target)
    except BaseException as error:
        with suppress(OSError):
            growing.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename:
            error.filename = os.fspath(path)  # the name that was asked for
        raise
    _settle(target.parent)


def _settle(folder: Path) -> None:
    """Bring the new name to the disk too, where folders can be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(file: BinaryIO, content: Content) -> None:
    names = sorted(content.arrays, key=lambda name: -content.arrays[name].itemsize)
    header: dict[str, Any] = {"__metadata__": content.texts}
    end = 0
    for name in names:
        array = content.arrays[name]
        begin, end = end, end + array.nbytes
        dtype = NAMES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        array = content.arrays[name]
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        file.write(little.data.cast("B") if little.size else b"")


# ---- reading ----


def read(path: str | os.PathLike[str], mmap: bool = True) -> Content:
    """Read a file.

    Parameters
    ----------
    mmap : bool
        Map the file into memory, where processes share it. The arrays are read-only.

    Raises
    ------
    ValueError
        What is wrong with the file. Nothing in it is believed: names, types, shapes and places
        must account for every byte.
    OSError
        If there is no such file, or it cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MOST_HEADER) or length % 8:
            raise ValueError(f"no model file, or cut short: {size} bytes, a header of {length}")
        header = _read_header(file, length, size)
        start = 8 + length
        texts = _texts(header)
        places = [_place(name, header.pop(name)) for name in list(header)]
        _account(places, size - start)
        if mmap:
            data: Any = _map(file)
        else:
            data, start = np.fromfile(file, np.uint8), 0
    arrays = {
        place.name: np.ndarray(place.shape, place.dtype, data, start + place.begin)
        for place in places
    }
    return Content(arrays, texts)


def _map(file: BinaryIO) -> memory_map.mmap:
    """The whole file, read-only; where the system can, its pages at once and not one by one."""
    if not hasattr(memory_map, "MAP_POPULATE"):
        return memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_READ)
    flags = memory_map.MAP_SHARED | memory_map.MAP_POPULATE
    return memory_map.mmap(file.fileno(), 0, flags=flags, prot=memory_map.PROT_READ)


def _read_header(file: BinaryIO, length: int, size: int) -> dict[str, Any]:
    """The header; ValueError where its objects would take far more memory than the file."""
    text = str(file.read(length), "utf-8")
    if PART_BYTES * (text.count("[") + text.count("{")) > MOST_TIMES * size + FEW_BYTES:
        raise ValueError("the header has too many parts for its size")
    header: dict[str, Any] = parse(text)
    return header


def parse(text: str, kind: type = dict) -> Any:
    """A JSON object, or a list.

    ValueError for what is none, for NaN, and for what is nested without end.
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the header is nested too deeply") from None
    if not isinstance(found, kind):
        raise ValueError("the header is no JSON object" if kind is dict else "there are no records")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"the header holds {constant}")


def _texts(header: dict[str, Any]) -> dict[str, str]:
    texts = header.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(v, str) for v in texts.values()):
        raise ValueError("the header's metadata are no texts")
    return texts


class _Place(NamedTuple):
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def _place(name: str, entry: Any) -> _Place:
    """An array's place, checked on its own."""
    if not isinstance(entry, Mapping) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"array {name!r} is not described by dtype, shape and data_offsets")
    shape, ends = entry["shape"], entry["data_offsets"]
    if not _sizes(shape) or not _sizes(ends) or len(ends) != 2 or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"array {name!r} has shape {shape!r:.50} at {ends!r:.50}")
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise ValueError(f"array {name!r} has dtype {entry['dtype']!r:.50}")
    begin, end = ends
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(f"array {name!r} of shape {shape!r:.50} takes {end - begin} bytes")
    return _Place(name, dtype, tuple(shape), begin, end)


def _sizes(found: Any) -> bool:
    if type(found) is not list:
        return False
    return all(type(n) is int and 0 <= n < LARGEST for n in found)


def _account(places: list[_Place], n_bytes: int) -> None:
    """No byte of the data is left out or belongs to two arrays."""
    end = 0
    for place in sorted(places, key=lambda place: (place.begin, place.end)):
        if place.begin != end or place.begin % place.dtype.itemsize:
            raise ValueError(f"array {place.name!r} begins at {place.begin}; expected is {end}")
        end = place.end
    if end != n_bytes:
        raise ValueError(f"arrays take {end} bytes, and the file holds {n_bytes}: cut short?")
