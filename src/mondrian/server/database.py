"""The database of the service: it opens in a thread, and the embedded one is kept alive."""

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
def opening_database(settings: Settings, concurrency: int) -> Iterator["Future[Database]"]:
    """The database, which opens in a thread, and is closed at the end. ``concurrency`` is how many
    jobs are worked at here at once."""

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


def leave_database(opening: "Future[Database]") -> None:
    """Leave the embedded PostgreSQL, if that is what was opened, with connections still open."""
    if opening.done() and not opening.exception() and (server := opening.result().server):
        server.close()


def _revive(opening: "Future[Database]", left: threading.Event) -> None:
    """Start the embedded PostgreSQL again whenever it dies, until it is to be stopped."""
    server = None if opening.exception() else opening.result().server
    while server and not left.wait(_REVIVE_SECONDS):
        if not is_alive(server.pid):
            log.warning("the embedded PostgreSQL is gone: it is started again")
            with suppress(Exception):  # it is tried again
                server.revive()
