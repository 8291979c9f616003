"""``mondrian critique`` and ``advisors``: on this machine, without a server or a database."""

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from mondrian import errors
from mondrian.cli.app import INTERRUPTED, get_stderr, get_stdout
from mondrian.cli.catalogue import (
    XMP_WORDS,
    CsvOption,
    Outcome,
    OverwriteOption,
    SheetOption,
    XmpOption,
    judge_folders,
)
from mondrian.cli.choice import print_choice, suggest
from mondrian.cli.files import (
    Source,
    check_writable,
    find_format,
    find_paths,
    find_photos,
    write,
)
from mondrian.cli.options import (
    Group,
    JsonOption,
    OutputOption,
    PhotosArgument,
    RecursiveOption,
    command,
)

if TYPE_CHECKING:
    from mondrian.advisors import Advisor
    from mondrian.cli.live import Display
    from mondrian.critiques.pacing import Text, Update
    from mondrian.engines import Engine
    from mondrian.measurements.reading import MeasuredPhoto
    from mondrian.photos.readers import PhotoReaders
    from mondrian.reports import Report
    from mondrian.settings import Settings

    Events: TypeAlias = Generator[Update | Text | Report, None, None]

LIVE_INTERVAL_SECONDS = 0.5
"""How often a terminal's live line is redrawn, unless an interval is given."""


@command(
    *("advisor", "intent", "genre", "engine", "adapter"),
    *("update_interval", "stall", "offline", "stars", "home"),
    group=Group.LOCAL,
    words={"--xmp": XMP_WORDS},
    examples=[
        "critique photo.jpg",
        "critique photo.jpg -a ansel,okeefe -o critique.pdf",
        "critique concert.jpg --intent 'dark on purpose' --genre night",
        "critique *.jpg --html pages/",
        "critique ~/Pictures/2026 -r --sheet sheet.html",
        "critique ~/Pictures/2026 -r --xmp",
    ],
)
def critique(
    photos: PhotosArgument,
    settings: "Settings",
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print events as JSON, one a line.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as HTML; of several, a folder.")
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as PDF; of several, a folder.")
    ] = None,
    output: OutputOption = None,
    recursive: RecursiveOption = False,
    sheet: SheetOption = None,
    csv: CsvOption = None,
    xmp: XmpOption = None,
    overwrite_rating: OverwriteOption = False,
) -> None:
    """Critique photos here and now: no server, no database.

    With -r, --sheet, --csv or --xmp the photos of folders are ranked. Those that were judged before
    are not judged again.
    """
    if recursive or sheet or csv or xmp or overwrite_rating:
        if html or pdf or output:
            raise errors.SettingsError(
                "With -r, --sheet, --csv or --xmp there is a ranking, and of it --sheet, --csv or "
                "--json."
            )
        outcome = Outcome(
            title=", ".join(photos),
            sheet=sheet,
            csv=csv,
            as_json=as_json,
            xmp=xmp,
            overwrite_rating=overwrite_rating,
        )
        judge_folders(find_paths(photos), settings, _choose_advisors(settings), outcome)
        return
    with ExitStack() as resources:
        try:
            files = _place(photos, html, pdf, output)
            sources = find_photos(photos)
            session = _open_session(resources, settings, files, as_json=as_json)
        except errors.MondrianError as exc:
            if as_json:
                _print_failure(exc)
            raise
        session.run(sources)


def _choose_advisors(settings: "Settings") -> "list[Advisor]":
    from mondrian.advisors import choose_advisors, load_advisors

    return choose_advisors(settings.advisor, load_advisors(settings.home))


def _open_session(
    resources: ExitStack,
    settings: "Settings",
    files: Sequence[tuple[str, Path]],
    *,
    as_json: bool,
) -> "Session":
    """Open the engine and the readers, which ``resources`` closes."""
    from mondrian.measurements import prepare
    from mondrian.models import pull_subject_network
    from mondrian.photos.readers import PhotoReaders

    advisors = _choose_advisors(settings)
    if not settings.offline:
        pull_subject_network(settings.home, _print_note)
    engine = resources.enter_context(closing(_open(settings)))
    readers = resources.enter_context(closing(PhotoReaders(1, prepare=prepare)))
    return Session(
        settings=settings,
        advisors=advisors,
        files=files,
        as_json=as_json,
        engine=engine,
        readers=readers,
    )


