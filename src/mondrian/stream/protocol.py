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

VANISHED_MS = 25_000
"""A peer that acknowledges nothing for so long, or has no room, is gone (where the system knows
how): a phone that left the network says no goodbye."""


class BoundedProtocol(HttpToolsProtocol):
    """Cuts the connection of a client that has not made room for ``stall_seconds``.

    Until then at most 128 KB wait for it here and as much in the kernel. It has been told how to go
    on at the start of its stream (``retry:``), and has the number to go on from.
    """

    stall_seconds = 20.0
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound the kernel's buffer and patience."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MS)

    def pause_writing(self) -> None:
        """The buffer is full."""
        super().pause_writing()
        self._stall = self.loop.call_later(self.stall_seconds, self.transport.abort)

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
