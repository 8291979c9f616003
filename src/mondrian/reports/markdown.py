"""Render a report as Markdown; every expression of the template passes ``escape_markdown``."""

import re
from functools import cache
from typing import TYPE_CHECKING

from mondrian.reports.report import Report
from mondrian.reports.shared import make_context, make_environment

if TYPE_CHECKING:
    from jinja2 import Environment


def render_markdown(report: Report) -> str:
    """Return the critique as Markdown (CommonMark with a table)."""
    context = make_context(report)
    return _render().get_template("report.md").render(**context).strip() + "\n"


def escape_markdown(text: str) -> str:
    """Return ``text`` as one line of Markdown that shows exactly it: no markup, HTML, link or
    new line."""
    text = _MARKDOWN_MARKS.sub(r"\\\g<0>", " ".join(text.split()))
    return _MARKDOWN_START.sub(r"\1\\\2", text)


# Everywhere: emphasis, code, links, HTML, tables, formulas, bare links. At a start: lists, titles.
_MARKDOWN_MARKS = re.compile(r"[\\`*_\[\]<>|~$@]|&(?=#?\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)

_MARKDOWN_START = re.compile(r"^(\d*)([#+=-]|[.)](?=\s|$))")


@cache
def _render() -> "Environment":
    return make_environment(finalize=lambda value: escape_markdown(str(value)))
