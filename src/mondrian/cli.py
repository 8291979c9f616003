"""The command line: arguments in, events out. The report goes to stdout, progress to stderr."""

import json
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeAlias

import typer

from mondrian import errors

if TYPE_CHECKING:
    from rich.console import Console

    from mondrian.advisors import Advisor
    from mondrian.critiques.pacing import Text, Update
    from mondrian.engines import Engine
    from mondrian.jobs.events import Parts
    from mondrian.photos import Photo
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
LIVE_INTERVAL_SECONDS = 0.5
"""How often a terminal's live line is redrawn, unless an interval is given."""

PhotoArgument = Annotated[
    Path, typer.Argument(metavar="PHOTO", help="A photo: JPEG, HEIC, PNG, WebP or TIFF.")
]
AdvisorOption = Annotated[
    str | None,
    typer.Option(envvar="MONDRIAN_ADVISOR", help="Who critiques: see `mondrian advisors`."),
]
EngineOption = Annotated[
    str | None,
    typer.Option(envvar="MONDRIAN_ENGINE", metavar="URL", help="The engine; `auto` by default."),
]
AdapterOption = Annotated[
    Path | None,
    typer.Option(
        envvar="MONDRIAN_ADAPTER", metavar="PATH", help="A LoRA adapter for an `mlx:` engine."
    ),
]
IntervalOption = Annotated[
    float | None,
    typer.Option(
        envvar="MONDRIAN_UPDATE_INTERVAL",
        metavar="SECONDS",
        help="Time between two thinking updates, 0.1 to 60; 5 by default.",
    ),
]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        envvar="MONDRIAN_HOME", metavar="FOLDER", help="Where data lives; ~/.mondrian by default."
    ),
]


def main() -> None:
    """Run the command line. Errors end as one sentence and an exit code, never as a traceback."""
    try:
        app()
    except errors.MondrianError as exc:
        fail(exc)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        sys.exit(0)


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


@app.command()
def critique(
    photo: PhotoArgument,
    advisor: AdvisorOption = None,
    engine: EngineOption = None,
    adapter: AdapterOption = None,
    interval: IntervalOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events as JSON, one a line, to stdout.")
    ] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as HTML.")] = None,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as PDF.")] = None,
    home: HomeOption = None,
) -> None:
    """Critique PHOTO here and now: no server, no database."""
    from functools import partial

    from mondrian.advisors import choose_advisors, load_advisors
    from mondrian.critiques.panel import Sitting

    if interval is None and not as_json and stderr().is_terminal:
        interval = LIVE_INTERVAL_SECONDS
    settings = read_settings(
        advisor=advisor, engine=engine, adapter=adapter, update_interval=interval, home=home
    )
    chosen = choose_advisors(settings.advisor, load_advisors(settings.home))
    for file in (html, pdf):
        _check_writable(file)
    sitting = Sitting(
        photo=photo,
        advisors=chosen,
        open=partial(_open, settings),
        write=partial(_write_files, chosen, html, pdf) if html or pdf else None,
        interval=settings.update_interval,
        stall=settings.stall,
    )
    with closing(sitting.run()) as events:
        (_show_as_json if as_json else _show)(chosen, events)
    for file in filter(None, (html, pdf)):
        stderr().print(f"Written: {file.resolve().as_uri()}", soft_wrap=True, markup=False)


def _open(settings: "Settings") -> "Engine":
    from mondrian.engines import open_engine

    tell_choice(settings.engine, settings.home)
    return open_engine(settings.engine, home=settings.home, adapter=settings.adapter)


def _show(advisors: "list[Advisor]", events: "Events") -> None:
    from mondrian.terminal import print_report, stopped, watch, watching

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
            print_report(stdout(), report, advisor.name)


def _show_as_json(advisors: "list[Advisor]", events: "Events") -> None:
    from uuid import uuid4

    from mondrian.jobs.events import Parts, complete_fields
    from mondrian.jobs.job import encode_payload
    from mondrian.reports import Report

    job_id, status, reports = uuid4(), "error", list[Report]()
    parts = [Parts(advisor.id) for advisor in advisors]

    def say(type_: str, fields: dict[str, Any]) -> None:
        print(encode_payload(type_, job_id, fields), flush=True)

    try:
        for event in events:
            for type_, fields in _event_fields(event, parts[min(len(reports), len(parts) - 1)]):
                say(type_, fields)
            if isinstance(event, Report):
                reports.append(event)
                if len(reports) == len(advisors):
                    names = [advisor.name for advisor in advisors]
                    say("analysis_complete", complete_fields(reports, names))
        status = "done"
    except errors.MondrianError as exc:
        say("error", {"error": {"code": exc.code, "message": exc.message, "retryable": False}})
        raise
    except KeyboardInterrupt:
        status = "cancelled"
        events.close()
        sys.exit(INTERRUPTED)
    finally:
        say("done", {"status": status})


def _event_fields(
    event: "Update | Text | Report", parts: "Parts"
) -> Iterator[tuple[str, dict[str, Any]]]:
    from mondrian.critiques.pacing import Text, Update
    from mondrian.jobs.events import text_fields, update_fields

    if isinstance(event, Update):
        parts.note(event)
        yield "thinking_update", update_fields(event)
    elif isinstance(event, Text):
        yield "token", text_fields(event, advisor=parts.advisor)
        if part := parts.take(event):
            yield "report_partial", part
    else:
        for part in parts.finish(event):
            yield "report_partial", part


def _check_writable(file: Path | None) -> None:
    """Refuse a file that cannot be written before minutes of work go into it."""
    if file and (file.is_dir() or not file.resolve().parent.is_dir()):
        raise errors.SettingsError(f"{file} cannot be written: its folder does not exist.")


def _write_files(
    advisors: "list[Advisor]",
    html: Path | None,
    pdf: Path | None,
    photo: "Photo",
    reports: "Sequence[Report]",
) -> None:
    from mondrian.reports.html import analysis_document, data_url
    from mondrian.reports.pdf import pdf as render_pdf

    names = {advisor.id: advisor.name for advisor in advisors}
    picture = photo.jpeg(max_width=1320)
    if html:
        document = analysis_document(
            reports, title=photo.name, photo_url=data_url(picture), names=names
        )
        _write(html, document.encode())
    if pdf:
        _write(pdf, render_pdf(reports, picture, title=photo.name, names=names))


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as exc:
        raise errors.StorageError(
            f"{file} cannot be written: {exc.strerror}. Choose another place for it."
        ) from exc


@app.command()
def advisors(
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List those who can critique: the built-in ones and yours."""
    from dataclasses import asdict

    from rich.markup import escape
    from rich.table import Table

    from mondrian.advisors import load_advisors

    known = load_advisors(read_settings(home=home).home).values()
    if as_json:
        print(json.dumps([{"id": a.id, "name": a.name, "years": a.years} for a in known]))
        return
    table = Table("id", "name", "years", "specialty", box=None)
    for advisor in known:
        fields = asdict(advisor)
        table.add_row(*(escape(fields[name]) for name in ("id", "name", "years", "specialty")))
    stdout().print(table)


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


import mondrian.commands  # noqa: E402, F401 (adds the commands of the service)
