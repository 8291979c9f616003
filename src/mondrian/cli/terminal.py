"""The terminal's face: a live line per phase while a critique runs, then the report as a table."""

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text as Line

from mondrian.answers import Dimension, read_partial
from mondrian.critiques.pacing import Text, Update
from mondrian.engines.base import Phase
from mondrian.reports import Report
from mondrian.reports.shared import provenance

_WIDE = 100
_HOSTILE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@contextmanager
def watching(console: Console) -> Iterator["Face"]:
    """A ``Face`` on ``console`` for the time of one critique."""
    face = LiveFace(console) if console.is_terminal else Face(console)
    try:
        yield face
    finally:
        face.close()


class Face:
    """Shows how a critique goes, a line per update: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.last: Update | None = None

    def update(self, update: Update) -> None:
        """Show a thinking update."""
        self.last = update
        seconds, percent = f"{update.elapsed_seconds:6.1f} s", f"{update.percent:3.0f} %"
        self._console.print(Line(f"{seconds}  {percent}  {update.thinking}"))

    def text(self, text: Text) -> None:
        """Take note of the next portion of the answer."""

    def close(self) -> None:
        """Nothing more will come."""


class LiveFace(Face):
    """Shows the same on a terminal: one line per phase, the current one alive, and below it the
    dimensions as they are judged."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._answer = ""
        self._judged: tuple[Dimension, ...] = ()
        self._done: list[Line] = []
        self._spinner = Spinner("dots", style="yellow")
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def update(self, update: Update) -> None:
        """Show a thinking update."""
        if self.last and update.phase is not self.last.phase:
            self._done.append(_past(self.last))
        if update.phase is Phase.REPAIRING:
            self._answer, self._judged = "", ()
        self.last = update
        self._live.start()
        self._spinner.update(text=Line(f" {update.thinking}   {update.percent:.0f} %"))
        self._live.update(self._picture())

    def text(self, text: Text) -> None:
        """Take note of the next portion of the answer; show the dimensions that it completes."""
        self._answer += text.text
        if '"recommendation"' in text.text:
            self._judged = read_partial(self._answer).dimensions
            self._live.update(self._picture())

    def close(self) -> None:
        """Leave what was done on the screen."""
        if self.last:
            self._done.append(_past(self.last))
        self._live.update(Group(*self._done))
        self._live.stop()

    def _picture(self) -> Group:
        judged = [
            Line.assemble("   ", bar(d.score), f" {d.score:4.1f}  ", (d.name, "bold"))
            for d in self._judged
        ]
        return Group(*self._done, self._spinner, *judged)


def _past(update: Update) -> Line:
    return Line.assemble(
        ("✓ ", "green"), update.thinking, (f"   at {update.elapsed_seconds:.1f} s", "dim")
    )


def bar(score: float, cells: int = 20) -> Line:
    """A score from 1 to 10 as a bar, which also reads without colours."""
    filled = round(score / 10 * cells)
    style = "red" if score < 5 else "yellow" if score < 7 else "blue"
    return Line.assemble(("━" * filled, style), ("┄" * (cells - filled), "grey50"))


def plain(text: str) -> str:
    """``text`` without what a terminal would take as a command: model text is hostile."""
    return _HOSTILE.sub("", text)


def print_report(console: Console, report: Report) -> None:
    """Print ``report`` as a readable table: scores as bars, evidence, the top three."""
    console.print(Panel(_heading(report), border_style="blue"))
    for dimension in report.dimensions:
        console.print(_dimension(dimension, cells=20 if console.width >= _WIDE else 10))
    console.print(Line("\nTop three recommendations", style="bold"))
    for number, dimension in enumerate(report.top_three, start=1):
        console.print(_recommendation(number, dimension))
    console.print(Padding(Line(plain(" ".join(provenance(report))), style="dim"), (1, 0, 0, 0)))


def _heading(report: Report) -> RenderableType:
    score = f"{report.overall_score:g}/10, grade {report.grade}"
    return Group(
        Line.assemble(
            (plain(report.shown_name), "bold"), "   ", bar(report.overall_score), "  ", score
        ),
        Line(plain(report.image_description), style="italic"),
    )


def _dimension(dimension: Dimension, cells: int) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=19)
    table.add_column(width=cells + 5)
    table.add_column(ratio=1)
    words: list[RenderableType] = [
        Line(plain(dimension.comment)),
        Line.assemble(("→ ", "yellow"), plain(dimension.recommendation)),
    ]
    words += [Line(f"· {plain(evidence)}", style="dim") for evidence in dimension.evidence]
    score = Line.assemble(bar(dimension.score, cells), f" {dimension.score:4.1f}")
    table.add_row(Line(dimension.name, style="bold"), score, Group(*words))
    return Padding(table, (1, 0, 0, 0))


def _recommendation(number: int, dimension: Dimension) -> RenderableType:
    return Padding(
        Line.assemble(
            (f"{number}. ", "bold red"),
            (dimension.name, "bold"),
            f" ({dimension.score:.1f}): {plain(dimension.recommendation)}",
        ),
        (0, 0, 0, 2),
    )


def stopped(face: Face) -> str:
    """What was done until a critique was stopped."""
    update = face.last
    if update is None:
        return "Stopped before anything was done."
    tokens = f", {update.tokens} tokens" if update.tokens else ""
    return (
        f"Stopped while {update.phase.doing} after {update.elapsed_seconds:.1f} s{tokens}. "
        "No report was written."
    )


def watch(events: Iterable[Update | Text | Report], face: Face) -> Generator[Report, None, None]:
    """Show ``events`` on ``face`` as they come, and pass on the reports."""
    for event in events:
        if isinstance(event, Update):
            face.update(event)
        elif isinstance(event, Text):
            face.text(event)
        else:
            yield event
