"""One column as found in any container: numbers, or codes into a list of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Real
from typing import Any, NoReturn, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from jointprob.schema import Column, Kind, Level, preview

MISSING = -1  # code of a missing cell
UNSEEN = -2  # code of a level that was not there in fit

_MISSING_TYPES = ("NoneType", "NAType", "NaTType")  # pandas is never imported: known by name


@dataclass(frozen=True)
class Numbers:
    """A column of a bool, integer or float dtype; NaN is missing as well as ``missing``."""

    name: str | int
    dtype: str
    values: NDArray[Any]  # (n_rows,)
    missing: NDArray[np.bool_] | None = None  # (n_rows,)

    @property
    def kind(self) -> Kind:
        """What the dtype says."""
        return "categorical" if self.values.dtype.kind == "b" else "numeric"


@dataclass(frozen=True)
class Labels:
    """A column of codes into distinct labels; code -1 is missing."""

    name: str | int
    dtype: str
    codes: NDArray[Any]  # (n_rows,) integer
    labels: list[Any]
    kind: Kind = "categorical"
    declared: bool = False  # the labels are declared categories, their order counts
    ordered: bool = False
    level_dtype: str = ""
    text: bool = False  # from a string ndarray, which can only hold numbers as text


Cells: TypeAlias = Numbers | Labels


def read_series(series: nw.Series[Any], name: str | int) -> Cells:
    """Cells of a pandas, polars or pyarrow series."""
    dtype, native = series.dtype, series.to_native()
    native_dtype = str(native.type if series.implementation.is_pyarrow() else native.dtype)
    if isinstance(dtype, nw.Categorical | nw.Enum):
        return _read_categories(series, name, native_dtype)
    if dtype.is_numeric() or isinstance(dtype, nw.Boolean):
        return _read_numbers(series, name, native_dtype)
    if isinstance(dtype, nw.String):
        return Labels(name, native_dtype, *_factorize(series))
    if isinstance(dtype, nw.Object):
        return _read_objects(native.to_numpy(), name, native_dtype)
    if series.null_count() == len(series):
        return Labels(name, native_dtype, np.full(len(series), MISSING, np.int32), [])
    _refuse_dtype(name, native_dtype, temporal=dtype.is_temporal())


def read_array(values: NDArray[Any], name: str | int) -> Cells:
    """Cells of a 1-D ndarray."""
    kind, dtype = values.dtype.kind, str(values.dtype)
    if kind in "biuf":
        return Numbers(name, dtype, values)
    if kind in "UT":
        cells = _read_objects(values.astype(object), name, dtype, text=True)
    elif kind == "O" and set(map(type, values.tolist())) <= {float}:
        return Numbers(name, dtype, values.astype(np.float64))
    elif kind == "O":
        cells = _read_objects(values, name, dtype)
    elif kind == "c":
        raise ValueError(f"Complex data not supported: column {name!r} has dtype {dtype}")
    else:
        _refuse_dtype(name, dtype, temporal=kind in "mM")
    return _numeric_where_possible(cells)


def _refuse_dtype(name: str | int, dtype: str, temporal: bool) -> NoReturn:
    remedy = (
        "convert it to a number (for example days since a date) or to parts such as the month"
        if temporal
        else "allowed are numbers, strings, booleans and categories"
    )
    raise TypeError(f"column {name!r} has dtype {dtype}: {remedy}")


def _read_numbers(series: nw.Series[Any], name: str | int, dtype: str) -> Numbers:
    wide = isinstance(series.dtype, nw.Int128 | nw.UInt128)
    if not (series.dtype.is_integer() or isinstance(series.dtype, nw.Boolean)) or wide:
        return Numbers(name, dtype, series.cast(nw.Float64).to_numpy())
    if not series.null_count():
        return Numbers(name, dtype, series.to_numpy())
    # Filled before it leaves the container, which would turn integers with gaps into floats.
    filled = series.fill_null(False if isinstance(series.dtype, nw.Boolean) else 0)
    return Numbers(name, dtype, filled.to_numpy(), series.is_null().to_numpy())


def _read_categories(series: nw.Series[Any], name: str | int, dtype: str) -> Labels:
    native = series.to_native()
    if series.implementation.is_pandas():
        if dtype != "category":  # an arrow dictionary inside pandas
            native = native.astype("category")
        codes, index = native.cat.codes.to_numpy(), native.cat.categories
        level_dtype, ordered, labels = str(index.dtype), bool(native.cat.ordered), index.tolist()
        return Labels(name, "category", codes, labels, "categorical", True, ordered, level_dtype)
    if series.implementation.is_pyarrow():
        return _read_dictionary(native, name)
    if isinstance(series.dtype, nw.Enum):
        codes = native.to_physical().cast(int).fill_null(MISSING).to_numpy()
        labels = list(series.dtype.categories)
        return Labels(name, "Enum", codes, labels, declared=True, ordered=True)
    return Labels(name, "Categorical", *_factorize(series.cast(nw.String)))


def _read_dictionary(chunks: Any, name: str | int) -> Labels:
    array = chunks.unify_dictionaries().combine_chunks()
    if hasattr(array, "chunks"):
        array = array.chunk(0)
    kind = array.type
    codes = array.indices.cast("int64").fill_null(MISSING).to_numpy(zero_copy_only=False)
    return Labels(
        name=name,
        dtype=f"dictionary:{kind.index_type}",
        codes=codes,
        labels=array.dictionary.to_pylist(),
        declared=True,
        ordered=kind.ordered,
        level_dtype=str(kind.value_type),
    )


def _factorize(series: nw.Series[Any]) -> tuple[NDArray[Any], list[Any]]:
    """Codes and distinct strings, by the container's own hashing."""
    if series.implementation.is_pandas():
        codes, labels = series.to_native().factorize()
        return codes, labels.tolist()
    labels = series.drop_nulls().unique().to_list()
    if not labels:
        return np.full(len(series), MISSING, np.int32), []
    replaced = series.replace_strict(labels, list(range(len(labels))), return_dtype=nw.Int32)
    return replaced.fill_null(MISSING).to_numpy(), labels


