"""``python -m jointprob``: the demonstration and the versions."""

import argparse
import sys
from collections.abc import Callable, Sequence

from . import __version__


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
        0 after a command; 2 after the usage, which is printed when no command is named.
    """
    parser = _parser()
    command: Callable[[], None] | None = parser.parse_args(arguments).run
    if command is None:
        parser.print_help()
        return 2
    command()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jointprob", description="The joint distribution of any table."
    )
    parser.add_argument("--version", action="version", version=f"jointprob {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="command")
    demo = commands.add_parser("demo", help="fit a mixed table with missing cells and question it")
    demo.set_defaults(run=_demo)
    versions = commands.add_parser("versions", help="print the versions a bug report needs")
    versions.set_defaults(run=_versions)
    return parser


# Commands import what they need when they run: the usage costs no scikit-learn.
def _demo() -> None:
    from .demo import run

    run()


def _versions() -> None:
    from .versions import show_versions

    show_versions()


if __name__ == "__main__":
    sys.exit(main())
