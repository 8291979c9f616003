"""Connect to PostgreSQL: the embedded server or a URL, and a connection pool.

1. Every error of the driver is translated here to a ``StorageError`` (``translate_errors``).
2. No session state is used, so a transaction pooler (pgbouncer) may be in between. It is detected
   by the backend's process id, which differs from the one that the pooler reported at connection.
   Then no statement is prepared: the next one may run on another backend, which does not have it.
3. Only LISTEN needs a session. It has a URL of its own if the pooler does not forward notices.
"""

import logging
import re
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg_pool import ConnectionPool

from mondrian.database.embedded import EmbeddedServer
from mondrian.database.listen import Listener
from mondrian.database.schema import migrate
from mondrian.errors import DatabaseUnavailable, SettingsError, StorageError, StorageFull

Pool: TypeAlias = ConnectionPool[psycopg.Connection[DictRow]]

log = logging.getLogger(__name__)

DEFAULTS: dict[str, str | int] = {
    "application_name": "mondrian",
    "connect_timeout": 5,
    # A peer that vanished silently is detected within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Defaults for connection settings that the URL does not give (seconds; the last in
milliseconds)."""


_NOTICE_SECONDS = 2.0

_REFUSALS = (
    (r"password|authentication|pg_hba", "PostgreSQL does not let Mondrian in"),
    (r"role .* does not exist", "PostgreSQL does not know the user"),
    (r"database .* does not exist", "The database is not there: create it with `createdb`"),
    (r"certificate|SSL|root\.crt", "The connection to PostgreSQL cannot be secured"),
)
"""Patterns of errors that waiting does not solve, and the message for each."""


class Database:
    """An open database: its URL, the URL for LISTEN, and a connection ``pool``."""

    def __init__(
        self, url: str, listen_url: str, server: EmbeddedServer | None, max_connections: int
    ) -> None:
        self.url = url
        self.listen_url = listen_url
        self.server = server
        self.pool = open_pool(url, max_connections)

    def close(self) -> None:
        """Close the pool, and stop the embedded server if no other process uses it."""
        self.pool.close(timeout=2.0)
        if self.server:
            self.server.close()


def open_database(
    url: str | None,
    home: Path,
    *,
    listen_url: str | None = None,
    max_connections: int = 10,
    clusters: Path | None = None,
) -> Database:
    """Open the database at ``url``, or the embedded one of ``home`` (with its data in ``clusters``
    if run by root), and migrate its schema. LISTEN connects to ``listen_url``, by default the same.

    Raise ``SettingsError`` for a URL, folder or schema that cannot be used, and
    ``DatabaseUnavailable`` if no server answers.
    """
    server = None if url else EmbeddedServer(home, clusters)
    try:
        url = normalize_url(server.url if server else url or "")
        listen_url = normalize_url(listen_url) if listen_url else url
        with _explain_refusal():
            migrate(url)
            _check_notices(url, listen_url)
        return Database(url, listen_url, server, max_connections)
    except BaseException:
        if server:
            server.close()
        raise


@contextmanager
def _explain_refusal() -> Iterator[None]:
    """Raise errors at startup that name the cause, which is not logged besides."""
    try:
        yield
    except psycopg.errors.DiskFull as exc:
        raise StorageFull from exc
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        cause = " ".join(str(exc).split())
        for pattern, meaning in _REFUSALS:
            if re.search(pattern, cause, re.IGNORECASE):
                raise SettingsError(f"{meaning} ({cause}). Check MONDRIAN_DATABASE.") from exc
        raise DatabaseUnavailable(
            f"PostgreSQL does not answer ({cause}). Start it, or check MONDRIAN_DATABASE."
        ) from exc
    except psycopg.Error as exc:
        raise _refuse_statement(exc) from exc


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the connection goes through a pooler (rule 2). One round trip."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        [found] = cursor.execute("SELECT pg_backend_pid()").fetchall()
    return bool(found[0] != connection.info.backend_pid)


def _check_notices(url: str, listen_url: str) -> None:
    """Raise ``SettingsError`` if ``listen_url`` is a pooler that does not forward notices."""
    with psycopg.connect(listen_url, autocommit=True) as connection:
        if not is_pooled(connection):
            return
    listener = Listener(listen_url, "mondrian_probe")
    listener.connect()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_notify('mondrian_probe', '')")
    is_heard = listener.wait(_NOTICE_SECONDS)
    listener.close()
    if not is_heard:
        raise SettingsError(
            "The database is behind a pooler in transaction mode, which does not forward "
            "notifications. Set MONDRIAN_LISTEN_DATABASE to the address of PostgreSQL itself (or "
            "of a pool in session mode); everything else may go through the pooler."
        )


def normalize_url(url: str) -> str:
    """Return ``url`` in libpq's key=value form, with ``DEFAULTS``. Raise ``SettingsError`` if it is
    invalid."""
    try:
        settings = DEFAULTS | {k: v for k, v in conninfo_to_dict(url).items() if v is not None}
        return make_conninfo("", **settings)
    except psycopg.ProgrammingError:
        raise SettingsError(
            "The database URL is not understood. It looks like "
            "postgresql://user:password@host:5432/name, with special characters of the password "
            "as %40."
        ) from None  # libpq's message repeats the URL with its password


def open_pool(url: str, max_connections: int = 10, *, wait_seconds: float = 5.0) -> Pool:
    """Return a pool of checked connections in autocommit mode that recovers from a lost server.

    Each use waits up to ``wait_seconds`` for a connection. Raise ``DatabaseUnavailable``.
    """
    pool: Pool = ConnectionPool(
        url,
        connection_class=psycopg.Connection[DictRow],
        kwargs={"autocommit": True, "row_factory": dict_row},
        min_size=1,
        max_size=max_connections,
        timeout=wait_seconds,
        # Attempts back off from 1 s, doubling: this restarts the backoff, so that they stay close.
        reconnect_timeout=wait_seconds,
        max_idle=120.0,
        configure=_disable_prepare,
        check=_check_connection,
        open=True,
        name="mondrian",
    )
    try:
        with translate_errors():
            pool.wait(timeout=10.0)
    except StorageError:
        pool.close()
        raise
    return pool


def _check_connection(connection: psycopg.Connection[Any]) -> None:
    """Raise if the server closed the connection, without a round trip otherwise: an idle connection
    is readable only then."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(connection)


def _disable_prepare(connection: psycopg.Connection[Any]) -> None:
    if is_pooled(connection):
        connection.prepare_threshold = None


@contextmanager
def translate_errors() -> Iterator[None]:
    """Translate errors of the driver: ``StorageFull``, ``DatabaseUnavailable``, or
    ``StorageError`` for any other. Log the cause of the first two, each kind once."""
    try:
        yield
    except psycopg.errors.DiskFull as exc:
        _log_once(exc)
        raise StorageFull from exc
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        _log_once(exc)
        raise DatabaseUnavailable from exc
    except psycopg.Error as exc:
        raise _refuse_statement(exc) from exc


def _refuse_statement(exc: psycopg.Error) -> StorageError:
    return StorageError(f"The database refused a statement: {exc}")


_logged: set[str] = set()
_MAX_LOGGED = 100


def _log_once(exc: psycopg.Error) -> None:
    """Log the driver's message (which holds no password), once for all that differ in numbers."""
    cause = " ".join(str(exc).split())
    kind = re.sub(r"[0-9]+", "", cause)
    if kind not in _logged and len(_logged) < _MAX_LOGGED:
        _logged.add(kind)
        log.warning("the database cannot be used: %s", cause)
