"""uvicorn's protocol with bounds on the cost of a client, before any authentication.

ASGI knows only that ``send`` waits. Here the transport reports a full buffer and free space, so
that backpressure costs nothing per event and covers every route.

1. A head has at most 64 KB and 100 fields (431), and must arrive within 10 seconds (408). So must
   trailers, which are ignored. Bytes outside a head or body are bounded like a head.
2. A body slower than 10 KB/s after 30 seconds is rejected (408). Time in which this process does
   not read is not counted. The rest of a rejected body is discarded for 5 seconds.
3. An idle connection is closed after 15 seconds, or earlier to make room for another
   (``Connections``).
4. An answer in progress is never mixed with an error: the connection is aborted.
5. A client that reads nothing of its answer for 20 seconds is disconnected, however slowly it read
   before. Until then at most 64 KB of its stream are buffered here and 128 KB in the kernel.
"""

import asyncio
import json
import socket
from http import HTTPStatus
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mondrian.errors import (
    HeadTooLarge,
    InvalidRequest,
    MondrianError,
    TooManyRequests,
    UploadTooSlow,
)
from mondrian.server.connections import Connections

SEND_BUFFER_BYTES = 65_536
"""The kernel's send buffer for a client (Linux doubles it for its own use). By default it grows to
megabytes, and hides that the client does not read."""

HIGH_WATER_BYTES = 32_768
"""Bytes buffered in the process before a writer has to wait."""

USER_TIMEOUT_MS = 25_000
"""``TCP_USER_TIMEOUT``, where the system has it: a peer that acknowledges nothing for these
milliseconds is disconnected. A phone that loses its network sends no FIN."""

STALL_CHECKS = 4
"""Checks for progress within ``stall_seconds``."""

MAX_HEAD_BYTES = 65_536
MAX_FIELDS = 100
MAX_PIPELINED = 32
IDLE_SECONDS = 15
PORTION_BYTES = 16_384
MIN_BYTES_PER_SECOND = 10_000

