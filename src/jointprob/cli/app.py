"""All commands under one name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from jointprob.__main__ import CLOSED_PIPE, run_demo, run_versions
from jointprob.cli import commands, streams

app = typer.Typer(
    help="The joint distribution of any table.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _in_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose errors end in one line and exit code 1."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except BrokenPipeError:
            raise typer.Exit(CLOSED_PIPE) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _fail(f"{where}{error.strerror or error}")
        except (ValueError, TypeError, ImportError) as error:
            _fail(str(error))

    return run


def _fail(message: str) -> None:
    typer.echo(f"jointprob: {' '.join(message.split())}", err=True)
    raise typer.Exit(1)


for _command in (
    commands.fit, commands.score, commands.predict, commands.sample, commands.impute,
    commands.explain, commands.query, streams.drift, commands.info,
):  # fmt: skip
    app.command()(_in_one_line(_command))
app.command("demo")(run_demo)
app.command("versions")(run_versions)
