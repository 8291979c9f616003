"""One connection that listens, for one thread or one event loop."""

import select
import time
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import sql


class Notice(NamedTuple):
    """What came on a channel: a wake-up."""

    channel: str
    payload: str


class Listener:
    """Listens on ``channels``, and connects anew after a lost server.

    A wake-up is never the only one: the waiting code looks for itself after each ``wait``, whatever
    that returned. An event loop calls ``connect`` in a thread, watches ``fileno`` and calls
    ``receive``.
    """

    def __init__(self, url: str, *channels: str) -> None:
        self._url = url
        self._channels = channels
        self._connection: psycopg.Connection[Any] | None = None

    def connect(self) -> None:
        """Listen from now on. Raise ``psycopg.Error`` where the server does not answer."""
        connection = psycopg.connect(self._url, autocommit=True)
        for channel in self._channels:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._connection = connection

    def fileno(self) -> int:
        """Return the descriptor that is readable when something came. Needs a connection."""
        assert self._connection
        return self._connection.fileno()

    def receive(self) -> list[Notice]:
        """Return what has come, without waiting. Raise ``psycopg.Error`` if the server is gone."""
        assert self._connection
        pgconn, found = self._connection.pgconn, list[Notice]()
        pgconn.consume_input()
        while notice := pgconn.notifies():
            found.append(Notice(notice.relname.decode(), notice.extra.decode()))
        return found

    def wait(self, timeout_seconds: float) -> list[Notice]:
        """Return the notices that have come, or come first within the timeout; else an empty list.

        Empty is also the first answer of a new connection, at once: what was written before it
        listened brings no notice, what is written from then on does. A lost server costs an empty
        list too, after half a second.
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
        """Stop listening. A later ``wait`` or ``connect`` begins anew."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(psycopg.Error):
                connection.close()


def _wait_readable(descriptor: int, timeout_seconds: float) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(timeout_seconds * 1000)
