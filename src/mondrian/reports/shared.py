"""Shared by HTML, Markdown and PDF: templates, filters, and the sentences on a critique's
origin."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mondrian.answers import show_name
from mondrian.purpose import GENRES
from mondrian.reports.report import IMPORTED, Report

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


_ORIGIN_OF_OLD = (
    "Imported from an earlier system, of which no figures were kept: the dimensions and their "
    "scores were read from its text, the overall score was worked out from them."
)


def describe_provenance(report: Report) -> tuple[str, ...]:
    """Sentences that say where the critique comes from: which model, whether it saw the photo, what
    it took, and what is missing."""
    engine = report.engine
    if engine.url == IMPORTED:
        return (_ORIGIN_OF_OLD, *_list_missing(report))
    model = f"{engine.model} ({engine.url.partition(':')[0]})"
    if engine.sees:
        origin = f"{model} looked at the photo, with measured facts beside it, and wrote this."
    else:
        origin = (
            f"{model} did not see the photo. "
            "It chose among sentences that measurements of the photo made true. The scores are "
            "measured, and the same for every advisor; what each counts for is the advisor's own."
        )
    speed = f" at {engine.tokens_per_second:.1f} tokens/s" if engine.tokens_per_second else ""
    sentences = [origin, f"{engine.tokens:,} tokens{speed} in {engine.seconds:.1f} s."]
    sentences += _list_missing(report)
    if report.salvaged:
        sentences.append(
            "The answer was not in the form that was asked for; this is what could be read of it."
        )
    return tuple(sentences)


def _list_missing(report: Report) -> Sequence[str]:
    missing = ", ".join(map(show_name, report.missing))
    return (f"Not judged: {missing}.",) if missing else ()


def make_context(report: Report) -> dict[str, Any]:
    """Return what the templates of a report read."""
    return {
        "report": report,
        "name": report.shown_name,
        "provenance": describe_provenance(report),
        "improvements": list_own_improvements(report),
        "beginning": name_beginning(report),
        "purpose": describe_purpose(report),
    }


def describe_purpose(report: Report) -> tuple[str, ...]:
    """Return sentences that say what the photo is meant to be, and what is therefore no fault."""
    sentences = []
    if report.intent:
        sentences.append(f"What the photographer meant: “{report.intent}”")
    if report.genre:
        sentences.append(f"Judged as {GENRES.get(report.genre, report.genre)}.")
    if report.choices:
        sentences.append(f"Not counted as a fault: {'; '.join(report.choices)}.")
    return tuple(sentences)


def name_beginning(report: Report) -> str:
    """Return what is said before the top three: that nothing needs repair, and whose order it is
    where it is not that of the scores."""
    sentences = [
        "" if report.needs_repair else "Nothing needs repair. To go further:",
        f"(In the order of what counts for {report.shown_name}.)" if report.is_weighed else "",
    ]
    return " ".join(filter(None, sentences))


def list_own_improvements(report: Report) -> Sequence[str]:
    """Return the priority improvements, unless they only repeat the three lowest dimensions."""
    lowest = {dimension.recommendation for dimension in report.top_three}
    return () if lowest.issuperset(report.priority_improvements) else report.priority_improvements


def format_score(value: float | None) -> str:
    """Return a score with one decimal."""
    return "not judged" if value is None else f"{value:.1f}"


def name_level(score: float | None) -> str:
    """Return ``low`` below 5.5 (grade D and worse), ``middle``, ``high`` from 7.5 (grade B) on,
    or ``unjudged``."""
    if score is None:
        return "unjudged"
    return "low" if score < 5.5 else "middle" if score < 7.5 else "high"


def make_environment(**more: Any) -> "Environment":
    """Return a Jinja2 environment on ``templates/``, with ``more`` of its options."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **more,
    )
    environment.filters.update(one_decimal=format_score, level=name_level, heading=show_name)
    return environment
