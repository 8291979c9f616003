"""The way to PostgreSQL: the embedded server or a URL, and a pool of connections.

1. Every error of the driver ends here, as a ``StorageError`` of ours (``translated``).
2. Nothing of the session is used, so a transaction pooler (pgbouncer) may be in between. It shows
   by the number of the backend, which is the pooler's own in what it tells of a connection. Then no
   statement is prepared: the next one may come to another backend, which knows nothing of it.
3. LISTEN alone needs a session. It has a URL of its own where the pooler does not pass notices on.
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
    # A peer that vanished without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Connection settings where the URL does not say otherwise (seconds; the last in milliseconds)."""


_HEARD_SECONDS = 2.0

_REFUSALS = (
    (r"password|authentication|pg_hba", "PostgreSQL does not let Mondrian in"),
    (r"role .* does not exist", "PostgreSQL does not know the user"),
    (r"database .* does not exist", "The database is not there: create it with `createdb`"),
    (r"certificate|SSL|root\.crt", "The connection to PostgreSQL cannot be secured"),
)
"""What the server, or the way to it, says where waiting does not help, and what that means."""


class Database:
    """An open database: where to connect to, where to listen at, and a ``pool`` to work with."""

    def __init__(
        self, url: str, listen_url: str, server: EmbeddedServer | None, max_connections: int
    ) -> None:
        self.url = url
        self.listen_url = listen_url
        self.server = server
        self.pool = open_pool(url, max_connections)

    def close(self) -> None:
        """Close the pool, and stop the embedded server if this was its last user."""
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
    """Open the database at ``url``, or the embedded one of ``home`` (whose data lies in
    ``clusters`` if root runs this), and bring its schema up to date. ``listen_url`` is where LISTEN
    is sent, the same by default.

    Raise ``SettingsError`` for a URL, folder or schema that cannot be used, and
    ``DatabaseUnavailable`` where no server answers.
    """
    server = None if url else EmbeddedServer(home, clusters)
    try:
        url = checked_url(server.url if server else url or "")
        listen_url = checked_url(listen_url) if listen_url else url
        with _starting():
            migrate(url)
            _check_notices(url, listen_url)
        return Database(url, listen_url, server, max_connections)
    except BaseException:
        if server:
            server.close()
        raise


@contextmanager
def _starting() -> Iterator[None]:
    """Say of a server that cannot be used at the start what is the matter with it."""
    try:
        with translated():
            yield
    except DatabaseUnavailable as exc:
        cause = " ".join(str(exc.__cause__).split())
        for pattern, meaning in _REFUSALS:
            if re.search(pattern, cause, re.IGNORECASE):
                raise SettingsError(f"{meaning} ({cause}). Check MONDRIAN_DATABASE.") from exc
        raise DatabaseUnavailable(
            f"PostgreSQL does not answer ({cause}). Start it, or check MONDRIAN_DATABASE."
        ) from exc


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Return whether a pooler is between us and PostgreSQL (rule 2). One round trip."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        [found] = cursor.execute("SELECT pg_backend_pid()").fetchall()
    return bool(found[0] != connection.info.backend_pid)


def _check_notices(url: str, listen_url: str) -> None:
    """Raise ``SettingsError`` if what is listened to is a pooler that passes no notices on."""
    with psycopg.connect(listen_url, autocommit=True) as connection:
        if not is_pooled(connection):
            return
    listener = Listener(listen_url, "mondrian_probe")
    listener.connect()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_notify('mondrian_probe', '')")
    is_heard = listener.wait(_HEARD_SECONDS)
    listener.close()
    if not is_heard:
        raise SettingsError(
            "The database is behind a pooler in transaction mode, which passes no notices on. "
            "Set MONDRIAN_LISTEN_DATABASE to the address of PostgreSQL itself (or of a pool in "
            "session mode); all else may go through the pooler."
        )


def checked_url(url: str) -> str:
    """``url`` in libpq's key=value form, with ``DEFAULTS``. Raises ``SettingsError``."""
    try:
        settings = DEFAULTS | {k: v for k, v in conninfo_to_dict(url).items() if v is not None}
        return make_conninfo("", **settings)
    except psycopg.ProgrammingError:
        raise SettingsError(
            "The database URL is not understood. It looks like "
            "postgresql://user:password@host:5432/name, with odd letters of the password as %40."
        ) from None  # libpq repeats what it was given, password and all


def open_pool(url: str, max_connections: int = 10, *, wait_seconds: float = 5.0) -> Pool:
    """A pool of checked connections in autocommit mode that comes back after a lost server.

    Each use of it waits up to ``wait_seconds`` for a connection. Raises ``DatabaseUnavailable``.
    """
    pool: Pool = ConnectionPool(
        url,
        connection_class=psycopg.Connection[DictRow],
        kwargs={"autocommit": True, "row_factory": dict_row},
        min_size=1,
        max_size=max_connections,
        timeout=wait_seconds,
        # Attempts back off from 1 s, doubling: begun anew with each wait they stay close together.
        reconnect_timeout=wait_seconds,
        max_idle=120.0,
        configure=_configure,
        check=_check,
        open=True,
        name="mondrian",
    )
    try:
        with translated():
            pool.wait(timeout=10.0)
    except StorageError:
        pool.close()
        raise
    return pool


def _check(connection: psycopg.Connection[Any]) -> None:
    """Raise if the server has gone, without a round trip where it has not: an idle connection has
    nothing to read but the server's last words."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(connection)


def _configure(connection: psycopg.Connection[Any]) -> None:
    if is_pooled(connection):
        connection.prepare_threshold = None


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours: no answer, no room, or anything else. The cause is
    logged, each kind once."""
    try:
        yield
    except psycopg.errors.DiskFull as exc:
        _log_once(exc)
        raise StorageFull from exc
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        _log_once(exc)
        raise DatabaseUnavailable from exc
    except psycopg.Error as exc:
        raise StorageError(f"The database refused a statement: {exc}") from exc


_logged: set[str] = set()
_MAX_LOGGED = 100


def _log_once(exc: psycopg.Error) -> None:
    """Log what the driver said (which holds no password), once but for its numbers."""
    cause = " ".join(str(exc).split())
    kind = re.sub(r"[0-9]+", "", cause)
    if kind not in _logged and len(_logged) < _MAX_LOGGED:
        _logged.add(kind)
        log.warning("the database cannot be used: %s", cause)
