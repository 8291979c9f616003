"""Updates, text and reports as the fields of the events that clients get (docs/events.md)."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mondrian.answers import (
    DIMENSIONS,
    Answer,
    Dimension,
    GrowingDimension,
    PartialAnswer,
    read_partial,
)
from mondrian.critiques.pacing import Text, Update
from mondrian.engines.base import Phase
from mondrian.reports import Report, analysis_fragment

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
    """The fields of ``report_partial`` events, each of one part of a growing answer.

    While the answer is written there is one twice a second at most: parts that are complete in
    their order, each once, or again if it changed; what grows when none of them waits. ``finish``
    gives all that is left, so that in the end each part was told as it stands in the report.
    """

    def __init__(
        self, advisor: str, *, attempt: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.text = ""
        self.advisor = advisor
        self._head = {"advisor": advisor, "attempt": attempt}
        self._clock = clock
        self._read = clock()
        self._told: dict[str, dict[str, Any]] = {}
        self._begin = 0

    def note(self, update: Update) -> None:
        """Read only what comes from here on if ``update`` says that the rest cannot be read."""
        if update.phase is Phase.REPAIRING:
            self._begin = len(self.text)
            self._told.clear()

    def take(self, text: Text) -> dict[str, Any] | None:
        """Add the next portion of the answer. Returns what is new in it, if it is time to tell."""
        self.text += text.text
        now = self._clock()
        if now - self._read < _PARTIAL_SECONDS:
            return None
        self._read = now
        answer = read_partial(self.text[self._begin :])
        description = answer.image_description if answer.dimensions else ""  # it may still grow
        part = next(self._untold(description, answer), None)
        if part is None and isinstance(answer, PartialAnswer) and answer.growing:
            part = _part(len(answer.dimensions) + 1, answer.growing)
        return part and self._head | part

    def finish(self, report: Report) -> list[dict[str, Any]]:
        """What has not been told yet of ``report``, which was made of the answer."""
        return [self._head | part for part in self._untold(report.image_description, report)]

    def _untold(
        self, description: str, judged: Answer | PartialAnswer | Report
    ) -> Iterator[dict[str, Any]]:
        parts = {"": {"image_description": description}} if description else {}
        parts |= {d.name: _part(n, d) for n, d in enumerate(judged.dimensions, start=1)}
        for name, part in parts.items():
            if self._told.get(name) != part:
                self._told[name] = part
                yield part


def _part(n: int, dimension: Dimension | GrowingDimension) -> dict[str, Any]:
    fields = dimension.model_dump(mode="json")
    if "evidence" in fields:  # it is the report's: the model does not give it
        fields["evidence"] = []
    return {"n": n, "m": len(DIMENSIONS), "dimension": fields}


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)
