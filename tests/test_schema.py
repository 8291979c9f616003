"""The schema, as old and new programs find it."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mondrian.database import schema
from mondrian.database.postgres import open_pool
from mondrian.database.schema import LOCK, migrate, read_migrations
from mondrian.errors import SettingsError
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from support.store import claim_new
from support.working import wait_for

BEFORE = ("0001.jobs", "0002.history", "0003.suspects", "0004.retention", "0005.uploads")
"""The migrations that yoyo applied."""


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    """The address of an empty database, whose name is odd."""
    name = sql.Identifier("odd 'name")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield make_conninfo(postgres, dbname="odd 'name")
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def list_applied(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM migrations ORDER BY 1")]


def test_many_may_migrate_at_once_and_again(empty: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(migrate, [empty] * 6))
    migrate(empty)
    assert list_applied(empty) == sorted(read_migrations())
    with open_pool(empty) as pool:
        assert Store(pool).list_jobs() == []


def test_a_database_that_yoyo_migrated_goes_on(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        for name in BEFORE:
            connection.execute(read_migrations()[name].encode())
        connection.execute(
            """CREATE TABLE _yoyo_migration (
                migration_hash varchar(64) PRIMARY KEY, migration_id varchar(255),
                applied_at_utc timestamp)"""
        )
        for name in BEFORE:
            row = (name[:4], name)
            connection.execute("INSERT INTO _yoyo_migration VALUES (%s, %s, now())", row)
    migrate(empty)
    assert list_applied(empty) == sorted(read_migrations())


def test_a_schema_that_is_newer_and_compatible_is_worked_with(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO migrations VALUES ('9999.later')")
        connection.execute("ALTER TABLE jobs ADD COLUMN later text NOT NULL DEFAULT ''")
    migrate(database)
    with open_pool(database) as pool:
        store = Store(pool)
        store.finish(claim := claim_new(store))
        assert store.read(claim.job.id).status is Status.DONE


def test_a_schema_that_breaks_older_programs_is_refused(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO migrations VALUES ('9999.later.breaking')")
    with pytest.raises(SettingsError, match="newer version"):
        migrate(database)


def test_a_migration_that_fails_leaves_nothing(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {"0001.good": "CREATE TABLE good (x int)", "0002.bad": "CREATE TABLE bad (x nonsense)"}
    monkeypatch.setattr(schema, "read_migrations", lambda: bad)
    with pytest.raises(psycopg.Error, match="nonsense"):
        migrate(empty)
    monkeypatch.undo()
    migrate(empty)
    assert list_applied(empty) == sorted(read_migrations())


def test_a_lock_that_is_waited_for_is_said(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(schema, "LOG_AFTER_SECONDS", 0.1)
    with psycopg.connect(database) as connection, caplog.at_level(logging.WARNING):
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        waiting = Thread(target=migrate, args=[database])
        waiting.start()
        wait_for(lambda: "waiting for its lock" in caplog.text)
        connection.rollback()
        waiting.join(20)
    assert not waiting.is_alive()
