"""Send notices after the commits that they announce.

PostgreSQL locks the whole server for the commit of a transaction with a NOTIFY until that commit is
on disk: no two of them share a flush, in any database. A change is therefore committed without a
notice, and the notice follows in a transaction that writes nothing else and needs no flush. If a
process dies in between, the notice is lost: readers also poll.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import psycopg

from mondrian.database.listen import Notice
from mondrian.database.postgres import Pool
from mondrian.jobs.sql.shared import NOTIFY, NOTIFY_ONE

log = logging.getLogger(__name__)

_Connection: TypeAlias = psycopg.Connection[dict[str, Any]]


class Notifier:
    """Send notices: at once if no other thread is sending, otherwise together in the next
    transaction. Those of one thread keep their order. Thread-safe."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._waiting: list[Notice] = []
        self._is_sending = False

    def send(self, connection: _Connection, notices: Iterable[Notice]) -> None:
        """Send the notices over ``connection``, or leave them to the thread that is sending."""
        with self._lock:
            self._waiting += notices
            if self._is_sending or not self._waiting:
                return
            self._is_sending = True
        self._send_waiting(nullcontext(connection))
        if self._has_more():  # of other threads, which must not delay this one
            threading.Thread(target=self._send_all, name="notices", daemon=True).start()

    def _send_all(self) -> None:
        while True:
            self._send_waiting(self._pool.connection())
            if not self._has_more():
                return

    def _has_more(self) -> bool:
        with self._lock:
            self._is_sending = bool(self._waiting)
            return self._is_sending

    def _send_waiting(self, connected: AbstractContextManager[_Connection]) -> None:
        with self._lock:
            notices, self._waiting = self._waiting, []
        try:
            with connected as connection:
                _notify(connection, notices)
        except psycopg.Error as exc:  # the change is committed, and readers also poll
            log.debug("notices are lost: %s", exc)


def _notify(connection: _Connection, notices: Sequence[Notice]) -> None:
    if len(notices) == 1:  # the usual case, in less time
        [(channel, payload)] = notices
        connection.execute(NOTIFY_ONE, {"channel": channel, "payload": payload})
        return
    channels, payloads = zip(*notices, strict=True)
    connection.execute(NOTIFY, {"channels": list(channels), "payloads": list(payloads)})
