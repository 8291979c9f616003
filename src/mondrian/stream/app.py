"""``GET /stream/{job}`` as an ASGI app.

1. A client costs two sleeping tasks: one writes, one waits for it to disconnect. Work that can be
   done per event is not done per client.
2. All opening events are of one database snapshot, and only the last one has a number: a client
   that disconnects before it starts again.
3. Before the first byte a failure is a status. If the database does not answer, however, the client
   gets a stream that ends with ``retry:``, since ``EventSource`` gives up after an error status.
4. A stream that ends without ``done`` ends with ``retry:``.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

from starlette.types import Receive, Scope, Send

from mondrian.errors import JobNotFound, StorageError
from mondrian.jobs.job import Job
from mondrian.jobs.queue import Queue
from mondrian.jobs.store import Store
from mondrian.stream.expiry import warn_of_expiry
from mondrian.stream.listen import Listen
from mondrian.stream.reader import LogReader
from mondrian.stream.request import StreamRequest, answer_empty, read_request, refuse
from mondrian.stream.sse import (
    RETRY_MS,
    cut,
    encode_connected,
    encode_reset,
    encode_retry,
    encode_thinking,
)
from mondrian.stream.subscriber import Subscriber, make_body, make_head
from mondrian.stream.topic import Topic

OPENING_SECONDS = 20.0
AWAY_SECONDS = 0.5
DRAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a stream: after ``seq`` in the log of ``job``, with these opening events (in
    pieces, which are removed when they are sent)."""

    job: Job
    seq: int
    opening: list[bytes]

    @property
    def is_at_end(self) -> bool:
        """Whether the log is complete and read to its end."""
        return self.job.is_ended and self.seq == self.job.last_seq


def _check_access(scope: Scope, start: Start | None) -> None:
    """Raise ``JobNotFound`` if the API does not let the client see the job."""
    may_access = scope.get("state", {}).get("may_access")
    if start and may_access and not may_access(start.job):
        raise JobNotFound


