"""The way to PostgreSQL: the embedded server or a URL, its schema, a pool, and LISTEN.

Every error of the driver ends here, as a ``StorageError`` of ours (``translated``).
"""

import platform
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from mondrian.database.embedded import EmbeddedServer
from mondrian.errors import DatabaseUnavailable, SettingsError, StorageError, StorageFull

Pool: TypeAlias = ConnectionPool[psycopg.Connection[DictRow]]

MIGRATION_LOCK = 0x6D6F6E64  # "mond": the advisory lock that migrations hold
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


class Database:
    """An open database: ``url`` to connect to, ``pool`` to work with."""

    def __init__(self, url: str, server: EmbeddedServer | None, max_connections: int) -> None:
        self.url = url
        self.server = server
        self.pool = open_pool(url, max_connections)

    def close(self) -> None:
        """Close the pool, and stop the embedded server if this was its last user."""
        self.pool.close(timeout=2.0)
        if self.server:
            self.server.close()


def open_database(url: str | None, home: Path, *, max_connections: int = 10) -> Database:
    """Open the database at ``url``, or the embedded one in ``home/postgres``, and bring its schema
    up to date.

    Raises ``SettingsError`` for a URL, folder or schema that cannot be used, and
    ``DatabaseUnavailable`` where nobody answers.
    """
    server = None if url else EmbeddedServer(home)
    try:
        url = checked_url(server.url if server else url or "")
        migrate(url)
        return Database(url, server, max_connections)
    except BaseException:
        if server:
            server.close()
        raise


def checked_url(url: str) -> str:
    """``url`` in libpq's key=value form, with ``DEFAULTS``. Raises ``SettingsError``."""
    try:
        settings = DEFAULTS | {k: v for k, v in conninfo_to_dict(url).items() if v is not None}
        return make_conninfo("", **settings)
    except psycopg.ProgrammingError as exc:
        raise SettingsError(
            f"The database URL is not understood ({str(exc).strip()}). It looks like "
            "postgresql://user:password@host:5432/name"
        ) from exc


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
    connection.execute("SET TIME ZONE 'UTC'")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours: nobody answers, no room, or anything else."""
    try:
        yield
    except psycopg.errors.DiskFull as exc:
        raise StorageFull from exc
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        raise DatabaseUnavailable from exc
    except psycopg.Error as exc:
        raise StorageError(f"The database refused a statement: {exc}") from exc


def migrate(url: str) -> None:
    """Bring the schema at ``url`` up to date. Processes that start at once wait for each other.

    Raises ``SettingsError`` if the schema is newer than this code, ``DatabaseUnavailable``.
    """
    with translated(), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        with as_file(files("mondrian.database") / "migrations") as folder:
            _apply(url, folder)


def _apply(url: str, folder: Path) -> None:
    from yoyo import read_migrations

    migrations = read_migrations(str(folder))
    with _backend(url) as backend:
        applied = set(backend.get_applied_migration_hashes())
        if applied - {migration.hash for migration in migrations}:
            raise SettingsError(
                "The database was last used by a newer version of Mondrian, whose schema this "
                "one does not know. Install that version or a newer one, or name another database."
            )
        backend.apply_migrations(backend.to_apply(migrations))


def _backend(url: str) -> Any:
    from contextlib import nullcontext

    from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
    from yoyo.connections import DatabaseURI
    from yoyo.migrations import default_migration_table

    class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]
        def lock(self, timeout: float = 10) -> Any:
            # Our advisory lock goes with its process; a row would stay and lock out the next.
            return nullcontext()

        def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
            # The default asks DNS for this machine's name, which takes seconds where it has none.
            return {
                "id": str(uuid4()),
                "migration_id": migration.id,
                "migration_hash": migration.hash,
                "username": "mondrian",
                "hostname": platform.node(),
                "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
                "operation": operation,
            }

    parts: dict[str, Any] = dict(conninfo_to_dict(url))
    uri = DatabaseURI(
        scheme="postgresql+psycopg",
        username=None,
        password=None,
        hostname=None,
        port=None,
        database=parts.pop("dbname", None),
        args=parts,
    )
    return Backend(uri, default_migration_table)


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A wake-up: ``job_id`` has events up to ``seq``, or (``seq`` 0) can be claimed."""

    channel: str
    job_id: UUID
    seq: int


class Listener:
    """One connection that listens, for one thread. It comes back by itself after a lost server.

    A wake-up is never the only one: whoever waits looks for itself after each ``wait``, whatever
    that returned.
    """

    def __init__(self, url: str, *channels: str) -> None:
        self._url = url
        self._channels = channels
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether it listens at this moment, as far as it knows."""
        return self._connection is not None

    def wait(self, timeout_seconds: float) -> list[Notice]:
        """The notices that have come, or come first within the timeout; else an empty list.

        Empty is also the first answer of a new connection, at once: what was written before it
        listened brings no notice, what is written from then on does. A lost server costs an empty
        list too, after half a second.
        """
        deadline = time.monotonic() + timeout_seconds
        try:
            if self._connection is None:
                self._connection = self._connect()
                return []
            found = self._connection.notifies(timeout=timeout_seconds, stop_after=1)
            return [_parse_notice(each.channel, each.payload) for each in found]
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self.close()
            time.sleep(max(0.0, min(0.5, deadline - time.monotonic())))
            return []

    def close(self) -> None:
        """Stop listening. A later ``wait`` begins anew."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(psycopg.Error):
                connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._url, autocommit=True)
        for channel in self._channels:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        return connection


def _parse_notice(channel: str, payload: str) -> Notice:
    job_id, _, seq = payload.partition("\n")[0].partition(" ")
    return Notice(channel=channel, job_id=UUID(job_id), seq=int(seq or 0))
