"""``mondrian``: the command line with all its commands."""

import sys

from typer.models import CommandInfo

from mondrian import errors
from mondrian.cli import (
    catalogue,
    check,
    critique,
    doctor,
    fleet,
    importing,
    jobs,
    models,
    prune,
    reference,
    serve,
)
from mondrian.cli.app import app, fail
from mondrian.cli.options import Group

__all__ = [
    "app",
    "catalogue",
    "check",
    "critique",
    "doctor",
    "fleet",
    "importing",
    "jobs",
    "main",
    "models",
    "prune",
    "reference",
    "serve",
]


def main() -> None:
    """Run the command line. Errors end as one sentence and an exit code, never as a traceback."""
    app.registered_commands.sort(key=_group)
    try:
        app()
    except errors.MondrianError as exc:
        fail(exc)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        sys.exit(0)


def _group(command: CommandInfo) -> int:
    """Return where a command stands in ``--help``."""
    groups = list(map(str, Group))
    return groups.index(found) if (found := str(command.rich_help_panel)) in groups else len(groups)
