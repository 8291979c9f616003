"""Decode server-sent events, from bytes to ``StreamEvent``."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """Decodes chunks of ``text/event-stream``, of any size, into events.

    Lines end in CR LF, LF or CR and in nothing else: text may hold characters that other decoders
    treat as line breaks (U+2028). ``last_id`` is the last id seen, ``retry_seconds`` the server's
    reconnection time.
    """

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry_seconds: float | None = None
        self._rest = b""
        self._type = ""
        self._id: str | None = None
        self._payload: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Yield the events that ``chunk`` completes."""
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        for line in lines:
            if event := self._parse_line(line.decode("utf-8", "replace")):
                yield event

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
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_seconds = int(value) / 1000
        return None

    def _dispatch(self) -> StreamEvent | None:
        type_, payload, id_ = self._type or "message", "\n".join(self._payload), self._id
        self._type, self._id = "", None
        self._payload.clear()
        if id_ is not None:
            self.last_id = id_
        if not payload:
            return None
        number = (id_ or "").rpartition(".")[2]
        seq = int(number) if number.isascii() and number.isdigit() else None
        return StreamEvent(type=type_, seq=seq, fields=json.loads(payload))
