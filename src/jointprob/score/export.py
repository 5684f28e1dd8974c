"""A joint as C source: the kernels of csrc/score.c and the model's arrays in one file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointprob.joint.tree import LatentTree, offsets
from jointprob.schema import Schema
from jointprob.score.plan import LOG_PROB, Plan, Tree, Wish, plan_of
from jointprob.versions import get_include

if TYPE_CHECKING:
    from jointprob.query.joint import Joint

STAGES = ("encode", "density", "joint", "score")
PER_LINE = 8
FAST_MATH = """/* NaN is a missing cell, and infinity stands for no density. */
#if defined(__FAST_MATH__) || defined(_M_FP_FAST) || (__FINITE_MATH_ONLY__ + 0)
#error "compile without -ffast-math and -ffinite-math-only: they make NaN and infinity meaningless"
#endif
"""
SIZES = ("parent", "n_states", "n_cells", "n_levels", "transition_at", "emission_at", "cell_at",
         "message_at", "code_column", "leaf_at")  # fmt: skip
TABLES = ("cell", "transition", "transposed", "emission", "unseen", "message")
NO_INTEGERS = ("transition", "transposed", "emission", "unseen", "message")
NUMBER = {"int64": "int64_t", "int32": "int32_t", "float32": "float", "float64": "double"}


def export_c(
    joint: Joint, folder: str | os.PathLike[str], name: str, outputs: Sequence[Wish]
) -> tuple[Path, Path]:
    """Write NAME.h and NAME.c; see `Joint.export_c`."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name={name!r}; allowed are C identifiers that start with a letter")
    plan = plan_of(joint, outputs)
    if all(output.kind == LOG_PROB for output in plan.outputs):
        members = [member._replace(tree=upward(member.tree)) for member in plan.members]
        plan = replace(plan, members=members)
    texts = (header(joint.schema, plan, outputs, name), source(plan, name))
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = (Path(folder) / f"{name}.h", Path(folder) / f"{name}.c")
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="ascii")
    return paths


def upward(tree: LatentTree) -> LatentTree:
    """The tree with the tables of an upward pass alone: most transitions are not among them."""
    above = np.where(tree.parent < 0, 1, tree.n_states[tree.parent])
    needed = tree.message_at < 0
    needed[0] = True
    at, _ = offsets(np.where(needed, tree.n_states * above, 0).tolist())
    parts = [
        tree.transposed[start : start + size]
        for start, size in zip(
            tree.transition_at[needed], (tree.n_states * above)[needed], strict=True
        )
    ]
    root = tree.transition[tree.transition_at[0] : tree.transition_at[0] + tree.n_states[0]]
    return replace(tree, transition_at=at, transition=root, transposed=np.concatenate(parts))


# ---- the header ----


