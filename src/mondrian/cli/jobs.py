"""``mondrian submit``, ``watch``, ``jobs``, ``report``, ``retry``, ``cancel`` and ``delete``: a
server's jobs from the terminal."""

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mondrian import errors
from mondrian.cli.app import INTERRUPTED, exit_with, get_stderr, get_stdout
from mondrian.cli.options import (
    Group,
    JsonOption,
    OutputOption,
    PhotosArgument,
    RecursiveOption,
    command,
)
from mondrian.jobs.job import ENDED, Status, parse_job_id

if TYPE_CHECKING:
    from mondrian.cli.live import Display
    from mondrian.client import Client, StreamEvent
    from mondrian.settings import Settings

COMPLETED = 200
"""So many of the newest jobs a shell completes."""


def complete_jobs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the ids that begin so, each with its photo's name; none where no server answers."""
    from mondrian.settings import Settings

    given = {name: ctx.params[name] for name in ("server", "key") if ctx.params.get(name)}
    try:
        with connect(Settings.read(**given)) as client:
            jobs = client.jobs(COMPLETED)
    except errors.MondrianError:
        return []
    return [(job["job_id"], _name_photo(job)) for job in jobs
            if job["job_id"].startswith(incomplete)]  # fmt: skip


JobArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help="The job's id, or the first letters of it.",
        autocompletion=complete_jobs,
    ),
]


def connect(settings: "Settings") -> "Client":
    """Return a client of the server that the settings name."""
    from mondrian.client import Client

    return Client(settings.server, (settings.key or "").partition(",")[0] or None)


@command(
    *("advisor", "intent", "genre", "server", "key", "home"),
    group=Group.CLIENT,
    examples=["submit *.jpg", "submit - < photo.jpg", "submit ~/Pictures/2026 -r"],
)
def submit(
    photos: PhotosArgument,
    settings: "Settings",
    recursive: RecursiveOption = False,
    callback: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A URL that is told of each job's end (docs/notify.md)."),
    ] = None,
) -> None:
    """Hand photos to a server; print the id of each one's job.

    With -r those of folders; what was handed to that server before is passed over.
    """
    from mondrian.cli.files import find_photos
    from mondrian.cli.submitting import submit_folders, submit_photo

    with connect(settings) as client:
        if recursive:
            submit_folders(client, photos, settings, callback)
            return
        for source in find_photos(photos):
            print(submit_photo(client, source.photo, settings, callback), flush=True)


@command("server", "key", group=Group.CLIENT, examples=["watch 0b8f", "watch 0b8f --json"])
def watch(job: JobArgument, settings: "Settings", as_json: JsonOption = False) -> None:
    """Follow a job live until it ends, then print its report.

    Ctrl-C asks whether to cancel it.
    """
    with connect(settings) as client:
        job = client.find(job)
        try:
            failure = (_follow_as_json if as_json else _follow)(client, job)
        except KeyboardInterrupt:
            _offer_to_cancel(client, job)
            sys.exit(INTERRUPTED)
    if failure:
        exit_with(failure)


@command("server", "key", group=Group.CLIENT)
def jobs(
    settings: "Settings",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 20,
    as_json: JsonOption = False,
) -> None:
    """List a server's jobs, newest first."""
    with connect(settings) as client:
        found = client.jobs(limit)
        if as_json:
            print(json.dumps(found))
            return
        _print_jobs(found, client.advisors())


