"""What a scorer is made of: a joint's arrays by the names of csrc/score.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from jointprob.density import Gaussians
from jointprob.encode import Encoding
from jointprob.joint.nursery import Member
from jointprob.joint.tree import Floats, LatentTree, Sizes
from jointprob.marginal import Marginal
from jointprob.schema import Schema, preview

if TYPE_CHECKING:
    from jointprob.query.joint import Joint

Wish: TypeAlias = str | tuple[str, str | int]  # "log_prob", "subsets" or ("levels", column)

LOG_PROB, SUBSETS, LEVELS = 0, 1, 2  # as in csrc/score.h


class Categorical(NamedTuple):
    """A categorical column: where it stands in a row (-1: passed over), and its levels."""

    column: int
    n_levels: int


class Numeric(NamedTuple):
    """A numeric column: where it stands in a row, and in the codes what says which atom it is."""

    column: int
    companion: int
    atoms: Floats


class Tree(NamedTuple):
    """A member: the encoding it reads, and the columns of z of its Gaussians one after another."""

    encoding: int
    log_weight: float
    tree: LatentTree
    z_columns: Sizes


class Output(NamedTuple):
    """Numbers ``at`` to ``at + size`` of a row's outputs."""

    kind: int
    which: int
    at: int
    size: int


@dataclass(frozen=True, eq=False)
class Plan:
    """All arrays and sizes of a ``jp_scorer``.

    Parameters
    ----------
    n_columns, n_codes : int
    categorical : list of Categorical
    numeric : list of Numeric
    marginals : list of tuple of Marginal
        Of the numeric columns, in each encoding.
    members : list of Tree
    outputs : list of Output
    """

    n_columns: int
    n_codes: int
    categorical: list[Categorical]
    numeric: list[Numeric]
    marginals: list[tuple[Marginal, ...]]
    members: list[Tree]
    outputs: list[Output]

    @property
    def width(self) -> int:
        """Numbers of all outputs together."""
        return sum(output.size for output in self.outputs)

    @property
    def most_leaves(self) -> int:
        return max(member.tree.n_leaf for member in self.members)

    @property
    def most_blocks(self) -> int:
        return max(member.tree.n_blocks for member in self.members)

    @property
    def most_states(self) -> int:
        return max(int(member.tree.n_states.sum()) for member in self.members)

    @property
    def most_gauss_columns(self) -> int:
        return max((len(g.columns) for m in self.members for g in m.tree.gaussians), default=0)

    @property
    def most_levels(self) -> int:
        return max((output.size for output in self.outputs if output.kind == LEVELS), default=0)


def plan_of(joint: Joint, outputs: Sequence[Wish]) -> Plan:
    """The plan of a joint; it shares the joint's arrays."""
    joint._refuse_families("scorers and C hold no code of the user's")
    encodings = list({id(member.encoding): member.encoding for member in joint.members}.values())
    first = encodings[0]  # all have the same columns, levels and atoms
    places = {id(encoding): e for e, encoding in enumerate(encodings)}
    return Plan(
        n_columns=len(joint.schema),
        n_codes=len(first.n_levels),
        categorical=[
            Categorical(_seen(joint.schema, column), n_levels)
            for column, n_levels in zip(first.categorical, first.levels, strict=True)
        ],
        numeric=[_numeric(joint.schema, first, j) for j in range(len(first.numeric))],
        marginals=[encoding.marginals for encoding in encodings],
        members=[_tree(member, places[id(member.encoding)]) for member in joint.members],
        outputs=_outputs(joint, outputs),
    )


def _seen(schema: Schema, column: int) -> int:
    """The column, or -1 if it was all missing in fit."""
    return -1 if schema.columns[column].empty else column


def _numeric(schema: Schema, encoding: Encoding, j: int) -> Numeric:
    companion = encoding.companion_of[j]
    return Numeric(
        _seen(schema, encoding.numeric[j]),
        -1 if companion is None else companion,
        np.ascontiguousarray(encoding.atoms[j], np.float64),
    )


def _tree(member: Member, encoding: int) -> Tree:
    if not all(isinstance(densities, Gaussians) for densities in member.tree.gaussians):
        raise ValueError(
            "a column has densities of a family of your own; only joints of Gaussians compile"
        )
    columns = [g.columns for g in member.tree.gaussians]
    together = np.concatenate([np.empty(0, np.int64), *columns]).astype(np.int64)
    return Tree(encoding, float(member.log_weight), member.tree, together)


def _outputs(joint: Joint, wishes: Sequence[Wish]) -> list[Output]:
    if not wishes:
        raise ValueError("outputs is empty; allowed are 'log_prob', 'subsets', ('levels', column)")
    found: list[Output] = []
    for wish in wishes:
        kind, which, size = _output(joint, wish)
        found.append(Output(kind, which, sum(output.size for output in found), size))
    return found


def _output(joint: Joint, wish: Any) -> tuple[int, int, int]:
    if wish == "log_prob":
        return LOG_PROB, 0, 1
    if wish == "subsets":
        weights = [member.log_weight for member in joint.members]
        heaviest = int(np.argmax(weights))
        tree = joint.members[heaviest].tree
        return SUBSETS, heaviest, int(tree.n_states[0] // tree.n_cells[0])
    if isinstance(wish, tuple) and len(wish) == 2 and wish[0] == "levels":
        return _levels(joint, wish[1])
    raise ValueError(
        f"outputs holds {wish!r}; allowed are 'log_prob', 'subsets' and ('levels', column)"
    )


def _levels(joint: Joint, name: str | int) -> tuple[int, int, int]:
    position = joint.schema.position(name)
    column = joint.schema.columns[position]
    if not column.is_categorical or column.empty:
        known = [c.name for c in joint.schema if c.is_categorical and not c.empty]
        raise ValueError(
            f"column {name!r} has no levels; allowed in outputs are {preview(known) or 'none'}"
        )
    code = joint.members[0].encoding.categorical.index(position)
    if any(code not in member.tree.code_column for member in joint.members):
        raise ValueError(f"column {name!r} has no block in one of the joint's trees")
    return LEVELS, code, len(column.levels)
