"""One client: what it wants, the number that it has reached, and how it gets further."""

from collections.abc import Callable

from starlette.types import Message, Send

from mondrian.jobs import EventType
from mondrian.stream.frames import pack
from mondrian.stream.request import Asked
from mondrian.stream.source import CHUNK, Source
from mondrian.stream.tail import Tail

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"connection", b"close"),
)


class Watcher:
    """Sends the events that were ``asked`` for, each once, in order, from after number ``seq``.

    It keeps no queue: what has not been sent is in the tail or in the log. ``is_over`` tells that
    the end of the log was sent. ``is_leaving`` is asked before each step whether to stop.
    """

    def __init__(
        self, asked: Asked, seq: int, source: Source, send: Send, is_leaving: Callable[[], bool]
    ) -> None:
        self.seq = seq
        self.is_over = False
        self._job_id = asked.job_id
        self._types = asked.types
        self._source = source
        self._send = send
        self._is_leaving = is_leaving

    async def replay(self, until: int) -> None:
        """Send the log up to ``until``, a number that is in it, or somewhat further.

        Raises ``StorageError``.
        """
        while self.seq < until and not (self.is_over or self._is_leaving()):
            frames = await self._source.frames_after(self._job_id, self.seq, self._types)
            last, is_all = frames[-1:], len(frames) < CHUNK
            pieces = list(pack(frames))
            del frames  # a client that does not read costs no more than its bytes
            for piece in pieces:
                await self._send(body(piece))
            for frame in last:
                self.seq = frame.seq or self.seq
                self.is_over = frame.type == EventType.DONE
            if is_all:
                self.seq = max(self.seq, until)  # what else there is, is of other types

    async def follow(self, tail: Tail) -> None:
        """Send the log as it grows. Raises ``StorageError`` if it must be read and cannot."""
        place = -1
        while not (self.is_over or self._is_leaving()):
            if place == tail.end:
                await tail.moved.wait()
            elif place >= tail.start:
                batch = tail.batch(place, self.seq, self._types)
                place, self.seq, self.is_over = batch.place, batch.seq, batch.is_last
                if batch.wire:
                    await self._send(body(batch.wire))
            elif self.seq < tail.floor:
                await self.replay(tail.floor)
            else:
                place = tail.place_after(self.seq)


def head() -> Message:
    """What begins a stream. New objects each time: middleware adds to them."""
    return {"type": "http.response.start", "status": 200, "headers": list(HEADERS)}


def body(wire: bytes, *, is_last: bool = False) -> Message:
    """The next bytes of a stream."""
    return {"type": "http.response.body", "body": wire, "more_body": not is_last}
