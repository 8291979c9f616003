"""Updates, text and reports as the fields of the events that clients get (docs/events.md)."""

import time
from collections.abc import Sequence
from typing import Any

from mondrian.engines.base import Phase
from mondrian.pacing import Text, Update
from mondrian.report import (
    DIMENSIONS,
    Answer,
    Dimension,
    GrowingDimension,
    Report,
    analysis_fragment,
    read_partial,
)

_PARTIAL_SECONDS = 0.5


def update_fields(update: Update, *, attempt: int = 1) -> dict[str, Any]:
    """The fields of a ``thinking_update``; ``None`` where a figure is unknown."""
    return {
        "thinking": update.thinking,
        "phase": str(update.phase),
        "tokens": update.tokens,
        "tokens_per_second": _rounded(update.tokens_per_second),
        "prompt_tokens": update.prompt_tokens,
        "prompt_tokens_per_second": _rounded(update.prompt_tokens_per_second),
        "cached_tokens": update.cached_tokens,
        "peak_memory_gb": _rounded(update.peak_memory_gb),
        "finish_reason": update.finish_reason,
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


def complete_fields(reports: Sequence[Report], names: Sequence[str]) -> dict[str, Any]:
    """The fields of an ``analysis_complete`` for the advisors of these ``names``: ``report`` is the
    first one's, ``reports`` has everyone's."""
    fragments = map(analysis_fragment, reports, names)
    encoded = [report.model_dump(mode="json") for report in reports]
    return {"analysis_html": "\n".join(fragments), "report": encoded[0], "reports": encoded}


class Parts:
    """The fields of ``report_partial`` events: what can be read of a growing answer, each complete
    part once and what grows in between, at most twice a second."""

    def __init__(self, advisor: str, *, attempt: int = 1) -> None:
        self.text = ""
        self.advisor = advisor
        self._head = {"advisor": advisor, "attempt": attempt}
        self._read = time.monotonic()
        self._told: set[str] = set()
        self._begin = 0

    def note(self, update: Update) -> None:
        """Read only what comes from here on if ``update`` says that the rest cannot be read."""
        if update.phase is Phase.REPAIRING:
            self._begin = len(self.text)

    def take(self, text: Text) -> dict[str, Any] | None:
        """Add the next portion of the answer. Returns what is new in it, if it is time to tell."""
        self.text += text.text
        if time.monotonic() - self._read < _PARTIAL_SECONDS:
            return None
        self._read = time.monotonic()
        part = self._next()
        return part and self._head | part

    def _next(self) -> dict[str, Any] | None:
        answer = read_partial(self.text[self._begin :])
        growing = None if isinstance(answer, Answer) else answer.growing
        if answer.image_description and answer.dimensions and self._is_new("image_description"):
            return {"image_description": answer.image_description}
        for n, dimension in enumerate(answer.dimensions, start=1):
            if self._is_new(dimension.name):
                return _part(n, dimension)
        return _part(len(answer.dimensions) + 1, growing) if growing else None

    def _is_new(self, part: str) -> bool:
        is_new = part not in self._told
        self._told.add(part)
        return is_new


def _part(n: int, dimension: Dimension | GrowingDimension) -> dict[str, Any]:
    return {"n": n, "m": len(DIMENSIONS), "dimension": dimension.model_dump(mode="json")}


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)
