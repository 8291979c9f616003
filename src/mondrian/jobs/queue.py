"""The queue as its clients see it: each job's position, and how long it will wait.

1. Each worker takes the next job when it is free, as ``Store.claim`` chooses it: of the owner with
   the fewest running jobs, of these the one served least recently, the oldest. So what ends first
   decides who is next, and the queue is played through. Workers are counted by their leases: while
   a job waits, none is idle. Where it is not known what ends first, it is what began first.
2. Running jobs end when their own updates say so; those that wait take what their advisors usually
   take on the engine and model of the last critique. Where either is not known, nor is the wait:
   nothing is guessed.
3. Reading the queue costs time, the more the longer it is. It is read for all who ask at once, and
   so seldom that this takes a twentieth of the time at most, or a fifth where jobs are asked for
   that came after the last reading.
"""

import heapq
import itertools
import json
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias
from uuid import UUID

from mondrian.engines.base import Basis
from mondrian.jobs.store import Running, Store, Waiting

FRESH_SECONDS = 0.5
_COST = 20
_NEW_COST = 5


class Place(NamedTuple):
    """``position`` in the queue, from 1, and the seconds until the job's turn; or ``None`` and the
    seconds to the end of a job that runs. ``eta_seconds`` is ``None`` where it is not known.

    (A tuple, since thousands are made at once.)
    """

    position: int | None
    eta_seconds: float | None

    def __str__(self) -> str:
        if self.position is None:
            return "Waiting in queue"  # it was given back just now
        return f"Waiting in queue (position {self.position}){self._about}"

    @property
    def basis(self) -> Basis:
        """What the time rests on: what others will take is never measured."""
        return Basis.UNKNOWN if self.eta_seconds is None else Basis.ESTIMATED

    @property
    def _about(self) -> str:
        if self.eta_seconds is None:
            return ""
        seconds = self.eta_seconds
        for unit, size in (("hour", 3600), ("minute", 60)):
            if seconds >= 1.5 * size:
                return f", about {seconds / size:.0f} {unit}s"
        return f", about {max(10, round(seconds, -1)):.0f} seconds"


class Queue:
    """The places of all jobs that wait or run, as of a moment ago. For any number of threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading = threading.Lock()
        self._places: Mapping[UUID, Place] = {}
        self._fresh_until = self._readable_from = 0.0

    @property
    def fresh(self) -> Mapping[UUID, Place] | None:
        """The places, if they need not be read again."""
        return self._places if time.monotonic() < self._fresh_until else None

    def read(self) -> Mapping[UUID, Place]:
        """The places; a few round trips unless they are fresh. Raises ``StorageError``."""
        with self._reading:
            if self.fresh is None:
                self._read()
            return self._places

    def place(self, job_id: UUID) -> Place | None:
        """The place of a job that waits or runs, also if it came just now; ``None`` if it has
        ended, or came so soon after the last that the queue may not be read again. Raises
        ``StorageError``."""
        with self._reading:
            is_read = job_id in self._places and self.fresh is not None
            if not is_read and time.monotonic() >= self._readable_from:
                self._read()
            return self._places.get(job_id)

    def _read(self) -> None:
        began, store = time.monotonic(), self._store
        self._places = line_up(store.waiting(), store.running(), store.usual_seconds())
        now = time.monotonic()
        self._readable_from = now + _NEW_COST * (now - began)
        self._fresh_until = now + max(FRESH_SECONDS, _COST * (now - began))


def line_up(
    waiting: Sequence[Waiting], running: Sequence[Running], usual: Mapping[str | None, float]
) -> dict[UUID, Place]:
    """The place of each job. ``waiting`` has the oldest first. ``usual`` has the seconds of a
    critique by each advisor; what stands under ``None`` is for all others."""
    places, ends, numbers = dict[UUID, Place](), list[_End](), itertools.count()

    @cache
    def whole(advisors: Sequence[str]) -> float:
        return _whole(advisors, usual)

    turns = _Turns(waiting, (job.owner for job in running))
    for job in running:
        left = _left(job, usual)
        places[job.id] = Place(None, _known(left))
        if not job.is_lost:
            heapq.heappush(ends, (left, next(numbers), job.owner))
    for job in running:
        if job.is_lost and ends:  # it goes before all that wait
            start, _, owner = ends[0]
            turns.end(owner)
            heapq.heapreplace(ends, (start + whole(job.advisors), next(numbers), job.owner))
    for position in range(1, len(waiting) + 1):
        start = math.inf
        if ends:
            start, _, owner = ends[0]
            turns.end(owner)
        each = turns.take()
        places[each.id] = Place(position, _known(start))
        if ends:
            heapq.heapreplace(ends, (start + whole(each.advisors), next(numbers), each.owner))
    return places


_End: TypeAlias = tuple[float, int, str]
"""When a job ends, in seconds, its number (which tells what began first), and its owner."""


class _Turns:
    """Whose job is next. Entries of the heap that no longer hold are passed over."""

    def __init__(self, waiting: Sequence[Waiting], running: Iterable[str]) -> None:
        self._running = Counter(running)
        self._queues = dict[str, deque[Waiting]]()
        self._turn = dict[str, int]()
        for each in waiting:
            self._queues.setdefault(each.owner, deque()).append(each)
            self._turn[each.owner] = each.turn
        self._served = itertools.count(len(waiting) + 1)  # after all turns there are
        self._heap = list(map(self._entry, self._queues))
        heapq.heapify(self._heap)

    def end(self, owner: str) -> None:
        """A job of ``owner`` has ended."""
        self._running[owner] -= 1
        self._line_up(owner)

    def take(self) -> Waiting:
        """The next job begins."""
        while (entry := heapq.heappop(self._heap)) != self._entry(owner := entry[-1]):
            pass
        job = self._queues[owner].popleft()
        self._running[owner] += 1
        self._turn[owner] = next(self._served)
        self._line_up(owner)
        return job

    def _line_up(self, owner: str) -> None:
        if self._queues.get(owner):
            heapq.heappush(self._heap, self._entry(owner))

    def _entry(self, owner: str) -> tuple[int, int, str]:
        return self._running[owner], self._turn[owner], owner


def _whole(advisors: Sequence[str], usual: Mapping[str | None, float]) -> float:
    return sum(usual.get(advisor, usual.get(None, math.inf)) for advisor in advisors)


def _left(job: Running, usual: Mapping[str | None, float]) -> float:
    """The seconds to the end of a running job, infinite if they are not known."""
    told = json.loads(job.told) if job.told else {}
    if job.is_lost:
        return math.inf
    if told.get("eta_seconds") is not None:
        return max(0.0, float(told["eta_seconds"]) - job.told_seconds_ago)
    elapsed = float(told.get("elapsed_seconds") or 0.0) + job.told_seconds_ago
    return max(0.0, _whole(job.advisors, usual) - elapsed)


def _known(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 1)
