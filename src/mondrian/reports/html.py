"""A report as HTML. Jinja2 escapes every word of the model by itself."""

from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from mondrian.reports.report import Report
from mondrian.reports.shared import make_context, make_environment

if TYPE_CHECKING:
    from jinja2 import Environment


def analysis_fragment(report: Report) -> str:
    """The critique as one ``<div class="advisor-section">``, without any style of its own."""
    return _html().get_template("fragment.html").render(**make_context(report))


def analysis_document(
    reports: Iterable[Report],
    *,
    title: str,
    photo_url: str | None = None,
) -> str:
    """A whole HTML page: dark, without JavaScript, with no outside resource but the photo.

    ``photo_url`` is absolute (http, https) or a ``data:image/`` URL. Raise ``ValueError`` for any
    other URL.
    """
    from markupsafe import Markup

    if photo_url and not photo_url.startswith(("https://", "http://", "data:image/")):
        raise ValueError("photo_url must be absolute, or a data: URL of an image")
    fragments = [Markup(analysis_fragment(report)) for report in reports]
    template = _html().get_template("document.html")
    return template.render(title=title, photo_url=photo_url, fragments=fragments)


def summary_document(report: Report) -> str:
    """An HTML page with the "Top 3 Recommendations": the three lowest-scored dimensions."""
    context = make_context(report)
    return _html().get_template("summary.html").render(title=_SUMMARY_TITLE, **context)


def summary_json(report: Report) -> dict[str, Any]:
    """The same summary for programs: what to improve first, ``rank`` 1 to 3."""
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


def data_url(photo_jpeg: bytes) -> str:
    """A JPEG as a ``data:`` URL, to embed it in a page."""
    return "data:image/jpeg;base64," + b64encode(photo_jpeg).decode()


_SUMMARY_TITLE = "Top 3 Recommendations"


@cache
def _html() -> "Environment":
    return make_environment(autoescape=True)
