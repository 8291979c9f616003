"""Decode server-sent events, from bytes to ``StreamEvent``."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_EVENT_BYTES = 32_000_000
"""The most bytes of one event; reports and texts have some hundred thousand."""

# a CR at the end of the buffer may be half of a CR LF
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamEvent:
    """One event as a client receives it (docs/events.md). ``seq`` is its sequence number in the
    log, ``None`` for events that are not logged; ``fields`` is its JSON object."""

    type: str
    seq: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


class SseDecoder:
    """Decode chunks of ``text/event-stream``, of any size, into events.

    Lines end in CR LF, LF or CR and in nothing else: text may hold characters that other decoders
    treat as line breaks (U+2028). ``last_id`` is the last id seen, ``retry_seconds`` the server's
    reconnection time.
    """

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry_seconds: float | None = None
        self._line = bytearray()
        self._held_cr = b""
        self._type = ""
        self._id: str | None = None
        self._payload: list[str] = []
        self._payload_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Yield the events that ``chunk`` completes. Raise ``ValueError`` for an event over 32 MB,
        and for one that is not JSON."""
        *lines, rest = _LINE_END.split(self._held_cr + chunk)
        self._held_cr = rest[-1:] if rest.endswith(b"\r") else b""
        for line in lines:
            self._line += line
            self._check_size()
            if event := self._parse_line(self._line.decode("utf-8", "replace")):
                yield event
            self._line.clear()
        self._line += rest.removesuffix(b"\r")
        self._check_size()

    def _check_size(self) -> None:
        if self._payload_bytes + len(self._line) > MAX_EVENT_BYTES:
            raise ValueError("an event is over 32 MB")

    def _parse_line(self, line: str) -> StreamEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._type = value
            case "data":
                self._payload.append(value)
                self._payload_bytes += len(value) + 1
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_seconds = int(value) / 1000
        return None

    def _dispatch(self) -> StreamEvent | None:
        type_, payload, id_ = self._type or "message", "\n".join(self._payload), self._id
        self._type, self._id = "", None
        self._payload.clear()
        self._payload_bytes = 0
        if id_ is not None:
            self.last_id = id_
        if not payload:
            return None
        number = (id_ or "").rpartition(".")[2]
        seq = int(number) if number.isascii() and number.isdigit() else None
        return StreamEvent(type=type_, seq=seq, fields=json.loads(payload))
