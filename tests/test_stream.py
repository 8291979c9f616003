"""Streams over a real uvicorn, driven through the database as a worker in another process would."""

import asyncio
import gc
import json
import os
import random
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Event as Gate
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from mondrian.database.postgres import Pool, open_pool
from mondrian.jobs.job import Claim, Entry, Event, EventType, Job
from mondrian.jobs.store import Log, Store
from mondrian.server.processes import Server
from mondrian.server.protocol import BoundedProtocol
from mondrian.stream import Streams, listen, topic
from mondrian.stream.buffer import KEPT, FrameBuffer
from mondrian.stream.reader import CHUNK, LogReader
from mondrian.stream.sse import encode
from support.servers import running

DEADLINE = 20.0
DROPS = int(os.environ.get("MONDRIAN_TEST_DROPS", "300"))
EVERYTHING = "include=tokens,report"


class ImpatientProtocol(BoundedProtocol):
    stall_seconds = 1.5


@dataclass
class Seen:
    """One event as a client decodes it."""

    id: str | None
    event: str
    data: Any
    at: float

    @property
    def thinking(self) -> str:
        return str(self.data.get("thinking"))


def decode(block: bytes) -> Seen | None:
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
    if b"data" not in fields:
        return None
    data = json.loads(fields[b"data"])
    assert fields[b"event"].decode() == data["type"]
    number = fields[b"id"].decode() if b"id" in fields else None
    return Seen(number, data["type"], data, time.monotonic())


