"""`mondrian serve` dies, alone or with all that it started."""

import ctypes
import itertools
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from faults.conftest import Fault, gaps
from mondrian.client import Client, StreamEvent
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.processes import engine_in, is_gone, processes_of, started, started_at_once
from support.working import add_job, answer, jpeg, recording, text_of, wait_for

GONE_SECONDS = 2.0
JOBS = 50


def server_in(home: Path) -> psutil.Process:
    """The PostgreSQL of ``home``."""
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))


def joined(events: list[StreamEvent], attempt: int) -> str:
    return text_of([(each.type, dict(each.fields)) for each in events], attempt)


def test_streams_go_on_after_a_server_without_a_worker(
    store: Store, photos: PhotoStore, database: str, tmp_path: Path, fault: Fault
) -> None:
    row = fault("serve --no-worker, SIGKILL, a worker elsewhere")
    url, folder = recording(tmp_path, pause=0.04), (tmp_path / "photos").as_uri()
    common = ("--database", database, "--photos", folder, "--home", tmp_path, "--engine", url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        serve = ("serve", "--no-worker", "--port", free.getsockname()[1], *common)
    with ExitStack() as stack:
        both = stack.enter_context(started_at_once(serve, ("worker", *common)))
        api, address = both[0]
        job = add_job(store, photos)
        client = stack.enter_context(Client(address, max_retry_seconds=0.5))
        events, died, back, meanwhile = list[StreamEvent](), 0.0, 0.0, 0
        for event in client.watch(job.id, include=["tokens", "report"], after=0):
            events.append(event)
            back = back or (died and time.monotonic())
            if event.type == "token" and not died:
                api.kill()
                api.wait()
                died, seq = time.monotonic(), store.read(job.id).last_seq
                stack.enter_context(started(*serve))
                meanwhile = store.read(job.id).last_seq - seq
    assert meanwhile > 0
    assert joined(events, 1) == answer()
    assert events[-1].fields["status"] == "done"
    lost, twice = gaps(events)
    row.tell(
        f"the worker went on ({meanwhile} events), the client too",
        lost=lost,
        twice=twice,
        seconds=back - died,
    )


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose PostgreSQL these tests may kill."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="mondrian-home-") as home:
        yield Path(home)


def command(home: Path, *more: object) -> tuple[object, ...]:
    return ("serve", "--port", 0, "--home", home, "--lease", 2, "--interval", 1, *more)


@pytest.fixture
def unburied() -> Iterator[None]:
    """Orphans are ours, and are buried at the end only: in many containers nobody does it."""
    if sys.platform == "linux":
        pr_set_child_subreaper = 36
        libc = ctypes.CDLL(None)
        libc.prctl(pr_set_child_subreaper, 1)
    yield
    if sys.platform == "linux":
        libc.prctl(pr_set_child_subreaper, 0)
        for child in psutil.Process().children():
            if child.status() == psutil.STATUS_ZOMBIE:
                child.wait()


@pytest.mark.usefixtures("unburied")
def test_a_server_that_dies_alone_takes_its_engine_along_and_leaves_postgresql(
    own_home: Path, fault: Fault
) -> None:
    row = fault("serve alone, SIGKILL")
    serve = command(own_home, "--engine", recording(own_home, pause=0.03))
    with started(*serve) as (process, address), Client(address) as client:
        job = client.submit(jpeg())["job_id"]
        next(each for each in client.watch(job, include=["tokens"]) if each.type == "token")
        engine, postgresql = engine_in(own_home), server_in(own_home)
        process.kill()
        died = time.monotonic()
        wait_for(lambda: is_gone(engine), GONE_SECONDS)
        gone = time.monotonic() - died
        assert postgresql.is_running()
    with started(*serve) as (_, address), Client(address) as client:
        assert server_in(own_home) == postgresql
        wait_for(lambda: client.status(job)["attempt"] == 2)
        row.tell(
            f"engine gone after {gone:.1f} s, PostgreSQL adopted, attempt 2",
            seconds=time.monotonic() - died,
        )
        watch_postgresql_die(client, job, own_home, fault)
        postgresql = server_in(own_home)
    wait_for(lambda: is_gone(postgresql))
    assert processes_of(own_home) == []


def watch_postgresql_die(client: Client, job: str, home: Path, fault: Fault) -> None:
    row = fault("embedded PostgreSQL alone, SIGKILL")
    events, died, times = list[StreamEvent](), 0.0, list[float]()
    for event in client.watch(job, include=["tokens", "report"], after=0):
        events.append(event)
        if event.type == "token" and event.fields["attempt"] == 2 and not died:
            server_in(home).kill()
            died = time.monotonic()
        if died and event.seq:
            times.append(time.monotonic())
    assert events[-1].fields["status"] == "done"
    assert [each.type for each in events].count("attempt") == 1
    assert joined(events, 2) == answer()
    lost, twice = gaps(events)
    silence = max(after - before for before, after in itertools.pairwise(times))
    row.tell("started again, the attempt goes on", lost=lost, twice=twice, seconds=silence)


def test_nothing_is_lost_when_everything_dies_at_once(own_home: Path, fault: Fault) -> None:
    row = fault(f"serve, engine and PostgreSQL, SIGKILL, {JOBS} jobs under way")
    url = recording(own_home, pause=0.02)
    serve, again = (
        command(own_home, "--engine", f"{url}?slots={JOBS}&speed={speed}") for speed in (0.02, 1)
    )
    with started(*serve) as (process, address), Client(address) as client:
        jobs = [client.submit(jpeg())["job_id"] for _ in range(JOBS)]
        wait_for(lambda: states(client) == {"analyzing": JOBS}, 60)
        for victim in [psutil.Process(process.pid), *everything_in(own_home)]:
            kill(victim)
        died = time.monotonic()
    with started(*again) as (_, address), Client(address) as client:
        wait_for(lambda: states(client) == {"done": JOBS}, 90)
        seconds = time.monotonic() - died
        logs = {job: list(client.watch(job, include=["tokens", "report"], after=0)) for job in jobs}
    ends = {job: Counter(event.type for event in log) for job, log in logs.items()}
    lost = sum(ends[job]["analysis_complete"] < 1 or ends[job]["done"] < 1 for job in jobs)
    twice = sum(ends[job]["analysis_complete"] > 1 or ends[job]["done"] > 1 for job in jobs)
    assert all(gaps(log) == (0, 0) for log in logs.values())
    assert all(joined(log, last_attempt(log)) == answer() for log in logs.values())
    assert all(last_attempt(log) == 2 for log in logs.values())
    row.tell("all in a second attempt, all done", lost=lost, twice=twice, seconds=seconds)


def states(client: Client) -> Counter[str]:
    """How many of the newest jobs are in which status."""
    return Counter(job["status"] for job in client.jobs(JOBS))


def last_attempt(log: list[StreamEvent]) -> int:
    return int(max(event.fields["attempt"] for event in log if event.type == "token"))


def everything_in(home: Path) -> list[psutil.Process]:
    """The engine, and PostgreSQL with all its children."""
    postgresql = server_in(home)
    return [engine_in(home), postgresql, *postgresql.children(recursive=True)]


def kill(victim: psutil.Process) -> None:
    if victim.is_running():
        os.kill(victim.pid, signal.SIGKILL)
