"""Print a report on the terminal: a readable table, with scores as bars."""

import re

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from mondrian.answers import Dimension, show_name
from mondrian.reports import Report
from mondrian.reports.shared import (
    describe_provenance,
    describe_purpose,
    format_score,
    name_beginning,
)

_WIDE, _NARROW = 100, 72
_HOSTILE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def draw_bar(score: float, cells: int = 20) -> Line:
    """Return a score from 1 to 10 as a bar, which also reads without colours."""
    filled = round(score / 10 * cells)
    style = "red" if score < 5 else "yellow" if score < 7 else "blue"
    return Line.assemble(("━" * filled, style), ("┄" * (cells - filled), "grey50"))


def remove_controls(text: str) -> str:
    """Return ``text`` without what a terminal would take as a command: model text is hostile."""
    return _HOSTILE.sub("", text)


def print_report(console: Console, report: Report) -> None:
    """Print ``report`` as a readable table: scores as bars, evidence, the top three."""
    console.print(Panel(_format_heading(report), border_style="blue"))
    for dimension in report.dimensions:
        console.print(_format_dimension(dimension, console.width))
    console.print(Line("\nTop three recommendations", style="bold"))
    if beginning := name_beginning(report):
        console.print(Padding(Line(beginning), (0, 0, 0, 2)))
    for number, dimension in enumerate(report.top_three, start=1):
        console.print(_format_recommendation(number, dimension))
    console.print(
        Padding(
            Line(remove_controls(" ".join(describe_provenance(report))), style="dim"), (1, 0, 0, 0)
        )
    )


def _format_heading(report: Report) -> RenderableType:
    score = f"{report.overall_score:g}/10, grade {report.grade}"
    return Group(
        Line.assemble(
            (remove_controls(report.shown_name), "bold"),
            "   ",
            draw_bar(report.overall_score),
            "  ",
            score,
        ),
        Line(remove_controls(report.image_description), style="italic"),
        *(Line(remove_controls(sentence)) for sentence in describe_purpose(report)),
    )


def _format_dimension(dimension: Dimension, width: int) -> RenderableType:
    """Return a dimension in columns; on a narrow terminal its words stand below."""
    cells = 20 if width >= _WIDE else 10
    words: list[RenderableType] = [
        Line(remove_controls(dimension.comment)),
        Line.assemble(("→ ", "yellow"), remove_controls(dimension.recommendation)),
    ]
    words += [
        Line(f"· {remove_controls(evidence)}", style="dim") for evidence in dimension.evidence
    ]
    score = Line("not judged", style="dim")
    if dimension.score is not None:
        score = Line.assemble(draw_bar(dimension.score, cells), f" {dimension.score:4.1f}")
    name = Line(show_name(dimension.name), style="bold")
    table = Table.grid(padding=(0, 2))
    table.add_column(width=19)
    table.add_column(width=cells + 5)
    if width < _NARROW:
        table.add_row(name, score)
        return Group("", table, Padding(Group(*words), (0, 0, 0, 2)))
    table.add_column(ratio=1)
    table.add_row(name, score, Group(*words))
    return Padding(table, (1, 0, 0, 0))


def _format_recommendation(number: int, dimension: Dimension) -> RenderableType:
    return Padding(
        Line.assemble(
            (f"{number}. ", "bold red"),
            (show_name(dimension.name), "bold"),
            f" ({format_score(dimension.score)}): {remove_controls(dimension.recommendation)}",
        ),
        (0, 0, 0, 2),
    )
