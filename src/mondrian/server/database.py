"""The database of the service: opened in a thread; the embedded one is restarted if it dies."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from mondrian.database.embedded import is_alive
from mondrian.database.postgres import Database, open_database
from mondrian.settings import Settings

log = logging.getLogger(__name__)

_API_CONNECTIONS = 10
_REVIVE_SECONDS = 1.0


@contextmanager
def open_in_thread(settings: Settings, concurrency: int) -> Iterator["Future[Database]"]:
    """Yield the database as a future: open it in a thread, close it at the end. ``concurrency`` is
    the number of jobs that run here at once."""

    def open_() -> Database:
        connections = _API_CONNECTIONS + concurrency
        return open_database(
            settings.database,
            settings.home,
            listen_url=settings.listen_database,
            max_connections=connections,
            clusters=settings.postgres,
        )

    left = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        opening = threads.submit(open_)
        threading.Thread(target=_revive, args=[opening, left], daemon=True).start()
        try:
            yield opening
        finally:
            left.set()
            if not opening.exception():
                opening.result().close()


def close_embedded(opening: "Future[Database]") -> None:
    """Stop using the embedded PostgreSQL, if opened, even with open connections."""
    if opening.done() and not opening.exception() and (server := opening.result().server):
        server.close()


def _revive(opening: "Future[Database]", left: threading.Event) -> None:
    """Restart the embedded PostgreSQL whenever it dies, until ``left`` is set."""
    server = None if opening.exception() else opening.result().server
    while server and not left.wait(_REVIVE_SECONDS):
        if not is_alive(server.pid):
            log.warning("the embedded PostgreSQL died: restarting it")
            with suppress(Exception):  # retried
                server.revive()
