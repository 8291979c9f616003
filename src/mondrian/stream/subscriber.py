"""One client: what it wants, the number that it has reached, and how it gets further.

1. What has not been sent is in the tail or in the log: a client has no queue. What was read for it
   and has to wait is dropped, but for one piece, and read again; a long event is sent in pieces.
2. A client whose log was pruned meanwhile is told to come back, and then that there is a gap.
3. A client at the end of the tail sleeps, and what is added is sent for it by whatever adds it, as
   far as its transport takes it at once. Its task wakes only where it must wait, at the end, or
   when the server stops. To wake each client's task for each event costs half as much again, and
   leaves so many objects behind that the collector of garbage stops the loop for 0.1 s.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from starlette.types import Message, Send

from mondrian.stream.buffer import FrameBuffer
from mondrian.stream.reader import LogReader
from mondrian.stream.request import Asked
from mondrian.stream.sse import MAX_SEND_BYTES, Piece

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class Subscriber:
    """Sends the events that were ``asked`` for, each once, in order, from after number ``seq``.

    ``is_over`` tells that the end of the log was sent, ``is_amid`` that a part of an event was.
    ``is_leaving`` is asked between events whether to stop.
    """

    def __init__(
        self, asked: Asked, seq: int, source: LogReader, send: Send, is_leaving: Callable[[], bool]
    ) -> None:
        self.seq = seq
        self.is_over = False
        self._job_id = asked.job_id
        self._types = asked.types
        self._base = asked.base
        self._source = source
        self._send = send
        self._is_leaving = is_leaving
        self._tail = FrameBuffer(seq)
        self._place = -1
        self._offset = 0  # so much was sent of the event after ``seq``
        self._is_cut_off = False
        self._woken: asyncio.Future[StartedCoroutine | None]

    @property
    def is_amid(self) -> bool:
        """Whether the last event that was sent is not whole."""
        return self._offset > 0

    async def replay(self, until: int) -> None:
        """Send the log up to ``until``, a number that is in it, or somewhat further.

        Raise ``StorageError``.
        """
        while self.seq < until and not self._should_end():
            pieces = await self._source.pieces_after(
                self._job_id, self.seq, self._offset, self._types, self._base
            )
            if pieces:
                await self._send_some(pieces)
            elif pieces is None or self.is_amid:
                self._is_cut_off = True
            else:
                self.seq = until  # what else there is, is of other types

    async def follow(self, tail: FrameBuffer) -> None:
        """Send the log as it grows. Raise ``StorageError`` if it must be read and cannot."""
        self._tail = tail
        while not self._should_end():
            if self._place == tail.end:
                await self._sleep()
            elif self._place >= tail.start:
                await self._advance()
            elif self.seq < tail.floor:
                await self.replay(tail.floor)
            else:
                self._place = tail.place_after(self.seq)

    def push(self) -> None:
        """Send what was added to the tail; where that must wait, wake the client's task to it."""
        if self._woken.done():
            return
        try:
            begun = begin(self._advance())
        except Exception as exc:  # it is this client's alone
            self._woken.set_exception(exc)
            return
        if begun or self.is_over or self._place != self._tail.end:
            self._woken.set_result(begun)

    def wake(self) -> None:
        """Wake the client's task."""
        if not self._woken.done():
            self._woken.set_result(None)

    @property
    def is_reset(self) -> bool:
        """Whether the log that was followed went back."""
        return self._tail.is_reset

    def _should_end(self) -> bool:
        is_asked_to = self._is_leaving() or self.is_reset
        return self.is_over or self._is_cut_off or (is_asked_to and not self.is_amid)

    async def _send_some(self, pieces: list[Piece]) -> None:
        """Send pieces up to the first that has to wait."""
        while pieces:
            piece = pieces.pop(0)
            self.seq, self._offset, self.is_over = piece.seq, piece.offset, piece.is_last
            if begun := begin(self._put(piece.wire)):
                pieces.clear()
                await begun

    async def _put(self, wire: bytes) -> None:
        await self._send(body(wire))

    async def _sleep(self) -> None:
        self._woken = asyncio.get_running_loop().create_future()
        with self._tail.followed(self):
            begun = await self._woken
        if begun:
            await begun

    async def _advance(self) -> None:
        if wire := self._step():
            await self._put(wire)

    def _step(self) -> bytes:
        """What to send next, having taken note that it was."""
        batch = self._tail.batch(self._place, self.seq, self._types, self._base)
        start, end = self._offset, self._offset + MAX_SEND_BYTES
        if end < len(batch.wire):  # its first event is longer than a piece, and all that is in it
            self._offset = end
        else:
            self._place, self.seq, self.is_over = batch.place, batch.seq, batch.is_last
            self._offset = 0
        return batch.wire[start:end]


class StartedCoroutine:
    """A coroutine that has run up to its first wait. Awaiting this runs the rest."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waiting_for: Any) -> None:
        self._coroutine = coroutine
        self._waiting_for = waiting_for

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._waiting_for
        yield from self._coroutine.__await__()


def begin(coroutine: Coroutine[Any, Any, None]) -> StartedCoroutine | None:
    """Run ``coroutine`` up to its first wait; ``None`` if it ended without one.

    Python 3.12 has eager tasks for this.
    """
    try:
        waiting_for = coroutine.send(None)
    except StopIteration:
        return None
    return StartedCoroutine(coroutine, waiting_for)


def head() -> Message:
    """What begins a stream. New objects each time: middleware adds to them."""
    return {"type": "http.response.start", "status": 200, "headers": list(HEADERS)}


def body(wire: bytes, *, is_last: bool = False) -> Message:
    """The next bytes of a stream."""
    return {"type": "http.response.body", "body": wire, "more_body": not is_last}
