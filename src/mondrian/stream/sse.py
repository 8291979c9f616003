"""The wire format: events as bytes (docs/events.md)."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

from mondrian.jobs.events import UPDATE_FIELDS
from mondrian.jobs.job import Event, EventType, encode_payload

MAX_SEND_BYTES = 16_384
"""Frames are joined up to this size, to save system calls, and cut at it, to bound the memory of
unsent data."""

RETRY_MS = 2000
"""How long ``EventSource`` waits before it reconnects, unless a later ``retry:`` changes it."""

PACED = frozenset(
    {
        EventType.STATUS_UPDATE,
        EventType.THINKING_UPDATE,
        EventType.ANALYSIS_COMPLETE,
        EventType.ERROR,
    }
)
"""The events between which no more than the update interval may pass."""


class Frame(NamedTuple):
    """One event as the bytes for all clients. ``seq`` is its number, if it is in the log.

    (A tuple, since thousands are made at once when a log is replayed.)
    """

    seq: int | None
    type: str
    wire: bytes


def encode(type: str, payload: str, seq: int | None = None, log: str = "") -> Frame:  # noqa: A002
    """Return the frame of an event whose ``payload`` is one line of JSON. ``log`` and its number
    make the cursor."""
    # the id comes last: some clients move their cursor as soon as they see it
    number = "" if seq is None else f"id: {log}{seq}\n"
    return Frame(seq, type, f"event: {type}\ndata: {payload}\n{number}\n".encode())


def encode_event(event: Event, log: str) -> Frame:
    """Return the frame of an event of the log."""
    return encode(event.type, event.payload, event.seq, log)


def encode_thinking(job_id: UUID, thinking: str, **known: float | str | None) -> Frame:
    """Return an update of the API's clock: without a number, and ``null`` where unknown."""
    fields = {**dict.fromkeys(UPDATE_FIELDS), "thinking": thinking, "basis": "unknown", **known}
    name = EventType.THINKING_UPDATE
    return encode(name, encode_payload(name, job_id, fields))


def decode_words(frame: Frame) -> str:
    """Return what ``frame`` says in words of what is done with the job, if it does."""
    if frame.type not in (EventType.STATUS_UPDATE, EventType.THINKING_UPDATE):
        return ""
    payload = json.loads(frame.wire.split(b"\ndata: ", 1)[1].split(b"\n", 1)[0])
    state = payload.get("job_data", {})
    words = payload.get("thinking") or state.get("llm_thinking") or state.get("current_step")
    return str(words or "")


def encode_retry(milliseconds: int) -> bytes:
    """Return the block that tells a client how long to wait before it reconnects."""
    return b"retry: %d\n\n" % milliseconds


def encode_connected(job_id: UUID) -> bytes:
    """Return the reconnection time and the first event of every stream."""
    frame = encode("connected", encode_payload("connected", job_id, {}))
    return encode_retry(RETRY_MS) + frame.wire


def encode_reset(job_id: UUID) -> bytes:
    """Return the event for a client whose cursor is invalid: it gets the present state instead."""
    reason = "The cursor is of another log, malformed, past the end, or no longer kept."
    return encode("reset", encode_payload("reset", job_id, {"reason": reason})).wire


_PATHS = re.compile(rb'"(status|stream|analysis)_url":"[^"\\]*?(/\1/)')


def rebase(wire: bytes, base: str) -> bytes:
    """Return a ``status_update`` with ``base`` before its paths in place of what is there: the
    ``Host`` header of one client must not reach another."""
    escaped = json.dumps(base)[1:-1].encode()

    def replace(match: re.Match[bytes]) -> bytes:
        return b'"%s_url":"%s%s' % (match[1], escaped, match[2])

    return _PATHS.sub(replace, wire, count=3)


def rebase_frame(frame: Frame, base: str) -> bytes:
    """Return the bytes of ``frame`` for a client that reaches this server at ``base``."""
    return rebase(frame.wire, base) if frame.type == EventType.STATUS_UPDATE else frame.wire


class Piece(NamedTuple):
    """Bytes of the log. After them a client has reached number ``seq`` and ``offset`` bytes of the
    next event; ``is_last`` is true at the end of the log."""

    wire: bytes
    seq: int
    offset: int
    is_last: bool


def pack(frames: Iterable[Frame], seq: int, offset: int) -> Iterator[Piece]:
    """Yield the frames after ``seq``, without the first ``offset`` bytes, joined and cut into
    pieces of at most ``MAX_SEND_BYTES``."""
    parts, size, is_last = list[bytes](), 0, False
    for frame in frames:
        wire = frame.wire[offset:]
        if parts and size + len(wire) > MAX_SEND_BYTES:
            yield Piece(b"".join(parts), seq, 0, False)
            parts, size = [], 0
        while len(wire) > MAX_SEND_BYTES:
            offset += MAX_SEND_BYTES
            yield Piece(wire[:MAX_SEND_BYTES], seq, offset, False)
            wire = wire[MAX_SEND_BYTES:]
        parts.append(wire)
        size += len(wire)
        seq, offset, is_last = frame.seq or seq, 0, frame.type == EventType.DONE
    if parts:
        yield Piece(b"".join(parts), seq, 0, is_last)


def cut(wire: bytes) -> list[bytes]:
    """Return ``wire`` in pieces of at most ``MAX_SEND_BYTES``."""
    return [wire[at : at + MAX_SEND_BYTES] for at in range(0, len(wire), MAX_SEND_BYTES)]
