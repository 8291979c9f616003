"""Several advisors' reports of one photo, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from mondrian.answers import DIMENSIONS, Dimension
from mondrian.reports import Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A dimension as each advisor judged it, in the order of the columns; ``None`` where one did
    not. ``spread`` is from the lowest score to the highest, 0 with fewer than two scores."""

    name: str
    cells: Sequence[Dimension | None]
    spread: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The columns, the rows, and the dimensions with the widest spread: none below half a point."""

    reports: Sequence[Report]
    rows: Sequence[Row]
    widest: Sequence[str]


LEAST_SPREAD = 0.5


def compare(reports: Sequence[Report]) -> Comparison:
    """Compare ``reports``, of an advisor each."""
    rows = [_compare_dimension(name, reports) for name in DIMENSIONS]
    most = max((row.spread for row in rows), default=0.0)
    return Comparison(
        reports=reports,
        rows=rows,
        widest=[row.name for row in rows if row.spread == most >= LEAST_SPREAD],
    )


def _compare_dimension(name: str, reports: Sequence[Report]) -> Row:
    cells = [next((d for d in r.dimensions if d.name == name), None) for r in reports]
    scores = [cell.score for cell in cells if cell is not None and cell.score is not None]
    return Row(name=name, cells=cells, spread=max(scores) - min(scores) if scores else 0.0)
