"""A watched job: its log is read once for all clients, and a clock sends updates without a worker.

1. The log is read after each wake-up and once per interval, always from the last known event, so a
   lost or repeated wake-up does no harm. A wake-up that carries exactly the next events saves the
   read, which took half of an event's time on its way to a client.
2. The clock waits for the database at most ``PATIENCE_SECONDS`` before it sends what it knows. No
   client waits longer than interval + 0.5 s, whatever has failed.
3. The clock's updates have no number and are not logged.
4. A log that went back (after a failover, or from a backup) is another log with the same numbers.
   It is detected by its shorter end, or if it has grown past that, by the last known event, which
   is read together with the next ones.
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
    """One watched job, as of a ``job`` just read, with the number of its ``clients``."""

    def __init__(
        self,
        source: LogReader,
        job: Job,
        interval_seconds: float,
        report_reset: Callable[[], None],
        *,
        lease_seconds: float,
    ) -> None:
        self.buffer = FrameBuffer(job.last_seq)
        self.clients = 0
        self._source = source
        self._report_reset = report_reset
        self._clock = Clock(job, interval_seconds, _read_clock(), lease_seconds=lease_seconds)
        self._is_stale = False
        self._look: asyncio.Task[None] | None = None
        self._speaking = asyncio.create_task(self._run_clock())
        self.wake()

    @property
    def job(self) -> Job:
        """The job as it was last read."""
        return self._clock.job

    @property
    def _is_closed(self) -> bool:
        return self.buffer.is_over or self.buffer.is_reset

    def close(self) -> None:
        """Stop reading and sending."""
        self._speaking.cancel()
        if self._look:
            self._look.cancel()

    def hear(self, seq: int, lines: Sequence[str]) -> None:
        """Record that the log has events up to ``seq``, the last of which may be in ``lines``."""
        first = seq - len(lines) + 1
        if first != self.buffer.seq + 1 or not lines:
            self.wake()  # also if there is nothing new: the log may have gone back
            return
        log, parts = self._source.name_log(self.job.id), (line.partition(" ") for line in lines)
        self._add([encode(type_, text, n, log) for n, (type_, _, text) in enumerate(parts, first)])

    def wake(self) -> "asyncio.Task[None]":
        """Read the log now, or once more if it is being read."""
        self._is_stale = True
        self._clock.record_read(_read_clock())
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._catch_up())
        return self._look

    async def _catch_up(self) -> None:
        try:
            while self._is_stale and not self._is_closed:
                self._is_stale = False
                self._clock.record_read(_read_clock())
                await self._read()
                self._clock.record_answer()
        except JobNotFound:
            fields = {"status": Status.CANCELLED}
            payload = encode_payload(EventType.DONE, self.job.id, fields)
            self.buffer.add([encode(EventType.DONE, payload)])
        except StorageError:
            pass  # the clock reports it and reads again

    async def _read(self) -> None:
        seq, last = self.buffer.seq, self.buffer.last
        frames = await self._source.read_frames(self.job.id, seq - bool(last))
        if last and frames[:1] == [last]:
            frames, last = frames[1:], None
        if frames and not last:
            self._is_stale = self._is_stale or len(frames) >= CHUNK - 1
            # some of them may have come with a notice meanwhile
            self._add([frame for frame in frames if (frame.seq or 0) > self.buffer.seq])
            return
        asked, job = _read_clock(), await self._source.read(self.job.id)
        if last or job.last_seq < seq:
            self._report_reset()
            return
        is_queued = job.status is Status.QUEUED
        place = await self._source.find_place(job.id) if is_queued else None
        self._clock.learn(job, place, asked)
        self._is_stale = self._is_stale or job.last_seq > self.buffer.seq

    def _add(self, frames: list[Frame]) -> None:
        seq = max([self.buffer.seq, *(frame.seq or 0 for frame in frames)])
        paced = [frame for frame in frames if frame.type in PACED]
        told = decode_words(paced[-1]) if paced else ""
        self._clock.hear(_read_clock(), seq, is_paced=bool(paced), told=told)
        self.buffer.add(frames)

    async def _run_clock(self) -> None:
        while not self._is_closed:
            await asyncio.sleep(max(PAUSE_SECONDS, self._clock.compute_next_look() - _read_clock()))
            if _read_clock() < self._clock.compute_next_look():
                continue
            await asyncio.wait({self.wake()}, timeout=PATIENCE_SECONDS)
            if not self._is_closed and self._clock.should_speak(_read_clock()):
                thinking, known = self._clock.speak(_read_clock())
                self.buffer.add([encode_thinking(self.job.id, thinking, **known)])


def _read_clock() -> float:
    return asyncio.get_running_loop().time()
