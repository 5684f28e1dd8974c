"""Transfer: a joint of many rows is the prior of a joint of few rows from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from jointprob.adapt.candidates import Candidate, Split, Task
from jointprob.adapt.columns import Target, read_target
from jointprob.adapt.power import Exponents
from jointprob.joint.nursery import LEAST_WEIGHT, Member, mixture_weights
from jointprob.joint.rows import canonical_rows, row_hash
from jointprob.joint.tree import Floats, LatentTree
from jointprob.query import Joint
from jointprob.query.evidence import nothing_known
from jointprob.schema import Schema, preview
from jointprob.table import Table, check_sample_weight

Strength = float | Literal["auto"]

N_FOLDS = 4
FOLDED_ROWS = 1500  # more rows are divided once
JUDGED_ROWS = 2000
FOLD_STREAM = 31  # second word of the key: no two uses of a seed share a stream


@dataclass(frozen=True, eq=False)
class Transfer:
    """What became of a source.

    Parameters
    ----------
    joint : Joint
    source_share : float
        How much of the source is in it, 0 to 1: mean a0 of its blocks, times the weight of the
        trees that lean on it.
    exponents : tuple of Exponents
        a0 of every block of each of these trees.
    """

    joint: Joint
    source_share: float
    exponents: tuple[Exponents, ...]


def transfer(
    joint: Joint,
    X: Any,
    sample_weight: ArrayLike | None = None,
    strength: Strength = "auto",
    categorical_features: Any = "from_dtype",
    seed: int = 0,
    n_jobs: int | None = None,
) -> Transfer:
    """Fine-tune a joint to other rows; see `jointprob.Joint.fine_tune`."""
    check_strength(strength)
    target = read_target(X, joint.schema, categorical_features)
    weight = check_sample_weight(sample_weight, target.table.n_rows)
    return transfer_rows(joint, target, weight, strength, seed, n_jobs)


def transfer_rows(
    joint: Joint,
    target: Target,
    weight: Floats,
    strength: Strength,
    seed: int,
    n_jobs: int | None,
) -> Transfer:
    """Fine-tune a joint to rows read beside it."""
    a0 = check_strength(strength)
    order, weight = canonical_rows(target.table, weight)
    table = target.table.take(order)
    if nothing_known(table).all():
        raise ValueError(
            f"X holds no value: every cell of the columns {preview(table.schema.names)} is missing "
            "in every row of positive weight; at least one must be known"
        )
    names = target.shared
    source = joint if list(joint.schema.names) == names else joint.marginal(names)
    task = Task(source, Target(table, target.n_shared), weight, seed, n_jobs)
    splits = divide(table, seed) if a0 is None else []
    candidates = []
    if a0 != 0:
        a0 = 1.0 if a0 is None and not splits else a0  # nothing to judge by
        candidates.append(task.lean(splits, a0, retune=False))
        if splits and source.schema.numeric:
            candidates.append(task.lean(splits, a0, retune=True))
    if a0 == 0 or (splits and task.all_known()):
        candidates.append(task.alone(splits))
    return _mix(candidates, table.schema, joint.n_rows, weight, splits)


def check_strength(strength: Any) -> float | None:
    """a0, None for "auto"."""
    if isinstance(strength, str) and strength == "auto":
        return None
    number = isinstance(strength, float | int | np.floating) and not isinstance(strength, bool)
    if number and 0 <= strength <= 1:
        return float(strength)
    raise ValueError(f"strength is {strength!r}; allowed are 'auto' and numbers from 0 to 1")


def _mix(
    candidates: list[Candidate],
    schema: Schema,
    n_rows: float,
    weight: Floats,
    splits: Sequence[Split],
) -> Transfer:
    """Candidates weighted by what they make of held-out rows."""
    shares = np.ones(1)
    if len(candidates) > 1:
        judged = np.concatenate([split.held_out for split in splits])
        log_probs = np.stack([c.log_prob for c in candidates], axis=1)
        shares = mixture_weights(log_probs, weight[judged])[0]
    kept = np.flatnonzero(shares >= LEAST_WEIGHT)
    shares = shares[kept] / shares[kept].sum()
    members: list[Member] = []
    exponents: list[Exponents] = []
    source_share = 0.0
    for k, share in zip(kept, shares, strict=True):
        one = candidates[k]
        members += [replace(m, log_weight=m.log_weight + float(np.log(share))) for m in one.members]
        exponents += one.exponents
        a0 = [_mean_a0(e, m.tree) for e, m in zip(one.exponents, one.members, strict=False)]
        source_share += float(share * np.mean(a0)) if a0 else 0.0
    members.sort(key=lambda m: -m.log_weight)
    total = float(weight.sum()) + source_share * n_rows
    return Transfer(Joint(schema, tuple(members), total), source_share, tuple(exponents))


def _mean_a0(exponents: Exponents, tree: LatentTree) -> float:
    numeric = list(tree.numeric_blocks)
    a0 = [exponents.transition.mean()]
    a0 += [exponents.covariance[numeric].mean()] if numeric else []
    a0 += [exponents.emission[tree.n_levels > 0].mean()] if (tree.n_levels > 0).any() else []
    return float(np.mean(a0))


def divide(table: Table, seed: int) -> list[Split]:
    """Folds of few rows, one division of many; rows that are equal stand on one side."""
    _, group = np.unique(row_hash(table), return_inverse=True)
    n_groups, n = int(group.max()) + 1, table.n_rows
    if n_groups < 2:
        return []
    random = np.random.Generator(np.random.Philox(key=[seed, FOLD_STREAM]))
    place = random.permutation(n_groups)[group]
    n_folds = min(N_FOLDS, n_groups)
    fold = place % n_folds
    if n <= FOLDED_ROWS:
        return [Split(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(n_folds)]
    held_out = np.flatnonzero(fold == 0)
    learnt = np.flatnonzero(fold != 0)
    return [Split(learnt, held_out[:: -(-len(held_out) // JUDGED_ROWS)])]