def header(schema: Schema, plan: Plan, outputs: Sequence[Wish], name: str) -> str:
    upper = name.upper()
    return f"""/* A joint distribution of {len(schema)} columns, written by jointprob.

   A row holds the columns in this order. A number is finite, NaN where it is missing. A category is
   a code; -1 or NaN is missing, -2 and every code past the last a level that was not there when the
   model was fitted.

{_columns(schema)}

   Outputs of a row: {_comment([list(w) if isinstance(w, tuple) else w for w in outputs])} */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

enum {{ {upper}_COLUMNS = {plan.n_columns}, {upper}_OUTPUTS = {plan.width} }};

/* Bytes of work space for one thread's calls. */
int64_t {name}_work_size(void);

/* out (n_rows, {upper}_OUTPUTS): outputs of rows start..stop of rows (n_rows, {upper}_COLUMNS).
   Log densities are in nats. Returns 0, or a negative number for infinity, for a code that is a
   fraction or below -2, and for a posterior of a row of probability zero. */
int {name}_rows(const double *rows, int64_t start, int64_t stop, void *work, double *out);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _columns(schema: Schema) -> str:
    lines = []
    for j, column in enumerate(schema):
        levels = ", ".join(f"{c} = {_comment(v)}" for c, v in enumerate(column.levels))
        kind = f"category: {levels}" if column.is_categorical else "number"
        kind = "was all missing, is passed over" if column.empty else kind
        lines.append(f"   {j} {_comment(column.name)}: {kind}")
    return "\n".join(lines)


def _comment(value: Any) -> str:
    """JSON that cannot end a comment."""
    return json.dumps(value).replace("*", "\\u002a")


# ---- the source ----


def source(plan: Plan, name: str) -> str:
    parts = [
        f"/* Written by jointprob: kernels, then the model. See {name}.h. */\n",
        f'#include "{name}.h"\n',
        FAST_MATH,
        '#if defined(__GNUC__)\n#pragma GCC diagnostic ignored "-Wunknown-pragmas"\n'
        '#pragma GCC diagnostic ignored "-Wunused-function"\n#endif\n',
        *kernels(),
        *_model(plan),
        f"int64_t {name}_work_size(void) {{ return jp_score_work_size(&model); }}\n\n"
        f"int {name}_rows(const double *rows, int64_t start, int64_t stop, void *work, "
        "double *out)\n{\n    return jp_score_rows(&model, rows, start, stop, work, out);\n}\n",
    ]
    return "\n".join(parts)


def kernels() -> Iterator[str]:
    """The sources of the stages, each header once, every function static."""
    seen: set[str] = set()
    for stage in STAGES:
        text = _inlined(f"{stage}.c", seen)
        yield re.sub(r"^(?=(?:int|int64_t|void) jp_\w+\()", "static ", text, flags=re.MULTILINE)


def _inlined(file: str, seen: set[str]) -> str:
    """A source with the package's own headers in the place of their includes."""
    if file in seen:
        return ""
    seen.add(file)
    text = Path(get_include(), file).read_text(encoding="utf-8")
    return re.sub(
        r'^#include "(\w+\.h)".*\n', lambda m: _inlined(m[1], seen), text, flags=re.MULTILINE
    )


def _model(plan: Plan) -> Iterator[str]:
    for m, member in enumerate(plan.members):
        yield from _member_arrays(m, member)
    yield _structs(
        "jp_score_member", "members", [_member(*pair) for pair in enumerate(plan.members)]
    )
    yield from _columns_of(plan)
    outputs = [f"{{{o.kind}, {o.which}, {o.at}, {o.size}}}" for o in plan.outputs]
    yield _structs("jp_score_output", "outputs", outputs)
    numbers: dict[str, int | str] = {
        "n_columns": plan.n_columns, "n_codes": plan.n_codes,
        "n_categorical": len(plan.categorical), "n_numeric": len(plan.numeric),
        "n_encodings": len(plan.marginals), "n_members": len(plan.members),
        "n_outputs": len(plan.outputs), "width": plan.width,
        "most_leaves": plan.most_leaves, "most_blocks": plan.most_blocks,
        "most_states": plan.most_states, "most_gauss_columns": plan.most_gauss_columns,
        "most_levels": plan.most_levels,
    }  # fmt: skip
    for table in ("categorical", "numeric", "marginals", "members", "outputs"):
        numbers[table] = f"model_{table}"
    numbers["stages"] = "&model_stages"
    yield "static const jp_score_stages model_stages = JP_SCORE_STAGES;\n"
    fields = ",\n".join(f"    .{field} = {value}" for field, value in numbers.items())
    yield f"static const jp_scorer model = {{\n{fields}\n}};\n"


