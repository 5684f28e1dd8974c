"""Which cells rows miss: as some row did in fit, or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jointprob.forest.bins import Binned


@dataclass(frozen=True, eq=False)
class Patterns:
    """The sets of missing cells that rows had in fit.

    That a cell is missing may tell something, and trees learn what. A row that misses cells as no
    row did in fit is another matter: what they hold is unknown, and nothing else is meant.

    Parameters
    ----------
    known : uint8 (n_patterns, n_bytes)
        Distinct, eight columns a byte.
    """

    known: NDArray[np.uint8]

    @classmethod
    def of(cls, binned: Binned) -> Patterns:
        """Patterns of these rows."""
        return cls(np.unique(_packed(binned), axis=0))

    def strange(self, binned: Binned) -> NDArray[np.bool_]:
        """Does the row miss cells as no row did in fit?, (n_rows,)."""
        patterns, which = np.unique(_packed(binned), axis=0, return_inverse=True)
        seen = {pattern.tobytes() for pattern in self.known}
        strange = [bool(p.any()) and p.tobytes() not in seen for p in patterns]
        return np.array(strange, bool)[which.ravel()]


def _packed(binned: Binned) -> NDArray[np.uint8]:
    return np.packbits(binned.missing.T, axis=1)
