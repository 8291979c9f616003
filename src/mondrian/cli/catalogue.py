"""Folders of photos on the command line: judged once, ranked, and watched for what arrives."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mondrian import errors
from mondrian.cli.app import INTERRUPTED, get_stderr, get_stdout
from mondrian.cli.choice import print_choice, suggest
from mondrian.cli.files import STDIN, check_writable, write
from mondrian.cli.folder_run import Run
from mondrian.cli.options import Group, command

if TYPE_CHECKING:
    from mondrian.advisors import Advisor
    from mondrian.catalogue import Judge, Judgements, PhotoFile, Row, Sidecars
    from mondrian.settings import Settings

SheetOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a contact sheet, as one HTML file.")
]
CsvOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the ranking as CSV; - is stdout.")
]
XMP_WORDS = ("lightroom", "darktable", "embed")
XmpOption = Annotated[
    Literal["lightroom", "darktable", "embed"] | None,
    typer.Option(
        metavar=f"[{'|'.join(XMP_WORDS)}]",
        help="Write ratings, keywords and critiques into sidecars, as Lightroom reads them "
        "(a.xmp) or darktable (a.jpg.xmp); or into the JPEGs themselves.",
        show_default=False,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option("--overwrite-rating", metavar="", help="Replace ratings that you gave."),
]

_POLL_SECONDS = 1.0
_SETTLED_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Where the ranking goes: ``sheet`` and ``csv`` are files, if any; ``xmp`` is where metadata
    is written."""

    title: str
    sheet: Path | None = None
    csv: Path | None = None
    as_json: bool = False
    xmp: str | None = None
    overwrite_rating: bool = False

    def check(self) -> None:
        """Raise ``SettingsError`` for a file that cannot be written."""
        check_writable(file for file in (self.sheet, self.csv) if file and str(file) != STDIN)
        if self.overwrite_rating and not self.xmp:
            raise errors.SettingsError("Ratings are written with --xmp. Give it too.")

    def open_sidecars(self, judgements: "Judgements", settings: "Settings") -> "Sidecars | None":
        """Return what writes metadata, if that is wanted."""
        from mondrian.catalogue import Place, Sidecars

        if self.xmp is None:
            return None
        return Sidecars(
            judgements,
            Place(self.xmp),
            stars=settings.stars,
            thumbnails=_read_thumbnails(settings),
            overwrite_rating=self.overwrite_rating,
        )


def judge_folders(
    paths: Sequence[Path], settings: "Settings", advisors: "list[Advisor]", outcome: Outcome
) -> None:
    """Judge the photos of folders that have not been judged, then show how all of them rank.

    Exit with 1 if one could not be judged, with 130 if it was stopped.
    """
    from mondrian.catalogue import find_files

    files = find_files(paths)
    if not files:
        raise errors.PhotoError(f"There is no photo in {', '.join(map(str, paths))}.")
    outcome.check()
    with _open_judge(settings, advisors) as (judge, judgements), closing(judge.run(files)) as steps:
        run = _make_run(files, advisors, judgements, outcome, settings)
        run.follow(steps)
        rows = _write_files(run, outcome, settings)
        if len(rows) == 1 and not outcome.as_json:
            _print_reports(run)
        else:
            _show(rows, outcome, settings, sees=judge.sees)
    if run.failures:
        sys.exit(1)


@command(
    *("advisor", "intent", "genre", "engine", "adapter"),
    *("update_interval", "stall", "offline", "stars", "home"),
    group=Group.LOCAL,
    examples=["watch-folder ~/Pictures/inbox", "watch-folder inbox --sheet sheet.html --xmp"],
    words={"--xmp": XMP_WORDS},
)
def watch_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder.")],
    settings: "Settings",
    sheet: SheetOption = None,
    csv: CsvOption = None,
    xmp: XmpOption = None,
    overwrite_rating: OverwriteOption = False,
) -> None:
    """Judge the photos of a folder, and all that arrive in it, until Ctrl-C.

    Started again, it goes on where it stopped.
    """
    from mondrian.advisors import choose_advisors, load_advisors

    if not folder.is_dir():
        raise errors.PhotoError(f"{folder} is no folder. Name the folder that photos come to.")
    outcome = Outcome(
        title=str(folder), sheet=sheet, csv=csv, xmp=xmp, overwrite_rating=overwrite_rating
    )
    outcome.check()
    advisors = choose_advisors(settings.advisor, load_advisors(settings.home))
    with _open_judge(settings, advisors) as (judge, judgements):
        run = _make_run([], advisors, judgements, outcome, settings)
        try:
            for files in _list_settled(folder):
                if fresh := [file for file in files if file not in run.seen]:
                    run.files = fresh
                    with closing(judge.run(fresh)) as steps:
                        run.follow(steps)
                    _write_files(run, outcome, settings)
                    run.seen.update(fresh)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


