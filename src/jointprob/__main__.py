"""``python -m jointprob``: the command line; without its extra the demonstration and versions."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from . import __version__

INTERRUPTED = 130  # as shells report Ctrl-C
CLOSED_PIPE = 141  # as shells report whoever writes to a pipe that nobody reads


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command of the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``python -m jointprob``; by default those of this process.

    Returns
    -------
    status : int
        0 after a command; 1 after an error, which is one line on the standard error; 2 after the
        usage; 3 after `drift` has raised an alarm; 130 after Ctrl-C; 141 when whoever reads the
        output has gone.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        status = CLOSED_PIPE
    except KeyboardInterrupt:
        status = INTERRUPTED
    if status == CLOSED_PIPE:  # the interpreter flushes at its end, and would complain there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _run(words: list[str]) -> int:
    own = {"demo": run_demo, "versions": run_versions}
    if len(words) == 1 and words[0] in own:  # they cost no import, and need no extra
        own[words[0]]()
        return 0
    if words == ["--version"]:
        print(f"jointprob {__version__}")
        return 0
    try:
        from .cli import app
    except ImportError as error:
        return _without_extra(words, own, error)
    try:
        app(words, prog_name="jointprob")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


def _without_extra(words: list[str], own: dict[str, Callable[[], None]], error: ImportError) -> int:
    parser = argparse.ArgumentParser(prog="jointprob", description=__doc__)
    parser.add_argument("command", nargs="?", choices=list(own))
    if words and not words[0].startswith("-"):
        print(f"jointprob: {error}: pip install 'jointprob[cli]'", file=sys.stderr)
        return 1
    parser.print_help()
    return 2


# Commands import what they need when they run: the usage costs no scikit-learn.
def run_demo() -> None:
    """Fit a mixed table with missing cells and question it."""
    from .demo import run

    run()


def run_versions() -> None:
    """Print the versions a bug report needs."""
    from .versions import show_versions

    show_versions()


if __name__ == "__main__":
    sys.exit(main())
