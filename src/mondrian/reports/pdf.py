"""Render a report as PDF with typst, which gets all text as JSON, never as markup."""

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mondrian.answers import show_name
from mondrian.reports.report import Report
from mondrian.reports.shared import (
    TEMPLATES,
    describe_provenance,
    describe_purpose,
    format_score,
    list_own_improvements,
    name_beginning,
    name_level,
)


def render_pdf(
    reports: Iterable[Report],
    photo_jpeg: bytes | None = None,
    *,
    title: str = "Critique",
) -> bytes:
    """Return the critiques as a PDF on A4, with ``photo_jpeg`` at its head. The same in, the same
    out.

    Letters that the fonts inside typst lack are taken from those of the system.
    """
    import typst

    given = {
        "title": title,
        "has_photo": photo_jpeg is not None,
        "reports": [_format_report(report) for report in reports],
    }
    with TemporaryDirectory() as folder:
        main = Path(folder) / "report.typ"
        main.write_bytes((TEMPLATES / main.name).read_bytes())
        if photo_jpeg is not None:
            main.with_name("photo.jpg").write_bytes(photo_jpeg)
        inputs = {"given": json.dumps(given)}
        return typst.compile(main, root=main.parent, format="pdf", sys_inputs=inputs)


def _format_report(report: Report) -> dict[str, Any]:
    """Return what the PDF shows of ``report``: words and figures as text, but for the bars."""
    return {
        "name": report.shown_name,
        "overall_score": format_score(report.overall_score),
        "grade": report.grade,
        "image_description": report.image_description,
        "beginning": name_beginning(report),
        "purpose": describe_purpose(report),
        "top_three": [
            {
                "name": show_name(d.name),
                "score": format_score(d.score),
                "text": d.recommendation or d.comment,
            }
            for d in report.top_three
        ],
        "key_strengths": report.key_strengths,
        "dimensions": [
            {
                **d.model_dump(mode="json"),
                "name": show_name(d.name),
                "score": format_score(d.score),
                "value": d.score or 0,
                "level": name_level(d.score),
            }
            for d in report.dimensions
        ],
        "improvements": list_own_improvements(report),
        "technical_notes": report.technical_notes,
        "provenance": describe_provenance(report),
    }
