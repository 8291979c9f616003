"""A worker dies, leaves, or is thought dead, while another one runs."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from faults.conftest import Fault, gaps
from mondrian.client import Client
from mondrian.database.embedded import EmbeddedServer
from mondrian.database.postgres import open_pool
from mondrian.jobs.job import Job, Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.processes import LEAVE_SECONDS, started, started_at_once
from support.servers import make_app, running
from support.working import add_job, answer, log_of, recording, text_of, wait_for, wait_for_end

Process = subprocess.Popen[str]
Pair = Callable[..., AbstractContextManager[tuple[Process, Process]]]

LOST_SECONDS, AGAIN_SECONDS, HANDED_SECONDS = 15.0, 30.0, 10.0


@pytest.fixture
def job(store: Store, photos: PhotoStore) -> Job:
    return add_job(store, photos)


@pytest.fixture
def at_work_by_one_of_two(store: Store, job: Job, database: str, tmp_path: Path) -> Pair:
    """Two worker processes: that which is at work at the job, and the other."""
    folder, url = (tmp_path / "photos").as_uri(), recording(tmp_path, pause=0.04)
    options = ("--database", database, "--photos", folder, "--home", tmp_path, "--engine", url)

    @contextmanager
    def working(*more: object) -> Iterator[tuple[Process, Process]]:
        command = ("worker", *options, "--interval", 1, *more)
        with started_at_once(command, command) as [(one, name), (other, _)]:
            wait_for(lambda: text_of(log_of(store, job), 1))
            yield (one, other) if store.read(job.id).claimed_by == name else (other, one)

    return working


def test_one_that_is_killed_is_lost_and_the_other_takes_its_job(
    at_work_by_one_of_two: Pair,
    store: Store,
    job: Job,
    database: str,
    tmp_path: Path,
    fault: Fault,
) -> None:
    row = fault("worker, SIGKILL, another one running")
    with (
        running(make_app(store, database, tmp_path)) as url,
        at_work_by_one_of_two() as (holder, _),
        Client(url) as client,
    ):
        holder.kill()
        died = time.monotonic()
        seen = [
            (time.monotonic() - died, event)
            for event in client.watch(job.id, include=["tokens", "report"], after=0)
        ]
    lost_at = next(at for at, each in seen if "orker lost" in str(each.fields.get("thinking")))
    again = next(at for at, each in seen if each.type == "attempt")
    assert lost_at <= LOST_SECONDS
    assert again <= AGAIN_SECONDS
    events = [event for _, event in seen]
    assert events[-1].fields["status"] == "done"
    assert text_of([(each.type, dict(each.fields)) for each in events], 2) == answer()
    lost, twice = gaps(events)
    row.tell(
        f"'Worker lost' after {lost_at:.1f} s, attempt 2, done",
        lost=lost,
        twice=twice,
        seconds=again,
    )


def test_one_that_was_thought_dead_writes_no_more(
    at_work_by_one_of_two: Pair, store: Store, job: Job, photos: PhotoStore, fault: Fault
) -> None:
    row = fault("worker, SIGSTOP until another one has done its job")
    with at_work_by_one_of_two("--lease", 2) as (holder, other):
        stopped = time.monotonic()
        holder.send_signal(signal.SIGSTOP)
        done = wait_for_end(store, job)
        seconds = time.monotonic() - stopped
        other.terminate()
        other.wait(LEAVE_SECONDS)
        holder.send_signal(signal.SIGCONT)
        later = add_job(store, photos)
        assert wait_for_end(store, later).status is Status.DONE  # it has seen that it is late
    assert (done.status, done.attempt) == (Status.DONE, 2)
    assert store.read(job.id) == done
    log = log_of(store, job)
    begins = [kind for kind, _ in log].index("attempt")
    assert all(told.get("attempt", 2) == 2 for _, told in log[begins:])
    assert [kind for kind, _ in log].count("done") == 1
    assert text_of(log, 2) == answer()
    row.tell("attempt 2 done; revived, it writes nothing", seconds=seconds)


def test_a_machine_that_slept_costs_no_attempt_and_one_that_is_asked_to_go_no_failure(
    at_work_by_one_of_two: Pair, store: Store, job: Job, fault: Fault
) -> None:
    slept = fault("all workers stopped for two leases, as in a machine's sleep")
    asked = fault("worker, SIGTERM, another one running")
    with at_work_by_one_of_two("--lease", 2) as (holder, other):
        machine = [each for process in (other, holder) for each in family(process)]
        for each in machine:
            each.send_signal(signal.SIGSTOP)
        written = store.read(job.id).last_seq
        time.sleep(4.0)  # it is asleep
        for each in machine:
            each.send_signal(signal.SIGCONT)
        woken = time.monotonic()
        wait_for(lambda: store.read(job.id).last_seq > written)
        slept_seconds = time.monotonic() - woken
        holder.terminate()
        assert holder.wait(LEAVE_SECONDS) == 0
        handed_seconds = time.monotonic() - woken - slept_seconds
        done = wait_for_end(store, job)
    log = log_of(store, job)
    assert [told["reason"] for kind, told in log if kind == "attempt"] == ["worker stopped"]
    assert (done.status, done.attempt, done.failures) == (Status.DONE, 2, 0)
    assert text_of(log, 2) == answer()
    assert handed_seconds <= HANDED_SECONDS
    slept.tell("the same attempt goes on", seconds=slept_seconds)
    asked.tell("the job handed back, no failure counted, done", seconds=handed_seconds)


def family(process: Process) -> list[psutil.Process]:
    """The process and its children."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_is_asked_to_go_while_the_database_is_away_goes(
    server_home: Path, photos: PhotoStore, tmp_path: Path, fault: Fault, blow: signal.Signals
) -> None:
    row = fault(f"PostgreSQL, {blow.name}; then the worker with 3 jobs, SIGTERM")
    with ExitStack() as stack:
        server = EmbeddedServer(server_home)
        stack.callback(server.close)
        url, folder = recording(tmp_path, pause=0.3), (tmp_path / "photos").as_uri()
        options = ("--database", server.url, "--photos", folder, "--home", tmp_path)
        command = ("worker", *options, "--engine", f"{url}?slots=3")
        process, _ = stack.enter_context(started(*command))
        store = Store(stack.enter_context(open_pool(server.url)))
        jobs = [add_job(store, photos) for _ in range(3)]
        wait_for(lambda: all(text_of(log_of(store, job), 1) for job in jobs))
        postmaster = psutil.Process(server.pid)
        for each in (postmaster, *postmaster.children(recursive=True)):
            if each.is_running():
                each.send_signal(blow)
                stack.callback(revive, each)
        time.sleep(2.0)  # it has been away for a while
        asked = time.monotonic()
        process.terminate()
        assert process.wait(LEAVE_SECONDS) == 0
        seconds = time.monotonic() - asked
        assert seconds <= HANDED_SECONDS
    row.tell(f"gone after {seconds:.1f} s; the leases run out")


def revive(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGCONT)
