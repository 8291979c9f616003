"""The database goes away for a while, and disks fill up."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest

from faults.conftest import Fault, gaps
from mondrian.client import Client, StreamEvent
from mondrian.database.embedded import EmbeddedServer
from mondrian.database.postgres import open_pool
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from support.processes import started
from support.servers import make_app, running
from support.working import (
    Hire,
    answer,
    at_work,
    jpeg,
    log_of,
    recording,
    text_of,
    wait_for,
    wait_for_end,
)

AWAY_SECONDS = 10.0


def test_postgresql_is_away_for_ten_seconds(
    server_home: Path, tmp_path: Path, fault: Fault
) -> None:
    row = fault("PostgreSQL, SIGKILL, away for 10 s")
    with ExitStack() as stack:
        server = EmbeddedServer(server_home)
        stack.callback(server.close)
        url = recording(tmp_path, pause=0.06)
        options = ("--home", tmp_path, "--engine", url, "--database", server.url)
        _, address = stack.enter_context(started("serve", "--port", 0, "--interval", 1, *options))
        client = stack.enter_context(Client(address))
        job = client.submit(jpeg())["job_id"]
        events, times, died, back = list[StreamEvent](), list[float](), 0.0, 0.0
        for event in client.watch(job, include=["tokens", "report"], after=0):
            events.append(event)
            times.append(time.monotonic())
            if event.type == "token" and not died:
                psutil.Process(server.pid).kill()
                died = times[-1]
            if died and not back and times[-1] - died > AWAY_SECONDS:
                newcomer = list(first_connection(address, job))
                server.revive()
                back = time.monotonic()
    away = [event for event, at in zip(events, times, strict=True) if died < at < back]
    told = [str(event.fields.get("thinking")) for event in away if event.seq is None]
    assert sum("Waiting for the database... (" in each for each in told) >= 5
    assert {event.fields["attempt"] for event in away[-5:] if event.seq is None} == {None}
    assert "Waiting for the database..." in newcomer[-2]
    assert newcomer[-1].startswith("retry: ")
    assert [each.type for each in events].count("attempt") == 0
    assert text_of([(each.type, dict(each.fields)) for each in events], 1) == answer()
    assert events[-1].fields["status"] == "done"
    recovered = next(at for event, at in zip(events, times, strict=True) if at > back and event.seq)
    after = [at for event, at in zip(events, times, strict=True) if at > recovered]
    row.tell(
        f"{len(told)} updates say so; the same attempt goes on",
        lost=gaps(events)[0],
        twice=gaps(events)[1],
        seconds=recovered - back,
    )
    assert len(after) > 5


def first_connection(address: str, job: str) -> Iterator[str]:
    """The events of a client that connects meanwhile, without reconnecting."""
    with httpx.stream("GET", f"{address}/stream/{job}", timeout=30) as response:
        yield from (line for line in response.iter_lines() if line)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 256 KB, which everybody may enter."""
    with TemporaryDirectory(prefix="mondrian-disk-") as folder:
        Path(folder).chmod(0o755)
        mount("-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", folder)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def mount(*arguments: str) -> None:
    if not shutil.which("mount"):
        pytest.skip("no disk can be mounted here")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    return filler


def test_a_photo_store_that_is_full_or_read_only_refuses(
    small_disk: Path,
    hire: Hire,
    store: Store,
    database: str,
    tmp_path: Path,
    fault: Fault,
) -> None:
    full, closed = fault("photo store's disk full"), fault("photo store's disk read-only")
    (tmp_path / "photos").rmdir()
    (tmp_path / "photos").symlink_to(small_disk)
    with running(make_app(store, database, tmp_path)) as url, httpx.Client(base_url=url) as client:

        def upload() -> httpx.Response:
            return client.post("/upload", files={"image": ("p.jpg", jpeg())})

        accepted = upload()
        assert accepted.status_code == 201
        filler = fill(small_disk)
        refused = upload()
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        filler.unlink()
        mount("-o", "remount,ro", str(small_disk))
        refused = upload()
        assert (refused.status_code, refused.json()["code"]) == (503, "photo_store_unavailable")
        [job] = store.list_jobs()
        with at_work(hire(recording(tmp_path))):
            assert wait_for_end(store, job).status is Status.DONE
        mount("-o", "remount,rw", str(small_disk))
        assert [each.name for each in small_disk.iterdir()] == [job.photo_key]
        assert upload().status_code == 201
    full.tell("507; the accepted job is safe; then 201 again")
    closed.tell("503; the accepted job is done; then 201 again")


@pytest.fixture
def log_on_small_disk(small_disk: Path, database: str, postgres: str) -> Iterator[Path]:
    """The disk that the log of ``database``, and nothing else, is on."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        owner = psutil.Process(server_pid(connection)).uids().real
        os.chown(small_disk, owner, -1)
        name = f"disk_{uuid4().hex[:8]}"
        connection.execute(f"CREATE TABLESPACE {name} LOCATION '{small_disk}'")
        with psycopg.connect(database, autocommit=True) as inside:
            inside.execute(f"ALTER TABLE events SET TABLESPACE {name}")
        yield small_disk
        with psycopg.connect(database, autocommit=True) as inside:
            inside.execute("ALTER TABLE events SET TABLESPACE pg_default")
        connection.execute(f"DROP TABLESPACE {name}")


def server_pid(connection: psycopg.Connection) -> int:
    parent = psutil.Process(connection.info.backend_pid).parent()
    assert parent
    return parent.pid


def test_a_database_that_is_full_refuses_and_what_was_accepted_goes_on(
    log_on_small_disk: Path,
    hire: Hire,
    store: Store,
    database: str,
    tmp_path: Path,
    fault: Fault,
) -> None:
    row = fault("database's disk full while a job runs")
    with (
        running(make_app(store, database, tmp_path)) as url,
        httpx.Client(base_url=url) as client,
        open_pool(database) as pool,
        at_work(hire(recording(tmp_path, pause=0.02), store=Store(pool))),
    ):
        client.post("/upload", files={"image": ("p.jpg", jpeg())}).raise_for_status()
        [job] = store.list_jobs()
        wait_for(lambda: text_of(log_of(store, job), 1))
        filler = fill(log_on_small_disk)
        refused = wait_for(lambda: refusal(client))
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        written = store.read(job.id).last_seq
        assert not store.read(job.id).is_ended
        filler.unlink()
        freed = time.monotonic()
        wait_for(lambda: store.read(job.id).last_seq > written)
        seconds = time.monotonic() - freed
        done = wait_for_end(store, job)
    assert (done.status, done.attempt) == (Status.DONE, 1)
    assert text_of(log_of(store, job), 1) == answer()
    row.tell("507; the running job waits for room, then done", seconds=seconds)


def refusal(client: httpx.Client) -> httpx.Response | None:
    """The first upload that is refused. (There may be room in a page that is there already.)"""
    answer = client.post("/upload", files={"image": ("p.jpg", jpeg())})
    return answer if answer.is_error else None
