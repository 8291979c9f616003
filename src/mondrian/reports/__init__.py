"""Reports: one advisor's critique as a value, and as HTML, Markdown and PDF."""

from mondrian.reports.html import (
    analysis_document,
    analysis_fragment,
    data_url,
    summary_document,
    summary_json,
)
from mondrian.reports.markdown import markdown
from mondrian.reports.pdf import pdf
from mondrian.reports.report import (
    IMPORTED,
    EngineFigures,
    Report,
    build_report,
    grade,
    overall_score,
)
from mondrian.reports.shared import provenance

__all__ = [
    "IMPORTED",
    "EngineFigures",
    "Report",
    "analysis_document",
    "analysis_fragment",
    "build_report",
    "data_url",
    "grade",
    "markdown",
    "overall_score",
    "pdf",
    "provenance",
    "summary_document",
    "summary_json",
]
