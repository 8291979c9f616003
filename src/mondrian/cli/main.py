"""``mondrian``: the command line with all its commands."""

import sys

from typer.models import CommandInfo

from mondrian import errors
from mondrian.cli import (
    catalogue,
    check,
    config,
    critique,
    doctor,
    fleet,
    importing,
    jobs,
    mcp,
    models,
    prune,
    reference,
    serve,
    service,
)
from mondrian.cli.app import app, exit_with
from mondrian.cli.options import Group

__all__ = [
    "app",
    "catalogue",
    "check",
    "config",
    "critique",
    "doctor",
    "fleet",
    "importing",
    "jobs",
    "main",
    "mcp",
    "models",
    "prune",
    "reference",
    "serve",
    "service",
]


_MAIN = {"critique", "submit", "serve", "models"}


def main() -> None:
    """Run the command line. Errors end as one sentence and an exit code, never as a traceback."""
    app.registered_commands.sort(key=_place)
    try:
        app()
    except errors.MondrianError as exc:
        exit_with(exc)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        sys.exit(0)


def _place(command: CommandInfo) -> tuple[int, bool]:
    """Return where a command stands in ``--help``: in its group, with the main one first."""
    groups = list(map(str, Group))
    group = str(command.rich_help_panel)
    is_main = command.callback is not None and command.callback.__name__ in _MAIN
    return groups.index(group) if group in groups else len(groups), not is_main
