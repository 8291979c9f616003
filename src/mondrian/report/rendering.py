"""A report as HTML, Markdown and PDF, with every word of the model escaped.

HTML: Jinja2 escapes by itself. Markdown: every expression of the template passes
``escape_markdown``. PDF: the words go to typst as JSON, never as markup.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mondrian.report.values import Report

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent.parent / "templates"


def analysis_fragment(report: Report, advisor_name: str) -> str:
    """The critique as one ``<div class="advisor-section">``, without any style of its own."""
    return _html().get_template("fragment.html").render(**_context(report, advisor_name))


def analysis_document(
    reports: Iterable[Report],
    *,
    title: str,
    photo_url: str | None = None,
    names: Mapping[str, str] | None = None,
) -> str:
    """A whole HTML page: dark, without JavaScript, with no outside resource but the photo.

    ``photo_url`` is absolute (http, https) or a ``data:image/`` URL; ``names`` maps an advisor's id
    to the name to show. Raises ``ValueError`` for any other URL.
    """
    from markupsafe import Markup

    if photo_url and not photo_url.startswith(("https://", "http://", "data:image/")):
        raise ValueError("photo_url must be absolute, or a data: URL of an image")
    fragments = [
        Markup(analysis_fragment(report, (names or {}).get(report.advisor, report.advisor)))
        for report in reports
    ]
    template = _html().get_template("document.html")
    return template.render(title=title, photo_url=photo_url, fragments=fragments)


def summary_document(report: Report) -> str:
    """An HTML page with the "Top 3 Recommendations": the three lowest-scored dimensions."""
    context = _context(report, report.advisor)
    return _html().get_template("summary.html").render(title=_SUMMARY_TITLE, **context)


def summary_json(report: Report) -> dict[str, Any]:
    """The same summary for programs: what to improve first, ``rank`` 1 to 3."""
    return {
        "title": _SUMMARY_TITLE,
        "advisor": report.advisor,
        "overall_score": report.overall_score,
        "grade": report.grade,
        "recommendations": [
            {"rank": rank, **dimension.model_dump(mode="json")}
            for rank, dimension in enumerate(report.top_three, start=1)
        ],
    }


def markdown(report: Report, advisor_name: str | None = None) -> str:
    """The critique as Markdown (CommonMark with a table)."""
    context = _context(report, advisor_name or report.advisor)
    return _markdown().get_template("report.md").render(**context).strip() + "\n"


def pdf(
    reports: Iterable[Report],
    photo_jpeg: bytes | None = None,
    *,
    title: str = "Critique",
    names: Mapping[str, str] | None = None,
) -> bytes:
    """The critiques as a PDF on A4, with ``photo_jpeg`` at its head. The same in, the same out.

    Letters that the fonts inside typst lack are taken from those of the system.
    """
    import typst

    given = {
        "title": title,
        "has_photo": photo_jpeg is not None,
        "reports": [_printed(r, (names or {}).get(r.advisor, r.advisor)) for r in reports],
    }
    with TemporaryDirectory() as folder:
        main = Path(folder) / "report.typ"
        main.write_bytes((_TEMPLATES / main.name).read_bytes())
        if photo_jpeg is not None:
            main.with_name("photo.jpg").write_bytes(photo_jpeg)
        inputs = {"given": json.dumps(given)}
        return typst.compile(main, root=main.parent, format="pdf", sys_inputs=inputs)


def data_url(photo_jpeg: bytes) -> str:
    """A JPEG as a ``data:`` URL, to embed it in a page."""
    return "data:image/jpeg;base64," + b64encode(photo_jpeg).decode()


def provenance(report: Report) -> tuple[str, ...]:
    """Sentences that say where the critique comes from: which model, whether it saw the photo, what
    it took, and what is missing."""
    engine = report.engine
    model = f"{engine.model} ({engine.url.partition(':')[0]})"
    if engine.sees:
        origin = f"{model} looked at the photo, with measured facts beside it, and wrote this."
    else:
        origin = (
            f"{model} did not see the photo. "
            "It chose among sentences that measurements of the photo made true."
        )
    speed = f" at {engine.tokens_per_second:.1f} tokens/s" if engine.tokens_per_second else ""
    sentences = [origin, f"{engine.tokens:,} tokens{speed} in {engine.seconds:.1f} s."]
    if report.missing:
        sentences.append(f"Not judged: {', '.join(report.missing)}.")
    if report.salvaged:
        sentences.append(
            "The answer was not in the form that was asked for; this is what could be read of it."
        )
    return tuple(sentences)


def escape_markdown(text: str) -> str:
    """``text`` as one line of Markdown that shows exactly it: no markup, HTML, link or new line."""
    text = _MARKDOWN_MARKS.sub(r"\\\g<0>", " ".join(text.split()))
    return _MARKDOWN_START.sub(r"\1\\\2", text)


# Everywhere: emphasis, code, links, HTML, tables, formulas, bare links. At a start: lists, titles.
_MARKDOWN_MARKS = re.compile(r"[\\`*_\[\]<>|~$@]|&(?=#?\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)
_MARKDOWN_START = re.compile(r"^(\d*)([#+=-]|[.)](?=\s|$))")

_SUMMARY_TITLE = "Top 3 Recommendations"


def _context(report: Report, name: str) -> dict[str, Any]:
    return {
        "report": report,
        "name": name,
        "provenance": provenance(report),
        "improvements": _own_improvements(report),
    }


def _own_improvements(report: Report) -> Sequence[str]:
    """The priority improvements, unless they only repeat the three lowest dimensions."""
    lowest = {dimension.recommendation for dimension in report.top_three}
    return () if lowest.issuperset(report.priority_improvements) else report.priority_improvements


def _printed(report: Report, name: str) -> dict[str, Any]:
    """What the PDF shows of ``report``: words and figures as text, but for the bars."""
    return {
        "name": name,
        "overall_score": _one_decimal(report.overall_score),
        "grade": report.grade,
        "image_description": report.image_description,
        "top_three": [
            {"name": d.name, "score": _one_decimal(d.score), "text": d.recommendation or d.comment}
            for d in report.top_three
        ],
        "key_strengths": report.key_strengths,
        "dimensions": [
            {
                **d.model_dump(mode="json"),
                "score": _one_decimal(d.score),
                "value": d.score,
                "level": _level(d.score),
            }
            for d in report.dimensions
        ],
        "improvements": _own_improvements(report),
        "technical_notes": report.technical_notes,
        "provenance": provenance(report),
    }


def _one_decimal(value: float) -> str:
    return f"{value:.1f}"


def _level(score: float) -> str:
    """``low`` below 5.5 (grade D and worse), ``middle``, or ``high`` from 7.5 (grade B) on."""
    return "low" if score < 5.5 else "middle" if score < 7.5 else "high"


@cache
def _html() -> "Environment":
    return _environment(autoescape=True)


@cache
def _markdown() -> "Environment":
    return _environment(finalize=lambda value: escape_markdown(str(value)))


def _environment(**more: Any) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **more,
    )
    environment.filters.update(one_decimal=_one_decimal, level=_level)
    return environment
