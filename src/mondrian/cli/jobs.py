"""``mondrian submit``, ``watch``, ``cancel`` and ``jobs``: a server's jobs from the terminal."""

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mondrian import errors
from mondrian.cli.app import INTERRUPTED, app, fail, read_settings
from mondrian.cli.options import AdvisorOption
from mondrian.jobs.job import Status, parse_job_id

if TYPE_CHECKING:
    from mondrian.client import Client, StreamEvent

ServerOption = Annotated[
    str | None,
    typer.Option(envvar="MONDRIAN_SERVER", metavar="URL", help="http://127.0.0.1:5005 by default."),
]
KeyOption = Annotated[
    str | None, typer.Option(envvar="MONDRIAN_KEY", help="The server's key, if it has one.")
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


def connect(server: str | None, key: str | None) -> "Client":
    """A client of the server that the options name."""
    from mondrian.client import DEFAULT_SERVER, Client

    return Client(server or DEFAULT_SERVER, (key or "").partition(",")[0] or None)


@app.command()
def submit(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="One photo or more.")],
    advisor: AdvisorOption = None,
    server: ServerOption = None,
    key: KeyOption = None,
) -> None:
    """Hand photos to a server; prints the id of each one's job."""
    with connect(server, key) as client:
        for photo in photos:
            print(client.submit(photo, advisor=advisor)["job_id"], flush=True)


@app.command()
def watch(
    job: JobArgument,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow a job live until it ends, then print its report. Ctrl-C asks whether to cancel it."""
    with connect(server, key) as client:
        try:
            failure = _follow(client, job, as_json=as_json)
        except KeyboardInterrupt:
            _offer_to_cancel(client, job)
            sys.exit(INTERRUPTED)
    if failure:
        fail(failure)


@app.command()
def cancel(
    job: JobArgument,
    server: ServerOption = None,
    key: KeyOption = None,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="MONDRIAN_DATABASE",
            metavar="URL",
            help="Write the end there, without a server, unless --server is given.",
        ),
    ] = None,
) -> None:
    """Cancel a job, whether it waits or runs, and whoever works at it is there or not."""
    if database and not server:
        status = _cancel_in(database, job)
    else:
        with connect(server, key) as client:
            status = client.cancel(job)["status"]
    print(_told_cancelled(status))


@app.command()
def jobs(
    limit: Annotated[int, typer.Option(help="How many at most.")] = 20,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a server's jobs, newest first."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    with connect(server, key) as client:
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


def _cancel_in(database: str, job: str) -> str:
    from mondrian.database.postgres import open_database
    from mondrian.jobs.store import Store

    settings = read_settings(database=database)
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

    from mondrian.advisors import load_advisors
    from mondrian.cli.terminal import print_report
    from mondrian.reports import Report

    known = load_advisors()
    for encoded in fields.get("reports") or [fields["report"]]:
        report = Report.model_validate(encoded)
        name = known[report.advisor].name if report.advisor in known else report.advisor
        print_report(Console(), report, name)


def _offer_to_cancel(client: "Client", job: str) -> None:
    if sys.stdin.isatty() and typer.confirm("Cancel the job too?", err=True):
        print(_told_cancelled(client.cancel(job)["status"]), file=sys.stderr)
    else:
        print(f"The job goes on. See it again: mondrian watch {job}", file=sys.stderr)
