"""A server of streams and nothing else, its clients, and jobs whose logs they read."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from mondrian.jobs.job import Claim, Entry, Event, EventType, Job
from mondrian.jobs.store import Store
from mondrian.server.protocol import BoundedProtocol
from mondrian.stream import Streams

DEADLINE, LEASE_SECONDS = 20.0, 10.0
DROPS = int(os.environ.get("MONDRIAN_TEST_DROPS", "300"))
EVERYTHING = "include=tokens,report"


class ImpatientProtocol(BoundedProtocol):
    stall_seconds = 1.5


@dataclass
class Seen:
    """One event as a client decodes it. ``id`` is the number in its cursor."""

    id: str | None
    event: str
    data: Any
    at: float
    cursor: str = ""

    @property
    def thinking(self) -> str:
        return str(self.data.get("thinking"))


def decode(block: bytes) -> Seen | None:
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
    if b"data" not in fields:
        return None
    data = json.loads(fields[b"data"])
    assert fields[b"event"].decode() == data["type"]
    cursor = fields.get(b"id", b"").decode()
    *log, number = cursor.split(".")
    assert not cursor or (len(log), log[1]) == (2, data["job_id"][:8])
    return Seen(number or None, data["type"], data, time.monotonic(), cursor)


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
    streams = Streams(
        store, listen_url=database, interval_seconds=interval, lease_seconds=LEASE_SECONDS
    )
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


def claim_new(store: Store, lease_seconds: float = 60.0) -> Claim:
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
    claim = claim_new(store)
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


LINE = "x" * 3000
BLOCK = "y" * 30_000


def write_much(store: Store, claim: Claim) -> None:
    """More than any buffer on the way holds, and more frames than the tail."""
    for _ in range(8):
        store.append(claim, [token(LINE)] * 150)
    store.finish(claim, [COMPLETE])


def large(store: Store) -> UUID:
    """A job that has ended, with long tokens and an analysis of a megabyte."""
    claim = claim_new(store)
    for _ in range(2):
        store.append(claim, [token(LINE)] * 150)
    store.finish(claim, [Entry(EventType.ANALYSIS_COMPLETE, {"analysis_html": "z" * 1_000_000})])
    return claim.job.id


def bytes_kept(connection: Any) -> int:
    """What waits for a client in the process and, at most, in the kernel."""
    transport = connection.transport
    if transport.is_closing():
        return 0
    return int(transport.get_write_buffer_size()) + bytes_in_kernel(connection)


def bytes_in_kernel(connection: Any) -> int:
    room = connection.transport.get_extra_info("socket")
    return int(room.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
