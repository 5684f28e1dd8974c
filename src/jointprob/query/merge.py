"""Which joints can be mixed?"""

from __future__ import annotations

import numpy as np

from jointprob.encode import Encoding
from jointprob.schema import Schema


def check_same_columns(here: Schema, there: Schema) -> None:
    """ValueError that names the first column that differs."""
    for mine, its in zip(here, there, strict=False):
        if (mine.name, mine.kind, mine.levels) != (its.name, its.kind, its.levels):
            raise ValueError(
                f"column {mine.name!r} differs: {mine.kind} with levels {mine.levels[:5]} here, "
                f"{its.name!r}, {its.kind} with levels {its.levels[:5]} there"
            )
    if len(here) != len(there):
        raise ValueError(f"{len(here)} columns here, {len(there)} there")


def check_same_atoms(schema: Schema, here: Encoding, there: Encoding) -> None:
    """ValueError unless all numeric columns have the same atoms: one measure for both."""
    for column, mine, its in zip(here.numeric, here.atoms, there.atoms, strict=True):
        if not np.array_equal(mine, its):
            raise ValueError(
                f"column {schema.columns[column].name!r}: atoms {mine.tolist()} here, "
                f"{its.tolist()} there; densities of different atoms cannot be mixed"
            )
