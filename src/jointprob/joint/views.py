"""The rows of a table under both encodings, those to fit and those held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from jointprob.encode import Encoding, fit_encodings
from jointprob.joint.nursery import View
from jointprob.joint.rows import canonical_rows, encoded_rows, hold_out
from jointprob.joint.tree import Floats
from jointprob.marginal import AsItIs
from jointprob.table import Table


def views_of(
    table: Table,
    weight: Floats,
    validation: Table | None,
    seed: int,
    n_jobs: int | None,
    atoms: tuple[Floats, ...] | None = None,
    families: Mapping[int, AsItIs] | None = None,
) -> list[View]:
    """The table under both encodings, divided into rows to fit and rows to hold out."""
    rows, weight = canonical_rows(table, weight)
    if validation is None:
        fitted, held_out = hold_out(len(rows), seed)
        validation, held_weight = table.take(rows[held_out]), weight[held_out]
        rows, weight = rows[fitted], weight[fitted]
    else:
        order, held_weight = canonical_rows(validation, np.ones(validation.n_rows))
        validation = validation.take(order)
    table = table.take(rows)
    encodings = fit_encodings(table, weight, n_jobs, atoms)
    if families:
        encodings = _left_alone(encodings[0], families), _left_alone(encodings[1], families)
    kept = encodings if encodings[0].numeric else encodings[:1]
    return [view_of(e, table, weight, validation, held_weight, n_jobs) for e in kept]


def _left_alone(encoding: Encoding, families: Mapping[int, AsItIs]) -> Encoding:
    """The encoding that leaves some columns of z as they are."""
    return replace(
        encoding,
        marginals=tuple(families.get(j, m) for j, m in enumerate(encoding.marginals)),
        atoms=tuple(np.empty(0) if j in families else a for j, a in enumerate(encoding.atoms)),
    )


def view_of(
    encoding: Encoding,
    table: Table,
    weight: Floats,
    validation: Table,
    held_weight: Floats,
    n_jobs: int | None,
) -> View:
    """The rows of two tables under one encoding, fitted and held out."""
    encoded = [encoding.encode(part, n_jobs) for part in (table, validation)]
    rows, held_out = (
        encoded_rows(encoding, table.schema, e, w)
        for e, w in zip(encoded, (weight, held_weight), strict=True)
    )
    return View(encoding, rows, held_out, encoded[1].log_jacobian)
