"""The embedded server with real processes and signals, the schema, and what a lost server does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from uuid import uuid4

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mondrian.database.embedded import EmbeddedServer, shorten_path
from mondrian.database.listen import Listener, Notice
from mondrian.database.postgres import (
    Pool,
    normalize_url,
    open_database,
    open_pool,
    translate_errors,
)
from mondrian.database.schema import migrate
from mondrian.errors import DatabaseUnavailable, SettingsError, StorageError, StorageFull
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from support.working import wait_for

JOB = uuid4()
USER = """
import sys
from pathlib import Path
from mondrian.database.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.read()
server.close()
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with what PostgreSQL dislikes in a path, and the rest of a start cut short."""
    with TemporaryDirectory(prefix="mondrian’s home ") as home:
        (Path(home) / "postgres.new" / "base").mkdir(parents=True)
        yield Path(home)


@pytest.fixture
def other(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the server."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def notify(url: str, channel: str, payload: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))


def server_pid(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_home_with_spaces_opens_and_its_server_stops(home: Path) -> None:
    database = open_database(None, home)
    assert database.server is not None
    server = psutil.Process(database.server.pid)
    again = open_database(None, home)
    again.close()
    assert Store(database.pool).count_by_status()[Status.QUEUED] == 0
    with database.pool.connection() as connection:
        settings = connection.execute("SELECT current_setting('synchronous_commit') AS it")
        assert settings.fetchall() == [{"it": "on"}]
        assert not connection.execute("SELECT inet_server_addr() AS it").fetchall()[0]["it"]
    database.close()
    database.close()
    server.wait(10)


def test_long_path_is_entered_through_a_short_one(tmp_path: Path) -> None:
    folder = tmp_path / "/".join(["long"] * 30)
    folder.mkdir(parents=True)
    entrance = shorten_path(folder)
    assert entrance.resolve() == folder.resolve()
    assert entrance == shorten_path(folder)
    assert len(str(entrance)) + len("/.s.PGSQL.5432") <= 100
    assert shorten_path(tmp_path) == tmp_path


def test_last_user_stops_the_server_though_another_was_killed(
    home: Path, other: subprocess.Popen[str]
) -> None:
    pid = server_pid(other)
    ours = EmbeddedServer(home)
    assert ours.pid == pid
    os.kill(other.pid, signal.SIGKILL)
    other.wait(10)
    server = psutil.Process(pid)
    ours.close()
    server.wait(10)


def test_server_of_the_killed_is_found_again(home: Path, other: subprocess.Popen[str]) -> None:
    pid = server_pid(other)
    os.kill(other.pid, signal.SIGKILL)
    other.wait(10)
    (home / "postgres" / ".handle_pids.json").write_text("[1234")  # killed while it wrote
    ours = EmbeddedServer(home)
    server = psutil.Process(pid)
    assert ours.pid == pid
    ours.close()
    server.wait(10)


def test_server_outlives_one_of_two_users(home: Path, other: subprocess.Popen[str]) -> None:
    pid = server_pid(other)
    EmbeddedServer(home).close()
    server = psutil.Process(pid)
    assert server.is_running()
    assert other.stdin is not None
    other.stdin.close()
    server.wait(10)


def test_pid_of_somebody_else_is_not_the_server(home: Path) -> None:
    noted = home / "postgres" / "postmaster.pid"
    noted.write_text(f"{os.getpid()}\n{home}\n1700000000\n5432\n/tmp\n\n1 1\nready\n")
    server = EmbeddedServer(home)
    psycopg.connect(server.url).close()
    server.close()


def test_lost_server_is_an_error_and_comes_back(home: Path) -> None:
    server = EmbeddedServer(home)
    migrate(server.url)
    listener = Listener(server.url, "mondrian_jobs")
    assert listener.wait(0) == []
    with open_pool(server.url, wait_seconds=1.0) as pool:
        store = Store(pool)
        psutil.Process(server.pid).kill()
        assert listener.wait(60) == []
        with pytest.raises(DatabaseUnavailable):  # its backend outlives the server by a moment
            wait_for(lambda: store.count_by_status() is None)
        server.revive()
        assert store.count_by_status()[Status.QUEUED] == 0

        def hear() -> list[Notice]:
            notify(server.url, "mondrian_jobs", str(JOB))
            return listener.wait(1)

        heard = wait_for(hear)
    assert {notice.payload for notice in heard} == {str(JOB)}
    listener.close()
    server.close()


def test_folder_of_another_version_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(SettingsError, match="upgrade_db"):
        EmbeddedServer(tmp_path)


def test_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="MONDRIAN_HOME"):
        EmbeddedServer(tmp_path / "file" / "home")


# --- connections and errors


def test_url_is_checked_and_completed() -> None:
    found = conninfo_to_dict(normalize_url("postgresql://me:p%40ss@db:6432/name?connect_timeout=9"))
    assert (found["password"], found["host"], found["connect_timeout"]) == ("p@ss", "db", "9")
    assert found["application_name"] == "mondrian"
    with pytest.raises(SettingsError, match="postgresql://"):
        normalize_url("mysql://me@db/name")


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        open_database(f"host={tmp_path} user=me", tmp_path)


def test_what_waiting_does_not_mend_is_said_at_the_start(database: str, tmp_path: Path) -> None:
    for change, meaning in (
        ({"dbname": "nowhere"}, "The database is not there"),
        ({"user": "nobody_here"}, "PostgreSQL does not know the user"),
        ({"sslmode": "require", "host": "127.0.0.1", "port": "1"}, "PostgreSQL does not answer"),
    ):
        with pytest.raises((SettingsError, DatabaseUnavailable), match=meaning):
            open_database(make_conninfo(database, **change), tmp_path)


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (psycopg.errors.DiskFull, StorageFull),
        (psycopg.errors.AdminShutdown, DatabaseUnavailable),
        (psycopg.InterfaceError, DatabaseUnavailable),
        (psycopg.DataError, StorageError),
    ],
)
def test_errors_are_translated(foreign: type[Exception], ours: type[Exception]) -> None:
    with pytest.raises(ours) as caught, translate_errors():
        raise foreign
    assert type(caught.value) is ours


def test_pool_passes_over_broken_connections(pool: Pool, store: Store, database: str) -> None:
    assert store.count_by_status()[Status.DONE] == 0
    with psycopg.connect(database, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    for pid, _ in ended:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(30)
    assert store.count_by_status()[Status.DONE] == 0


def test_listener_wakes_at_once(database: str) -> None:
    listener = Listener(database, "mondrian_events")
    listener.wait(0)
    found: list[Notice] = []
    thread = Thread(target=lambda: found.extend(listener.wait(60)))
    thread.start()
    notify(database, "mondrian_events", f"{JOB} 7")
    thread.join(30)
    assert found == [Notice("mondrian_events", f"{JOB} 7")]
    listener.close()
