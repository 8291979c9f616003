"""The engine's child dies, or hangs."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from faults.conftest import Fault, Row, gaps
from mondrian.client import Client, StreamEvent
from mondrian.engines.native.engine import HostedEngine
from mondrian.jobs.job import Job, Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.processes import engine_in, started
from support.working import (
    Hire,
    add_job,
    answer,
    at_work,
    count_events,
    engine_of,
    jpeg,
    log_of,
    make_worker,
    recording,
    text_of,
    wait_for,
    wait_for_end,
)

SAID_SECONDS, AGAIN_SECONDS = 2.0, 5.0
LOADING = ({"phase": "loading"}, {"after": 0.6, "phase": "loading"})
PREFILL = ({"phase": "prefill"}, {"after": 0.6, "phase": "prefill"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    url = recording(home, *LOADING, *PREFILL, pause=0.01)
    with started("serve", "--port", 0, "--home", home, "--engine", url) as (_, address):
        yield address


@pytest.mark.parametrize(
    ("phase", "killer"),
    [
        ("loading", signal.SIGKILL),
        ("prefill", signal.SIGABRT),
        ("generating", signal.SIGKILL),
    ],
)
def test_its_death_is_told_and_costs_an_attempt(
    server: str, home: Path, fault: Fault, phase: str, killer: signal.Signals
) -> None:
    row = fault(f"engine child, {killer.name}, {phase}")
    seen, died = list[tuple[float, StreamEvent]](), 0.0
    with Client(server) as client:
        job = client.submit(jpeg())["job_id"]
        for event in client.watch(job, include=["tokens", "report"], after=0):
            seen.append((time.monotonic(), event))
            if not died and is_at(phase, event):
                engine_in(home).send_signal(killer)
                died = time.monotonic()
    said = next(at for at, each in seen if killer.name in str(each.fields.get("thinking")))
    again = next(at for at, each in seen if is_at_work_again(each))
    assert said - died <= SAID_SECONDS
    assert again - died <= AGAIN_SECONDS
    events = [event for _, event in seen]
    assert [each.fields["attempt"] for each in events if each.type == "attempt"] == [2]
    assert text_of([(each.type, dict(each.fields)) for each in events], 2) == answer()
    assert events[-1].fields["status"] == "done"
    lost, twice = gaps(events)
    row.tell(
        f"said after {said - died:.1f} s, attempt 2, done",
        lost=lost,
        twice=twice,
        seconds=again - died,
    )


def is_at(phase: str, event: StreamEvent) -> bool:
    if phase == "generating":
        return event.type == "token"
    return event.fields.get("phase") == phase


def is_at_work_again(event: StreamEvent) -> bool:
    state = event.fields.get("job_data", {})
    return (state.get("status"), state.get("attempt")) == ("processing", 2)


def test_three_aborts_end_the_job_and_keep_its_text(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path, fault: Fault
) -> None:
    row = fault("engine child, abort in its own code, three times")
    job = add_job(store, photos)
    with at_work(hire(recording(tmp_path, after=({"after": 0.2, "crash": True},)))):
        failed = wait_for_end(store, job)
    log = log_of(store, job)
    assert failed.status is Status.ERROR
    assert [kind for kind, _ in log[-3:]] == ["status_update", "error", "done"]
    assert log[-2][1]["error"]["code"] == "engine_crashed"
    assert log[-2][1]["error"]["retryable"] is True
    assert "SIGABRT while generating" in log[-2][1]["error"]["message"]
    attempts = [each for kind, each in log if kind == "attempt"]
    assert [each["attempt"] for each in attempts] == [2, 3]
    assert "SIGABRT" in attempts[0]["reason"]
    told = [each["thinking"] for kind, each in log if kind == "thinking_update"]
    assert any(each.endswith("trying again (attempt 2)") for each in told)
    assert failed.completed_at
    assert count_events(log) <= 15 + (failed.completed_at - failed.created_at).total_seconds()
    for attempt in (1, 2, 3):
        assert answer().startswith(text_of(log, attempt))
        assert len(text_of(log, attempt)) > 100
    row.tell("3 attempts, then an error that names it; the text is kept")


def test_one_that_hangs_is_replaced(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path, fault: Fault
) -> None:
    row = fault("engine hangs while generating, stall limit 3 s")
    job = add_job(store, photos)
    worker = hire(recording(tmp_path, after=({"hang": True},)), stall=3.0, update_interval=0.5)
    with at_work(worker):
        wait_for(lambda: len(text_of(log_of(store, job), 1)) > 100)
        hung = time.monotonic()
        pid = engine_of(worker).pid
        again = wait_for(lambda: [each for each in log_of(store, job) if each[0] == "attempt"])
        seconds = time.monotonic() - hung
        assert again[0][1]["attempt"] == 2
        assert "no progress for 3 seconds while generating" in again[0][1]["reason"]
        assert pid
        assert not psutil.pid_exists(pid)
        assert store.read(job.id).failures == 1
        store.cancel(job.id)
    told = [e.created_at for e in store.read_events(job.id, 0) if e.type == "thinking_update"]
    silences = [(after - before).total_seconds() for before, after in itertools.pairwise(told)]
    assert max(silences) <= 1.0
    row.tell(f"an update every {max(silences):.1f} s, then a new child", seconds=seconds)


def test_a_poisonous_photo_does_not_fail_its_neighbours(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path, fault: Fault
) -> None:
    """Four jobs at once in one engine, which one of them always crashes in its middle."""
    row = fault("one photo in four kills their common engine child")
    crash = {"after": 0.6, "crash": True, "when": "Vincent"}
    url = recording(tmp_path, after=(crash, {"after": 0.6, "phase": "generating"}))
    good = [add_job(store, photos) for _ in range(3)]
    poison = add_job(store, photos, "gogh")
    with at_work(hire(f"{url}?slots=4")):
        failed = wait_for_end(store, poison)
        done = [wait_for_end(store, job) for job in good]
    assert all(job.is_suspect == (job.failures > 0) for job in done)
    tell_alone(row, failed, "engine_crashed", done)


def test_a_photo_that_hangs_the_engine_does_not_fail_its_neighbours(
    store: Store,
    photos: PhotoStore,
    database: str,
    tmp_path: Path,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four jobs at once in one engine, all of which stand still when one of them does."""
    row = fault("one photo in four hangs their common engine child, stall limit 3 s")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    hang = {"after": 0.6, "hang": True, "when": "Vincent"}
    url = recording(tmp_path, after=(hang, {"after": 0.6, "phase": "generating"}))
    native, options = "support.hanging_engine:Hanging", {"path": Path(url.removeprefix("replay:"))}
    engine = HostedEngine(
        url=url, model="x", sees=True, native=native, options=options, slots=4, stop_seconds=0.3
    )
    good = [add_job(store, photos) for _ in range(3)]
    hanging = add_job(store, photos, "gogh")
    worker = make_worker(store, photos, engine, database, home=tmp_path, stall=3.0)
    with closing(engine), at_work(worker):
        failed = wait_for_end(store, hanging, 90)
        done = [wait_for_end(store, job) for job in good]
    tell_alone(row, failed, "engine_stalled", done)


def tell_alone(row: Row, failed: Job, code: str, done: list[Job]) -> None:
    """Tell that the photo that did it ended alone, and its neighbours were taken along once."""
    assert (failed.status, failed.failures, failed.is_suspect) == (Status.ERROR, 3, True)
    assert failed.error
    assert failed.error["code"] == code
    assert {job.status for job in done} == {Status.DONE}
    failures = {job.failures for job in done}
    assert 1 in failures  # the first time took some along
    assert failures <= {0, 1}  # no later one did
    again = sum(job.failures for job in done)
    row.tell(f"its 3 neighbours done, {again} of them at the 2nd attempt; it ends in an error")