class Services:
    """A running server with nothing in it but streams."""

    def __init__(self, streams: Streams, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self.streams = streams
        self.port = port
        self._loop = loop
        self.server_state = uvicorn.server.ServerState()
        room = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)]
        transport = httpx.HTTPTransport(socket_options=room, limits=httpx.Limits())
        self.client = httpx.Client(transport=transport, timeout=DEADLINE)

    def call(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(DEADLINE)

    def request(self, method: str, job: UUID) -> httpx.Response:
        return self.client.request(method, f"http://127.0.0.1:{self.port}/stream/{job}")

    @contextmanager
    def get(
        self, job: UUID | str, query: str = "", **headers: str | bytes
    ) -> Iterator[httpx.Response]:
        url = f"http://127.0.0.1:{self.port}/stream/{job}?{query}"
        sent = {
            name.replace("_", "-").encode(): value if isinstance(value, bytes) else value.encode()
            for name, value in headers.items()
        }
        with self.client.stream("GET", url, headers=sent) as response:
            yield response

    @contextmanager
    def crowd(self, job: UUID, count: int, query: str = "") -> Iterator[list[httpx.Response]]:
        """Clients that do not read, with little room for what they are sent."""
        with ExitStack() as stack:
            clients = [stack.enter_context(self.get(job, query)) for _ in range(count)]
            until(lambda: self.streams.clients == count)
            yield clients

    @contextmanager
    def watch(
        self, job: UUID | str, query: str = "", **headers: str | bytes
    ) -> Iterator[Iterator[Seen]]:
        with self.get(job, query, **headers) as response:
            assert response.status_code == 200
            yield events(response)

    def all(self, job: UUID | str, query: str = "", **headers: str | bytes) -> list[Seen]:
        with self.watch(job, query, **headers) as seen:
            return list(seen)


def events(response: httpx.Response) -> Iterator[Seen]:
    buffer, deadline = b"", time.monotonic() + DEADLINE
    for chunk in response.iter_raw():
        assert time.monotonic() < deadline, "it did not happen"
        *blocks, buffer = (buffer + chunk).split(b"\n\n")
        yield from filter(None, map(decode, blocks))


@contextmanager
def serving(
    database: str, store: Store, interval: float = 30.0, protocol: type = BoundedProtocol
) -> Iterator[Services]:
    streams = Streams(store, listen_url=database, interval_seconds=interval)
    loops: list[asyncio.AbstractEventLoop] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await streams(scope, receive, send)
            return
        await receive()
        loops.append(asyncio.get_running_loop())
        await streams.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await streams.close()
        await send({"type": "lifespan.shutdown.complete"})

    config = uvicorn.Config(
        app, port=0, http=protocol, ws="none", log_level="warning", timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        services = Services(streams, loops[0], server.servers[0].sockets[0].getsockname()[1])
        services.server_state = server.server_state
        with services.client:
            yield services
    finally:
        server.should_exit = True
        thread.join(DEADLINE)


@pytest.fixture
def services(database: str, store: Store) -> Iterator[Services]:
    with serving(database, store) as services:
        yield services


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def next_of(seen: Iterator[Seen], *names: str) -> Seen:
    return next(each for each in seen if each.event in names)


def new_job(**fields: Any) -> Job:
    job = Job(
        id=uuid4(), owner="anna", filename="p.jpg", photo_key="k", advisors=("ansel", "okeefe")
    )
    return Job(**{name: getattr(job, name) for name in Job.__slots__} | fields)


def claimed(store: Store, lease_seconds: float = 60.0) -> Claim:
    store.add(new_job())
    claim = store.claim("worker", lease_seconds)
    assert claim is not None
    return claim


def token(text: str, advisor: str = "ansel") -> Entry:
    fields = {"advisor": advisor, "text": text, "offset": 0, "attempt": 1}
    return Entry(EventType.TOKEN, fields)


def thinking(text: str) -> Entry:
    return Entry(EventType.THINKING_UPDATE, {"thinking": text})


PARTIAL = Entry(EventType.REPORT_PARTIAL, {"advisor": "ansel", "n": 1, "m": 8})
COMPLETE = Entry(EventType.ANALYSIS_COMPLETE, {"analysis_html": "<p>é\u2028</p>", "report": {}})


def finished(store: Store, texts: Sequence[str] = ("one ", "two ", "three")) -> UUID:
    claim = claimed(store)
    for text in texts:
        store.append(claim, [thinking("Generating"), token(text), PARTIAL])
    store.finish(claim, [COMPLETE])
    return claim.job.id


def wire(event: Event) -> tuple[str, str, Any]:
    return str(event.seq), str(event.type), json.loads(event.payload)


def told(seen: Seen) -> tuple[str | None, str, Any]:
    return seen.id, seen.event, seen.data


def names(seen: Sequence[Seen]) -> list[str]:
    return [each.event for each in seen]


def text_of(seen: Sequence[Seen]) -> str:
    return "".join(each.data["text"] for each in seen if each.event in ("token", "snapshot"))


def test_a_client_gets_the_present_then_what_follows_then_the_end(
    services: Services, store: Store
) -> None:
    job = store.add(new_job())
    with services.get(job.id) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-accel-buffering"] == "no"
        seen = events(response)
        opening = [next(seen), next(seen)]
        store.cancel(job.id)
        rest = list(seen)
    assert told(opening[0]) == (None, "connected", {"type": "connected", "job_id": str(job.id)})
    assert (opening[1].id, opening[1].data["job_data"]["status"]) == ("1", "queued")
    assert [told(each) for each in rest] == [wire(each) for each in store.events_after(job.id, 1)]
    assert (rest[-1].event, rest[-1].data["status"]) == ("done", "cancelled")


def test_a_stream_begins_with_the_time_to_wait_before_coming_back(
    services: Services, store: Store
) -> None:
    with services.get(finished(store)) as response:
        assert next(response.iter_raw()).startswith(b"retry: 2000\nevent: connected\n")


def test_only_the_last_opening_event_has_a_number(services: Services, store: Store) -> None:
    claim = claimed(store)
    store.append(claim, [token("one "), token("two ")])
    seq = store.append(claim, [token("three", "okeefe")])
    with services.watch(claim.job.id, "include=tokens") as seen:
        opening = [next(seen) for _ in range(4)]
        store.append(claim, [token("four", "okeefe")])
        following = next(seen)
    assert names(opening) == ["connected", "status_update", "snapshot", "snapshot"]
    assert [each.id for each in opening] == [None, None, None, str(seq)]
    assert opening[2].data == {
        "type": "snapshot", "job_id": str(claim.job.id), "advisor": "ansel", "attempt": 1,
        "text": "one two ",
    }  # fmt: skip
    assert (following.id, following.data["text"]) == (str(seq + 1), "four")


def test_the_status_that_opens_a_stream_is_that_of_its_number(
    services: Services, store: Store
) -> None:
    claim = claimed(store)
    job_id = claim.job.id

    def move() -> None:
        for number in range(1, 100):
            store.append(claim, [token("x")], progress=number)
        store.finish(claim, [COMPLETE])

    writer = Thread(target=move)
    writer.start()
    seen = list[Seen]()
    while writer.is_alive() or not seen:
        with services.watch(job_id) as stream:
            seen.append(next_of(stream, "status_update"))
    writer.join(DEADLINE)
    begun = store.events_after(job_id, 0)[1].seq  # it was claimed: tokens follow
    for each in seen:
        state, number = each.data["job_data"], int(each.id or 0)
        if state["status"] != "done":
            assert state["progress_percentage"] == number - begun


def test_a_finished_job_is_told_up_to_its_end(services: Services, store: Store) -> None:
    job_id = finished(store)
    last = store.read(job_id).last_seq
    seen = services.all(job_id, "include=tokens")
    assert names(seen) == ["connected", "status_update", "snapshot", "analysis_complete", "done"]
    assert [each.id for each in seen][2:] == [str(last - 2), str(last - 1), str(last)]
    assert text_of(seen) == "one two three"


@pytest.mark.parametrize("is_ended", [True, False])
def test_from_every_cursor_the_rest_arrives(
    services: Services, store: Store, is_ended: bool
) -> None:
    claim = claimed(store)
    with nullcontext() if is_ended else services.crowd(claim.job.id, 1):
        for text in ("one ", "two "):
            store.append(claim, [thinking("Generating"), token(text), PARTIAL])
        if is_ended:
            store.finish(claim, [COMPLETE])
        log = store.events_after(claim.job.id, 0)
        for query in ("", "include=tokens", "include=report", EVERYTHING):
            wanted = [event for event in log if is_wanted(event, query)]
            for cursor in range(len(log) - is_ended + 1):
                rest = [wire(event) for event in wanted if event.seq > cursor]
                with services.watch(claim.job.id, f"{query}&after={cursor}") as seen:
                    assert next(seen).event == "connected"
                    assert [told(next(seen)) for _ in rest] == rest
                    assert not is_ended or next(seen, None) is None


def is_wanted(event: Event, query: str) -> bool:
    words = {"token": "tokens", "report_partial": "report"}
    return words.get(event.type, "") in query


def test_the_header_wins_over_the_address(services: Services, store: Store) -> None:
    job_id = finished(store)
    last = store.read(job_id).last_seq
    seen = services.all(job_id, "after=0", last_event_id=str(last - 1))
    assert names(seen) == ["connected", "done"]


def test_at_the_end_of_a_finished_log_there_is_nothing(services: Services, store: Store) -> None:
    job_id = finished(store)
    with services.get(job_id, f"after={store.read(job_id).last_seq}") as response:
        assert response.status_code == 204
        assert response.read() == b""


def test_a_cursor_that_leads_nowhere_resets(services: Services, store: Store) -> None:
    job_id = finished(store)
    for cursor in ("x", "-1", "1e3", "99", "9" * 40, "٣"):
        for seen in (
            services.all(job_id, f"after={cursor}"),
            services.all(job_id, "after=2", last_event_id=cursor.encode()),
        ):
            kinds = ["connected", "reset", "status_update", "analysis_complete", "done"]
            assert names(seen) == kinds


def test_a_cursor_whose_events_are_no_longer_kept_resets(services: Services, store: Store) -> None:
    job_id = finished(store)
    store.prune(0)
    kept = store.read(job_id).pruned_seq
    assert names(services.all(job_id, "after=0"))[:3] == ["connected", "reset", "status_update"]
    assert names(services.all(job_id, f"after={kept}")) == [
        "connected",
        "analysis_complete",
        "done",
    ]


def test_an_unknown_job_is_a_status_before_any_byte(services: Services) -> None:
    for job in (uuid4(), "nonsense", ""):
        with services.get(job) as response:
            assert response.status_code == 404
            assert json.loads(response.read())["code"] == "job_not_found"


def test_a_stream_can_only_be_read(services: Services) -> None:
    for method in ("HEAD", "POST", "DELETE"):
        response = services.request(method, uuid4())
        assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_ids_of_the_old_form_are_understood(services: Services, store: Store) -> None:
    job_id = finished(store)
    assert services.all(f"{job_id}%20(rag)")[0].data["job_id"] == str(job_id)


def test_logs_of_two_jobs_never_mix(services: Services, store: Store) -> None:
    claims = [claimed(store), claimed(store)]
    with (
        services.watch(claims[0].job.id, "include=tokens") as first,
        services.watch(claims[1].job.id, "include=tokens") as second,
    ):
        next(first), next(second)
        for number in range(50):
            for claim in claims:
                store.append(claim, [token(f"{claim.job.id} {number} ")])
        for claim in claims:
            store.finish(claim)
        for claim, seen in zip(claims, (list(first), list(second)), strict=True):
            assert {each.data["job_id"] for each in seen} == {str(claim.job.id)}
            wanted = "".join(f"{claim.job.id} {number} " for number in range(50))
            assert text_of(seen) == wanted


class CountingStore(Store):
    reads = 0

    def events_after(self, *args: Any, **more: Any) -> list[Event]:
        self.reads += 1
        return super().events_after(*args, **more)


@pytest.mark.parametrize(("size", "most"), [(10, 2), (8000, 50)])
def test_the_log_is_read_once_for_all_clients_or_not_at_all(
    database: str, pool: Pool, size: int, most: int
) -> None:
    store = CountingStore(pool)
    claim = claimed(store)
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
    """Passes while somebody works, waits or rests."""

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
        rests = clock.rested / 0.008
        assert rests == pytest.approx(3) or rests == pytest.approx(4)
        for job in jobs:
            await source.find(job)
        assert clock.rested / 0.008 == rests
        source.close()

    asyncio.run(come())


def test_notices_that_lie_or_come_twice_are_read_past(
    services: Services, store: Store, pool: Pool
) -> None:
    claim = claimed(store)
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
    assert tail.batch(0, 4, types) is tail.batch(0, 4, types)
    assert tail.batch(0, 4, types).wire.count(b"event:") == 3
    assert tail.batch(0, 5, types).wire.count(b"event:") == 2
    assert tail.batch(0, 4, types - {EventType.TOKEN}).seq == 6
    assert (tail.place_after(4), tail.place_after(5), tail.place_after(6)) == (0, 2, 3)
    tail.add([encode("token", "{}", 7 + number) for number in range(2 * KEPT)])
    assert tail.seq - tail.floor == tail.end - tail.start == KEPT


def cut_off(response: httpx.Response, count: int) -> bytes:
    """The first so many bytes, or all."""
    received = b""
    for chunk in response.iter_raw():
        received += chunk
        if len(received) >= count:
            break
    return received[:count]


def drop_and_resume(
    services: Services, job_id: UUID, chance: random.Random
) -> tuple[list[Seen], int]:
    """All that a client has seen up to each cursor, which is cut off at random bytes until it has
    seen the end; and how often it was."""
    seen, cursor, drops = list[Seen](), "", 0
    while not seen or seen[-1].event != "done":
        query = EVERYTHING + chance.choice(("", f"&after={cursor}"))
        headers = {"Last-Event-ID": cursor} if cursor and "after" not in query else {}
        with services.get(job_id, query, **headers) as response:
            received = cut_off(response, chance.choice((200, 400, 2000)) + chance.randrange(800))
        whole = [each for block in received.split(b"\n\n")[:-1] if (each := decode(block))]
        kept = max((place for place, each in enumerate(whole, 1) if each.id), default=0)
        seen += whole[:kept]
        cursor = (kept and whole[kept - 1].id) or cursor
        drops += 1
    return seen, drops


def test_drops_at_random_bytes_lose_and_double_nothing(services: Services, store: Store) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance, drops = random.Random(seed), 0
    while drops < DROPS:
        claim = claimed(store)
        texts = [f"{number} é\u2028" * chance.randrange(1, 9) for number in range(120)]
        pause = chance.random() * 0.003
        writer = Thread(target=write_slowly, args=(store, claim, texts, pause))
        writer.start()
        seen, count = drop_and_resume(services, claim.job.id, chance)
        writer.join(DEADLINE)
        assert text_of(seen) == "".join(texts)
        numbers = [int(each.id) for each in seen if each.id]
        assert numbers == list(range(numbers[0], store.read(claim.job.id).last_seq + 1))
        drops += count


def write_slowly(store: Store, claim: Claim, texts: Sequence[str], seconds: float) -> None:
    for text in texts:
        store.append(claim, [token(text)])
        time.sleep(seconds)
    store.finish(claim, [COMPLETE])


LINE = "x" * 3000
BLOCK = "y" * 30_000


def write_much(store: Store, claim: Claim) -> None:
    """More than any buffer on the way holds, and more frames than the tail."""
    for _ in range(8):
        store.append(claim, [token(LINE)] * 150)
    store.finish(claim, [COMPLETE])


def large(store: Store) -> UUID:
    """A job that has ended, with long tokens and an analysis of a megabyte."""
    claim = claimed(store)
    for _ in range(2):
        store.append(claim, [token(LINE)] * 150)
    store.finish(claim, [Entry(EventType.ANALYSIS_COMPLETE, {"analysis_html": "z" * 1_000_000})])
    return claim.job.id


def test_a_client_that_falls_behind_the_tail_misses_nothing(
    services: Services, store: Store
) -> None:
    claim = claimed(store)
    with services.crowd(claim.job.id, 1, EVERYTHING) as [client]:
        tail = services.streams._topics[claim.job.id].tail
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


def test_one_in_ten_that_stops_reading_is_dropped_and_costs_little(
    database: str, store: Store
) -> None:
    claim = claimed(store)

    def read(services: Services) -> str:
        with services.watch(claim.job.id, EVERYTHING) as seen:
            return text_of(list(seen))

    with (
        serving(database, store, protocol=ImpatientProtocol) as services,
        services.crowd(claim.job.id, 1, EVERYTHING) as [frozen],
        ThreadPoolExecutor(10) as threads,
    ):
        reading = [threads.submit(read, services) for _ in range(9)]
        until(lambda: services.streams.clients == 10)
        writing, kept = threads.submit(write_much, store, claim), 0
        while services.streams.clients:
            time.sleep(0.002)
            kept = max(kept, *map(bytes_kept, list(services.server_state.connections)), 0)
        writing.result()
        assert {each.result() == LINE * 1200 for each in reading} == {True}
        with pytest.raises(httpx.TransportError):
            list(frozen.iter_raw())
    assert 0 < kept <= 256 * 1024


def test_a_slow_reader_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "stall_seconds", 1.0)
    page = b"x" * 6_000_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(b"content-length", str(len(page)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": page})

    with running(app) as url, socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        line.settimeout(DEADLINE)
        line.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        begun, received = time.monotonic(), 0
        while received < len(page) and (chunk := line.recv(50_000)):
            received += len(chunk)
            time.sleep(0.02)
    assert received > len(page)
    assert time.monotonic() - begun > 2.0


def test_a_server_has_the_patience_that_is_documented() -> None:
    assert BoundedProtocol.stall_seconds == 20.0
    assert Server(None, lambda: None).config.http is BoundedProtocol


@pytest.mark.parametrize("query", ["", EVERYTHING + "&after=0", "after=300"])
def test_a_frozen_reader_of_a_log_costs_at_most_256_kb(
    services: Services, store: Store, query: str
) -> None:
    job_id, count = large(store), 8

    def is_waiting(connection: Any) -> bool:
        """Whether a task waits for room for what it sends."""
        return bool(connection.flow._is_writable_event._waiters)

    def waiting() -> bool:
        connections = list(services.server_state.connections)
        return len(connections) == count and all(map(is_waiting, connections))

    services.all(job_id)  # whatever is made once, is made
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    with services.crowd(job_id, count, query) as clients:
        until(waiting)
        gc.collect()
        now, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        kernel = max(map(bytes_in_kernel, services.server_state.connections))
        seen = [list(events(client)) for client in clients]
    assert (now - before) / count + kernel <= 256 * 1024
    assert {each[-1].event for each in seen} == {"done"}
    assert {len(each[-2].data["analysis_html"]) for each in seen} == {1_000_000}


def test_long_events_are_sent_in_pieces_while_they_are_new(
    services: Services, store: Store
) -> None:
    claim = claimed(store)
    with services.watch(claim.job.id, EVERYTHING) as seen:
        next(seen), next(seen)
        texts = [f"{number}" * 100_000 for number in range(5)]
        for text in texts:
            store.append(claim, [token(text), token("-"), thinking("x")])
        store.finish(claim)
        assert text_of(list(seen)) == "-".join(texts) + "-"


class PruningStore(Store):
    """One whose log is pruned, or the job deleted, once a part of it was read for a client."""

    remove: Callable[[UUID], object] | None = None

    def log_after(self, job_id: UUID, *args: Any) -> Log:
        log = super().log_after(job_id, *args)
        if self.remove:
            self.remove(job_id)
            self.remove = None
        return log


def test_events_that_go_during_a_replay_leave_no_silent_gap(database: str, pool: Pool) -> None:
    store = PruningStore(pool)
    job_id = large(store)
    last = store.read(job_id).last_seq
    with serving(database, store) as services:
        store.remove = lambda _: store.prune(0)
        first = services.all(job_id, EVERYTHING + "&after=0")
        numbers = [int(each.id) for each in first if each.id]
        assert numbers == list(range(1, numbers[-1] + 1))
        assert numbers[-1] < last - 3
        again = services.all(job_id, EVERYTHING + f"&after={numbers[-1]}")
    assert names(again)[:3] == ["connected", "reset", "status_update"]
    assert names(again)[-2:] == ["analysis_complete", "done"]


@pytest.mark.parametrize("after", [0, 303])
def test_a_job_deleted_during_a_replay_ends_its_stream(
    database: str, pool: Pool, after: int
) -> None:
    store = PruningStore(pool)
    job_id = large(store)
    store.remove = store.delete
    with serving(database, store) as services:
        with services.get(job_id, EVERYTHING + f"&after={after}") as response:
            whole = b"".join(response.iter_raw())
        with services.get(job_id, f"after={after}") as response:
            assert response.status_code == 404
    *blocks, rest = whole.split(b"\n\n")
    assert "done" not in names([each for block in blocks if (each := decode(block))])
    assert (rest == b"") == (after == 0)  # nothing follows half an event


def bytes_kept(connection: Any) -> int:
    """What waits for a client in the process and, at most, in the kernel."""
    transport = connection.transport
    if transport.is_closing():
        return 0
    return int(transport.get_write_buffer_size()) + bytes_in_kernel(connection)


def bytes_in_kernel(connection: Any) -> int:
    room = connection.transport.get_extra_info("socket")
    return int(room.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))


def test_wakeups_come_back_after_a_lost_connection(
    database: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "RECONNECT_SECONDS", 1.0)
    claim = claimed(store)
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
    claim = claimed(store)
    with services.watch(claim.job.id, EVERYTHING) as seen:
        next(seen), next(seen)
        last = store.append(claim, [token("x")] * (2 * CHUNK + 1))
        numbers = [int(next(seen).id or 0) for _ in range(2 * CHUNK + 1)]
    assert numbers == list(range(last - 2 * CHUNK, last + 1))


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
    assert len(store.events_after(job.id, 0)) == 1


def test_the_clock_tells_how_long_a_job_will_wait(database: str, store: Store) -> None:
    claim = claimed(store)
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
    claim = claimed(store, lease_seconds=1.5)
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

    def events_after(self, *args: Any, **more: Any) -> list[Event]:
        assert self.gate.wait(DEADLINE)
        return super().events_after(*args, **more)


@pytest.mark.parametrize("is_told", [True, False])
def test_the_clock_does_not_call_a_job_queued_that_is_at_work(
    database: str, pool: Pool, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    monkeypatch.setattr(topic, "AWAY_SECONDS", DEADLINE)
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
        store.append(claim, [last])
        next_of(seen, last.type)
        store.gate.clear()
        update = next_of(seen, "thinking_update")
        store.gate.set()
        later = next(each for each in seen if each.data.get("attempt"))
    assert update.thinking.startswith("Waiting for the worker... (")
    assert {update.data[name] for name in ("percent", "queue_position", "phase")} == {None}
    assert later.thinking.startswith("Waiting for the worker... (")


def test_a_lost_worker_is_told_whatever_the_interval(
    database: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic, "LOOK_SECONDS", 0.2)
    claim = claimed(store, lease_seconds=1.0)
    with (
        serving(database, store, interval=2 * DEADLINE) as services,
        services.watch(claim.job.id, EVERYTHING) as seen,
    ):
        next(seen), next(seen)
        store.append(claim, [token("the last word")])
        assert next_of(seen, "thinking_update").thinking == "Worker lost, trying again (attempt 2)"


def test_the_clock_speaks_to_whom_the_log_has_nothing_to_say(database: str, store: Store) -> None:
    claim = claimed(store)
    store.append(claim, [token("unwanted")])
    with (
        serving(database, store, interval=0.3) as services,
        services.watch(claim.job.id, "after=1") as seen,
    ):
        assert [next_of(seen, "thinking_update").id for _ in range(2)] == [None, None]


def test_the_clock_is_silent_while_the_worker_speaks(database: str, store: Store) -> None:
    claim = claimed(store)
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


def test_a_deleted_job_ends_its_stream(services: Services, store: Store) -> None:
    job = store.add(new_job())
    with services.watch(job.id) as seen:
        next(seen), next(seen)
        store.cancel(job.id)
        store.delete(job.id)
        assert list(seen)[-1].event == "done"


def test_a_job_that_vanishes_unseen_ends_its_stream(database: str, store: Store) -> None:
    job = store.add(new_job())
    with serving(database, store, interval=0.2) as services, services.watch(job.id) as seen:
        next(seen), next(seen)
        store.delete(job.id)
        assert (last := list(seen)[-1]).event == "done"
        assert last.id is None


def test_draining_tells_every_client_to_come_back(services: Services, store: Store) -> None:
    claim = claimed(store)
    with services.crowd(claim.job.id, 20) as clients:
        services.call(services.streams.drain(retry_base_ms=300))
        told = [client.read().rsplit(b"retry: ", 1)[1] for client in clients]
    waits = {int(each) for each in told}
    assert min(waits) >= 300
    assert max(waits) < 600
    assert len(waits) > 5


def test_clients_who_leave_are_forgotten(services: Services, store: Store) -> None:
    claim = claimed(store)
    with services.crowd(claim.job.id, 5):
        assert len(services.streams._topics) == 1
    until(lambda: services.streams.clients == 0 and not services.streams._topics)
