"""Folders of photos on the command line: judged once, ranked, and watched for what arrives."""

import json
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mondrian import errors
from mondrian.cli.app import INTERRUPTED, stderr, stdout
from mondrian.cli.choice import suggest, tell_choice
from mondrian.cli.files import STDIN, check_writable, write
from mondrian.cli.options import Group, command

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from mondrian.advisors import Advisor
    from mondrian.catalogue import Judge, Judgement, Judgements, PhotoFile, Row
    from mondrian.catalogue.judge import Step, Working
    from mondrian.catalogue.judgements import Key
    from mondrian.critiques.pacing import Update
    from mondrian.settings import Settings

SheetOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a contact sheet, as one HTML file.")
]
CsvOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the ranking as CSV; - is stdout.")
]

_POLL_SECONDS = 1.0
_SETTLED_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Where the ranking goes: ``sheet`` and ``csv`` are files, if any."""

    title: str
    sheet: Path | None = None
    csv: Path | None = None
    as_json: bool = False

    def check(self) -> None:
        """Raise ``SettingsError`` for a file that cannot be written."""
        check_writable(file for file in (self.sheet, self.csv) if file and str(file) != STDIN)


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
        run = Run(files=files, names=[each.name for each in advisors], judgements=judgements)
        run.follow(steps)
        rows = _write_files(run, outcome, settings)
        _show(rows, outcome, settings, sees=judge.sees)
    if run.failures:
        sys.exit(1)


@command(
    *("advisor", "intent", "genre", "engine", "adapter", "update_interval", "stall", "home"),
    group=Group.LOCAL,
    examples=["watch-folder ~/Pictures/inbox", "watch-folder inbox --sheet sheet.html"],
)
def watch_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder.")],
    settings: "Settings",
    sheet: SheetOption = None,
    csv: CsvOption = None,
) -> None:
    """Judge the photos of a folder, and all that arrive in it, until Ctrl-C.

    Started again, it goes on where it stopped.
    """
    from mondrian.advisors import choose_advisors, load_advisors

    if not folder.is_dir():
        raise errors.PhotoError(f"{folder} is no folder. Name the folder that photos come to.")
    outcome = Outcome(title=str(folder), sheet=sheet, csv=csv)
    outcome.check()
    advisors = choose_advisors(settings.advisor, load_advisors(settings.home))
    with _open_judge(settings, advisors) as (judge, judgements):
        run = Run(files=[], names=[each.name for each in advisors], judgements=judgements)
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
    from mondrian.photos.readers import PhotoReaders

    tell_choice(settings)
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
                thumbnails=_thumbnails(settings),
                interval_seconds=settings.update_interval,
                stall_seconds=settings.stall,
            ),
            judgements,
        )


def _thumbnails(settings: "Settings") -> Path:
    return settings.home / "thumbnails"


@dataclass(kw_only=True)
class Run:
    """Follows the judging of ``files`` and says how far it is: the photos, the time of all."""

    files: "Sequence[PhotoFile]"
    names: Sequence[str]
    judgements: "Judgements"
    judged: "dict[PhotoFile, list[Key]]" = field(default_factory=dict)
    seen: "set[PhotoFile]" = field(default_factory=set)
    failures: int = 0
    _seconds: list[float] = field(default_factory=list)
    _done: int = 0
    _fresh: int = 0

    def read(self) -> "Iterator[tuple[PhotoFile, list[Judgement]]]":
        """Yield what was judged, read anew: reports are large, and there may be thousands."""
        for file, keys in self.judged.items():
            if found := list(filter(None, (self.judgements.find(*key) for key in keys))):
                yield file, found

    def follow(self, steps: "Generator[Step, None, None]") -> None:
        """Show all steps. Ctrl-C ends the process, and says how to go on."""
        from mondrian.catalogue import Failed, Judged, Working

        self._done = 0
        self._fresh = sum(not self.judgements.is_known(file.path) for file in self.files)
        began = time.monotonic()
        with _line(stderr()) as line:
            try:
                for step in steps:
                    if isinstance(step, Working):
                        self._show(line, step)
                        continue
                    self._done += 1
                    self._fresh -= not self.judgements.is_known(step.file.path)
                    if isinstance(step, Failed):
                        self.failures += 1
                        line.say(f"mondrian: {step.file.path}: {step.error.message}")
                    else:
                        self.judged[step.file] = [each.key for each in step.judgements]
                    if isinstance(step, Judged):
                        self._seconds.append(time.monotonic() - began)
                        self._fresh -= 1
                        line.say(self._describe(step))
                    began = time.monotonic()
            except KeyboardInterrupt:
                steps.close()
                line.say(
                    f"Stopped: {self._done} of {len(self.files)} photos are done. The same command "
                    "goes on from there."
                )
                sys.exit(INTERRUPTED)

    def _show(self, line: "_Line", step: "Working") -> None:
        from mondrian.cli.live import describe_seconds, describe_step
        from mondrian.critiques.pacing import Update

        if not isinstance(step.item, Update):
            return
        left = self._estimate(step.item)
        words = [f"{self._done + 1} of {len(self.files)}"]
        words += [f"{describe_seconds(left)} left"] if left is not None else []
        who = f"{self.names[step.place - 1]}: " if step.place and len(self.names) > 1 else ""
        name = errors.printable(step.file.path.name)
        line.update(f"{', '.join(words)}: {name}: {who}{describe_step(asdict(step.item))}")

    def _describe(self, step: Any) -> str:
        scores = [each.report["overall_score"] for each in step.judgements]
        name = errors.printable(step.file.path.name)
        return f"{self._done} of {len(self.files)}: {fmean(scores):.1f}  {name}"

    def _estimate(self, update: "Update") -> float | None:
        """Return the seconds until all photos are judged, as far as they can be known."""
        eta, elapsed = update.eta_seconds, update.elapsed_seconds
        each = fmean(self._seconds) if self._seconds else eta and elapsed + eta
        if each is None:
            return None
        current = max(0.0, each - elapsed) if eta is None else eta
        return current + each * max(0, self._fresh - 1)


class _Line:
    """The line that tells how far a run is: alive on a terminal, else one at each update."""

    def __init__(self, console: "Console", live: "Live | None") -> None:
        self._console = console
        self._live = live

    def update(self, words: str) -> None:
        """Show what happens now."""
        if self._live is None:
            self.say(words)
            return
        from rich.spinner import Spinner
        from rich.text import Text

        self._live.update(Spinner("dots", Text(f" {words}"), style="yellow"))

    def say(self, words: str) -> None:
        """Show what stays."""
        self._console.print(words, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def _line(console: "Console") -> Iterator[_Line]:
    from rich.live import Live

    if not console.is_terminal:
        yield _Line(console, None)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield _Line(console, live)


def _show(rows: "list[Row]", outcome: Outcome, settings: "Settings", *, sees: bool) -> None:
    """Show the ranking."""
    from mondrian.catalogue import encode_row

    if outcome.as_json:
        for row in rows:
            print(json.dumps(encode_row(row)))
    elif str(outcome.csv) != STDIN:
        _print(rows)
        if not sees:
            stdout().print(suggest(settings), style="dim", markup=False, highlight=False)


def _write_files(run: Run, outcome: Outcome, settings: "Settings") -> "list[Row]":
    """Write the ranking as files. Return it."""
    from mondrian.catalogue import make_csv, make_sheet, rank

    rows = rank(run.read())
    if outcome.sheet:
        page = make_sheet(rows, title=outcome.title, thumbnails=_thumbnails(settings))
        _write(outcome.sheet, page)
    if outcome.csv:
        _write(outcome.csv, make_csv(rows))
    return rows


def _write(file: Path, text: str) -> None:
    if str(file) == STDIN:
        sys.stdout.write(text)
        return
    write(file, text.encode("utf-8", "surrogateescape"))
    stderr().print(f"Written: {file.resolve().as_uri()}", soft_wrap=True, markup=False)


def _print(rows: "Sequence[Row]") -> None:
    from rich.table import Table
    from rich.text import Text

    from mondrian.cli.terminal import bar

    table = Table("", "photo", "score", "", "", box=None, pad_edge=False)
    for row in rows:
        words = f"best of burst {row.group}: {row.best_because}" if row.best_because else row.reason
        score = Text(f"{row.score:.1f} {row.grade}")
        name, reason = errors.printable(row.file.path.name), errors.printable(words)
        table.add_row(str(row.rank), Text(name), score, bar(row.score, 10), Text(reason))
    stdout().print(table)


def _list_settled(folder: Path) -> "Iterator[list[PhotoFile]]":
    """Yield the photos of a folder that are no longer being written, at first and after each
    change. Ends with Ctrl-C."""
    from watchfiles import watch

    from mondrian.catalogue import find_files

    yield _settled(find_files([folder]))
    changes = watch(
        folder, yield_on_timeout=True, rust_timeout=int(1000 * _POLL_SECONDS), debounce=200
    )
    has_unsettled = True  # what was written just before the watching began
    for change in changes:
        if change or has_unsettled:
            files = find_files([folder])
            settled = _settled(files)
            has_unsettled = len(settled) < len(files)
            yield settled


def _settled(files: "Sequence[PhotoFile]") -> "list[PhotoFile]":
    return [file for file in files if _age(file.path) > _SETTLED_SECONDS]


def _age(path: Path) -> float:
    """Return for how many seconds a file has not been written to; 0 if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
