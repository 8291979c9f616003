"""One job that is being watched: its log read once for all, and a clock for what nobody says.

1. The log is read after a wake-up and once per interval. A wake-up says "look": what is read is
   "what follows the last that I know", so a lost or a doubled one does no harm. One that tells just
   the events which follow saves the look: to read them took half the time on their way to a client.
2. The clock speaks one interval after the last event of the ``PACED`` types. Where a worker holds
   the job it waits ``GRACE_SECONDS`` longer, since the worker's own update may be on its way; and
   it speaks as soon as the worker's lease runs out.
3. The clock never waits for the database longer than ``PATIENCE_SECONDS``; then it says what it
   knows. So no client waits longer than interval + 0.5 s, whatever has died.
4. What the log has told is newer than the job as it was read. Until it is read again, nothing is
   said of its place, percent or attempt, and it is held by somebody.
5. A lost worker is told of when its lease runs out, whatever the interval: the lease is read when
   the log has been silent for ``LOOK_SECONDS``, and again when it should be over.
6. What the clock says has no number and is in no log.
"""

import asyncio
import math
from collections.abc import Sequence

from mondrian.errors import JobNotFound, StorageError
from mondrian.jobs.job import MAX_ATTEMPTS, EventType, Job, Status, encode_payload
from mondrian.jobs.queue import Place
from mondrian.stream.buffer import FrameBuffer
from mondrian.stream.reader import CHUNK, LogReader
from mondrian.stream.sse import PACED, Frame, encode, encode_thinking

GRACE_SECONDS = 0.25
PATIENCE_SECONDS = 0.15
LOOK_SECONDS = 5.5
PAUSE_SECONDS = 0.05
AWAY_SECONDS = 1.0
"""A database that has not answered for so long is said to be waited for."""


