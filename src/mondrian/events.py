"""Updates, text and reports as the fields of the events that clients get (docs/events.md)."""

from typing import Any

from mondrian.pacing import Text, Update
from mondrian.report import Report


def update_fields(update: Update, *, attempt: int = 1) -> dict[str, Any]:
    """The fields of a ``thinking_update``; ``None`` where a figure is unknown."""
    return {
        "thinking": update.thinking,
        "phase": str(update.phase),
        "tokens": update.tokens,
        "tokens_per_second": _rounded(update.tokens_per_second),
        "prompt_tokens": update.prompt_tokens,
        "peak_memory_gb": _rounded(update.peak_memory_gb),
        "elapsed_seconds": round(update.elapsed_seconds, 1),
        "eta_seconds": _rounded(update.eta_seconds),
        "percent": update.percent,
        "basis": str(update.basis),
        "queue_position": None,
        "attempt": attempt,
    }


def text_fields(text: Text, *, advisor: str, attempt: int = 1) -> dict[str, Any]:
    """The fields of a ``token``; ``offset`` counts characters (Unicode code points)."""
    return {"advisor": advisor, "text": text.text, "offset": text.offset, "attempt": attempt}


def complete_fields(reports: list[Report], analysis_html: str) -> dict[str, Any]:
    """The fields of an ``analysis_complete``: ``report`` is the first advisor's, ``reports`` has
    everyone's."""
    encoded = [report.model_dump(mode="json") for report in reports]
    return {"analysis_html": analysis_html, "report": encoded[0], "reports": encoded}


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)
