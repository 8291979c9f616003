"""One job that is being watched: its log read once for all, and a clock for what no worker says.

1. The log is read after a wake-up and once per interval. A wake-up says "look": what is read is
   "what follows the last that I know", so a lost or a doubled one does no harm. One that tells just
   the events which follow saves the look: to read them took half the time on their way to a client.
2. The clock never waits for the database longer than ``PATIENCE_SECONDS``; then it says what it
   knows. So no client waits longer than interval + 0.5 s, whatever has died.
3. What the clock says has no number and is in no log.
4. A log that went back (after a failover, or from a backup) is another log with the same numbers.
   It shows by its end, or where it has grown past that, by the last event that we know, which is
   read with what follows it.
"""

import asyncio
from collections.abc import Callable, Sequence

from mondrian.errors import JobNotFound, StorageError
from mondrian.jobs.job import EventType, Job, Status, encode_payload
from mondrian.stream.buffer import FrameBuffer
from mondrian.stream.clock import Clock
from mondrian.stream.reader import CHUNK, LogReader
from mondrian.stream.sse import PACED, Frame, decode_words, encode, encode_thinking

PATIENCE_SECONDS = 0.15
PAUSE_SECONDS = 0.05


class Topic:
    """One watched job, as of a ``job`` just read. ``clients`` counts who watches it."""

    def __init__(
        self,
        source: LogReader,
        job: Job,
        interval_seconds: float,
        tell_back: Callable[[], None],
        *,
        lease_seconds: float,
    ) -> None:
        self.tail = FrameBuffer(job.last_seq)
        self.clients = 0
        self._source = source
        self._tell_back = tell_back
        self._clock = Clock(job, interval_seconds, _now(), lease_seconds=lease_seconds)
        self._is_stale = False
        self._look: asyncio.Task[None] | None = None
        self._speaking = asyncio.create_task(self._keep_time())
        self.wake()

    @property
    def job(self) -> Job:
        """The job as it was read last."""
        return self._clock.job

    @property
    def _is_closed(self) -> bool:
        return self.tail.is_over or self.tail.is_reset

    def close(self) -> None:
        """Stop looking and speaking."""
        self._speaking.cancel()
        if self._look:
            self._look.cancel()

    def hear(self, seq: int, lines: Sequence[str]) -> None:
        """Take note that events up to ``seq`` are in the log, the last of which are told in
        ``lines``, if any are."""
        first = seq - len(lines) + 1
        if first != self.tail.seq + 1 or not lines:
            self.wake()  # also where it tells nothing new: the log may have gone back
            return
        log, parts = self._source.log_of(self.job.id), (line.partition(" ") for line in lines)
        self._take([encode(type_, text, n, log) for n, (type_, _, text) in enumerate(parts, first)])

    def wake(self) -> "asyncio.Task[None]":
        """Look at the log now; once more, if a look is under way."""
        self._is_stale = True
        self._clock.ask(_now())
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._catch_up())
        return self._look

    async def _catch_up(self) -> None:
        try:
            while self._is_stale and not self._is_closed:
                self._is_stale = False
                self._clock.ask(_now())
                await self._read()
                self._clock.answer()
        except JobNotFound:
            fields = {"status": Status.CANCELLED}
            payload = encode_payload(EventType.DONE, self.job.id, fields)
            self.tail.add([encode(EventType.DONE, payload)])
        except StorageError:
            pass  # the clock will say so, and look again

    async def _read(self) -> None:
        seq, last = self.tail.seq, self.tail.last
        frames = await self._source.frames_after(self.job.id, seq - bool(last))
        if last and frames[:1] == [last]:
            frames, last = frames[1:], None
        if frames and not last:
            self._is_stale = self._is_stale or len(frames) >= CHUNK - 1
            # meanwhile some of them may have been told
            self._take([frame for frame in frames if (frame.seq or 0) > self.tail.seq])
            return
        asked, job = _now(), await self._source.read(self.job.id)
        if last or job.last_seq < seq:
            self._tell_back()
            return
        is_queued = job.status is Status.QUEUED
        place = await self._source.place(job.id) if is_queued else None
        self._clock.learn(job, place, asked)
        self._is_stale = self._is_stale or job.last_seq > self.tail.seq

    def _take(self, frames: list[Frame]) -> None:
        seq = max([self.tail.seq, *(frame.seq or 0 for frame in frames)])
        paced = [frame for frame in frames if frame.type in PACED]
        told = decode_words(paced[-1]) if paced else ""
        self._clock.hear(_now(), seq, is_paced=bool(paced), told=told)
        self.tail.add(frames)

    async def _keep_time(self) -> None:
        while not self._is_closed:
            await asyncio.sleep(max(PAUSE_SECONDS, self._clock.next_look() - _now()))
            if _now() < self._clock.next_look():
                continue
            await asyncio.wait({self.wake()}, timeout=PATIENCE_SECONDS)
            if not self._is_closed and self._clock.should_speak(_now()):
                thinking, known = self._clock.speak(_now())
                self.tail.add([encode_thinking(self.job.id, thinking, **known)])


def _now() -> float:
    return asyncio.get_running_loop().time()
