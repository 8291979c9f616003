"""What streams say when no worker does."""

import time
from collections.abc import Iterator
from threading import Event as Gate
from threading import Thread
from typing import Any

import psycopg
import pytest

from mondrian.database.postgres import Pool, open_pool
from mondrian.jobs.job import Claim, Entry, Event, EventType
from mondrian.jobs.store import Store
from mondrian.stream import clock
from support.streaming import (
    DEADLINE,
    EVERYTHING,
    claim_new,
    new_job,
    next_of,
    serving,
    thinking,
    token,
)


def test_the_clock_speaks_for_queued_jobs(database: str, store: Store) -> None:
    for _ in range(2):
        store.add(new_job())
    job = store.add(new_job())
    with serving(database, store, interval=0.3) as services, services.watch(job.id) as seen:
        updates = [next_of(seen, "thinking_update") for _ in range(3)]
        claim = store.claim("worker", 60.0)
        later = next(each for each in seen if each.data.get("queue_position") == 2)
    assert {each.thinking for each in updates} == {"Waiting in queue (position 3)"}
    assert updates[0].data == {
        "type": "thinking_update", "job_id": str(job.id),
        "thinking": "Waiting in queue (position 3)", "phase": "queued", "tokens": None,
        "tokens_per_second": None, "prompt_tokens": None, "prompt_tokens_per_second": None,
        "cached_tokens": None, "peak_memory_gb": None, "finish_reason": None,
        "elapsed_seconds": None, "eta_seconds": None, "percent": 0, "basis": "unknown",
        "queue_position": 3, "attempt": 1,
    }  # fmt: skip
    assert all(each.id is None for each in [*updates, later])
    assert updates[-1].at - updates[0].at >= 0.5
    assert claim is not None
    assert len(store.read_events(job.id, 0)) == 1


def test_the_clock_tells_how_long_a_job_will_wait(database: str, store: Store) -> None:
    claim = claim_new(store)
    told = {"eta_seconds": 600.0, "elapsed_seconds": 9.0}
    store.append(claim, [Entry(EventType.THINKING_UPDATE, told)])
    job = store.add(new_job())
    with serving(database, store, interval=0.3) as services, services.watch(job.id) as seen:
        update = next_of(seen, "thinking_update")
    assert update.thinking == "Waiting in queue (position 1), about 10 minutes"
    assert update.data["eta_seconds"] == pytest.approx(600, abs=30)
    assert (update.data["basis"], update.data["percent"]) == ("estimated", 0)


@pytest.fixture
def ahead(database: str) -> Iterator[Store]:
    """A store on ``database``, whose clock is an hour ahead of ours."""
    with psycopg.connect(database, autocommit=True) as connection:
        for clock in ("now", "clock_timestamp"):
            connection.execute(
                f"CREATE FUNCTION public.{clock}() RETURNS timestamptz LANGUAGE sql "
                f"AS $$ SELECT pg_catalog.{clock}() + interval '1 hour' $$".encode()
            )
    url = psycopg.conninfo.make_conninfo(database, options="-c search_path=public,pg_catalog")
    with open_pool(url) as pool:
        yield Store(pool)


def test_the_clock_speaks_for_a_silent_worker_and_a_lost_one(database: str, ahead: Store) -> None:
    store = ahead
    claim = claim_new(store, lease_seconds=1.5)
    with serving(database, store, interval=0.3) as services, services.watch(claim.job.id) as seen:
        first = next_of(seen, "thinking_update")
        lost = next(each for each in seen if "lost" in each.thinking)
        again = store.claim("another", 60.0)
        assert again is not None
        attempt = next_of(seen, "attempt")
    assert first.thinking.startswith("Waiting for the worker... (")
    assert lost.thinking == "Worker lost, trying again (attempt 2)"
    assert (attempt.data["attempt"], attempt.id is not None) == (2, True)


class StallingStore(Store):
    """One whose reads wait while its gate is closed."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.gate = Gate()
        self.gate.set()

    def read_events(self, *args: Any, **more: Any) -> list[Event]:
        assert self.gate.wait(DEADLINE)
        return super().read_events(*args, **more)


@pytest.mark.parametrize("is_told", [True, False])
def test_the_clock_does_not_call_a_job_queued_that_is_at_work(
    database: str, pool: Pool, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    monkeypatch.setattr(clock, "AWAY_SECONDS", DEADLINE)
    store = StallingStore(pool)
    job = store.add(new_job())
    with (
        serving(database, store, interval=0.3) as services,
        services.watch(job.id, EVERYTHING) as seen,
    ):
        assert next_of(seen, "thinking_update").data["queue_position"] == 1
        claim = store.claim("worker", 60.0)
        assert claim
        generating = {"thinking": "Generating", "percent": 60, "attempt": 1}
        last = Entry(EventType.THINKING_UPDATE, generating) if is_told else token("x" * 8000)
        store.append(claim, [last], llm_thinking="Generating" if is_told else None)
        next_of(seen, last.type)
        store.gate.clear()
        update = next_of(seen, "thinking_update")
        store.gate.set()
        later = next(each for each in seen if each.data.get("attempt"))
    words = "Generating" if is_told else "Preparing the photo"
    assert [update.thinking, later.thinking] == [words, words]
    assert {update.data[name] for name in ("percent", "queue_position", "phase")} == {None}


def test_a_lost_worker_is_told_whatever_the_interval(
    database: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "LOOK_SECONDS", 0.2)
    with serving(database, store, interval=2 * DEADLINE) as services:
        claim = claim_new(store, lease_seconds=2.0)  # not while the server starts: it is said once
        with services.watch(claim.job.id, EVERYTHING) as seen:
            next(seen), next(seen)
            store.append(claim, [token("the last word")])
            update = next_of(seen, "thinking_update")
    assert update.thinking == "Worker lost, trying again (attempt 2)"


def test_the_clock_speaks_to_whom_the_log_has_nothing_to_say(database: str, store: Store) -> None:
    claim = claim_new(store)
    store.append(claim, [token("unwanted")])
    with (
        serving(database, store, interval=0.3) as services,
        services.watch(claim.job.id, "after=1") as seen,
    ):
        assert [next_of(seen, "thinking_update").id for _ in range(2)] == [None, None]


def test_the_clock_is_silent_while_the_worker_speaks(database: str, store: Store) -> None:
    claim = claim_new(store)
    with serving(database, store, interval=0.5) as services, services.watch(claim.job.id) as seen:
        writer = Thread(target=write_every, args=(store, claim, 0.6, 5))  # it is a little late
        writer.start()
        said = [each.thinking for each in seen if each.event == "thinking_update"]
        writer.join(DEADLINE)
    spoken_by_clock = [each for each in said if each.startswith("Waiting")]
    assert len(said) - len(spoken_by_clock) == 5
    assert len(spoken_by_clock) <= 2  # on a machine that is busy with something else


def write_every(store: Store, claim: Claim, seconds: float, times: int) -> None:
    for number in range(times):
        time.sleep(seconds)
        store.append(claim, [thinking(str(number))])
    store.finish(claim)