@command(
    *("server", "key"),
    group=Group.CLIENT,
    examples=["report 0b8f", "report 0b8f --md", "report 0b8f --pdf critique.pdf"],
    files=("--html", "--pdf", "--md"),
)
def report(
    job: JobArgument,
    settings: "Settings",
    html: Annotated[str | None, typer.Option(metavar="[FILE]", help="As a page.")] = None,
    pdf: Annotated[str | None, typer.Option(metavar="[FILE]", help="As a PDF.")] = None,
    md: Annotated[str | None, typer.Option(metavar="[FILE]", help="As Markdown.")] = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Show the report of a job that is done, or write it as a file.

    Without FILE it goes to standard output.
    """
    from mondrian.cli.files import STDIN, check_writable, find_format

    wanted = {"html": html, "pdf": pdf, "md": md, "json": STDIN if as_json else None}
    files = [(format_, file) for format_, file in wanted.items() if file]
    files += [(find_format(output), str(output))] if output else []
    check_writable(Path(file) for _, file in files if file != STDIN)
    with connect(settings) as client:
        job = client.find(job)
        if not files:
            _print_reports(client.report(job))
        for format_, file in files:
            _save(client.export(job, format_), file)


@command("server", "key", group=Group.CLIENT)
def retry(job: JobArgument, settings: "Settings") -> None:
    """Try again: a new job of the same photo and advisors, whose id is printed."""
    with connect(settings) as client:
        print(client.retry(client.find(job))["job_id"])


@command("server", "key", "database", group=Group.CLIENT)
def cancel(job: JobArgument, settings: "Settings") -> None:
    """Cancel a job, whether it waits or runs, and whether or not its worker answers.

    With --database and no --server its end is written into the database, without a server.
    """
    if settings.database and "server" not in settings.model_fields_set:
        status = _cancel_in(settings, job)
    else:
        with connect(settings) as client:
            status = client.cancel(client.find(job))["status"]
    print(_describe_cancelled(status))


@command("server", "key", group=Group.CLIENT)
def delete(
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB...",
            help="Jobs: ids, or the first letters of them.",
            autocompletion=complete_jobs,
        ),
    ],
    settings: "Settings",
) -> None:
    """Cancel jobs, then remove them with their reports and photos."""
    with connect(settings) as client:
        for job in [client.find(each) for each in jobs]:
            client.delete(job)
            print(f"Deleted {job}.")


def read_error(event: "StreamEvent") -> errors.MondrianError:
    """Return the error that an ``error`` event tells."""
    return errors.EngineFailed(event.fields["error"]["message"])


def _follow(client: "Client", job: str) -> errors.MondrianError | None:
    """Show the job until its end. Return why it is not done, if it is not."""
    from mondrian.cli.live import open_display

    console, names, failure = get_stderr(), _name_advisors(client, job), None
    report: Mapping[str, Any] | None = None
    with open_display(console, names, place=0) as display:
        events = client.watch(job, include=("report",) if console.is_terminal else ())
        for event in events:
            failure = _read_failure(event) or failure
            report = event.fields if event.type == "analysis_complete" else report
            _show(display, event)
    if report:
        _print_reports(report)
    return failure


def _show(display: "Display", event: "StreamEvent") -> None:
    if event.type not in ("analysis_complete", "done"):
        display.show(event.type, event.fields)


def _follow_as_json(client: "Client", job: str) -> errors.MondrianError | None:
    """Print the job's events until its end. Return why it is not done, if it is not."""
    failure = None
    for event in client.watch(job, include=("tokens", "report")):
        print(json.dumps(event.fields, separators=(",", ":")), flush=True)
        failure = _read_failure(event) or failure
    return failure


def _name_advisors(client: "Client", job: str) -> list[str]:
    """Return the names of a job's advisors, in order."""
    names = client.advisors()
    return [names.get(each, each) for each in client.status(job)["advisor"].split(",")]


def _read_failure(event: "StreamEvent") -> errors.MondrianError | None:
    if event.type == "error":
        return read_error(event)
    if event.type == "done" and event.fields["status"] == Status.CANCELLED:
        return errors.JobConflict("The job was cancelled: there is no report.")
    return None


def _cancel_in(settings: "Settings", job: str) -> str:
    from mondrian.client import only_job
    from mondrian.database.postgres import open_database
    from mondrian.jobs.store import Store

    with closing(open_database(settings.database, settings.home)) as opened:
        store = Store(opened.pool)
        try:
            found = parse_job_id(job)
        except errors.JobNotFound:
            ids = [str(each.id) for each in store.list_jobs(limit=1000)]
            found = parse_job_id(only_job(job, [each for each in ids if each.startswith(job)]))
        return store.cancel(found).status


def _describe_cancelled(status: str) -> str:
    is_cancelled = status == Status.CANCELLED
    return "Cancelled." if is_cancelled else f"The job had ended already: {status}."


def _name_photo(job: Mapping[str, Any]) -> str:
    """Return the photo's name as it was sent."""
    return str(job["filename"]).removeprefix(f"{job['job_id'][:8]}-")


def _print_jobs(found: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("job", no_wrap=True, min_width=36)
    for name in ("photo", "advisor"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("state", overflow="fold")
    table.add_column("made", no_wrap=True, overflow="crop")
    for job in found:
        advisors = ", ".join(names.get(each, each) for each in job["advisor"].split(","))
        cells = (
            _name_photo(job),
            advisors,
            _describe_state(job, names),
            _open_local(job["created_at"]),
        )
        table.add_row(job["job_id"], *(Text(errors.printable(cell)) for cell in cells))
    console = get_stdout()
    if not console.is_terminal:  # nothing is cut for programs that read it
        console.width = 400
    console.print(table)


def _describe_state(job: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return where a job stands, in words: whose turn it is, how far it is, what is left."""
    from mondrian.cli.live import describe_left

    if job["status"] in ENDED:
        return str(job["status"])
    if position := job.get("queue_position"):
        parts = [f"{position - 1} before it" if position > 1 else "next"]
    else:
        parts = [f"{job['progress_percentage']} %"]
        advisors, place = job["advisor"].split(","), job.get("current_advisor") or 0
        if len(advisors) > 1 and 0 < place <= len(advisors):
            parts.insert(0, names.get(advisors[place - 1], advisors[place - 1]))
    return ", ".join(filter(None, [job["status"], *parts, describe_left(job)]))


def _open_local(time: str) -> str:
    from datetime import datetime

    return datetime.fromisoformat(time).astimezone().strftime("%d %b %H:%M")


def _print_reports(fields: Mapping[str, Any]) -> None:
    from mondrian.cli.terminal import print_report
    from mondrian.reports import Report

    for encoded in fields.get("reports") or [fields["report"]]:
        print_report(get_stdout(), Report.model_validate(encoded))


def _save(content: bytes, file: str) -> None:
    """Write a report where the person wants it."""
    from mondrian.cli.files import STDIN, write

    if file != STDIN:
        write(Path(file), content)
        get_stderr().print(
            f"Written: {Path(file).resolve().as_uri()}", soft_wrap=True, markup=False
        )
        return
    if content.startswith(b"%PDF") and sys.stdout.isatty():
        raise errors.SettingsError("A PDF is nothing for a terminal. Name a file: --pdf FILE.")
    sys.stdout.buffer.write(content)
    if not content.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")


def _offer_to_cancel(client: "Client", job: str) -> None:
    if sys.stdin.isatty() and typer.confirm("Cancel the job too?", err=True):
        print(_describe_cancelled(client.cancel(job)["status"]), file=sys.stderr)
    else:
        print(f"The job goes on. See it again: mondrian watch {job}", file=sys.stderr)
