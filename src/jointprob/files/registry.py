"""What a file may hold: the roots, and every class that their annotations lead to.

A class says how it is stored by the annotations of its fields: a dataclass by all of them but
those with the metadata ``{"saved": False}``, an estimator by those of its class. Nothing else is
ever built from a file.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

ROOTS = {
    "Joint": "jointprob.query.joint",
    "JEPAClassifier": "jointprob.estimators.classifier",
    "JEPADensity": "jointprob.estimators.density",
    "JEPAImputer": "jointprob.estimators.imputer",
    "JEPAOutlierDetector": "jointprob.estimators.outliers",
    "JEPARegressor": "jointprob.estimators.regressor",
}


def root(name: str) -> type:
    """A root class by its name, imported alone; ValueError for any other name."""
    if name not in ROOTS:
        raise ValueError(f"it holds a {name!r:.50}; allowed are {', '.join(ROOTS)}")
    found: type = getattr(import_module(ROOTS[name]), name)
    return found


def name_of(owner: type) -> str | None:
    """Name of a root class, None for any other class."""
    return next((name for name, home in ROOTS.items() if _is(owner, home, name)), None)


def _is(owner: type, home: str, name: str) -> bool:
    return owner.__module__ == home and owner.__qualname__ == name


@cache
def hints(owner: type) -> dict[str, Any]:
    """Annotation of every field that is stored."""
    every = get_type_hints(owner)
    if not is_dataclass(owner):  # an estimator: what it learns
        return {name: every[name] for name in owner.__annotations__}
    return {f.name: every[f.name] for f in fields(owner) if f.metadata.get("saved", True)}


@cache
def optional(owner: type) -> frozenset[str]:
    """Fields that have a default: files of older releases may lack them."""
    if not is_dataclass(owner):
        return frozenset(name for name in hints(owner) if hasattr(owner, name))
    given = (f for f in fields(owner) if f.default is not MISSING)
    made = (f for f in fields(owner) if f.default_factory is not MISSING)
    return frozenset(f.name for group in (given, made) for f in group)


@cache
def classes(owner: type) -> dict[str, type]:
    """Dataclasses that may stand below a root, by their names."""
    found: dict[str, type] = {}
    waiting = [owner]
    while waiting:
        one = waiting.pop()
        if is_dataclass(one):
            if found.setdefault(one.__name__, one) is not one:
                raise TypeError(f"two stored classes are called {one.__name__}")
        inner = [c for hint in hints(one).values() for c in _dataclasses(hint)]
        waiting += [c for c in dict.fromkeys(inner) if c not in found.values()]
    return found


def _dataclasses(hint: Any) -> list[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        return [hint]
    return [c for part in get_args(hint) if part is not hint for c in _dataclasses(part)]


def fits(value: Any, hint: Any) -> bool:
    """Is a value what an annotation says?"""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is tuple:
        return _fits_tuple(value, parts)
    if origin is np.ndarray:
        return _fits_array(value, parts[1])
    if hint is None or hint is NoneType:
        return value is None
    return type(value) is hint


def _fits_tuple(value: Any, parts: tuple[Any, ...]) -> bool:
    if type(value) is not tuple:
        return False
    if parts[-1] is Ellipsis:
        return all(fits(one, parts[0]) for one in value)
    return len(value) == len(parts) and all(map(fits, value, parts))


def _fits_array(value: Any, dtype: Any) -> bool:
    if not isinstance(value, np.ndarray):
        return False
    scalar = get_args(dtype)[0] if get_args(dtype) else Any
    scalar = get_origin(scalar) or scalar  # integer[Any], floating[Any]
    return scalar is Any or (isinstance(scalar, type) and issubclass(value.dtype.type, scalar))