def _read_objects(
    values: NDArray[np.object_], name: str | int, dtype: str, text: bool = False
) -> Labels:
    cells = values.tolist()
    types = set(map(type, cells))
    for kind in types:
        if _family(kind) is None:
            _refuse_object(cells, kind, name)
    # The type belongs to the key: True == 1 must not hide a column that mixes the two.
    keys = list(zip(map(type, cells), cells, strict=True))
    position = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    codes = np.fromiter(map(position.__getitem__, keys), np.int64, len(keys))
    return Labels(name, dtype, codes, [value for _, value in position], text=text)


def _family(kind: type) -> str | None:
    if kind.__name__ in _MISSING_TYPES:
        return "missing"
    if issubclass(kind, str):
        return "string"
    if issubclass(kind, bool | np.bool_):
        return "boolean"
    return "number" if issubclass(kind, Real | Decimal | np.floating | np.integer) else None


def _refuse_object(cells: Sequence[Any], kind: type, name: str | int) -> NoReturn:
    row = next(i for i, cell in enumerate(cells) if type(cell) is kind)
    # The middle is scikit-learn's wording, which its estimator checks look for.
    raise TypeError(
        f"column {name!r}, row {row}: argument must be a string or a real number, "
        f"not {kind.__name__!r}; None or NaN stands for a missing cell"
    )


def _numeric_where_possible(cells: Labels) -> Labels:
    """An ndarray has one dtype for all columns, so each column is judged by its values."""
    boolean = any(isinstance(label, bool | np.bool_) for label in cells.labels)
    numeric = not boolean and _as_floats(cells) is not None
    return replace(cells, kind="numeric" if numeric else "categorical")


def plain(value: Any) -> Level | None:
    """The Python value of a label; None when it is missing."""
    if type(value).__name__ in _MISSING_TYPES or value != value:
        return None
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, str):
        return str(value)
    return value if isinstance(value, bool | int) else float(value)


def _plain_labels(cells: Labels) -> list[Level | None]:
    for label in cells.labels:
        if _family(type(label)) is None:
            raise TypeError(
                f"column {cells.name!r} has the category {label!r} of type "
                f"{type(label).__name__}; allowed are strings, numbers and booleans"
            )
    labels = [plain(label) for label in cells.labels]
    _check_one_family(cells.name, [label for label in labels if label is not None])
    return labels


def _check_one_family(name: str | int, labels: list[Level]) -> None:
    first = {_family(type(label)): label for label in reversed(labels)}
    if len(first) > 1:
        one, other = list(first.values())[:2]
        raise ValueError(
            f"column {name!r} mixes {one!r} ({type(one).__name__}) with {other!r} "
            f"({type(other).__name__}); a column holds strings, numbers or booleans only"
        )


