"""uvicorn's protocol, with a bound on what a client may cost that does not read.

ASGI knows only that ``send`` waits. Here the transport says when its buffer is full and when it
has room again, so that the bound costs nothing per event and holds for every route.
"""

import asyncio
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SEND_BUFFER_BYTES = 65_536
"""What the kernel may keep for a client (Linux doubles it for its own use). Left alone it grows to
megabytes, and hides for as long that nobody reads."""

HIGH_WATER_BYTES = 32_768
"""So much waits in the process before whoever writes has to wait."""

VANISHED_MS = 25_000
"""A peer that acknowledges nothing for so long, or has no room, is gone (where the system knows
how): a phone that left the network says no goodbye."""

LOOKS = 4
"""So often it is looked, within the time that a client may take nothing, whether it does."""


class BoundedProtocol(HttpToolsProtocol):
    """Cuts the connection of a client that has taken nothing for ``stall_seconds``, however slowly
    it read before.

    Until then at most 64 KB of its stream wait here and 128 KB in the kernel. It has been told
    how to go on at the start of the stream (``retry:``), and has the number to go on from.
    """

    stall_seconds = 20.0
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound the kernel's buffer and patience."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MS)

    def pause_writing(self) -> None:
        """The buffer is full."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size(), 0)

    def _watch(self, left: int, idle: int) -> None:
        """Look soon whether fewer bytes are ``left``; ``idle`` looks in a row found that not."""
        pause = self.stall_seconds / LOOKS
        self._stall = self.loop.call_later(pause, self._look, left, idle)

    def _look(self, left: int, idle: int) -> None:
        still_left = self.transport.get_write_buffer_size()
        idle = 0 if still_left < left else idle + 1
        if idle == LOOKS:
            self.transport.abort()
        else:
            self._watch(still_left, idle)

    def resume_writing(self) -> None:
        """The buffer has room."""
        self._forget_stall()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._forget_stall()
        super().connection_lost(exc)

    def _forget_stall(self) -> None:
        if self._stall:
            self._stall.cancel()
            self._stall = None
