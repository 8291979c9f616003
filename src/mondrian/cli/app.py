"""The command line: arguments in, events out. The report goes to stdout, progress to stderr."""

import logging
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mondrian import errors

if TYPE_CHECKING:
    from rich.console import Console


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130


def exit_with(error: errors.MondrianError) -> NoReturn:
    """Say what went wrong and exit with the code of its class."""
    logging.getLogger(__name__).debug("where it went wrong", exc_info=error)
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
        typer.Option(
            "--version", metavar="", help="Show it and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Mondrian critiques photographs, and says all the way what it is doing."""


@app.command(rich_help_panel="Models and this machine")
def help(  # noqa: A001
    ctx: typer.Context,
    command: Annotated[str | None, typer.Argument(metavar="COMMAND")] = None,
) -> None:
    """Show the commands, or what COMMAND takes."""
    parent = ctx.parent
    assert parent
    found = parent.command.get_command(parent, command) if command else parent.command  # type: ignore[attr-defined]
    if found is None:
        raise typer.BadParameter(f"There is no command {command!r}. `mondrian help` lists them.")
    found.get_help(typer.Context(found, info_name=command, parent=parent) if command else parent)


def set_verbosity(*, is_quiet: bool, is_verbose: bool) -> None:
    """Let a command show no progress, or all that is logged."""
    from mondrian.server.log_format import PlainFormatter

    _OUTPUT["is_quiet"] = is_quiet
    level = logging.DEBUG if is_verbose else logging.ERROR if is_quiet else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("mondrian").setLevel(level)


_OUTPUT = {"is_quiet": False}


def get_stdout() -> "Console":
    """Return the console that results go to."""
    from rich.console import Console

    return Console()


def get_stderr() -> "Console":
    """Return the console that progress goes to."""
    from rich.console import Console

    return Console(stderr=True, quiet=_OUTPUT["is_quiet"])
