"""One client of a stream: the events that it asked for, and the number that it has reached.

1. A client has no queue: unsent events are in the buffer or in the log. Events that were read
   for it and cannot be sent yet are dropped, except one piece, and read again. Long events are
   sent in pieces.
2. A client whose log was pruned meanwhile has to reconnect, and then gets a ``reset``.
3. A client at the end of the buffer sleeps. Code that adds an event also sends it, as far as the
   client's transport accepts it at once. The client's task wakes only if it has to wait, at the
   end, or when the server stops. Waking each client's task for each event costs half as much
   again, and leaves so much garbage that its collection stops the loop for 0.1 s.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from starlette.types import Message, Send

from mondrian.stream.buffer import FrameBuffer
from mondrian.stream.reader import LogReader
from mondrian.stream.request import StreamRequest
from mondrian.stream.sse import MAX_SEND_BYTES, Piece

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class Subscriber:
    """Send the events that were ``asked`` for, each once and in order, after number ``seq``.

    ``is_over`` is true once the end of the log was sent, ``is_amid`` while part of an event was.
    ``is_leaving`` is called between events and returns whether to stop.
    """

    def __init__(
        self,
        asked: StreamRequest,
        seq: int,
        source: LogReader,
        send: Send,
        is_leaving: Callable[[], bool],
    ) -> None:
        self.seq = seq
        self.is_over = False
        self._job_id = asked.job_id
        self._types = asked.types
        self._base = asked.base
        self._source = source
        self._send = send
        self._is_leaving = is_leaving
        self._buffer = FrameBuffer(seq)
        self._place = -1
        self._offset = 0  # the bytes sent of the event after ``seq``
        self._is_cut_off = False
        self._woken: asyncio.Future[StartedCoroutine | None]

    @property
    def is_amid(self) -> bool:
        """Whether the last event was sent only in part."""
        return self._offset > 0

    async def replay(self, until: int) -> None:
        """Send the log up to ``until``, a number in it, or slightly further.

        Raise ``StorageError``.
        """
        while self.seq < until and not self._should_end():
            pieces = await self._source.read_pieces(
                self._job_id, self.seq, self._offset, self._types, self._base
            )
            if pieces:
                await self._send_some(pieces)
            elif pieces is None or self.is_amid:
                self._is_cut_off = True
            else:
                self.seq = until  # the remaining events are of other types

    async def follow(self, buffer: FrameBuffer) -> None:
        """Send the log as it grows. Raise ``StorageError`` if it has to be read and cannot."""
        self._buffer = buffer
        while not self._should_end():
            if self._place == buffer.end:
                await self._sleep()
            elif self._place >= buffer.start:
                await self._advance()
            elif self.seq < buffer.floor:
                await self.replay(buffer.floor)
            else:
                self._place = buffer.find_place(self.seq)

    def push(self) -> None:
        """Send what was added to the buffer; if that has to wait, let the client's task do it."""
        if self._woken.done():
            return
        try:
            started = start(self._advance())
        except Exception as exc:  # concerns this client alone
            self._woken.set_exception(exc)
            return
        if started or self.is_over or self._place != self._buffer.end:
            self._woken.set_result(started)

    def wake(self) -> None:
        """Wake the client's task."""
        if not self._woken.done():
            self._woken.set_result(None)

    @property
    def is_reset(self) -> bool:
        """Whether the followed log went back."""
        return self._buffer.is_reset

    def _should_end(self) -> bool:
        is_asked_to = self._is_leaving() or self.is_reset
        return self.is_over or self._is_cut_off or (is_asked_to and not self.is_amid)

    async def _send_some(self, pieces: list[Piece]) -> None:
        """Send pieces up to the first one that has to wait."""
        while pieces:
            piece = pieces.pop(0)
            self.seq, self._offset, self.is_over = piece.seq, piece.offset, piece.is_last
            if started := start(self._put(piece.wire)):
                pieces.clear()
                await started

    async def _put(self, wire: bytes) -> None:
        await self._send(make_body(wire))

    async def _sleep(self) -> None:
        self._woken = asyncio.get_running_loop().create_future()
        with self._buffer.push_to(self):
            started = await self._woken
        if started:
            await started

    async def _advance(self) -> None:
        if wire := self._take_next():
            await self._put(wire)

    def _take_next(self) -> bytes:
        """Return the next bytes to send, and advance."""
        batch = self._buffer.get_batch(self._place, self.seq, self._types, self._base)
        start, end = self._offset, self._offset + MAX_SEND_BYTES
        if end < len(batch.wire):  # a single event, longer than a piece
            self._offset = end
        else:
            self._place, self.seq, self.is_over = batch.place, batch.seq, batch.is_last
            self._offset = 0
        return batch.wire[start:end]


class StartedCoroutine:
    """A coroutine that has run up to its first wait. Awaiting it runs the rest."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waiting_for: Any) -> None:
        self._coroutine = coroutine
        self._waiting_for = waiting_for

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._waiting_for
        yield from self._coroutine.__await__()


def start(coroutine: Coroutine[Any, Any, None]) -> StartedCoroutine | None:
    """Run ``coroutine`` up to its first wait. Return ``None`` if it ended without one.

    Python 3.12 has eager tasks for this.
    """
    try:
        waiting_for = coroutine.send(None)
    except StopIteration:
        return None
    return StartedCoroutine(coroutine, waiting_for)


def make_head() -> Message:
    """Return the message that begins a response, made of new objects: middleware changes them."""
    return {"type": "http.response.start", "status": 200, "headers": list(HEADERS)}


def make_body(wire: bytes, *, is_last: bool = False) -> Message:
    """Return a message with the next bytes of a response."""
    return {"type": "http.response.body", "body": wire, "more_body": not is_last}
