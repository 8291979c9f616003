"""Render a report as HTML. Jinja2 escapes all text of the model."""

from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from mondrian.reports.report import Report
from mondrian.reports.shared import make_context, make_environment

if TYPE_CHECKING:
    from jinja2 import Environment


def render_fragment(report: Report) -> str:
    """Return the critique as one ``<div class="advisor-section">``, without any style of its
    own."""
    return _render().get_template("fragment.html").render(**make_context(report))


def render_document(
    reports: Iterable[Report],
    *,
    title: str,
    photo_url: str | None = None,
) -> str:
    """Return a whole HTML page: dark, without JavaScript, with no outside resource but the photo.

    ``photo_url`` is absolute (http, https) or a ``data:image/`` URL. Raise ``ValueError`` for any
    other URL.
    """
    from markupsafe import Markup

    if photo_url and not photo_url.startswith(("https://", "http://", "data:image/")):
        raise ValueError("photo_url must be absolute, or a data: URL of an image")
    fragments = [Markup(render_fragment(report)) for report in reports]
    template = _render().get_template("document.html")
    return template.render(title=title, photo_url=photo_url, fragments=fragments)


def render_summary(report: Report) -> str:
    """Return an HTML page with the "Top 3 Recommendations": the three lowest-scored dimensions."""
    context = make_context(report)
    return _render().get_template("summary.html").render(title=_SUMMARY_TITLE, **context)


def make_summary(report: Report) -> dict[str, Any]:
    """Return the same summary for programs: what to improve first, ``rank`` 1 to 3."""
    return {
        "title": _SUMMARY_TITLE,
        "advisor": report.advisor,
        "overall_score": report.overall_score,
        "grade": report.grade,
        "needs_repair": report.needs_repair,
        "recommendations": [
            {"rank": rank, **dimension.model_dump(mode="json")}
            for rank, dimension in enumerate(report.top_three, start=1)
        ],
    }


def encode_data_url(photo_jpeg: bytes) -> str:
    """Return a JPEG as a ``data:`` URL, to embed it in a page."""
    return "data:image/jpeg;base64," + b64encode(photo_jpeg).decode()


_SUMMARY_TITLE = "Top 3 Recommendations"


@cache
def _render() -> "Environment":
    return make_environment(autoescape=True)
