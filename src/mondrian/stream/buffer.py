"""The newest frames of one job, kept once for all its clients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from mondrian.jobs.job import EventType
from mondrian.stream.sse import MAX_SEND_BYTES, Frame, addressed

KEPT = 256
"""So many frames at least are kept for clients that are a little behind."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What follows a place in the tail, and where a client is after it.

    ``wire`` is empty if nothing of it is for this client; ``is_last`` tells that the log ends with
    it.
    """

    wire: bytes
    place: int
    seq: int
    is_last: bool


class Follower(Protocol):
    """Who waits at the end of a tail."""

    def push(self) -> None:
        """Something was added: take it, at once or later."""

    def wake(self) -> None:
        """Nothing was added, but look around."""


class FrameBuffer:
    """Frames after number ``floor`` up to number ``seq``, and between them some without a number.

    ``is_reset`` tells that the log went back: nothing more will be added.

    A client is at a *place*, which counts frames from ``start`` to ``end``, and has reached a
    number. Clients at one place share one ``Batch``: nothing is joined or copied per client.
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
        """Append ``frames``, push them to all who wait at the end, and forget the oldest."""
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
    def followed(self, follower: Follower) -> Iterator[None]:
        """Push what is added to ``follower``, who is at the end."""
        self._followers[follower] = None
        try:
            yield
        finally:
            del self._followers[follower]

    def wake(self) -> None:
        """Wake all who wait at the end."""
        for follower in list(self._followers):
            follower.wake()

    @property
    def last(self) -> Frame | None:
        """The frame of number ``seq``, if it is kept."""
        numbered = (frame for frame in reversed(self._frames) if frame.seq)
        return next(numbered, None)

    def reset(self) -> None:
        """Let all who follow know that the log went back."""
        self.is_reset = True
        self.wake()

    def holds(self, seq: int) -> bool:
        """Whether a client that has reached ``seq`` can go on from here alone."""
        return self.floor <= seq <= self.seq and not self.is_over

    def place_after(self, seq: int) -> int:
        """Where a client goes on that has reached ``seq``, which may not be below ``floor``."""
        for place, frame in enumerate(self._frames, self.start):
            if frame.seq is not None and frame.seq > seq:
                return place
        return self.end

    def batch(self, place: int, seq: int, types: frozenset[EventType], base: str = "") -> Batch:
        """The frames from ``place`` on, of ``types`` and not numbered up to ``seq``, joined, with
        ``base`` before their paths."""
        key = (place, seq, types, base)
        if key not in self._batches:
            if len(self._batches) >= 16:  # as many clients behind, each at a place of its own
                self._batches.clear()
            self._batches[key] = self._join(*key)
        return self._batches[key]

    def _join(self, place: int, seq: int, types: frozenset[EventType], base: str) -> Batch:
        parts, size, is_last = list[bytes](), 0, False
        for frame in islice(self._frames, place - self.start, None):
            if frame.type in types and (frame.seq is None or frame.seq > seq):
                wire = addressed(frame, base)
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