_NOT_HTTP = "The request is not HTTP/1.1. Check what sends it."
_TOO_SLOW = "The request was sent too slowly. Check the connection and send it again."


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with bounds in bytes and time, on connections counted in ``room``."""

    room = Connections()
    stall_seconds = 20.0
    head_seconds = 10.0
    body_seconds = 30.0
    tick_seconds = 1.0
    linger_seconds = 5.0

    _stall: asyncio.TimerHandle | None = None
    _timer: asyncio.TimerHandle | None = None
    _running: Any = None  # the cycle being answered; ``cycle`` is the newest
    _is_refused = False
    _is_in_head = False  # from the first byte to the end of the head, and again in trailers
    _is_complete = True  # the last request is complete
    _refusal: MondrianError | None = None
    _fields = _head_bytes = _unread_bytes = _body_bytes = 0
    _body_began = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound the kernel's buffer and timeout, and the time until the first request."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        try:
            self.room.enter(self, self.client[0] if self.client else "")
        except MondrianError as exc:
            self._is_refused = True
            transport.write(_encode_refusal(exc))
            transport.close()
            return
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """Parse the data in portions, checking the bounds after each."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        portions = memoryview(data)
        for start in range(0, len(data), PORTION_BYTES):
            if self._is_refused or self.transport.is_closing():
                return
            self._feed(portions[start : start + PORTION_BYTES])
        if not self._is_refused and not self.transport.is_closing():
            self._set_timer()

    def _feed(self, portion: memoryview) -> None:
        self._unread_bytes += len(portion)
        try:
            self.parser.feed_data(portion)
        except httptools.HttpParserUpgrade:  # unsupported: answer the request as it is, and close
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._refuse(self._refusal or InvalidRequest(_NOT_HTTP))
            return
        if self._unread_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge())

    def on_message_begin(self) -> None:
        """Start counting a head."""
        super().on_message_begin()
        self._is_in_head, self._is_complete = True, False
        self._fields = self._head_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count and parse a part of the URL."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and parse a field of the head; count and discard a trailer."""
        self._fields += 1
        self._count_head(len(name) + len(value) + 4)
        if self._fields > MAX_FIELDS:
            self._stop(HeadTooLarge())
        if self._body_began:
            self._is_in_head = True
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, and the timer of its body."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop(TooManyRequests())
        self._is_in_head = False
        self._fields = self._head_bytes = self._unread_bytes = 0
        self._body_began = self.loop.time()
        self.room.hold(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count and parse a part of the body."""
        self._unread_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._is_in_head, self._is_complete = False, True
        self._unread_bytes, self._body_began = 0, 0.0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Mark the connection as idle unless another request is being answered."""
        super().on_response_complete()
        if not self._is_answering:
            self.room.free(self)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._stop(HeadTooLarge())

    def _stop(self, error: MondrianError) -> None:
        """Stop parsing: the parser raises its own error, and ``_feed`` sends this one."""
        self._refusal = error
        raise error

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _set_timer(self) -> None:
        """Start the timer of the head or the body; none for a complete request."""
        if self._is_complete and not self._unread_bytes:
            self._cancel_timer()
        elif self._timer is None:
            if self._body_began and not self._is_in_head:
                self._timer = self.loop.call_later(self.tick_seconds, self._check_body)
            else:
                self._timer = self.loop.call_later(self.head_seconds, self._end_head)

    def _end_head(self) -> None:
        """Reject a head that is incomplete at its timeout."""
        self._timer = None
        if self._is_answering and not self._body_began:
            self._set_timer()  # it belongs to the next request; this one is answered first
        elif self._is_in_head or self._unread_bytes:
            self._refuse(UploadTooSlow(_TOO_SLOW))
        else:
            self._set_timer()

    def _check_body(self) -> None:
        self._timer = None
        if self.flow.read_paused:
            self._body_began += self.tick_seconds
        seconds = self.loop.time() - self._body_began
        if self._is_complete or not self._body_began:
            return
        if not self._is_answering:  # the rest is discarded
            self._abort_later()
        elif seconds >= self.body_seconds and self._body_bytes < seconds * MIN_BYTES_PER_SECOND:
            self._refuse(UploadTooSlow(_TOO_SLOW))
        else:
            self._set_timer()

    def _refuse(self, error: MondrianError) -> None:
        """Send the error, stop reading and close; rule 4."""
        self._is_refused = True
        self._cancel_timer()
        self._unset_keepalive_if_required()
        is_begun = self._is_answering and self._running.response_started
        self._disconnect()
        if is_begun:
            self.transport.abort()
            return
        self.flow.resume_reading()  # else unread data would reset the connection
        self.transport.write(_encode_refusal(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._abort_later()

    def _disconnect(self) -> None:
        """Report the disconnect to the application, also if a later request was read."""
        self.pipeline.clear()
        if self._is_answering:
            self._running.disconnected = True
            self._running.message_event.set()

    def _abort_later(self) -> None:
        self._timer = self.loop.call_later(self.linger_seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """Watch for progress: the buffer is full."""
        super().pause_writing()
        self._watch_stall(self.transport.get_write_buffer_size(), 0)

    def _watch_stall(self, left: int, idle: int) -> None:
        """Schedule a check for fewer bytes than ``left``; ``idle`` checks in a row found none."""
        pause = self.stall_seconds / STALL_CHECKS
        self._stall = self.loop.call_later(pause, self._check_stall, left, idle)

    def _check_stall(self, left: int, idle: int) -> None:
        still_left = self.transport.get_write_buffer_size()
        idle = 0 if still_left < left else idle + 1
        if idle == STALL_CHECKS:
            self.transport.abort()
        else:
            self._watch_stall(still_left, idle)

    def resume_writing(self) -> None:
        """Stop watching: the buffer has room."""
        self._cancel_stall()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection and its timers."""
        self.room.leave(self)
        self._cancel_stall()
        self._cancel_timer()
        self._unset_keepalive_if_required()
        self._disconnect()
        super().connection_lost(exc)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _cancel_stall(self) -> None:
        if self._stall:
            self._stall.cancel()
            self._stall = None


def configure(app: Any, room: Connections | None = None, **more: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for ``app`` on this protocol, with ``more`` of its settings.
    Connections are counted in ``room``."""
    protocol = type("Protocol", (BoundedProtocol,), {"room": room}) if room else BoundedProtocol
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=1,
        forwarded_allow_ips=[str(each) for each in room.proxies] if room else None,
        log_config=None,
        access_log=False,
        server_header=False,
        **more,
    )


def _encode_refusal(error: MondrianError) -> bytes:
    """Return an error response as bytes, with the JSON of every error (docs/http.md)."""
    status = HTTPStatus(error.http_status)
    body = json.dumps({"error": error.message, "code": error.code})
    retry = "retry-after: 5\r\n" if status in (429, 503) else ""
    return (
        f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: application/json\r\n{retry}"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    ).encode()
