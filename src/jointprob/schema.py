"""What a fitted table looks like: the name, kind, levels and dtype of every column."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

Level: TypeAlias = str | int | float | bool
Kind: TypeAlias = Literal["numeric", "categorical"]
Container: TypeAlias = Literal["numpy", "pandas", "polars", "pyarrow", "dict"]

# Int64, uint8, int32[pyarrow]: the spellings of pandas, polars, pyarrow and NumPy.
_INTEGER = re.compile(r"(u?)int(\d+)\b", re.IGNORECASE)
# Floats narrower than 64 bits, as NumPy, pandas, polars and pyarrow spell them.
_LARGEST = {
    **dict.fromkeys(("float16", "f2", "halffloat"), 65504.0),
    **dict.fromkeys(("float32", "f4", "float"), 3.4028234663852886e38),
}


@dataclass(frozen=True)
class Column:
    """One column as it was fitted.

    Parameters
    ----------
    name : str or int
        Name in the frame, or position in an ndarray.
    kind : {"numeric", "categorical"}
        How the column is modelled.
    levels : tuple of str, int, float or bool
        Code ``c`` stands for ``levels[c]``. In the order of a declared category type, sorted by
        value otherwise. Empty for numeric columns.
    dtype : str
        Name of the dtype in the container, enough to restore it.
    level_dtype : str
        Dtype of the categories, where the container has one beside the column's dtype.
    ordered : bool
        Whether the categories were declared as ordered.
    empty : bool
        True when every cell was missing in fit. Such a column is carried along: it has no density
        and comes back all missing.

    Examples
    --------
    >>> Column("age", "numeric", dtype="uint8").integer_range
    (0, 255)
    """

    name: str | int
    kind: Kind
    levels: tuple[Level, ...] = ()
    dtype: str = "float64"
    level_dtype: str = ""
    ordered: bool = False
    empty: bool = False

    @property
    def is_categorical(self) -> bool:
        """Whether cells are levels."""
        return self.kind == "categorical"

    @property
    def is_declared(self) -> bool:
        """Whether the levels were declared with the column's dtype, not found in its cells."""
        return self.dtype in ("category", "Enum") or self.dtype.startswith("dictionary:")

    @property
    def integer_range(self) -> tuple[int, int] | None:
        """Smallest and largest value of an integer dtype, None for any other dtype."""
        match = _INTEGER.match(self.dtype)
        if match is None:
            return None
        bits = int(match[2])
        return (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    @property
    def largest(self) -> float:
        """Largest number of a float dtype."""
        return _LARGEST.get(self.dtype.lower().removesuffix("[pyarrow]").lstrip("<>"), math.inf)


@dataclass(frozen=True)
class Schema:
    """The columns of a fitted table and the container they came in.

    Examples
    --------
    >>> schema = Schema((Column("size", "categorical", levels=("L", "S")),), "dict")
    >>> Schema.from_dict(schema.as_dict()) == schema
    True
    """

    columns: tuple[Column, ...]
    container: Container = "numpy"

    def __getstate__(self) -> dict[str, Any]:
        """Without what is reckoned when it is asked for."""
        return {"columns": self.columns, "container": self.container}

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    @cached_property
    def names(self) -> tuple[str | int, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def categorical(self) -> tuple[int, ...]:
        """Positions of the categorical columns."""
        return tuple(j for j, column in enumerate(self.columns) if column.is_categorical)

    @cached_property
    def numeric(self) -> tuple[int, ...]:
        """Positions of the numeric columns."""
        return tuple(j for j, column in enumerate(self.columns) if not column.is_categorical)

    def position(self, name: str | int) -> int:
        """Position of the column called ``name``; ValueError when there is none."""
        if name not in self.names:
            raise ValueError(f"no column {name!r}; the columns are {preview(self.names)}")
        return self.names.index(name)

    def select(self, names: tuple[str | int, ...]) -> Schema:
        """Schema of some of the columns, in the order of ``names``."""
        return Schema(tuple(self.columns[self.position(n)] for n in names), self.container)

    def as_dict(self) -> dict[str, Any]:
        """Plain dict that ``json.dumps`` accepts."""
        columns = [{**asdict(c), "levels": list(c.levels)} for c in self.columns]
        return {"container": self.container, "columns": columns}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Schema:
        """Inverse of `as_dict`, also after a trip through JSON."""
        columns = (Column(**{**c, "levels": tuple(c["levels"])}) for c in fields["columns"])
        return cls(tuple(columns), fields["container"])


def preview(values: tuple[Any, ...] | list[Any], limit: int = 5) -> str:
    """First few values for an error message: it never prints a whole table."""
    shown = ", ".join(repr(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown}, ... ({len(values)} in all)"
