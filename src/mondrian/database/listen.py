"""LISTEN on a connection of its own, for one thread or one event loop."""

import select
import time
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import sql


class Notice(NamedTuple):
    """A notification on a channel."""

    channel: str
    payload: str


class Listener:
    """Listens on ``channels``, and reconnects after a lost connection.

    Notices may be lost: callers check the tables after each ``wait``, whatever it returned. An
    event loop calls ``connect`` in a thread, watches ``fileno`` and calls ``receive``.
    """

    def __init__(self, url: str, *channels: str) -> None:
        self._url = url
        self._channels = channels
        self._connection: psycopg.Connection[Any] | None = None

    def connect(self) -> None:
        """Connect and listen. Raise ``psycopg.Error`` if the server does not answer."""
        connection = psycopg.connect(self._url, autocommit=True)
        for channel in self._channels:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._connection = connection

    def fileno(self) -> int:
        """Return the descriptor that is readable when a notice arrives. Requires a connection."""
        assert self._connection
        return self._connection.fileno()

    def receive(self) -> list[Notice]:
        """Return the notices received, without waiting. Raise ``psycopg.Error`` if the connection
        is lost."""
        assert self._connection
        pgconn, found = self._connection.pgconn, list[Notice]()
        pgconn.consume_input()
        while notice := pgconn.notifies():
            found.append(Notice(notice.relname.decode(), notice.extra.decode()))
        return found

    def wait(self, timeout_seconds: float) -> list[Notice]:
        """Return the notices received, waiting for the first one up to the timeout; else an empty
        list.

        A new connection returns an empty list at once, since changes before it listened bring no
        notice. A lost connection returns an empty list too, after half a second.
        """
        deadline = time.monotonic() + timeout_seconds
        try:
            if self._connection is None:
                self.connect()
                return []
            if not (found := self.receive()):
                _wait_readable(self.fileno(), timeout_seconds)
                found = self.receive()
            return found
        except psycopg.Error:
            self.close()
            time.sleep(max(0.0, min(0.5, deadline - time.monotonic())))
            return []

    def close(self) -> None:
        """Stop listening. A later ``wait`` or ``connect`` listens again."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(psycopg.Error):
                connection.close()


def _wait_readable(descriptor: int, timeout_seconds: float) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(timeout_seconds * 1000)