class Topic:
    """One watched job, as of a ``job`` just read. ``clients`` counts who watches it."""

    def __init__(self, source: LogReader, job: Job, interval_seconds: float) -> None:
        self.job = job
        self.tail = FrameBuffer(job.last_seq)
        self.clients = 0
        self._source = source
        self._interval = interval_seconds
        self._heard = self._spoken = _now()  # the last event of the log, and of the PACED types
        self._lease_ends = _lease_end(job, _now())
        self._place: Place | None = None
        self._unanswered: float | None = None  # since when the database has not answered
        self._looked = _now()
        self._told_lost = -math.inf  # when it was last said that the worker is lost
        self._is_stale = False
        self._look: asyncio.Task[None] | None = None
        self._clock = asyncio.create_task(self._keep_time())
        self.wake()

    def close(self) -> None:
        """Stop looking and speaking."""
        self._clock.cancel()
        if self._look:
            self._look.cancel()

    def hear(self, seq: int, lines: Sequence[str]) -> None:
        """Events up to ``seq`` are in the log, and ``lines`` are the last of them, if any."""
        first = seq - len(lines) + 1
        if seq > self.tail.seq and first != self.tail.seq + 1:
            self.wake()
        elif seq > self.tail.seq:
            told = (line.partition(" ") for line in lines)
            self._take([encode(type_, told_, n) for n, (type_, _, told_) in enumerate(told, first)])

    def wake(self) -> "asyncio.Task[None]":
        """Look at the log now; once more, if a look is under way."""
        self._is_stale, self._looked = True, _now()
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._catch_up())
        return self._look

    async def _catch_up(self) -> None:
        try:
            while self._is_stale and not self.tail.is_over:
                self._is_stale = False
                self._unanswered = self._unanswered or _now()
                await self._read()
                self._unanswered = None
        except JobNotFound:
            fields = {"status": Status.CANCELLED}
            payload = encode_payload(EventType.DONE, self.job.id, fields)
            self._publish([encode(EventType.DONE, payload)])
        except StorageError:
            pass  # the clock will say so, and look again

    async def _read(self) -> None:
        if frames := await self._source.frames_after(self.job.id, self.tail.seq):
            self._is_stale = self._is_stale or len(frames) == CHUNK
            # meanwhile some of them may have been told
            self._take([frame for frame in frames if (frame.seq or 0) > self.tail.seq])
            return
        asked, job = _now(), await self._source.read(self.job.id)
        is_queued = job.status is Status.QUEUED
        self._place = await self._source.place(job.id) if is_queued else None
        self.job = job
        self._is_stale = self._is_stale or job.last_seq > self.tail.seq
        if not self._is_outdated:
            self._lease_ends = _lease_end(job, asked)

    def _take(self, frames: list[Frame]) -> None:
        self._heard, self._lease_ends = _now(), math.inf  # held by somebody, until we know
        self._publish(frames)

    def _publish(self, frames: list[Frame]) -> None:
        if any(frame.type in PACED for frame in frames):
            self._spoken = _now()
        self.tail.add(frames)

    @property
    def _is_outdated(self) -> bool:
        """Whether the log has told more than the job that was read knows of."""
        return self.job.last_seq < self.tail.seq

    async def _keep_time(self) -> None:
        while not self.tail.is_over:
            await asyncio.sleep(max(PAUSE_SECONDS, self._next() - _now()))
            if _now() < self._next():
                continue
            await asyncio.wait({self.wake()}, timeout=PATIENCE_SECONDS)
            if not self.tail.is_over and (self._is_silent() or self._is_lost()):
                self._speak()

    def _next(self) -> float:
        """When to look, and to speak if the look brings nothing."""
        if not self._is_held():
            return self._spoken + self._interval
        look = max(self._heard, self._looked) + LOOK_SECONDS if self._is_outdated else math.inf
        ends = self._lease_ends or math.inf
        return min(self._spoken + self._interval + GRACE_SECONDS, ends, look)

    def _is_silent(self) -> bool:
        return _now() >= self._spoken + self._interval + GRACE_SECONDS * self._is_held()

    def _is_held(self) -> bool:
        """Whether a worker has the job, for all that was told."""
        return self._lease_ends is not None and self._told_lost < self._lease_ends

    def _is_lost(self) -> bool:
        """Whether the worker is lost, and nobody was told."""
        ends = self._lease_ends or math.inf
        return self._is_held() and self._unanswered is None and ends <= _now()

    def _speak(self) -> None:
        known: dict[str, float | str | None] = {}
        if not (self._is_away() or self._is_outdated):
            known["attempt"] = self.job.attempt
            if self.job.status is Status.QUEUED:
                known |= {"phase": "queued", "percent": 0}
                if self._place:
                    known |= {"queue_position": self._place.position}
                    known |= {"eta_seconds": self._place.eta_seconds, "basis": self._place.basis}
        self._told_lost = _now() if self._is_lost() else self._told_lost
        self._publish([encode_thinking(self.job.id, self._sentence(), **known)])

    def _is_away(self) -> bool:
        return self._unanswered is not None and _now() - self._unanswered >= AWAY_SECONDS

    def _sentence(self) -> str:
        now, job = _now(), self.job
        if self._is_away():
            return f"Waiting for the database... ({now - (self._unanswered or now):.0f} s)"
        if self._is_outdated or self._is_held():
            return f"Waiting for the worker... ({now - self._heard:.0f} s)"
        if job.status is Status.PENDING:
            return "Waiting to be started"
        if job.status is Status.QUEUED:
            return str(self._place or "Waiting in queue")
        if job.failures + 1 < MAX_ATTEMPTS:
            return f"Worker lost, trying again (attempt {job.attempt + 1})"
        return "Worker lost, too often to try again"


def _now() -> float:
    return asyncio.get_running_loop().time()


def _lease_end(job: Job, asked: float) -> float | None:
    """When the worker that holds the job, which was ``asked`` for then, is lost unless it is heard
    of; ``None`` if none does."""
    return None if job.lease_seconds is None else asked + job.lease_seconds
