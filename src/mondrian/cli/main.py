"""``mondrian``: the command line with all its commands."""

import sys

from mondrian import errors
from mondrian.cli import check, critique, jobs, models, prune, reference, serve
from mondrian.cli.app import app, fail

__all__ = ["app", "check", "critique", "jobs", "main", "models", "prune", "reference", "serve"]


def main() -> None:
    """Run the command line. Errors end as one sentence and an exit code, never as a traceback."""
    try:
        app()
    except errors.MondrianError as exc:
        fail(exc)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        sys.exit(0)
