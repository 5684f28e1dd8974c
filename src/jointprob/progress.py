"""Progress on long work, for those who ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str], None]


def silent(message: str) -> None:
    """Tell nobody."""


@contextmanager
def reporting(verbose: int) -> Iterator[Progress]:
    """A function that shows a line of progress, or shows nothing where `verbose` is 0.

    Raises
    ------
    ImportError
        If rich is not installed.
    """
    if not verbose:
        yield silent
        return
    try:
        from rich.console import Console
    except ImportError as error:
        raise ImportError("verbose needs rich: pip install jointprob[cli]") from error
    with Console(stderr=True).status("jointprob") as status:
        yield status.update
