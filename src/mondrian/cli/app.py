"""The command line: arguments in, events out. The report goes to stdout, progress to stderr."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mondrian import errors

if TYPE_CHECKING:
    from rich.console import Console


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130


def fail(error: errors.MondrianError) -> NoReturn:
    """Say what went wrong and exit with the code of its class."""
    print(f"mondrian: {error.message}", file=sys.stderr)
    sys.exit(error.exit_code)


def _show_version(is_wanted: bool) -> None:
    from mondrian import __version__

    if is_wanted:
        print(f"mondrian {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show it and leave.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Mondrian critiques photographs, and says all the way what it is doing."""


def tell_choice(engine: str, home: Path) -> None:
    """Say on stderr what ``auto`` takes, and what would be better."""
    from mondrian.models import choose

    if engine == "auto":
        print(choose(home), file=sys.stderr)


def stdout() -> "Console":
    """The console that results go to."""
    from rich.console import Console

    return Console()


def stderr() -> "Console":
    """The console that progress goes to."""
    from rich.console import Console

    return Console(stderr=True)
