"""Encode updates, text and reports as the fields of events (docs/events.md)."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
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
from mondrian.jobs.job import Entry, EventType
from mondrian.reports import Report, render_fragment

_PARTIAL_SECONDS, _MOST_PARTIAL_SECONDS = 0.5, 2.0
_REST = 200  # times as long as it took to read the text: the engine may need the processor

QUEUE_FIELDS = {
    "queue_position": "place in the queue, from 1, while queued",
    "attempt": "which attempt it is about",
}
"""The fields of a ``thinking_update`` in addition to those of ``Update``."""

UPDATE_FIELDS = {
    **{each.name: str(each.metadata["doc"]) for each in fields(Update)},
    **QUEUE_FIELDS,
}
"""All fields of a ``thinking_update``, described. Each is always present, ``null`` if unknown."""

_DECIMALS = {"elapsed_seconds": 1, "percent": 3}


def build_update_fields(update: Update, *, attempt: int = 1) -> dict[str, Any]:
    """Return the fields of a ``thinking_update``."""
    known = {name: getattr(update, name, None) for name in UPDATE_FIELDS}
    rounded = {
        name: round(figure, _DECIMALS.get(name, 2)) if isinstance(figure, float) else figure
        for name, figure in known.items()
    }
    return {**rounded, "attempt": attempt}


def build_complete_fields(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the fields of an ``analysis_complete``: ``report`` is the first advisor's, ``reports``
    has all of them."""
    fragments = map(render_fragment, reports)
    encoded = [report.model_dump(mode="json") for report in reports]
    return {"analysis_html": "\n".join(fragments), "report": encoded[0], "reports": encoded}


class AdvisorEvents:
    """Encode one advisor's critique as events, in order.

    Texts become ``token`` events, and the readable part of the report ``report_partial`` events.
    While the answer is written there are at most two of these a second, fewer if it takes long to
    read: each complete dimension once, or again if it changed, and the growing one if no other is
    due. The report yields the rest, so that each of its parts has been sent in its final form.
    """

    def __init__(
        self,
        advisor: str,
        *,
        attempt: int = 1,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self.text = ""
        self._astral = 0  # characters that UTF-16 counts twice
        self._attempt = attempt
        self._head = {"advisor": advisor, "attempt": attempt}
        self._clock, self._cpu_clock = clock, cpu_clock
        self._read_due = clock() + _PARTIAL_SECONDS
        self._sent: dict[str, dict[str, Any]] = {}
        self._begin = 0

    def encode(self, item: Update | Text | Report) -> Iterator[Entry]:
        """Yield the events of ``item``."""
        if isinstance(item, Update):
            if item.phase is Phase.REPAIRING:  # the text before it cannot be parsed
                self._begin = len(self.text)
                self._sent.clear()
            yield Entry(EventType.THINKING_UPDATE, build_update_fields(item, attempt=self._attempt))
        elif isinstance(item, Text):
            offsets = {"offset": item.offset, "utf16_offset": item.offset + self._astral}
            self.text += item.text
            self._astral += sum(character > "\uffff" for character in item.text)
            yield Entry(EventType.TOKEN, {**self._head, "text": item.text, **offsets})
            yield from map(self._encode_part, self._read_news())
        else:
            yield from map(self._encode_part, self._list_news(item.image_description, item))

    def _encode_part(self, part: dict[str, Any]) -> Entry:
        return Entry(EventType.REPORT_PARTIAL, self._head | part)

    def _read_news(self) -> Iterator[dict[str, Any]]:
        """Yield one new part of the answer, if enough time has passed since the last one."""
        now = self._clock()
        if now < self._read_due:
            return
        began = self._cpu_clock()
        answer = read_partial(self.text[self._begin :])
        rest = _REST * (self._cpu_clock() - began)
        self._read_due = now + min(max(_PARTIAL_SECONDS, rest), _MOST_PARTIAL_SECONDS)
        description = answer.image_description if answer.dimensions else ""  # it may still grow
        part = next(self._list_news(description, answer), None)
        if part:
            yield part
        elif isinstance(answer, PartialAnswer) and answer.growing:
            yield _make_part(len(answer.dimensions) + 1, answer.growing)

    def _list_news(
        self, description: str, judged: Answer | PartialAnswer | Report
    ) -> Iterator[dict[str, Any]]:
        parts = {"": {"image_description": description}} if description else {}
        parts |= {d.name: _make_part(n, d) for n, d in enumerate(judged.dimensions, start=1)}
        for name, part in parts.items():
            if self._sent.get(name) != part:
                self._sent[name] = part
                yield part


def _make_part(n: int, dimension: Dimension | GrowingDimension) -> dict[str, Any]:
    fields = dimension.model_dump(mode="json")
    if "evidence" in fields:  # the report's, not the model's
        fields["evidence"] = []
    return {"n": n, "m": len(DIMENSIONS), "dimension": fields}
