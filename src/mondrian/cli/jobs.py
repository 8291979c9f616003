"""``mondrian submit``, ``watch``, ``cancel`` and ``jobs``: a server's jobs from the terminal."""

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mondrian import errors
from mondrian.cli.app import INTERRUPTED, fail
from mondrian.cli.options import JsonOption, command
from mondrian.jobs.job import Status, parse_job_id

if TYPE_CHECKING:
    from mondrian.client import Client, StreamEvent
    from mondrian.settings import Settings

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


def connect(settings: "Settings") -> "Client":
    """Return a client of the server that the settings name."""
    from mondrian.client import Client

    return Client(settings.server, (settings.key or "").partition(",")[0] or None)


def given_advisor(settings: "Settings") -> str | None:
    """Return the advisor that the person named; ``None`` leaves it to the server."""
    return settings.advisor if "advisor" in settings.model_fields_set else None


@command("advisor", "server", "key")
def submit(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="One photo or more.")],
    settings: "Settings",
) -> None:
    """Hand photos to a server; prints the id of each one's job."""
    with connect(settings) as client:
        for photo in photos:
            print(client.submit(photo, advisor=given_advisor(settings))["job_id"], flush=True)


@command("server", "key")
def watch(job: JobArgument, settings: "Settings", as_json: JsonOption = False) -> None:
    """Follow a job live until it ends, then print its report. Ctrl-C asks whether to cancel it."""
    with connect(settings) as client:
        try:
            failure = _follow(client, job, as_json=as_json)
        except KeyboardInterrupt:
            _offer_to_cancel(client, job)
            sys.exit(INTERRUPTED)
    if failure:
        fail(failure)


@command("server", "key", "database")
def cancel(job: JobArgument, settings: "Settings") -> None:
    """Cancel a job, whether it waits or runs, and whoever works at it is there or not. With
    --database and no --server its end is written into the database, without a server."""
    if settings.database and "server" not in settings.model_fields_set:
        status = _cancel_in(settings, job)
    else:
        with connect(settings) as client:
            status = client.cancel(job)["status"]
    print(_told_cancelled(status))


@command("server", "key")
def jobs(
    settings: "Settings",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 20,
    as_json: JsonOption = False,
) -> None:
    """List a server's jobs, newest first."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    with connect(settings) as client:
        found = client.jobs(limit)
    if as_json:
        print(json.dumps(found))
        return
    table = Table("job", "photo", "advisor", "status", "%", "created", box=None)
    for job in found:
        cells = ("job_id", "filename", "advisor", "status", "progress_percentage", "created_at")
        table.add_row(*(escape(str(job[name])) for name in cells))
    Console().print(table)


def _follow(client: "Client", job: str, *, as_json: bool) -> errors.MondrianError | None:
    """Show the job's events until its end; returns why it is not done, if it is not."""
    failure, include = None, ("tokens", "report") if as_json else ()
    for event in client.watch(job, include=include):
        if as_json:
            print(json.dumps(event.fields, separators=(",", ":")), flush=True)
        elif event.type == "thinking_update":
            print(line(event.fields), file=sys.stderr, flush=True)
        elif event.type == "analysis_complete":
            _print_reports(event.fields)
        failure = _read_failure(event) or failure
    return failure


def _read_failure(event: "StreamEvent") -> errors.MondrianError | None:
    if event.type == "error":
        return read_error(event)
    if event.type == "done" and event.fields["status"] == Status.CANCELLED:
        return errors.JobConflict("The job was cancelled: there is no report.")
    return None


def _cancel_in(settings: "Settings", job: str) -> str:
    from mondrian.database.postgres import open_database
    from mondrian.jobs.store import Store

    with closing(open_database(settings.database, settings.home)) as opened:
        return Store(opened.pool).cancel(parse_job_id(job)).status


def _told_cancelled(status: str) -> str:
    is_cancelled = status == Status.CANCELLED
    return "Cancelled." if is_cancelled else f"The job had ended already: {status}."


def line(fields: Mapping[str, Any], seconds: float | None = None) -> str:
    """One line for a thinking update, at ``seconds`` or the job's own time."""
    at = fields.get("elapsed_seconds") if seconds is None else seconds
    percent = fields.get("percent")
    time = " " * 8 if at is None else f"{at:6.1f} s"
    return (
        f"{time}  {'  ' if percent is None else f'{percent:3.0f}'} %  {_plain(fields['thinking'])}"
    )


def read_error(event: "StreamEvent") -> errors.MondrianError:
    """The error that an ``error`` event tells."""
    return errors.EngineFailed(event.fields["error"]["message"])


def _plain(text: str) -> str:
    """``text`` without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def _print_reports(fields: Mapping[str, Any]) -> None:
    from rich.console import Console

    from mondrian.cli.terminal import print_report
    from mondrian.reports import Report

    for encoded in fields.get("reports") or [fields["report"]]:
        print_report(Console(), Report.model_validate(encoded))


def _offer_to_cancel(client: "Client", job: str) -> None:
    if sys.stdin.isatty() and typer.confirm("Cancel the job too?", err=True):
        print(_told_cancelled(client.cancel(job)["status"]), file=sys.stderr)
    else:
        print(f"The job goes on. See it again: mondrian watch {job}", file=sys.stderr)
