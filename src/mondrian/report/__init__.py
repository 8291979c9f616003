"""The answer: its values, its readers (partial, final, salvage), and HTML, Markdown and PDF."""

from mondrian.report.answers import read_answer, read_partial
from mondrian.report.rendering import (
    analysis_document,
    analysis_fragment,
    data_url,
    markdown,
    pdf,
    provenance,
    summary_document,
    summary_json,
)
from mondrian.report.values import (
    DIMENSIONS,
    Answer,
    Dimension,
    EngineFigures,
    GrowingDimension,
    PartialAnswer,
    Report,
    build_report,
    grade,
    overall_score,
)

__all__ = [
    "DIMENSIONS",
    "Answer",
    "Dimension",
    "EngineFigures",
    "GrowingDimension",
    "PartialAnswer",
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
    "read_answer",
    "read_partial",
    "summary_document",
    "summary_json",
]