def _columns_of(plan: Plan) -> Iterator[str]:
    """Columns and their marginals, in every encoding."""
    categorical = [f"{{{c.column}, {c.n_levels}}}" for c in plan.categorical]
    yield _structs("jp_score_categorical", "categorical", categorical)
    for j, numeric in enumerate(plan.numeric):
        yield _array(f"atoms_{j}", numeric.atoms)
    views = [
        f"{{{n.column}, {n.companion}, {len(n.atoms)}, model_atoms_{j}}}"
        for j, n in enumerate(plan.numeric)
    ]
    yield _structs("jp_score_numeric", "numeric", views)
    views = []
    for e, marginals in enumerate(plan.marginals):
        for j, marginal in enumerate(marginals):
            at = f"{e}_{j}"
            yield _array(f"keys_{at}", marginal.keys)
            yield _array(f"pieces_{at}", marginal.pieces, "jp_piece")
            yield _array(f"tails_{at}", marginal.tails, "jp_tail")
            views.append(
                f"{{model_keys_{at}, {len(marginal.keys)}, model_pieces_{at}, "
                f"{len(marginal.pieces)}, model_tails_{at}}}"
            )
    yield _structs("jp_marginal", "marginals", views)


def _member_arrays(m: int, member: Tree) -> Iterator[str]:
    for field in SIZES + TABLES:
        yield _array(f"{field}_{m}", getattr(member.tree, field))
    yield _array(f"z_column_{m}", member.z_columns)
    gaussians = []
    for g, one in enumerate(member.tree.gaussians):
        at = f"{m}_{g}"
        for field in ("mean_lanes", "whitening_lanes", "log_norm", "covariance_lanes"):
            yield _array(f"{field}_{at}", getattr(one, field))
        gaussians.append(
            f"{{{len(one.columns)}, {one.n_states}, {one.mean_lanes.shape[1]}, "
            f"(float *)model_mean_lanes_{at}, (float *)model_whitening_lanes_{at}, "
            f"(float *)model_log_norm_{at}, (double *)model_covariance_lanes_{at}, NULL}}"
        )
    yield _structs("jp_gauss", f"gauss_{m}", gaussians)


def _member(m: int, member: Tree) -> str:
    tree = member.tree
    fields = [f".n_blocks = {tree.n_blocks}"]
    for field in SIZES[:-2] + TABLES:
        cast = "(float *)" if field in NO_INTEGERS else ""
        fields.append(f".{field} = {cast}model_{field}_{m}")
    return (
        f"{{{member.encoding}, {member.log_weight!r}, {{{', '.join(fields)}}}, "
        f"model_code_column_{m}, model_leaf_at_{m}, {tree.n_leaf}, {len(tree.gaussians)}, "
        f"model_gauss_{m}, model_z_column_{m}}}"
    )


# ---- C ----


def _structs(kind: str, name: str, values: list[str]) -> str:
    """An array of structs; C has no empty ones."""
    rows = ",\n".join(f"    {value}" for value in values or ["{0}"])
    return f"static const {kind} model_{name}[] = {{\n{rows}\n}};\n"


def _array(name: str, values: NDArray[Any], kind: str = "") -> str:
    """An array of numbers, or of structs of numbers when they have two dimensions and a kind."""
    flat = values.ravel() if values.size else np.zeros(1, values.dtype)
    numbers = [_literal(x, flat.dtype) for x in flat.tolist()]
    if kind:
        width = values.shape[1]
        rows = [numbers[i : i + width] for i in range(0, len(numbers), width)]
        return _structs(kind, name, [f"{{{', '.join(row)}}}" for row in rows])
    lines = [", ".join(numbers[i : i + PER_LINE]) for i in range(0, len(numbers), PER_LINE)]
    body = ",\n".join(f"    {line}" for line in lines)
    return f"static const {NUMBER[flat.dtype.name]} model_{name}[] = {{\n{body}\n}};\n"


def _literal(x: float, dtype: np.dtype[Any]) -> str:
    """The shortest usual text that reads back as the same number."""
    if dtype.kind == "i":
        return str(x)
    if np.isinf(x):
        return "INFINITY" if x > 0 else "-INFINITY"
    return f"{x:.9g}" if dtype.itemsize == 4 else f"{x:.17g}"
