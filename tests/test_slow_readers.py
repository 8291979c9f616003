"""Clients that read slowly, or no more."""

import gc
import math
import socket
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from mondrian.database.postgres import Pool
from mondrian.jobs.store import Log, Store
from mondrian.server.processes import Server
from mondrian.server.protocol import BoundedProtocol
from support.servers import running
from support.streaming import (
    DEADLINE,
    EVERYTHING,
    LINE,
    ImpatientProtocol,
    Services,
    bytes_in_kernel,
    bytes_kept,
    claim_new,
    decode,
    events,
    large,
    names,
    serving,
    text_of,
    thinking,
    token,
    until,
    write_much,
)


def test_one_in_ten_that_stops_reading_is_dropped_and_costs_little(
    database: str, store: Store
) -> None:
    claim = claim_new(store)

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

    def cost() -> float:
        """What one costs while all wait. (One for which there is room again is read for.)"""
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        kernel = max(map(bytes_in_kernel, services.server_state.connections), default=0)
        return (kept - before) / count + kernel if waiting() else math.inf

    services.all(job_id)  # whatever is made once, is made
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    with services.crowd(job_id, count, query) as clients:
        until(lambda: waiting() and cost() <= 256 * 1024)
        tracemalloc.stop()
        seen = [list(events(client)) for client in clients]
    assert {each[-1].event for each in seen} == {"done"}
    assert {len(each[-2].data["analysis_html"]) for each in seen} == {1_000_000}


def test_long_events_are_sent_in_pieces_while_they_are_new(
    services: Services, store: Store
) -> None:
    claim = claim_new(store)
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

    def read_log(self, job_id: UUID, *args: Any) -> Log:
        log = super().read_log(job_id, *args)
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
