"""A contact sheet of judged photos in one HTML file, and the same as CSV and JSON."""

import csv
import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mondrian.answers import DIMENSIONS
from mondrian.catalogue.ranking import Row
from mondrian.catalogue.thumbnails import read_thumbnail

TEMPLATES = Path(__file__).parent / "templates"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A photo on the sheet: ``url`` is where it leads to, ``picture`` that of a small picture,
    empty if there is none."""

    row: Row
    url: str
    picture: str


def make_sheet(rows: Sequence[Row], *, title: str, thumbnails: Path) -> str:
    """Return the contact sheet of ``rows`` as a page that needs nothing beside it: small pictures,
    what was measured drawn over them, scores, reasons, and filters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("file.html")
    cards = [
        Card(row=row, url=row.file.path.as_uri(), picture=_encode_picture(thumbnails, row.sha256))
        for row in rows
    ]
    return template.render(title=title, cards=cards, advisors=list_advisors(rows))


def list_advisors(rows: Sequence[Row]) -> dict[str, str]:
    """Return the names of those who judged ``rows``, by their ids."""
    return {each.advisor: each.name for row in rows for each in row.opinions}


def make_csv(rows: Sequence[Row]) -> str:
    """Return the ranking as CSV, a line per photo and advisor. No cell is a formula to a
    spreadsheet."""
    written = io.StringIO()
    writer = csv.writer(written)
    head = ["rank", "path", "score", "grade", "advisor", "advisor_score", *DIMENSIONS]
    writer.writerow([*head, "reason", "group", "best_because", "raw"])
    for row in rows:
        for opinion in row.opinions:
            cells: list[Any] = [row.rank, str(row.file.path), row.score, row.grade, opinion.name]
            cells += [opinion.score, *(opinion.scores.get(name) for name in DIMENSIONS)]
            cells += [row.reason, row.group or "", row.best_because, str(row.file.raw or "")]
            writer.writerow(map(_escape_formula, cells))
    return written.getvalue()


def encode_row(row: Row) -> dict[str, Any]:
    """Return a row of the ranking as JSON's values."""
    return {
        "rank": row.rank,
        "path": str(row.file.path),
        "raw": str(row.file.raw) if row.file.raw else None,
        "score": row.score,
        "grade": row.grade,
        "image_description": row.description,
        "reason": row.reason,
        "opinions": [asdict(opinion) for opinion in row.opinions],
        "group": row.group or None,
        "best_because": row.best_because or None,
    }


def _escape_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _encode_picture(thumbnails: Path, sha256: str) -> str:
    """Return the thumbnail of a photo as a URL, empty if there is none."""
    picture = read_thumbnail(thumbnails, sha256)
    return f"data:image/jpeg;base64,{b64encode(picture).decode()}" if picture else ""
