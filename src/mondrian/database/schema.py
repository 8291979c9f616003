"""Migrate the schema: numbered SQL files, each applied once, under a transaction-level lock.

1. No session state is used: behind a transaction pooler a session-level lock outlives its process,
   and the next process would wait for it indefinitely.
2. Migrations are additive, so a program runs on a newer schema: old and new processes work side by
   side during an upgrade. A migration that would break older programs has ``breaking`` in its name,
   and they refuse to start.
"""

import logging
import time
from collections.abc import Iterable
from importlib.resources import files

import psycopg
from psycopg.rows import scalar_row

from mondrian.errors import SettingsError

log = logging.getLogger(__name__)

LOCK = 0x6D6F6E64  # "mond": the advisory lock of migrations
LOG_AFTER_SECONDS = 5.0
_POLL_SECONDS = 0.2

_CREATE = """
    CREATE TABLE IF NOT EXISTS migrations (
        name text PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )"""
# Earlier versions migrated with yoyo, which has its own table of migrations.
_ADOPT = """
    INSERT INTO migrations (name, applied_at)
    SELECT migration_id, applied_at_utc AT TIME ZONE 'UTC' FROM _yoyo_migration
    ON CONFLICT DO NOTHING"""


def migrate(url: str) -> None:
    """Migrate the schema at ``url`` to this version. Concurrent processes wait for each other.

    Raise ``SettingsError`` if the schema is newer and incompatible, and errors of the driver.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        began, is_logged = time.monotonic(), False
        while not _try_migrate(connection):
            if not is_logged and time.monotonic() - began > LOG_AFTER_SECONDS:
                log.warning("another process is migrating the schema: waiting for its lock")
                is_logged = True
            time.sleep(_POLL_SECONDS)


def _try_migrate(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Migrate, unless another process holds the lock. Return whether it was acquired."""
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone():
            return False
        cursor.execute(_CREATE)
        cursor.execute("SELECT to_regclass('_yoyo_migration') IS NOT NULL")
        if cursor.fetchone():
            cursor.execute(_ADOPT)
        applied = set(cursor.execute("SELECT name FROM migrations").fetchall())
        migrations = read_migrations()
        _refuse_newer(applied - migrations.keys())
        for name in sorted(migrations.keys() - applied):
            cursor.execute(migrations[name].encode())
            cursor.execute("INSERT INTO migrations (name) VALUES (%s)", [name])
        return True


def read_migrations() -> dict[str, str]:
    """Return the SQL of each migration by name, that of its file without ``.sql``."""
    folder = files("mondrian.database") / "migrations"
    found = [each for each in folder.iterdir() if each.name.endswith(".sql")]
    return {each.name.removesuffix(".sql"): each.read_text(encoding="utf-8") for each in found}


def _refuse_newer(unknown: Iterable[str]) -> None:
    if any("breaking" in name for name in unknown):
        raise SettingsError(
            "The database was last used by a newer version of Mondrian, whose schema this one "
            "cannot work with. Install that version or a newer one, or name another database."
        )
