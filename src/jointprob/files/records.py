"""Objects to a list of records and named arrays, and back.

A record holds the fields of one object. It refers to others by their places in the list, always to
earlier ones: what is shared stays shared, and nothing can hold itself. No name in a file is ever
imported or called; `registry` says what there is.
"""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from jointprob.files.checks import check
from jointprob.files.container import NAMES, Array
from jointprob.files.registry import classes, hints, optional, tests

Record = dict[str, Any]
PLAIN = (bool, int, str)
KINDS = ("float", "tuple", "list", "dict", "object", "array", "text")
LAST_CHARACTER = 0x10FFFF


class Recorder:
    """Takes objects apart.

    Attributes
    ----------
    records : list of dict
        "class" and "fields" of each object, what it refers to before it.
    arrays : dict of str to ndarray
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.arrays: dict[str, Array] = {}
        self._known: dict[int, tuple[Any, Any]] = {}  # by id; holds the object, so ids stay its own

    def add(self, owner: Any) -> int:
        """Record an object; return its place."""
        kind: type = type(owner)
        fields = {
            name: self.value(getattr(owner, name), f"{kind.__name__}.{name}")
            for name in hints(kind)
            if not (name in optional(kind) and name not in vars(owner))
        }
        self.records.append({"class": kind.__name__, "fields": fields})
        return len(self.records) - 1

    def value(self, value: Any, label: str) -> Any:
        """A value as JSON."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, PLAIN):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, tuple | list):
            name = "tuple" if isinstance(value, tuple) else "list"
            return {name: [self.value(one, label) for one in value]}
        if isinstance(value, dict):
            pairs = [[self.value(part, label) for part in pair] for pair in value.items()]
            return {"dict": pairs}
        return self._shared(value, label)

    def _shared(self, value: Any, label: str) -> Any:
        if id(value) not in self._known:
            self._known[id(value)] = value, self._stored(value, label)
        return self._known[id(value)][1]

    def _stored(self, value: Any, label: str) -> Any:
        if is_dataclass(value):
            return {"object": self.add(value)}
        if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.ndim == 1:
            native = np.ascontiguousarray(value, value.dtype.newbyteorder("="))
            characters = native.view(np.uint32).reshape(len(value), -1)
            return {"text": self._array(characters, label)}
        if isinstance(value, np.ndarray) and value.dtype.newbyteorder("<") in NAMES:
            return {"array": self._array(value, label)}
        raise ValueError(
            f"{label} is {value!r:.80}, which a file cannot hold; allowed are None, numbers, "
            "texts, arrays of them, and lists, tuples and dicts of these"
        )

    def _array(self, array: Array, label: str) -> str:
        name = f"{label}.{len(self.arrays)}"
        self.arrays[name] = array
        return name


class Builder:
    """Puts objects together, checking each.

    Parameters
    ----------
    owner : type
        The root class.
    arrays : dict of str to ndarray
    """

    def __init__(self, owner: type, arrays: dict[str, Array]) -> None:
        self.arrays, self.owner = arrays, owner
        self.allowed = {**classes(owner), owner.__name__: owner}
        self.built: list[Any] = []

    def build(self, records: list[Any]) -> dict[str, Any]:
        """Fields of the last record, which is the root's; the records are used up.

        Raises
        ------
        ValueError
            For anything but sound records.
        """
        if not records:
            raise ValueError("there are no records")
        records.reverse()
        while len(records) > 1:
            name, fields = self._fields(records.pop())
            if name == self.owner.__name__:
                raise ValueError(f"a {name} stands inside another")
            made = self.allowed[name](**fields)
            check(made)
            self.built.append(made)
        name, fields = self._fields(records[0])
        if name != self.owner.__name__:
            raise ValueError(f"the last record is a {name!r}, not a {self.owner.__name__}")
        return fields

    def _fields(self, record: Any) -> tuple[str, dict[str, Any]]:
        if not isinstance(record, dict) or set(record) != {"class", "fields"}:
            raise ValueError("a record has no class or no fields")
        name, given = record["class"], record["fields"]
        if not isinstance(name, str) or name not in self.allowed or not isinstance(given, dict):
            raise ValueError(f"a record of class {name!r:.50} is not allowed here")
        owner = self.allowed[name]
        wanted = hints(owner)
        if given.keys() != wanted.keys():
            absent = set(wanted) - set(given) - optional(owner)
            unknown = set(given) - set(wanted)
            if absent or unknown:
                raise ValueError(f"{name} lacks {sorted(absent)} and has {sorted(unknown)!r:.80}")
        fields = {field: self.value(value) for field, value in given.items()}
        asked = tests(owner)
        for field, value in fields.items():
            if wanted[field] is float and type(value) is int:
                fields[field] = value = float(value)
            if not asked[field](value):
                raise ValueError(f"{name}.{field} is {value!r:.50}, not {wanted[field]!s:.80}")
        return name, fields

    def value(self, value: Any) -> Any:
        """A value from JSON."""
        if value is None or isinstance(value, PLAIN) or type(value) is float:
            return value
        if not isinstance(value, dict):
            raise ValueError(f"a value is {value!r:.50}")
        kind = next(iter(value), None)
        if len(value) != 1 or kind not in KINDS:
            raise ValueError(f"a value is {value!r:.50}")
        inner = value[kind]
        if kind in ("tuple", "list", "dict"):
            if not isinstance(inner, list):
                raise ValueError(f"a {kind} is {inner!r:.50}")
            if kind == "dict":
                return dict(self._pair(pair) for pair in inner)
            parts = [self.value(one) for one in inner]
            return tuple(parts) if kind == "tuple" else parts
        return getattr(self, f"_{kind}")(inner)

    def _pair(self, pair: Any) -> tuple[Any, Any]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"an entry of a dict is {pair!r:.50}")
        key, value = map(self.value, pair)
        if not isinstance(key, str | int | float | None):
            raise ValueError(f"a key of a dict is {key!r:.50}")
        return key, value

    def _float(self, text: Any) -> float:
        if text not in ("inf", "-inf", "nan"):
            raise ValueError(f"a number is {text!r:.50}")
        return float(text)

    def _object(self, place: Any) -> Any:
        if type(place) is not int or not 0 <= place < len(self.built):
            raise ValueError(f"a record refers to record {place!r:.50}")
        return self.built[place]

    def _text(self, name: Any) -> Array:
        """Labels that are texts, from their characters."""
        characters = self._array(name)
        if characters.dtype != np.uint32 or characters.ndim != 2 or not characters.size:
            raise ValueError(f"array {name!r:.50} holds no characters")
        if characters.max() > LAST_CHARACTER:
            raise ValueError(f"array {name!r:.50} holds {characters.max()}, which is no character")
        return characters.view(f"U{characters.shape[1]}")[:, 0]

    def _array(self, name: Any) -> Array:
        if not isinstance(name, str) or name not in self.arrays:
            raise ValueError(f"there is no array {name!r:.50}")
        array = self.arrays[name]
        if not array.ndim:
            raise ValueError(f"array {name!r:.50} has no dimension")
        if array.dtype.char == "?" and array.size and array.view(np.uint8).max() > 1:
            raise ValueError(f"array {name!r:.50} holds what is neither true nor false")
        return array
