"""Follow a job from within a request, over the same stream that clients get."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.types import ASGIApp, Message, Receive, Scope

from mondrian.client.decoder import SseDecoder, StreamEvent
from mondrian.errors import ServerUnavailable
from mondrian.jobs.job import Job

_AGAIN_SECONDS = 1.0
_WAITING_EVENTS = 64
"""Messages of the stream that wait for a slow client; then the stream waits too."""


def make_stream_scope(scope: Scope, job: Job, *, include: str = "", cursor: str = "") -> Scope:
    """Return the scope of a request for the stream of ``job``, by the client of ``scope``."""
    path = f"/stream/{job.id}"
    return {
        **scope,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": f"include={include}".encode() if include else b"",
        "headers": [(b"last-event-id", cursor.encode())] if cursor else [],
        "path_params": {"job": str(job.id)},
    }


class WaitingClient:
    """A subscriber that only waits for the end, and disconnects when the real client does."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = asyncio.Event()

    async def send(self, message: Message) -> None:
        """Discard a message of the stream, and note its end."""
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._ended.set()

    async def receive(self) -> Message:
        """Wait for the end of the stream, or for the real client to disconnect."""
        waiting = [asyncio.ensure_future(each) for each in (self._receive(), self._ended.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        return {"type": "http.disconnect"}


async def follow(
    streams: ASGIApp, scope: Scope, job: Job, *, include: str = "", attempts: int = 60
) -> AsyncGenerator[StreamEvent]:
    """Yield the events of ``job`` until ``done``, also across an unavailable database.

    Raise ``ServerUnavailable`` if the stream has ended so many times without it, or because the
    server stops: the job goes on.
    """
    decoder = SseDecoder()
    for _ in range(attempts):
        asked = make_stream_scope(scope, job, include=include, cursor=decoder.last_id or "")
        async for chunk in _read_stream(streams, asked):
            for event in decoder.feed(chunk):
                yield event
                if event.type == "done":
                    return
        if getattr(streams, "is_draining", False):
            break
        await asyncio.sleep(_AGAIN_SECONDS)
    raise ServerUnavailable(
        f"The job cannot be followed at the moment. It goes on: see /jobs/{job.id}."
    )


async def _read_stream(streams: ASGIApp, scope: Scope) -> AsyncGenerator[bytes]:
    """Yield the body of one request to ``streams``, which ends with the generator."""
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING_EVENTS)
    left = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await chunks.put(message.get("body", b""))
            if not message.get("more_body"):
                await chunks.put(None)

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    serving = asyncio.ensure_future(streams(scope, receive, send))
    serving.add_done_callback(lambda _: left.set())
    try:
        while (chunk := await chunks.get()) is not None:
            yield chunk
    finally:
        left.set()
        serving.cancel()
