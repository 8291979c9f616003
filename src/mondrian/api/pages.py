"""Our own few HTML pages. What people or models wrote is escaped in all of them."""

from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse

from mondrian.reports.shared import TEMPLATES
from mondrian.web import PAGES

if TYPE_CHECKING:
    from jinja2 import Environment


def page(name: str, *, title: str, **values: Any) -> HTMLResponse:
    """The template ``<name>.html`` with ``values``."""
    template = _environment().get_template(f"{name}.html")
    return HTMLResponse(template.render(title=title, **values))


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([PAGES, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
