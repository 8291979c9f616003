"""The store as asyncio sees it: reads run in a few threads.

What many ask for at once is read once where the answer may be as old as the oldest question: the
present of a job, and the queue. A read of the log may not: it must see all that was committed when
it was asked for.
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
from mondrian.stream.sse import Frame, Piece, address, addressed, encode, encode_event, pack

THREADS = 3
"""For what many follow. Who comes, or has fallen behind, is read for by one more, in turns."""

REST = 2
"""While others wait for a turn, a rest follows each, so many times as long as it kept the processor
busy: a crowd that comes at once leaves time for the rest of the process. One client alone is not
held up, nor does a slow database make anybody rest."""

CHUNK = 400
"""At most so many events are read at once: about 80 KB of tokens."""

REPLAYED = 1000
REPLAYED_BYTES = 131_072
"""The same for one client: its events may be long, and most of what a slow client makes no room for
is read again."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Opening:
    """What a client without a cursor gets first: ``plain``, or ``full`` with the text so far. The
    log goes on after ``seq``."""

    job: Job
    seq: int
    plain: bytes
    full: bytes

    def events(self, types: frozenset[EventType], base: str = "") -> bytes:
        """The opening events of a client that wants these types, with ``base`` before the paths in
        the first of them."""
        return address(self.full if EventType.TOKEN in types else self.plain, base)


class LogReader:
    """Reads of the store and the ``queue`` for one event loop. Errors are those of ``Store``."""

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
        """Let the threads go; reads under way are given up."""
        for threads in (self._threads, self._one_thread):
            threads.shutdown(wait=False, cancel_futures=True)

    async def read_epoch(self) -> str:
        """Return the log's epoch as it is now. ``epoch`` is the one that cursors get."""
        return await self._run(self._store.read_epoch)

    async def renew_epoch(self, epoch: str) -> str:
        """Return the log's next epoch after ``epoch``."""
        return await self._run(lambda: self._store.renew_epoch(epoch))

    def log_of(self, job_id: UUID) -> str:
        """Return what a cursor says before its number."""
        return name_log(self.epoch, job_id)

    async def read(self, job_id: UUID) -> Job:
        """The job as it is."""
        return await self._run(lambda: self._store.read(job_id))

    async def find(self, job_id: UUID) -> Job:
        """The same, for a client that comes."""
        return await self._take_turn(lambda: self._store.read(job_id))

    async def opening(self, job_id: UUID) -> Opening:
        """The job's present, encoded, of one database snapshot."""

        def read() -> Opening:
            return _encode_opening(self._store.read_snapshot(job_id), log)

        log = self.log_of(job_id)
        return await self._shared(log, lambda: self._take_turn(read))

    async def frames_after(self, job_id: UUID, seq: int) -> list[Frame]:
        """The next events of the log, encoded, at most ``CHUNK``."""

        def read() -> list[Frame]:
            log, events = self.log_of(job_id), self._store.read_events(job_id, seq, CHUNK)
            return [encode_event(event, log) for event in events]

        return await self._run(read)

    async def pieces_after(
        self, job_id: UUID, seq: int, offset: int, types: frozenset[EventType], base: str = ""
    ) -> list[Piece] | None:
        """The next events of ``types``, ready to be sent, less ``offset`` bytes of the first; none
        if there are no more, and ``None`` if what follows ``seq`` is no longer kept. ``base`` goes
        before their paths."""

        def read() -> list[Piece] | None:
            log = self._store.read_log(job_id, seq, types, REPLAYED, REPLAYED_BYTES)
            if log.pruned_seq > seq:
                return None
            of = self.log_of(job_id)
            frames = [encode(type_, payload, number, of) for number, type_, payload in log.lines]
            whole = [each._replace(wire=addressed(each, base)) for each in frames]
            return list(pack(whole, seq, offset))

        return await self._take_turn(read)

    async def place(self, job_id: UUID) -> Place | None:
        """The job's place in the queue, as of a moment ago; ``None`` if it has none."""
        places = self._queue.fresh
        if places is None:
            places = await self._shared("queue", lambda: self._run(self._queue.read_places))
        return places.get(job_id) or await self._run(lambda: self._queue.find_place(job_id))

    def _run(self, read: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, read)

    async def _take_turn(self, read: Callable[[], T]) -> T:
        self._turns += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._one_thread, self._rest_and, read)
        finally:
            self._turns -= 1

    def _rest_and(self, read: Callable[[], T]) -> T:
        if self._turns > 1:
            time.sleep(max(0.0, self._rested_at - time.monotonic()))
        begun = time.thread_time()
        try:
            return read()
        finally:
            self._rested_at = time.monotonic() + REST * (time.thread_time() - begun)

    async def _shared(self, key: Any, begin: Callable[[], Awaitable[T]]) -> T:
        """What ``begin`` reads, once for all who ask for ``key`` until it is answered."""
        found = self._reads.get(key)
        if found is None:
            found = self._reads[key] = asyncio.ensure_future(begin())
            found.add_done_callback(lambda _: self._reads.pop(key))
        # A client that leaves must not cancel what others wait for.
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
