"""What many clients of one job share, and what wakes them."""

import asyncio
from threading import Event as Gate
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from mondrian.database.postgres import Pool
from mondrian.jobs.job import Event, EventType
from mondrian.jobs.store import Store
from mondrian.stream import listen
from mondrian.stream.buffer import KEPT, FrameBuffer
from mondrian.stream.reader import CHUNK, LogReader
from mondrian.stream.sse import encode
from support.streaming import (
    BLOCK,
    DEADLINE,
    EVERYTHING,
    LINE,
    Services,
    claim_new,
    events,
    serving,
    text_of,
    thinking,
    token,
    until,
    write_much,
)


class CountingStore(Store):
    reads = 0

    def read_events(self, *args: Any, **more: Any) -> list[Event]:
        self.reads += 1
        return super().read_events(*args, **more)


@pytest.mark.parametrize(("size", "most"), [(10, 2), (8000, 50)])
def test_the_log_is_read_once_for_all_clients_or_not_at_all(
    database: str, pool: Pool, size: int, most: int
) -> None:
    store = CountingStore(pool)
    claim = claim_new(store)
    with (
        serving(database, store) as services,
        services.crowd(claim.job.id, 40),
        services.watch(claim.job.id) as seen,
    ):
        next(seen), next(seen)
        store.reads = 0
        for number in range(20):
            words = f"{number}" * size
            store.append(claim, [thinking(words)])
            assert next(seen).thinking == words
        assert store.reads <= most  # and not 20 × 41


class Clock:
    """Passes while a worker runs, waits or sleeps."""

    now = 100.0
    worked = 0.0
    rested = 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.worked

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.rested += seconds


class SlowStore:
    """A read works for 4 ms, and waits for the database for 50 more."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.is_open = clock, Gate()

    def read(self, job_id: UUID) -> UUID:
        assert self.is_open.wait(DEADLINE)
        self.clock.now += 0.054
        self.clock.worked += 0.004
        return job_id


def test_a_crowd_leaves_time_to_others_and_one_client_is_not_held_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("mondrian.stream.reader.time", clock)
    store = SlowStore(clock)

    async def come() -> None:
        source = LogReader(store, None)  # type: ignore[arg-type]
        jobs = [uuid4() for _ in range(5)]
        coming = [asyncio.create_task(source.find(job)) for job in jobs]
        await asyncio.sleep(0)
        store.is_open.set()
        assert await asyncio.gather(*coming) == jobs
        # the first finds nothing to rest from, and the last may find itself alone
        rests = clock.rested / 0.016
        assert rests == pytest.approx(3) or rests == pytest.approx(4)
        for job in jobs:
            await source.find(job)
        assert clock.rested / 0.016 == rests
        source.close()

    asyncio.run(come())


def test_notices_that_lie_or_come_twice_are_read_past(
    services: Services, store: Store, pool: Pool
) -> None:
    claim = claim_new(store)
    with services.watch(claim.job.id, EVERYTHING) as seen, pool.connection() as connection:
        opening = [next(seen), next(seen)]
        last = int(opening[-1].id or 0)
        for number, lines in ((last, "x {}"), (last + 9, "x {}"), (last + 2, "")):
            notice = f"{claim.job.id} {number}\n{lines}".rstrip("\n")
            connection.execute("SELECT pg_notify('mondrian_events', %s)", [notice])
        for text in ("one", "two"):
            store.append(claim, [token(text)])
        told_twice = f"{claim.job.id} {last + 2}\ntoken {{}}"
        connection.execute("SELECT pg_notify('mondrian_events', %s)", [told_twice])
        store.append(claim, [token("three" * 2000), token("four")])
        rest = [next(seen) for _ in range(4)]
    assert [int(each.id or 0) for each in rest] == [last + n for n in (1, 2, 3, 4)]
    assert text_of(rest) == "onetwo" + "three" * 2000 + "four"


def test_a_frame_is_joined_once_for_all_clients_at_one_place() -> None:
    tail, types = FrameBuffer(4), frozenset(EventType)
    tail.add([encode("token", "{}", 5), encode("thinking_update", "{}"), encode("token", "{}", 6)])
    assert tail.get_batch(0, 4, types) is tail.get_batch(0, 4, types)
    assert tail.get_batch(0, 4, types).wire.count(b"event:") == 3
    assert tail.get_batch(0, 5, types).wire.count(b"event:") == 2
    assert tail.get_batch(0, 4, types - {EventType.TOKEN}).seq == 6
    assert (tail.find_place(4), tail.find_place(5), tail.find_place(6)) == (0, 2, 3)
    tail.add([encode("token", "{}", 7 + number) for number in range(2 * KEPT)])
    assert tail.seq - tail.floor == tail.end - tail.start == KEPT


def test_a_client_that_falls_behind_the_tail_misses_nothing(
    services: Services, store: Store
) -> None:
    claim = claim_new(store)
    with services.crowd(claim.job.id, 1, EVERYTHING) as [client]:
        tail = services.streams._topics[claim.job.id].buffer
        while tail.seq < 40:  # one by one, until there is no room for the next
            store.append(claim, [token(BLOCK)])
            until(lambda: tail.seq == store.read(claim.job.id).last_seq)
        write_much(store, claim)
        until(lambda: tail.is_over)
        assert services.streams.clients == 1
        seen = list(events(client))
    numbers = [int(each.id) for each in seen if each.id]
    assert numbers == list(range(numbers[0], store.read(claim.job.id).last_seq + 1))
    assert text_of(seen) == BLOCK * 38 + LINE * 1200


def test_wakeups_come_back_after_a_lost_connection(
    database: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "RECONNECT_SECONDS", 1.0)
    claim = claim_new(store)
    with serving(database, store) as services, services.watch(claim.job.id) as seen:
        next(seen), next(seen)
        with psycopg.connect(database, autocommit=True) as connection:
            killed = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            ).fetchall()
        assert killed == [(True,)]
        until(lambda: not services.streams._wakeups.is_listening)
        until(services.streams._topics[claim.job.id]._look.done)  # type: ignore[union-attr]
        store.append(claim, [thinking("while nobody listened")])
        assert next(seen).thinking == "while nobody listened"
        assert services.streams._wakeups.is_listening
        store.append(claim, [thinking("afterwards")])
        assert next(seen).thinking == "afterwards"


def test_one_wakeup_brings_all_that_was_written(services: Services, store: Store) -> None:
    claim = claim_new(store)
    with services.watch(claim.job.id, EVERYTHING) as seen:
        next(seen), next(seen)
        last = store.append(claim, [token("x")] * (2 * CHUNK + 1))
        numbers = [int(next(seen).id or 0) for _ in range(2 * CHUNK + 1)]
    assert numbers == list(range(last - 2 * CHUNK, last + 1))
