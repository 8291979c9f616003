"""Three servers of one stream, for bench/stream.py: ours, sse-starlette's, and bare ASGI.

python bench/stream_servers.py KIND [DATABASE JOB] prints its port, then takes lines on stdin:
``RATE COUNT`` sends so many frames; nothing more ends it. Ours gets its events by the database.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from mondrian.database.postgres import open_pool
from mondrian.jobs.store import Store
from mondrian.server.protocol import BoundedProtocol
from mondrian.stream import Streams


def fields(sent: int) -> dict[str, Any]:
    """What an event says, and when it was sent (nanoseconds): 200 bytes with its frame."""
    return {"text": "x" * 60, "sent": sent}


def payload(sent: int) -> str:
    """The same, as ours encodes it."""
    whole = {"type": "token", "job_id": "x" * 36, **fields(sent)}
    return json.dumps(whole, separators=(",", ":"))


class Ticker:
    """Wakes all who wait, at a rate."""

    def __init__(self) -> None:
        self.payload = ""
        self.number = 0
        self.event = asyncio.Event()

    async def run(self, rate: float, count: int) -> None:
        """Send ``count`` events, ``rate`` a second."""
        begun = time.monotonic()
        for turn in range(count):
            await asyncio.sleep(begun + turn / rate - time.monotonic())
            self.payload, self.number = payload(time.monotonic_ns()), self.number + 1
            self.event.set()
            self.event.clear()


def bare(ticker: Ticker) -> ASGIApp:
    """Write a frame that is there already, and nothing else."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
        while True:
            await ticker.event.wait()
            await send({"type": "http.response.body", "body": frame(ticker), "more_body": True})

    return app


_frames: dict[int, bytes] = {}


def frame(ticker: Ticker) -> bytes:
    """The frame of the current event, made once."""
    if ticker.number not in _frames:
        _frames.clear()
        text = f"id: {ticker.number}\nevent: token\ndata: {ticker.payload}\n\n"
        _frames[ticker.number] = text.encode()
    return _frames[ticker.number]


def sse_starlette(ticker: Ticker) -> ASGIApp:
    """The same with the library that most people use."""
    from sse_starlette import EventSourceResponse  # type: ignore[import-not-found, unused-ignore]

    async def events() -> AsyncIterator[dict[str, str]]:
        while True:
            await ticker.event.wait()
            yield {"id": str(ticker.number), "event": "token", "data": ticker.payload}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await EventSourceResponse(events(), ping=3600, sep="\n")(scope, receive, send)

    return app


def main() -> None:
    """Serve until stdin ends."""
    kind, *rest = sys.argv[1:]
    if kind == "ours":
        store = Store(open_pool(rest[0]))
        streams = Streams(store, listen_url=rest[0], interval_seconds=5.0, lease_seconds=10.0)
        run(streams, streams.open)
        return
    ticker = Ticker()
    app = bare(ticker) if kind == "bare" else sse_starlette(ticker)
    run(app, lambda: obey(ticker))


async def obey(ticker: Ticker) -> None:
    """Do what the lines on stdin say."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        rate, count = line.split()
        await ticker.run(float(rate), int(count))


def run(app: ASGIApp, start: Callable[[], Awaitable[Any]]) -> None:
    """Serve ``app`` on a free port, as ``mondrian serve`` does."""
    running: list[asyncio.Task[Any]] = []

    async def with_start(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        running.append(asyncio.ensure_future(start()))
        await send({"type": "lifespan.startup.complete"})
        await receive()

    config = uvicorn.Config(
        with_start, port=0, http=BoundedProtocol, ws="none", log_level="error", backlog=4096
    )
    server = Announced(config)
    server.run()


class Announced(uvicorn.Server):
    """uvicorn that prints its port."""

    async def startup(self, sockets: Any = None) -> None:
        """Open the port, then tell it."""
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    main()
