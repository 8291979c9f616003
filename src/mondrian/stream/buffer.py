"""A buffer of the newest frames of one job, shared by all its clients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from mondrian.jobs.job import EventType
from mondrian.stream.sse import MAX_SEND_BYTES, Frame, rebase_frame

KEPT = 256
"""The number of frames that are kept, at least, for clients that are slightly behind."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The bytes after a place in the buffer, and a client's place after them.

    ``wire`` is empty if the client asked for none of the frames; ``is_last`` is true at the end of
    the log.
    """

    wire: bytes
    place: int
    seq: int
    is_last: bool


class Follower(Protocol):
    """A client that waits at the end of a buffer."""

    def push(self) -> None:
        """Send what was added, now or later."""

    def wake(self) -> None:
        """Check whether to stop, though nothing was added."""


class FrameBuffer:
    """The frames numbered over ``floor`` up to ``seq``, and frames without a number between them.

    ``is_reset`` is true once the log went back: nothing more is added.

    A client has a *place*, which counts frames from ``start`` to ``end``, and has reached a number.
    Clients at one place share one ``Batch``: nothing is joined or copied per client.
    """

    def __init__(self, seq: int) -> None:
        self.floor = self.seq = seq
        self.start = self.end = 0
        self.is_over = False
        self.is_reset = False
        self._frames: list[Frame] = []
        self._batches: dict[tuple[int, int, frozenset[EventType], str], Batch] = {}
        self._followers: dict[Follower, None] = {}

    def add(self, frames: Sequence[Frame]) -> None:
        """Append ``frames``, push them to the followers, and drop the oldest."""
        for frame in frames:
            self.seq = frame.seq or self.seq
            self.is_over = self.is_over or frame.type == EventType.DONE
        self._frames += frames
        self.end += len(frames)
        self._batches.clear()
        for follower in list(self._followers):
            follower.push()
        if len(self._frames) >= 2 * KEPT:
            self._forget(len(self._frames) - KEPT)

    @contextmanager
    def push_to(self, follower: Follower) -> Iterator[None]:
        """Push added frames to ``follower``, which is at the end."""
        self._followers[follower] = None
        try:
            yield
        finally:
            del self._followers[follower]

    def wake(self) -> None:
        """Wake all followers."""
        for follower in list(self._followers):
            follower.wake()

    @property
    def last(self) -> Frame | None:
        """The frame of number ``seq``, if it is kept."""
        numbered = (frame for frame in reversed(self._frames) if frame.seq)
        return next(numbered, None)

    def reset(self) -> None:
        """Mark the log as gone back, and wake all followers."""
        self.is_reset = True
        self.wake()

    def has(self, seq: int) -> bool:
        """Return whether the buffer has everything after ``seq``."""
        return self.floor <= seq <= self.seq and not self.is_over

    def find_place(self, seq: int) -> int:
        """Return the place of a client that has reached ``seq``, which may not be below
        ``floor``."""
        for place, frame in enumerate(self._frames, self.start):
            if frame.seq is not None and frame.seq > seq:
                return place
        return self.end

    def get_batch(self, place: int, seq: int, types: frozenset[EventType], base: str = "") -> Batch:
        """Return the frames from ``place`` on, of ``types`` and not numbered up to ``seq``,
        joined, with ``base`` before their paths."""
        key = (place, seq, types, base)
        if key not in self._batches:
            if len(self._batches) >= 16:  # many slow clients, each at its own place
                self._batches.clear()
            self._batches[key] = self._join(*key)
        return self._batches[key]

    def _join(self, place: int, seq: int, types: frozenset[EventType], base: str) -> Batch:
        parts, size, is_last = list[bytes](), 0, False
        for frame in islice(self._frames, place - self.start, None):
            if frame.type in types and (frame.seq is None or frame.seq > seq):
                wire = rebase_frame(frame, base)
                if parts and size + len(wire) > MAX_SEND_BYTES:
                    break
                parts.append(wire)
                size += len(wire)
            place += 1
            seq = max(seq, frame.seq or 0)
            is_last = frame.type == EventType.DONE
        return Batch(b"".join(parts), place, seq, is_last)

    def _forget(self, count: int) -> None:
        for frame in self._frames[:count]:
            self.floor = frame.seq or self.floor
        del self._frames[:count]
        self.start += count