def _print_note(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _open(settings: "Settings") -> "Engine":
    """Open the engine, and say which one ``auto`` takes."""
    from mondrian.engines import open_engine

    print_choice(settings)
    return open_engine(settings.engine, home=settings.home, adapter=settings.adapter)


@dataclass(kw_only=True)
class Session:
    """Critique photos one after the other. ``files`` are pairs of a format and a file to write, or
    with several photos a folder."""

    settings: "Settings"
    advisors: "list[Advisor]"
    files: Sequence[tuple[str, Path]]
    as_json: bool

    engine: "Engine"
    readers: "PhotoReaders"

    def run(self, sources: Sequence[Source]) -> None:
        """Critique all; one that fails does not stop the others, but makes the exit code 1. One
        photo alone raises what went wrong."""
        failures = 0
        for source in sources:
            if len(sources) > 1 and not self.as_json:
                get_stderr().print(source.name, style="bold", markup=False, highlight=False)
            try:
                self._critique(source)
            except errors.MondrianError as exc:
                if len(sources) == 1:
                    raise
                failures += 1
                print(f"mondrian: {source.name}: {exc.message}", file=sys.stderr)
        if failures:
            sys.exit(1)

    def _critique(self, source: Source) -> None:
        from mondrian.critiques.panel import Panel
        from mondrian.measurements.reading import read_measured

        files = [(format_, _name_file(file, format_, source)) for format_, file in self.files]

        def look(is_wanted: Callable[[], bool]) -> "MeasuredPhoto":
            run = partial(self.readers.run, read_measured, is_wanted=is_wanted)
            return run(source.photo, name=source.name, home=self.settings.home)

        panel = Panel(
            look=look,
            advisors=self.advisors,
            engine=self.engine,
            write=partial(_write_files, files) if files else None,
            interval=self._choose_interval(),
            stall=self.settings.stall,
            purpose=self.settings.purpose,
        )
        with closing(panel.run()) as events:
            (_show_as_json if self.as_json else self._show)(self.advisors, events)
        for _, file in files:
            get_stderr().print(f"Written: {file.resolve().as_uri()}", soft_wrap=True, markup=False)

    def _choose_interval(self) -> float:
        is_given = "update_interval" in self.settings.model_fields_set
        is_live = not (is_given or self.as_json) and get_stderr().is_terminal
        return LIVE_INTERVAL_SECONDS if is_live else self.settings.update_interval

    def _show(self, advisors: "list[Advisor]", items: "Events") -> None:
        """Show the critiques of a photo as they are made, and after each its report."""
        from mondrian.cli.live import open_display
        from mondrian.cli.terminal import print_report

        names = [advisor.name for advisor in advisors]
        reports: list[Report] = []
        while len(reports) < len(advisors):
            with open_display(get_stderr(), names, len(reports) + 1) as display:
                reports += _follow(items, display)
            print_report(get_stdout(), reports[-1])
        _await_files(items)
        if not reports[-1].engine.sees:
            get_stdout().print(suggest(self.settings), style="dim", markup=False, highlight=False)


def _follow(items: "Events", display: "Display") -> "list[Report]":
    """Show ``items`` up to the next report, and return it; an empty list at their end. Ctrl-C says
    what was done and ends the process."""
    from mondrian.cli.live import describe_stop
    from mondrian.jobs.events import AdvisorEvents
    from mondrian.reports import Report

    events = AdvisorEvents("")
    try:
        for item in items:
            if isinstance(item, Report):
                return [item]
            for entry in events.encode(item):
                display.show(entry.type, entry.fields)
    except KeyboardInterrupt:
        items.close()
        display.close(is_done=False)
        get_stderr().print(describe_stop(display))
        sys.exit(INTERRUPTED)
    return []


def _await_files(items: "Events") -> None:
    """Let the files be written, after the last report."""
    try:
        with get_stderr().status("Writing the files..."):
            for _ in items:
                pass
    except KeyboardInterrupt:
        items.close()
        get_stderr().print("Stopped before all files were written.")
        sys.exit(INTERRUPTED)


def _place(
    photos: Sequence[str], html: Path | None, pdf: Path | None, output: Path | None
) -> list[tuple[str, Path]]:
    """Return the files to write, by their formats. Raise ``SettingsError``."""
    given = [("html", html), ("pdf", pdf), (output and find_format(output), output)]
    files = [(format_, file) for format_, file in given if format_ and file]
    if len(photos) == 1:
        check_writable(file for _, file in files)
        return files
    for _, file in files:
        if not file.is_dir():
            raise errors.SettingsError(
                f"{file} is no folder, and several photos have a report each. Name a folder that "
                "is there, as --html pages/"
            )
    return files


def _name_file(file: Path, format_: str, source: Source) -> Path:
    """Return where a photo's report goes: into ``file``, or into that folder under its name."""
    return file / f"{Path(source.name).stem}.{format_}" if file.is_dir() else file


def _print_failure(error: errors.MondrianError) -> None:
    """Print the events of a critique that could not even begin."""
    from uuid import uuid4

    from mondrian.jobs.job import encode_payload

    job_id = uuid4()
    fields = {"error": {"code": error.code, "message": error.message, "retryable": False}}
    print(encode_payload("error", job_id, fields))
    print(encode_payload("done", job_id, {"status": "error"}), flush=True)


def _show_as_json(advisors: "list[Advisor]", items: "Events") -> None:
    from uuid import uuid4

    from mondrian.jobs.events import AdvisorEvents, build_complete_fields
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
                    write("analysis_complete", build_complete_fields(reports))
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


def _write_files(
    files: Sequence[tuple[str, Path]], photo: "MeasuredPhoto", reports: "Sequence[Report]"
) -> None:
    for format_, file in files:
        write(file, _render(format_, photo, reports))


def _render(format_: str, photo: "MeasuredPhoto", reports: "Sequence[Report]") -> bytes:
    """Return the reports as a file of that format."""
    from mondrian import reports as rendering
    from mondrian.reports.html import encode_data_url, render_document

    match format_:
        case "html":
            url = encode_data_url(photo.view)
            return render_document(reports, title=photo.name, photo_url=url).encode()
        case "pdf":
            return rendering.render_pdf(reports, photo.view, title=photo.name)
        case "md":
            return "\n".join(map(rendering.render_markdown, reports)).encode()
    encoded = [report.model_dump(mode="json") for report in reports]
    return json.dumps(encoded[0] | {"reports": encoded}, indent=2).encode()


@command("home", group=Group.LOCAL)
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
    get_stdout().print(table)
