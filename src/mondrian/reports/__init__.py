"""Reports: one advisor's critique as a value, and as HTML, Markdown and PDF."""

from mondrian.reports.html import (
    encode_data_url,
    make_summary,
    render_document,
    render_fragment,
    render_summary,
)
from mondrian.reports.markdown import render_markdown
from mondrian.reports.pdf import render_pdf
from mondrian.reports.report import (
    IMPORTED,
    EngineFigures,
    Report,
    build_report,
    compute_overall_score,
    find_grade,
)
from mondrian.reports.shared import describe_provenance

__all__ = [
    "IMPORTED",
    "EngineFigures",
    "Report",
    "build_report",
    "compute_overall_score",
    "describe_provenance",
    "encode_data_url",
    "find_grade",
    "make_summary",
    "render_document",
    "render_fragment",
    "render_markdown",
    "render_pdf",
    "render_summary",
]
