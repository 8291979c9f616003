"""Read the store from asyncio, in a few threads.

Concurrent reads of a job's state, or of the queue, are one read (single-flight), since its result
may be as old as the first request. Reads of the log are not shared: each must see everything that
was committed before it was requested.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from mondrian.jobs.job import EventType, Job, encode_payload, name_log
from mondrian.jobs.queue import Place, Queue
from mondrian.jobs.store import Snapshot, Store
from mondrian.stream.sse import Frame, Piece, encode, encode_event, pack, rebase, rebase_frame

THREADS = 3
"""The threads that read for followed jobs. One more reads for new and slow clients, in turns."""

REST_FACTOR = 4
"""The pause after each read for a new client while others wait, as a multiple of its CPU time: many
new clients at once leave time for the rest of the process. A single client is not delayed, nor does
a slow database cause pauses."""

CHUNK = 400
"""The most events per read: about 80 KB of tokens."""

REPLAYED = 1000
REPLAYED_BYTES = 131_072
"""The same for one client: its events may be long, and what a slow client cannot take is read
again."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Opening:
    """The opening events for a client without a cursor: ``plain``, or ``full`` with the text so
    far. The log continues after ``seq``."""

    job: Job
    seq: int
    plain: bytes
    full: bytes

    def encode_events(self, types: frozenset[EventType], base: str = "") -> bytes:
        """Return the opening events for a client that wants ``types``, with ``base`` before the
        paths in the first one."""
        return rebase(self.full if EventType.TOKEN in types else self.plain, base)


class LogReader:
    """Read the store and the ``queue`` for one event loop. Errors are those of ``Store``."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self.epoch = ""
        self._store = store
        self._queue = queue
        self._threads = ThreadPoolExecutor(THREADS, "mondrian-stream")
        self._one_thread = ThreadPoolExecutor(1, "mondrian-replay")
        self._turns = 0
        self._rested_at = 0.0
        self._reads: dict[Any, asyncio.Future[Any]] = {}

    def close(self) -> None:
        """Stop the threads; pending reads are cancelled."""
        for threads in (self._threads, self._one_thread):
            threads.shutdown(wait=False, cancel_futures=True)

    async def read_epoch(self) -> str:
        """Return the log's current epoch. ``epoch`` is the one that cursors get."""
        return await self._run(self._store.read_epoch)

    async def renew_epoch(self, epoch: str) -> str:
        """Return the log's next epoch after ``epoch``."""
        return await self._run(lambda: self._store.renew_epoch(epoch))

    def name_log(self, job_id: UUID) -> str:
        """Return the part of a cursor before its number."""
        return name_log(self.epoch, job_id)

    async def read(self, job_id: UUID) -> Job:
        """Return the job."""
        return await self._run(lambda: self._store.read(job_id))

    async def find(self, job_id: UUID) -> Job:
        """Return the job, for a new client (throttled)."""
        return await self._take_turn(lambda: self._store.read(job_id))

    async def read_opening(self, job_id: UUID) -> Opening:
        """Return the job's encoded state of one database snapshot."""

        def read() -> Opening:
            return _encode_opening(self._store.read_snapshot(job_id), log)

        log = self.name_log(job_id)
        return await self._share(log, lambda: self._take_turn(read))

    async def read_frames(self, job_id: UUID, seq: int) -> list[Frame]:
        """Return the next events of the log, encoded, at most ``CHUNK``."""

        def read() -> list[Frame]:
            log, events = self.name_log(job_id), self._store.read_events(job_id, seq, CHUNK)
            return [encode_event(event, log) for event in events]

        return await self._run(read)

    async def read_pieces(
        self, job_id: UUID, seq: int, offset: int, types: frozenset[EventType], base: str = ""
    ) -> list[Piece] | None:
        """Return the next events of ``types``, encoded, without the first ``offset`` bytes: none if
        there are no more, ``None`` if the events after ``seq`` were pruned. ``base`` goes before
        their paths."""

        def read() -> list[Piece] | None:
            log = self._store.read_log(job_id, seq, types, REPLAYED, REPLAYED_BYTES)
            if log.pruned_seq > seq:
                return None
            of = self.name_log(job_id)
            frames = [encode(type_, payload, number, of) for number, type_, payload in log.lines]
            whole = [each._replace(wire=rebase_frame(each, base)) for each in frames]
            return list(pack(whole, seq, offset))

        return await self._take_turn(read)

    async def find_place(self, job_id: UUID) -> Place | None:
        """Return the job's place in the queue, as of a moment ago; ``None`` if it has none."""
        places = self._queue.fresh
        if places is None:
            places = await self._share("queue", lambda: self._run(self._queue.read_places))
        return places.get(job_id) or await self._run(lambda: self._queue.find_place(job_id))

    def _run(self, read: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, read)

    async def _take_turn(self, read: Callable[[], T]) -> T:
        self._turns += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._one_thread, self._throttle, read)
        finally:
            self._turns -= 1

    def _throttle(self, read: Callable[[], T]) -> T:
        if self._turns > 1:
            time.sleep(max(0.0, self._rested_at - time.monotonic()))
        begun = time.thread_time()
        try:
            return read()
        finally:
            self._rested_at = time.monotonic() + REST_FACTOR * (time.thread_time() - begun)

    async def _share(self, key: Any, begin: Callable[[], Awaitable[T]]) -> T:
        """Return the result of ``begin``, which is called once for all concurrent callers with
        ``key``."""
        found = self._reads.get(key)
        if found is None:
            found = self._reads[key] = asyncio.ensure_future(begin())
            found.add_done_callback(lambda _: self._reads.pop(key))
        # A client that disconnects must not cancel what others wait for.
        answer: T = await asyncio.shield(found)
        return answer


def _encode_opening(snapshot: Snapshot, log: str) -> Opening:
    job_id = snapshot.job.id
    parts = [(EventType.STATUS_UPDATE.value, snapshot.status_update)]
    for advisor, text in snapshot.texts.items():
        fields = {"advisor": advisor, "attempt": snapshot.attempt, "text": text}
        parts.append(("snapshot", encode_payload("snapshot", job_id, fields)))
    return Opening(
        job=snapshot.job,
        seq=snapshot.seq,
        plain=encode(*parts[0], snapshot.seq, log).wire,
        # Only the last has the number: a client that loses the connection before it begins anew.
        full=b"".join([*(encode(*part).wire for part in parts[:-1]),
                       encode(*parts[-1], snapshot.seq, log).wire]),
    )  # fmt: skip
