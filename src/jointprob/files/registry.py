"""What a file may hold: the roots, and every class that their annotations lead to.

A class says how it is stored by the annotations of its fields: a dataclass by all of them but
those with the metadata ``{"saved": False}``, an estimator by those of its class. Nothing else is
ever built from a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

ROOTS = {
    "Joint": "jointprob.query.joint",
    "JEPAClassifier": "jointprob.estimators.classifier",
    "JEPADensity": "jointprob.estimators.density",
    "JEPAImputer": "jointprob.estimators.imputer",
    "JEPAOutlierDetector": "jointprob.estimators.outliers",
    "JEPARegressor": "jointprob.estimators.regressor",
    "TableAugmenter": "jointprob.augment.tables.augmenter",
}

# Named by annotations of modules that these modules import.
LATER = {"LabelModel": "jointprob.predict.labels"}


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


def _annotations(owner: type, include_extras: bool = False) -> dict[str, Any]:
    later = {name: getattr(import_module(home), name) for name, home in LATER.items()}
    return get_type_hints(owner, None, later, include_extras)


@cache
def hints(owner: type) -> dict[str, Any]:
    """Annotation of every field that is stored."""
    every = _annotations(owner)
    if not is_dataclass(owner):  # an estimator: what it learns
        return {name: every[name] for name in owner.__annotations__}
    return {f.name: every[f.name] for f in fields(owner) if f.metadata.get("saved", True)}


@cache
def optional(owner: type) -> frozenset[str]:
    """Fields that a file may lack: those with a default, and of an estimator what is `Annotated`.

    Such an annotation says when there is none.
    """
    if not is_dataclass(owner):
        told = _annotations(owner, include_extras=True)
        some = (name for name in hints(owner) if get_origin(told[name]) is Annotated)
        return frozenset(some) | {name for name in hints(owner) if hasattr(owner, name)}
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
        if is_dataclass(one) and found.setdefault(one.__name__, one) is not one:
            raise TypeError(f"two stored classes are called {one.__name__}")
        inner = [c for hint in hints(one).values() for c in _dataclasses(hint)]
        waiting += [c for c in dict.fromkeys(inner) if c not in found.values()]
    return found


def _dataclasses(hint: Any) -> list[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        return [hint]
    return [c for part in get_args(hint) if part is not hint for c in _dataclasses(part)]


Test = Callable[[Any], bool]


@cache
def tests(owner: type) -> dict[str, Test]:
    """Of every field that is stored: is a value what its annotation says?"""
    return {name: _test(hint) for name, hint in hints(owner).items()}


@cache
def _test(hint: Any) -> Test:
    """The question that an annotation asks."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: True
    if origin in (Union, UnionType):
        tests = [_test(part) for part in parts]
        return lambda value: any(test(value) for test in tests)
    if origin is Literal:
        return lambda value: any(type(value) is type(part) and value == part for part in parts)
    if origin is tuple:
        return _test_tuple(parts)
    if origin is list:
        test = _test(parts[0])
        return lambda value: type(value) is list and all(map(test, value))
    if origin is np.ndarray:
        return _test_array(parts[1])
    wanted = NoneType if hint is None else hint
    return lambda value: type(value) is wanted


def _test_tuple(parts: tuple[Any, ...]) -> Test:
    tests = [_test(part) for part in parts if part is not Ellipsis]
    if parts[-1] is Ellipsis:
        return lambda value: type(value) is tuple and all(map(tests[0], value))
    return lambda value: (
        type(value) is tuple
        and len(value) == len(tests)
        and all(test(one) for test, one in zip(tests, value, strict=True))
    )


def _test_array(dtype: Any) -> Test:
    scalar = get_args(dtype)[0] if get_args(dtype) else Any
    scalar = get_origin(scalar) or scalar  # integer[Any], floating[Any]
    if scalar is Any:
        return lambda value: isinstance(value, np.ndarray)
    return lambda value: isinstance(value, np.ndarray) and issubclass(value.dtype.type, scalar)
