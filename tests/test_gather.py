"""Calls of several threads are made together, and each gets its own answer."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any, cast

import pytest

from mondrian.database.postgres import Pool
from mondrian.errors import AttemptSuperseded, StorageError
from mondrian.jobs.job import Claim, Entry, EventType
from mondrian.jobs.store import Store
from mondrian.jobs.store.gather import MOST, Gatherer
from support.store import LEASE, at_once, claim_new, expire, token
from support.working import wait_for


class Recorder:
    """Doubles what it is given, once ``go`` is set, and records it."""

    def __init__(self) -> None:
        self.go = Event()
        self.made: list[list[int]] = []
        self.gatherer = Gatherer(self._run)

    def _run(self, values: Sequence[int]) -> list[int]:
        self.made.append([*values])
        assert self.go.wait(30)
        if min(values) < 0:
            raise ValueError(str([*values]))
        return [2 * value for value in values]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@contextmanager
def behind_the_first(recorder: Recorder) -> Iterator[Callable[[int, int], Future[int]]]:
    """Calls that wait for one that is being made; they go on at the end."""
    with ThreadPoolExecutor(100) as threads:
        first = threads.submit(recorder.gatherer.call, -1, 1)
        wait_for(lambda: recorder.made)
        count = 0

        def call(key: int, value: int) -> Future[int]:
            nonlocal count
            count += 1
            future = threads.submit(recorder.gatherer.call, key, value)
            wait_for(lambda: len(recorder.gatherer._waiting) == count)
            return future

        try:
            yield call
        finally:
            recorder.go.set()
        assert first.result(30) == 2


def test_those_that_wait_are_made_together(recorder: Recorder) -> None:
    with behind_the_first(recorder) as call:
        futures = [call(number, number) for number in range(2, 12)]
    assert [future.result(30) for future in futures] == [*range(4, 24, 2)]
    assert recorder.made == [[1], [*range(2, 12)]]


def test_those_of_one_key_are_made_in_turn(recorder: Recorder) -> None:
    with behind_the_first(recorder) as call:
        futures = [call(key, value) for key, value in ((0, 2), (0, 3), (7, 4), (0, 5))]
    assert [future.result(30) for future in futures] == [4, 6, 8, 10]
    assert recorder.made == [[1], [2, 4], [3], [5]]


def test_an_error_is_of_those_made_together_and_the_next_go_on(recorder: Recorder) -> None:
    with behind_the_first(recorder) as call:
        failing = [call(number, number - 5) for number in range(MOST)]
        following = call(99, 8)
    for future in failing:
        with pytest.raises(ValueError, match="-5"):
            future.result(30)
    assert following.result(30) == 16
    assert recorder.gatherer.call(0, 9) == 18


def test_a_thousand_calls_get_their_own_answers(recorder: Recorder) -> None:
    recorder.go.set()

    def call(start: int) -> bool:
        values = range(start, start + 50)
        return [recorder.gatherer.call(value % 7, value) for value in values] == [
            2 * value for value in values
        ]

    assert (
        at_once(*(lambda start=start: call(start) for start in range(0, 1000, 50))) == [True] * 20
    )
    assert sum(map(len, recorder.made)) == 1000
    assert all(len({value % 7 for value in made}) == len(made) for made in recorder.made)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(9) as threads:
        yield threads


@contextmanager
def locked(pool: Pool, claim: Claim) -> Iterator[None]:
    """Nothing can be written of the job of ``claim`` meanwhile."""
    with pool.connection() as connection, connection.transaction():
        connection.execute("SELECT FROM jobs WHERE id = %s FOR UPDATE", [claim.job.id])
        yield


@contextmanager
def waiting_for(
    store: Store, pool: Pool, threads: ThreadPoolExecutor, claim: Claim
) -> Iterator[None]:
    """An append to the job of ``claim`` that cannot go on before the end, so that others wait."""
    with locked(pool, claim):
        first = threads.submit(store.append, claim, [token(claim, "first")])
        wait_for(lambda: store._appends._is_running)
        yield
    first.result(30)


def wait_for_locks(pool: Pool, count: int) -> None:
    """Wait until so many statements wait for a lock."""
    waiting = "SELECT count(*) AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with pool.connection() as connection:
        wait_for(lambda: connection.execute(waiting).fetchall() == [{"count": count}])


def append_behind(
    store: Store,
    threads: ThreadPoolExecutor,
    place: int,
    claim: Claim,
    entries: Sequence[Entry] = (),
    **changes: Any,
) -> Future[int]:
    """An append in a thread; it waits in that place."""
    entries = entries or [token(claim, "a"), token(claim, "b\0\ud800\u2028\U0001f4f7")]
    future = threads.submit(store.append, claim, entries, **changes)
    wait_for(lambda: len(store._appends._waiting) == place)
    return future


def test_appends_to_several_jobs_at_once_are_fenced_each(
    store: Store, pool: Pool, threads: ThreadPoolExecutor
) -> None:
    busy, lost, good, behind, untouched, plain = (claim_new(store) for _ in range(6))
    expire(pool, lost)
    assert store.claim("other", LEASE)
    with waiting_for(store, pool, threads, busy):
        claims = (lost, good, behind, plain)
        changes: tuple[dict[str, Any], ...] = (
            {},
            {"llm_thinking": "Hm \U0001f4f7", "progress": 30},
            {"seen": 99},
            {},
        )
        futures = [
            append_behind(store, threads, place, claim, **change)
            for place, (claim, change) in enumerate(zip(claims, changes, strict=True), 1)
        ]
    assert futures[1].result(30) == futures[3].result(30) == 4
    for future in (futures[0], futures[2]):
        with pytest.raises(AttemptSuperseded):
            future.result(30)
    job = store.read(good.job.id)
    assert (job.llm_thinking, job.progress, job.last_seq) == ("Hm \U0001f4f7", 30, 4)
    texts = store.read_snapshot(good.job.id).texts
    assert texts == store.read_snapshot(plain.job.id).texts
    assert texts["ansel"].startswith("ab")
    assert store.read_snapshot(behind.job.id).texts == {}
    assert store.read(untouched.job.id).last_seq == 2


def test_what_the_database_refuses_of_one_is_written_of_the_others(
    store: Store, pool: Pool, threads: ThreadPoolExecutor
) -> None:
    busy, good, bad, plain = (claim_new(store) for _ in range(4))
    nul = replace(token(bad, "a"), type=cast(EventType, "\0"))
    with waiting_for(store, pool, threads, busy):
        written = append_behind(store, threads, 1, good)
        refused = append_behind(store, threads, 2, bad, [nul])
        beside = append_behind(store, threads, 3, plain)
    assert written.result(30) == beside.result(30) == 4
    with pytest.raises(StorageError):
        refused.result(30)
    assert [event.seq for event in store.read_events(good.job.id, 0)] == [1, 2, 3, 4]


def test_appends_and_a_renewal_of_the_same_jobs_do_not_wait_for_each_other(
    store: Store, pool: Pool, threads: ThreadPoolExecutor
) -> None:
    busy = claim_new(store)
    low, high = sorted((claim_new(store) for _ in range(2)), key=lambda claim: claim.job.id)
    with locked(pool, low):
        with waiting_for(store, pool, threads, busy):
            appends = [
                append_behind(store, threads, place, claim)
                for place, claim in enumerate((high, low), 1)
            ]
        wait_for_locks(pool, 1)
        renewal = threads.submit(store.renew, [high, low], 10 * LEASE)
        wait_for_locks(pool, 2)
    assert [append.result(30) for append in appends] == [4, 4]
    assert renewal.result(30) == {low.job.id, high.job.id}
