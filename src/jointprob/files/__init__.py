"""Files: a fitted model in one file, written all or nothing, read without running any code.

The format is safetensors: arrays, and texts about them. See `container` for the bytes, `records`
for how objects become records and arrays, `registry` for what a file may hold, and `checks` for
what is asked of it before it is used.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from jointprob import __version__
from jointprob.files import (  # noqa: F401 (they register their checks)
    estimators,
    joints,
    predictions,
    streams,
)
from jointprob.files.checks import check
from jointprob.files.container import Content, parse, read, write
from jointprob.files.records import Builder, Recorder
from jointprob.files.registry import name_of, root

FORMAT = 1  # grows when older releases could no longer read what is written

Path = str | os.PathLike[str]


def save(model: Any, path: Path) -> None:
    """Write a fitted model; see its own ``save``."""
    name = name_of(type(model))
    if name is None:
        raise TypeError(f"{type(model).__name__} cannot be saved: only jointprob's own classes")
    whole, recorder, settings = _whole(model), Recorder(), {}
    if hasattr(whole, "members"):
        whole._refuse_families("a file holds no code; pickle it")
    if model is not whole:
        settings = {
            key: recorder.value(_plain(value), f"parameter {key!r} of {name}")
            for key, value in model.get_params(deep=False).items()
        }
    recorder.add(model)
    texts = {
        "format": "jointprob",
        "format_version": str(FORMAT),
        "library_version": __version__,
        "class": name,
        "schema": _text(whole.schema.as_dict()),
        "training": _text({"rows": whole.n_rows, "trees": _n_trees(whole)}),
        "parameters": _text(settings),
        "records": _text(recorder.records),
    }
    write(path, Content(recorder.arrays, texts))


def load(path: Path, mmap: bool = True, expected: type | None = None) -> Any:
    """Read a model.

    Parameters
    ----------
    path : path
    mmap : bool
        Map the arrays into memory, where processes share them, instead of reading them.
    expected : type, optional
        The class that the file must hold.

    Returns
    -------
    The model that was saved.

    Raises
    ------
    ValueError
        For a file that is none of ours, broken, of a newer format, or of another class.
    """
    try:
        with np.errstate(all="ignore"):  # what is broken may overflow before it is found out
            return _load(read(path, mmap), expected)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def describe(path: Path) -> dict[str, Any]:
    """What a file says of itself: its class, versions, schema and training; no model is built."""
    try:
        texts = read(path).texts
        _check_format(texts)
        told = {key: parse(texts[key]) for key in ("schema", "training", "parameters")}
        return {**{key: texts[key] for key in ("class", "library_version")}, **told}
    except (ValueError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def _whole(model: Any) -> Any:
    """What knows columns and rows: a joint, or the forest of a stream."""
    stream = getattr(model, "_model", None)
    return getattr(stream, "forest", None) or getattr(model, "joint_", model)


def _n_trees(whole: Any) -> int:
    if hasattr(whole, "generations"):
        return sum(len(generation.trees) for generation in whole.generations)
    return len(whole.members)


def _plain(value: Any) -> Any:
    """A parameter whose lists are arrays as a list: it is read as one."""
    return (
        value.tolist() if type(value).__module__ == "numpy" and hasattr(value, "tolist") else value
    )


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _load(content: Content, expected: type | None) -> Any:
    texts = content.texts
    _check_format(texts)
    owner = root(texts["class"])
    if expected is not None and not issubclass(expected, owner):
        raise ValueError(f"it holds a {texts['class']}, not a {expected.__name__}")
    builder = Builder(owner, content.arrays)
    try:
        fields = builder.build(parse(texts.pop("records"), list))
        settings = parse(texts["parameters"])
        model = _joint(owner, fields) if not hasattr(owner, "get_params") else _estimator(
            expected or owner, {k: builder.value(v) for k, v in settings.items()}, fields
        )  # fmt: skip
    except RecursionError:
        raise ValueError("its records are nested too deeply") from None
    return model


def _check_format(texts: dict[str, str]) -> None:
    """ValueError unless this release reads such files."""
    if texts.get("format") != "jointprob":
        raise ValueError("no file of a jointprob model")
    wanted = ("format_version", "library_version", "class", "schema", "training", "parameters")
    absent = [key for key in (*wanted, "records") if key not in texts]
    if absent:
        raise ValueError(f"its header lacks {', '.join(absent)}")
    version = texts["format_version"]
    if not (version.isascii() and version.isdigit() and len(version) < 10 and int(version) > 0):
        raise ValueError(f"its format is {version!r:.50}; allowed are whole numbers from 1")
    if int(version) > FORMAT:
        raise ValueError(
            f"format {version}, written by jointprob {texts['library_version']:.50}, is newer than "
            f"jointprob {__version__}, which reads formats up to {FORMAT}: a newer jointprob "
            "reads it"
        )


def _joint(owner: type, fields: dict[str, Any]) -> Any:
    joint = owner(**fields)
    check(joint)
    return joint


def _estimator(owner: Any, settings: dict[str, Any], fields: dict[str, Any]) -> Any:
    from jointprob.estimators.density import keep_names

    unknown = set(settings) - set(owner._get_param_names())
    if unknown:
        raise ValueError(f"{owner.__name__} has no parameters {sorted(unknown)!r:.80}")
    estimator = owner(**settings)
    vars(estimator).update(fields)
    check(estimator)
    keep_names(estimator, _whole(estimator).schema)
    return estimator
