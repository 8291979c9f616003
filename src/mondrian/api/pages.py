"""HTML pages. All values are escaped; only Mondrian's own scripts and styles are allowed."""

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import Headers
from starlette.types import Scope

from mondrian import __version__
from mondrian.answers import show_name
from mondrian.catalogue.sheet import TEMPLATES as SHEET_TEMPLATES
from mondrian.reports.shared import TEMPLATES as REPORT_TEMPLATES
from mondrian.reports.shared import format_score, name_level
from mondrian.web import STATIC, TEMPLATES, asset_url

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
"""The ``Content-Security-Policy`` of the pages."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    # With "no-referrer" a browser would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Vary": "Accept, Cookie",
}
_RANGE = re.compile(r"\s*([\w*.+-]+/[\w*.+-]+)\s*(?:;(?:.*;)?\s*q=([\d.]+))?", re.ASCII)


def render_page(
    scope: Scope,
    name: str,
    /,
    *,
    title: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """Return the template ``<name>.html`` with ``values``, for the request in ``scope``."""
    root = scope.get("state", {}).get("root", "")
    template = _load_environment().get_template(f"{name}.html")
    html = template.render(title=title, root=root, version=__version__, **values)
    return HTMLResponse(html, status, {**_HEADERS, **(headers or {})})


def render_document(name: str, *, title: str, **values: Any) -> HTMLResponse:
    """Return the template ``<name>.html`` as a document without scripts, as for a WebView."""
    template = _load_environment().get_template(f"{name}.html")
    return HTMLResponse(template.render(title=title, **values))


def redirect(scope: Scope, path: str) -> RedirectResponse:
    """Return a 303 redirect to ``path`` on this server, as the answer to a form."""
    return RedirectResponse(scope.get("state", {}).get("root", "") + path, 303)


def wants_page(scope: Scope) -> bool:
    """Return whether ``Accept`` names HTML with a quality no lower than that of JSON."""
    qualities: dict[str, float] = {}
    for part in Headers(scope=scope).get("accept", "")[:1000].lower().split(","):
        if match := _RANGE.match(part):
            qualities.setdefault(match[1], _parse_quality(match[2]))
    html = qualities.get("text/html", 0.0)
    return 0 < html >= qualities.get("application/json", 0.0)


def _parse_quality(text: str | None) -> float:
    try:
        return min(1.0, float(text)) if text else 1.0
    except ValueError:
        return 0.0


def _word_level(score: float | None) -> str:
    """Return a word for a score: colour alone is not accessible."""
    if score is None:
        return "not judged"
    return {"low": "weak", "middle": "fair", "high": "strong"}[name_level(score)]


def _describe_span(seconds: float) -> str:
    """Return an estimated time as ``span`` of page.js does: ``40 s``, ``3 minutes``."""
    if seconds < 20:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{round(seconds / 3600)} hours"


@cache
def _load_environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, STATIC, REPORT_TEMPLATES, SHEET_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        one_decimal=format_score,
        level=name_level,
        heading=show_name,
        word=_word_level,
        span=_describe_span,
    )
    environment.globals.update(asset=asset_url)
    return environment
