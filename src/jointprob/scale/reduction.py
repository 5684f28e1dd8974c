"""Answers of batches merged in a tree, whose shape depends on their number alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Generic, TypeVar

Part = TypeVar("Part")

FAN_IN = 8


class Reduction(Generic[Part]):
    """Merges a stream of parts; holds one at each level of the tree.

    Eight parts make one of the next level, first to last, and so on. Sums are rounded and
    sketches thinned in the same order wherever the parts come from.

    Parameters
    ----------
    merge : callable
        Of two parts; changes neither.

    Examples
    --------
    >>> words = Reduction(lambda a, b: a + b)
    >>> for letter in "in order":
    ...     words.add(letter)
    >>> words.result()
    'in order'
    """

    def __init__(self, merge: Callable[[Part, Part], Part]) -> None:
        self.merge = merge
        self._levels: list[tuple[Part, int] | None] = []

    def add(self, part: Part, level: int = 0) -> None:
        """The next part."""
        if level == len(self._levels):
            self._levels.append(None)
        before = self._levels[level]
        merged, n = (part, 1) if before is None else (self.merge(before[0], part), before[1] + 1)
        self._levels[level] = None if n == FAN_IN else (merged, n)
        if n == FAN_IN:
            self.add(merged, level + 1)

    def result(self) -> Part:
        """All parts in one; there must be any."""
        parts = [level[0] for level in self._levels if level is not None]
        return reduce(lambda later, earlier: self.merge(earlier, later), parts)


def groups(parts: Sequence[Part]) -> list[Sequence[Part]]:
    """Parts that `Reduction` merges to one of the next level."""
    return [parts[i : i + FAN_IN] for i in range(0, len(parts), FAN_IN)]
