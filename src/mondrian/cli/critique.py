"""``mondrian critique`` and ``advisors``: here and now, without a server or a database."""

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from mondrian import errors
from mondrian.cli.app import INTERRUPTED, stderr, stdout, tell_choice
from mondrian.cli.options import JsonOption, PhotoArgument, command

if TYPE_CHECKING:
    from mondrian.advisors import Advisor
    from mondrian.critiques.pacing import Text, Update
    from mondrian.engines import Engine
    from mondrian.measurements.reading import MeasuredPhoto
    from mondrian.reports import Report
    from mondrian.settings import Settings

    Events: TypeAlias = Generator[Update | Text | Report, None, None]

LIVE_INTERVAL_SECONDS = 0.5
"""How often a terminal's live line is redrawn, unless an interval is given."""


@command("advisor", "engine", "adapter", "update_interval", "stall", "home")
def critique(
    photo: PhotoArgument,
    settings: "Settings",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events as JSON, one a line, to stdout.")
    ] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as HTML.")] = None,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as PDF.")] = None,
) -> None:
    """Critique PHOTO here and now: no server, no database."""
    from functools import partial

    from mondrian.advisors import choose_advisors, load_advisors
    from mondrian.critiques.panel import Panel
    from mondrian.measurements import prepare
    from mondrian.measurements.reading import read_measured
    from mondrian.photos.readers import PhotoReaders

    interval = settings.update_interval
    if "update_interval" not in settings.model_fields_set and not as_json and stderr().is_terminal:
        interval = LIVE_INTERVAL_SECONDS
    chosen = choose_advisors(settings.advisor, load_advisors(settings.home))
    for file in (html, pdf):
        _check_writable(file)
    readers = PhotoReaders(1, prepare=prepare)

    def look(is_wanted: Callable[[], bool]) -> "MeasuredPhoto":
        return readers.run(read_measured, photo, is_wanted=is_wanted)

    panel = Panel(
        look=look,
        advisors=chosen,
        open=partial(_open, settings),
        write=partial(_write_files, html, pdf) if html or pdf else None,
        interval=interval,
        stall=settings.stall,
    )
    with closing(readers), closing(panel.run()) as events:
        (_show_as_json if as_json else _show)(chosen, events)
    for file in filter(None, (html, pdf)):
        stderr().print(f"Written: {file.resolve().as_uri()}", soft_wrap=True, markup=False)


def _open(settings: "Settings") -> "Engine":
    from mondrian.engines import open_engine

    tell_choice(settings.engine, settings.home)
    return open_engine(settings.engine, home=settings.home, adapter=settings.adapter)


def _show(advisors: "list[Advisor]", events: "Events") -> None:
    from mondrian.cli.terminal import print_report, stopped, watch, watching

    console = stderr()
    for advisor in (*advisors, None):  # None: what comes after the last report
        with watching(console) as face:
            try:
                report = next(watch(events, face), None)
            except KeyboardInterrupt:
                events.close()
                face.close()
                console.print(stopped(face))
                sys.exit(INTERRUPTED)
        if report and advisor:
            print_report(stdout(), report)


def _show_as_json(advisors: "list[Advisor]", items: "Events") -> None:
    from uuid import uuid4

    from mondrian.jobs.events import AdvisorEvents, complete_fields
    from mondrian.jobs.job import encode_payload
    from mondrian.reports import Report

    job_id, status, reports = uuid4(), "error", list[Report]()
    events = [AdvisorEvents(advisor.id) for advisor in advisors]

    def write(type_: str, fields: Mapping[str, Any]) -> None:
        print(encode_payload(type_, job_id, fields), flush=True)

    try:
        for item in items:
            for entry in events[min(len(reports), len(events) - 1)].encode(item):
                write(entry.type, entry.fields)
            if isinstance(item, Report):
                reports.append(item)
                if len(reports) == len(advisors):
                    write("analysis_complete", complete_fields(reports))
        status = "done"
    except errors.MondrianError as exc:
        write("error", {"error": {"code": exc.code, "message": exc.message, "retryable": False}})
        raise
    except KeyboardInterrupt:
        status = "cancelled"
        items.close()
        sys.exit(INTERRUPTED)
    finally:
        write("done", {"status": status})


def _check_writable(file: Path | None) -> None:
    """Refuse a file that cannot be written before minutes of work go into it."""
    if file and (file.is_dir() or not file.resolve().parent.is_dir()):
        raise errors.SettingsError(f"{file} cannot be written: its folder does not exist.")


def _write_files(
    html: Path | None,
    pdf: Path | None,
    photo: "MeasuredPhoto",
    reports: "Sequence[Report]",
) -> None:
    from mondrian.reports.html import analysis_document, data_url
    from mondrian.reports.pdf import pdf as render_pdf

    if html:
        document = analysis_document(reports, title=photo.name, photo_url=data_url(photo.view))
        _write(html, document.encode())
    if pdf:
        _write(pdf, render_pdf(reports, photo.view, title=photo.name))


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as exc:
        raise errors.StorageError(
            f"{file} cannot be written: {exc.strerror}. Choose another place for it."
        ) from exc


@command("home")
def advisors(settings: "Settings", as_json: JsonOption = False) -> None:
    """List those who can critique: the built-in ones and yours."""
    from dataclasses import asdict

    from rich.markup import escape
    from rich.table import Table

    from mondrian.advisors import load_advisors

    known = load_advisors(settings.home).values()
    if as_json:
        print(json.dumps([{"id": a.id, "name": a.name, "years": a.years} for a in known]))
        return
    table = Table("id", "name", "years", "specialty", box=None)
    for advisor in known:
        fields = asdict(advisor)
        table.add_row(*(escape(fields[name]) for name in ("id", "name", "years", "specialty")))
    stdout().print(table)
