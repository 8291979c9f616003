"""A report as the terminal shows it: a readable table, with scores as bars."""

import re

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from mondrian.answers import Dimension
from mondrian.reports import Report
from mondrian.reports.shared import describe_purpose, format_score, name_beginning, provenance

_WIDE, _NARROW = 100, 72
_HOSTILE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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
        console.print(_dimension(dimension, console.width))
    console.print(Line("\nTop three recommendations", style="bold"))
    if beginning := name_beginning(report):
        console.print(Padding(Line(beginning), (0, 0, 0, 2)))
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
        *(Line(plain(sentence)) for sentence in describe_purpose(report)),
    )


def _dimension(dimension: Dimension, width: int) -> RenderableType:
    """Return a dimension in columns; on a narrow terminal its words stand below."""
    cells = 20 if width >= _WIDE else 10
    words: list[RenderableType] = [
        Line(plain(dimension.comment)),
        Line.assemble(("→ ", "yellow"), plain(dimension.recommendation)),
    ]
    words += [Line(f"· {plain(evidence)}", style="dim") for evidence in dimension.evidence]
    score = Line("not judged", style="dim")
    if dimension.score is not None:
        score = Line.assemble(bar(dimension.score, cells), f" {dimension.score:4.1f}")
    name = Line(dimension.name, style="bold")
    table = Table.grid(padding=(0, 2))
    table.add_column(width=19)
    table.add_column(width=cells + 5)
    if width < _NARROW:
        table.add_row(name, score)
        return Group("", table, Padding(Group(*words), (0, 0, 0, 2)))
    table.add_column(ratio=1)
    table.add_row(name, score, Group(*words))
    return Padding(table, (1, 0, 0, 0))


def _recommendation(number: int, dimension: Dimension) -> RenderableType:
    return Padding(
        Line.assemble(
            (f"{number}. ", "bold red"),
            (dimension.name, "bold"),
            f" ({format_score(dimension.score)}): {plain(dimension.recommendation)}",
        ),
        (0, 0, 0, 2),
    )