class Streams:
    """Serve streams: one LISTEN per process, any number of clients. For one event loop."""

    def __init__(
        self, store: Store, *, listen_url: str, interval_seconds: float, lease_seconds: float
    ) -> None:
        self.clients = 0
        self.queue = Queue(store)
        self._source = LogReader(store, self.queue)
        self._interval = interval_seconds
        self._lease = lease_seconds
        self._wakeups = Listen(listen_url, self._wake)
        self._topics: dict[UUID, Topic] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry_ms = RETRY_MS
        self._is_draining = False
        self._all_left = asyncio.Event()

    @property
    def is_draining(self) -> bool:
        """Whether streams end, so that their clients reconnect elsewhere."""
        return self._is_draining

    async def open(self) -> None:
        """Begin to listen, as soon as the database answers."""
        self._wakeups.open()

    async def close(self) -> None:
        """Stop listening and reading."""
        await self._wakeups.close()
        for task in self._tasks:
            task.cancel()
        for topic in self._topics.values():
            topic.close()
        self._source.close()

    async def drain(self, retry_base_ms: int = 1000) -> None:
        """End every stream, and let each client reconnect after once to twice ``retry_base_ms``.

        Wait up to 2 s for the streams to end. New streams end after their opening events.
        """
        self._is_draining, self._retry_ms = True, retry_base_ms
        for topic in self._topics.values():
            topic.buffer.wake()
        if self.clients:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_left.wait(), DRAIN_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in {"GET", "HEAD"}:
            await refuse(send, 405, "method_not_allowed", "A stream can only be read, with GET.")
            return
        try:
            asked = read_request(scope)
            start = await self._find_start(asked)
            _check_access(scope, start)
        except JobNotFound as exc:
            await refuse(send, 404, exc.code, exc.message)
            return
        if ends := scope.get("state", {}).get("token_ends"):
            send = warn_of_expiry(send, asked.job_id, ends)
        if scope["method"] == "HEAD":
            await send(make_head())
            await send(make_body(b"", is_last=True))
        elif start is None:
            await self._defer(asked, send)
        elif start.is_at_end:
            await answer_empty(send)
        else:
            await self._run_stream(asked, start, receive, send)

    async def _find_start(self, asked: StreamRequest) -> Start | None:
        """Return the start of the stream; ``None`` if the database does not answer in time."""
        topic = self._topics.get(asked.job_id)
        if topic and self._is_of_log(asked) and topic.buffer.has(asked.cursor or 0):
            return Start(topic.job, asked.cursor or 0, [encode_connected(asked.job_id)])
        patience = OPENING_SECONDS if self._wakeups.is_listening else AWAY_SECONDS
        try:
            async with asyncio.timeout(patience):
                return await self._read_start(asked)
        except (StorageError, TimeoutError):
            return None

    def _is_of_log(self, asked: StreamRequest) -> bool:
        """Return whether there is a cursor of this epoch (a plain number may be of any)."""
        return asked.cursor is not None and asked.epoch in ("", self._source.epoch)

    async def _read_start(self, asked: StreamRequest) -> Start:
        connected = encode_connected(asked.job_id)
        if not self._source.epoch:
            self._source.epoch = await self._source.read_epoch()
        if self._is_of_log(asked):
            job, cursor = await self._source.find(asked.job_id), asked.cursor or 0
            if job.pruned_seq <= cursor <= job.last_seq:
                return Start(job, cursor, [connected])
        return await self._read_present(asked, connected, is_reset=asked.cursor is not None)

    async def _read_present(self, asked: StreamRequest, before: bytes, *, is_reset: bool) -> Start:
        present = await self._source.read_opening(asked.job_id)
        reset = encode_reset(asked.job_id) if is_reset else b""
        opening = cut(before + reset + present.encode_events(asked.types, asked.base))
        return Start(present.job, present.seq, opening)

    async def _restart(self, asked: StreamRequest) -> Start | None:
        """Return a start for a client whose log went back; ``None`` if it cannot be read."""
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                return await self._read_present(asked, b"", is_reset=True)
        except (StorageError, JobNotFound, TimeoutError):
            return None

    async def _check_epoch(self, *, is_back: bool = False) -> None:
        """Restart all streams if the log has another epoch, or is known to have gone back."""
        epoch, read = self._source.epoch, self._source.read_epoch
        with suppress(StorageError):  # it is checked again later
            now = await (self._source.renew_epoch(epoch) if is_back and epoch else read())
            if self._source.epoch == epoch != now:
                self._source.epoch = now
                self._reset_topics(should_reset=bool(epoch))

    def _reset_topics(self, *, should_reset: bool) -> None:
        if should_reset:
            for topic in self._topics.values():
                topic.close()
                topic.buffer.reset()
            self._topics.clear()

    def _start_epoch_check(self, *, is_back: bool = False) -> None:
        task = asyncio.create_task(self._check_epoch(is_back=is_back))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _defer(self, asked: StreamRequest, send: Send) -> None:
        waiting = encode_thinking(asked.job_id, "Waiting for the database...")
        await send(make_head())
        await send(make_body(encode_connected(asked.job_id) + waiting.wire))
        await send(make_body(self._encode_goodbye(), is_last=True))

    async def _run_stream(
        self, asked: StreamRequest, start: Start, receive: Receive, send: Send
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write(asked, start, send))
            while (await receive())["type"] != "http.disconnect":
                pass
            writing.cancel()

    async def _write(self, asked: StreamRequest, start: Start, send: Send) -> None:
        with self._count_client():
            await send(make_head())
            subscriber = await self._send_log(asked, start, send)
            while subscriber.is_reset and not subscriber.is_amid:
                again = await self._restart(asked)
                if again is None:
                    break
                subscriber = await self._send_log(asked, again, send)
            is_ended = subscriber.is_over or subscriber.is_amid
            await send(make_body(b"" if is_ended else self._encode_goodbye(), is_last=True))

    async def _send_log(self, asked: StreamRequest, start: Start, send: Send) -> Subscriber:
        """Send the opening events and the log, to its end or until it went back."""
        subscriber = Subscriber(asked, start.seq, self._source, send, lambda: self._is_draining)
        while start.opening:
            await send(make_body(start.opening.pop(0)))
        with suppress(StorageError):
            await self._follow(subscriber, start.job)
        return subscriber

    async def _follow(self, subscriber: Subscriber, job: Job) -> None:
        if job.is_ended:
            await subscriber.replay(job.last_seq)
            return
        with self._hold_topic(job) as topic:
            await subscriber.follow(topic.buffer)

    @contextmanager
    def _count_client(self) -> Iterator[None]:
        self.clients += 1
        self._all_left.clear()
        try:
            yield
        finally:
            self.clients -= 1
            if not self.clients:
                self._all_left.set()

    @contextmanager
    def _hold_topic(self, job: Job) -> Iterator[Topic]:
        """The topic of the job while at least one client is here."""
        topic = self._topics.get(job.id)
        if topic is None or topic.buffer.is_over:
            topic = Topic(
                self._source,
                job,
                self._interval,
                lambda: self._start_epoch_check(is_back=True),
                lease_seconds=self._lease,
            )
            self._topics[job.id] = topic
        topic.clients += 1
        try:
            yield topic
        finally:
            topic.clients -= 1
            if not topic.clients:
                topic.close()
                if self._topics.get(job.id) is topic:
                    del self._topics[job.id]

    def _encode_goodbye(self) -> bytes:
        return encode_retry(self._retry_ms + random.randrange(self._retry_ms))

    def _wake(self, job_id: UUID | None, seq: int, lines: list[str]) -> None:
        if job_id is None:
            self._start_epoch_check()
            for each in self._topics.values():
                each.wake()
        elif topic := self._topics.get(job_id):
            topic.hear(seq, lines)