@contextmanager
def _open_judge(
    settings: "Settings", advisors: "list[Advisor]"
) -> Iterator[tuple["Judge", "Judgements"]]:
    """Give one who judges photos with the engine of the settings, and what was judged before."""
    from mondrian import __version__
    from mondrian.catalogue import Judge, Judgements
    from mondrian.engines import open_engine
    from mondrian.measurements import prepare
    from mondrian.models import pull_subject_network
    from mondrian.photos.readers import PhotoReaders

    print_choice(settings)
    if not settings.offline:
        pull_subject_network(settings.home, partial(print, file=sys.stderr))
    judgements = Judgements(settings.home)
    with ExitStack() as stack:
        engine = open_engine(settings.engine, home=settings.home, adapter=settings.adapter)
        stack.enter_context(closing(engine))
        readers = stack.enter_context(closing(PhotoReaders(1, prepare=prepare)))
        yield (
            Judge(
                judgements,
                advisors,
                engine,
                readers,
                version=__version__,
                purpose=settings.purpose,
                home=settings.home,
                thumbnails=_read_thumbnails(settings),
                interval_seconds=settings.update_interval,
                stall_seconds=settings.stall,
            ),
            judgements,
        )


def _read_thumbnails(settings: "Settings") -> Path:
    return settings.home / "thumbnails"


def _make_run(
    files: "Sequence[PhotoFile]",
    advisors: "Sequence[Advisor]",
    judgements: "Judgements",
    outcome: Outcome,
    settings: "Settings",
) -> Run:
    return Run(
        files=files,
        names=[each.name for each in advisors],
        judgements=judgements,
        sidecars=outcome.open_sidecars(judgements, settings),
    )


def _print_reports(run: Run) -> None:
    """Print the critiques of the only photo."""
    from mondrian.cli.terminal import print_report
    from mondrian.reports import Report

    for _, judgements in run.read():
        for each in judgements:
            print_report(get_stdout(), Report.model_validate(each.report))


def _show(rows: "list[Row]", outcome: Outcome, settings: "Settings", *, sees: bool) -> None:
    """Show the ranking."""
    from mondrian.catalogue import encode_row

    if outcome.as_json:
        for row in rows:
            print(json.dumps(encode_row(row)))
    elif str(outcome.csv) != STDIN:
        _print(rows)
        if not sees:
            get_stdout().print(suggest(settings), style="dim", markup=False, highlight=False)


def _write_files(run: Run, outcome: Outcome, settings: "Settings") -> "list[Row]":
    """Write the ranking as files. Return it."""
    from mondrian.catalogue import make_csv, make_sheet, rank

    rows = rank(run.read())
    if outcome.sheet:
        page = make_sheet(rows, title=outcome.title, thumbnails=_read_thumbnails(settings))
        _write(outcome.sheet, page)
    if outcome.csv:
        _write(outcome.csv, make_csv(rows))
    return rows


def _write(file: Path, text: str) -> None:
    if str(file) == STDIN:
        sys.stdout.write(text)
        return
    write(file, text.encode("utf-8", "surrogateescape"))
    get_stderr().print(f"Written: {file.resolve().as_uri()}", soft_wrap=True, markup=False)


def _print(rows: "Sequence[Row]") -> None:
    from rich.table import Table
    from rich.text import Text

    from mondrian.cli.terminal import draw_bar

    table = Table("", "photo", "score", "", "", box=None, pad_edge=False)
    for row in rows:
        words = f"best of burst {row.group}: {row.best_because}" if row.best_because else row.reason
        score = Text(f"{row.score:.1f} {row.grade}")
        name, reason = errors.printable(row.file.path.name), errors.printable(words)
        table.add_row(str(row.rank), Text(name), score, draw_bar(row.score, 10), Text(reason))
    get_stdout().print(table)


def _list_settled(folder: Path) -> "Iterator[list[PhotoFile]]":
    """Yield the photos of a folder that are no longer being written, at first and after each
    change. Ends with Ctrl-C."""
    from watchfiles import watch

    from mondrian.catalogue import find_files

    yield _find_settled(find_files([folder]))
    changes = watch(
        folder, yield_on_timeout=True, rust_timeout=int(1000 * _POLL_SECONDS), debounce=200
    )
    has_unsettled = True  # what was written just before the watching began
    for change in changes:
        if change or has_unsettled:
            files = find_files([folder])
            settled = _find_settled(files)
            has_unsettled = len(settled) < len(files)
            yield settled


def _find_settled(files: "Sequence[PhotoFile]") -> "list[PhotoFile]":
    return [file for file in files if _measure_age(file.path) > _SETTLED_SECONDS]


def _measure_age(path: Path) -> float:
    """Return for how many seconds a file has not been written to; 0 if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