def _check_finite(values: NDArray[np.float64], name: str | int) -> None:
    # Two passes for the extremes are cheaper than a mask of every cell.
    extremes = [np.fmin.reduce(values, initial=np.nan), np.fmax.reduce(values, initial=np.nan)]
    if np.isinf(extremes).any():
        rows = np.flatnonzero(np.isinf(values))
        raise ValueError(
            f"column {name!r}, row {rows[0]}: {values[rows[0]]} is infinity; "
            "allowed are finite numbers, and NaN for a missing cell"
        )


def _as_floats(cells: Labels) -> NDArray[np.float64] | None:
    """Values of labels that are numbers, with NaN last for the code -1; None if they are not."""
    labels = _plain_labels(cells)
    if any(isinstance(label, str) for label in labels) and not cells.text:
        return None
    try:
        return np.array([math.nan if v is None else float(v) for v in labels] + [math.nan])
    except ValueError:
        return None


def numeric_values(cells: Cells) -> NDArray[np.float64]:
    """Column as float64 of shape (n_rows,), NaN where missing."""
    if isinstance(cells, Labels):
        floats = _as_floats(cells)
        if floats is None:
            _refuse_text(cells)
        values: NDArray[np.float64] = floats[cells.codes]
    else:
        values = np.ascontiguousarray(cells.values, dtype=np.float64)
        if cells.missing is not None:
            values = np.where(cells.missing, np.nan, values)
    _check_finite(values, cells.name)
    return values


def _refuse_text(cells: Labels) -> NoReturn:
    codes = cells.codes
    row = int(np.argmax(codes >= 0))
    raise ValueError(
        f"column {cells.name!r}, row {row}: {cells.labels[codes[row]]!r} is not a number; the "
        "column is numeric, allowed are finite numbers, and None or NaN for a missing cell"
    )


def _as_labels(cells: Cells) -> tuple[NDArray[Any], list[Level | None], bool]:
    if isinstance(cells, Labels):
        labels = _plain_labels(cells)
        _check_finite(np.array([v for v in labels if isinstance(v, float)], float), cells.name)
        return cells.codes, labels, cells.declared
    values, missing = cells.values, cells.missing
    if values.dtype.kind == "f":
        _check_finite(values, cells.name)
        missing = np.isnan(values)
    distinct, codes = np.unique(values, return_inverse=True)
    labels = [plain(value) for value in distinct.tolist()]
    if missing is not None:
        codes[missing] = MISSING
        # The filler of missing cells is a level only where it also stands in a cell.
        present = np.bincount(codes[~missing], minlength=len(labels))
        labels = [label if n else None for label, n in zip(labels, present, strict=True)]
    return codes, labels, False


def learn_categorical(cells: Cells) -> tuple[NDArray[np.int32], tuple[Level, ...]]:
    """Codes of shape (n_rows,) and the levels they point into."""
    codes, labels, declared = _as_labels(cells)
    present = dict.fromkeys(label for label in labels if label is not None)
    levels = tuple(present) if declared else tuple(sorted(present))
    return _recode(codes, labels, levels), levels


def _recode(
    codes: NDArray[Any], labels: list[Level | None], levels: tuple[Level, ...]
) -> NDArray[np.int32]:
    position: dict[Level | None, int] = {level: code for code, level in enumerate(levels)}
    position[None] = MISSING
    # One entry more than there are labels: the code -1 picks the last one.
    lookup = np.array([position.get(label, UNSEEN) for label in [*labels, None]], np.int32)
    recoded: NDArray[np.int32] = lookup[codes]
    return recoded


def match_categorical(cells: Cells, column: Column) -> NDArray[np.int32]:
    """Codes of a query column by the fitted levels: -1 missing, -2 a level unseen in fit."""
    codes, labels, _ = _as_labels(cells)
    _check_same_family(codes, labels, column)
    return _recode(codes, labels, column.levels)


def _check_same_family(codes: NDArray[Any], labels: list[Level | None], column: Column) -> None:
    if not column.levels:
        return
    text = isinstance(column.levels[0], str)
    for code, label in enumerate(labels):
        if label is not None and isinstance(label, str) != text and (codes == code).any():
            row = int(np.argmax(codes == code))
            raise ValueError(
                f"column {column.name!r}, row {row}: {label!r} is a {type(label).__name__}, but "
                f"the levels in fit were of type {type(column.levels[0]).__name__}: "
                f"{preview(column.levels)}"
            )
