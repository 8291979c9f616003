"""The command line: arguments in, events out. The report goes to stdout, progress to stderr."""

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeAlias

import typer

from mondrian import errors

if TYPE_CHECKING:
    from rich.console import Console

    from mondrian.critiques.pacing import Text, Update
    from mondrian.reports import Report
    from mondrian.settings import Settings

    Events: TypeAlias = Generator[Update | Text | Report, None, None]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXIT_CODES: dict[type[errors.MondrianError], int] = {
    errors.MondrianError: 70,
    # what was given cannot be used
    errors.SettingsError: 78,
    errors.RequestError: 64,
    errors.InvalidRequest: 64,
    errors.AdvisorError: 64,
    errors.UnknownAdvisor: 64,
    errors.InvalidAdvisor: 65,
    errors.UnknownEngine: 64,
    errors.PhotoError: 65,
    errors.EmptyPhoto: 65,
    errors.UnsupportedPhoto: 65,
    errors.DamagedPhoto: 65,
    errors.PhotoTooLarge: 65,
    errors.TooManyPixels: 65,
    errors.BodyTooLarge: 65,
    # what is needed is not there
    errors.ModelNotFound: 69,
    errors.EngineError: 69,
    errors.EngineClosed: 69,
    errors.ServerUnavailable: 69,
    errors.JobError: 69,
    errors.JobNotFound: 69,
    errors.JobConflict: 69,
    errors.DatabaseUnavailable: 69,
    # the work went wrong
    errors.EngineFailed: 70,
    errors.EngineStalled: 70,
    errors.EngineCrashed: 70,
    errors.AnswerError: 70,
    errors.AttemptSuperseded: 70,
    errors.StorageError: 74,
    errors.PhotoStoreUnavailable: 74,
    errors.StorageFull: 74,
    errors.UploadTooSlow: 75,
    errors.NotAllowed: 77,
    errors.ForeignRequest: 77,
}
"""What an error costs on the command line, by the codes of BSD's sysexits."""

INTERRUPTED = 130


def fail(error: errors.MondrianError) -> NoReturn:
    """Say what went wrong and leave with the exit code that it costs."""
    print(f"mondrian: {error.message}", file=sys.stderr)
    sys.exit(EXIT_CODES[type(error)])


def read_settings(**given: Any) -> "Settings":
    """The settings from the environment, with the options ``given`` above it."""
    from mondrian.settings import Settings

    return Settings.read(**given)


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
