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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    seconds to the end of a job that runs. ``eta_seconds`` is ``None`` where it is not known."""

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


class Places:
    """The places of all jobs that wait or run. (A ``Place`` is made when it is asked for: there may
    be a hundred thousand.)"""

    def __init__(self) -> None:
        self.ends: dict[bytes, float] = {}
        self.positions: dict[bytes, int] = {}
        self.starts: list[float] = []

    def get(self, job_id: UUID) -> Place | None:
        """Return the place of a job, ``None`` if it neither waits nor runs."""
        key = job_id.bytes
        if (position := self.positions.get(key)) is not None:
            return Place(position, _known(self.starts[position - 1]))
        return Place(None, _known(self.ends[key])) if key in self.ends else None


class Queue:
    """The places of all jobs that wait or run, as of a moment ago. For any number of threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading = threading.Lock()
        self._places = Places()
        self._fresh_until = self._readable_from = 0.0

    @property
    def fresh(self) -> Places | None:
        """The places, if they need not be read again."""
        return self._places if time.monotonic() < self._fresh_until else None

    def read(self) -> Places:
        """Return the places; a few round trips unless they are fresh. Raise ``StorageError``."""
        with self._reading:
            if self.fresh is None:
                self._read()
            return self._places

    def place(self, job_id: UUID) -> Place | None:
        """Return the place of a job that waits or runs, also if it came just now; ``None`` if it
        has ended, or came so soon after the last that the queue may not be read again. Raise
        ``StorageError``."""
        with self._reading:
            is_read = self._places.get(job_id) is not None and self.fresh is not None
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
) -> Places:
    """Return the place of each job. ``waiting`` has the owners by their turns. ``usual`` has the
    seconds of a critique by each advisor; what stands under ``None`` is for all others."""
    places, ends, numbers = Places(), list[_End](), itertools.count()

    @cache
    def whole(advisors: str) -> float:
        return sum(usual.get(name, usual.get(None, math.inf)) for name in advisors.split(","))

    owners = _number_owners(waiting, running)
    runs = Counter(owners[job.owner] for job in running)
    for job in running:
        left = places.ends[job.id.bytes] = _left(job, whole)
        if not job.is_lost:
            heapq.heappush(ends, (left, next(numbers), owners[job.owner]))
    for job in running:
        if job.is_lost and ends:  # it goes before all that wait
            start, _, ended = ends[0]
            runs[ended] -= 1
            end = start + whole(",".join(job.advisors))
            heapq.heapreplace(ends, (end, next(numbers), owners[job.owner]))
    seconds = [list(map(whole, each.advisors)) for each in waiting]
    order, places.starts = _play(seconds, [runs[n] for n in range(len(owners))], ends, numbers)
    heads = [iter(each.ids) for each in waiting]
    places.positions = {next(heads[owner]): n for n, owner in enumerate(order, 1)}
    return places


_End: TypeAlias = tuple[float, int, int]
"""When a job ends, in seconds, its number (which tells what began first), and its owner's."""


def _number_owners(waiting: Sequence[Waiting], running: Sequence[Running]) -> dict[str, int]:
    """Return a number for each owner: those who wait as they are given, then the others."""
    names = dict.fromkeys([each.owner for each in waiting] + [job.owner for job in running])
    return {name: number for number, name in enumerate(names)}


def _play(
    seconds: Sequence[Sequence[float]],
    runs: Sequence[int],
    ends: list[_End],
    numbers: Iterator[int],
) -> tuple[list[int], list[float]]:
    """Play the queue through: ``seconds`` of the jobs of each owner that waits, by turns, how many
    jobs of each owner run (of more owners, perhaps), and the heap of their ``ends``. Return the
    owners of the jobs in the order in which they begin, and the seconds until each begins.

    Written for speed, for a hundred thousand jobs. The owners are in a heap of whole numbers, which
    are fast to compare, made of how many jobs run, the turn and the owner. Of the entries of an
    owner, that in ``now`` holds; -1 is one with no job left.
    """
    waiting, size, total = len(seconds), len(runs), sum(map(len, seconds))
    run = size * (waiting + total)  # what one running job counts for
    now = [runs[n] * run + n * size + n if n < waiting else -1 for n in range(size)]
    heap, served = sorted(now[:waiting]), waiting * size
    left, next_seconds = list(map(len, seconds)), [iter(each).__next__ for each in seconds]
    order, starts, start = list[int](), list[float](), math.inf
    for _ in range(total):
        if ends:
            start, _, owner = ends[0]
            if now[owner] >= 0:
                now[owner] -= run
                heapq.heappush(heap, now[owner])
        if len(heap) > 2 * waiting + 64:  # most of it holds no longer
            heap = sorted(each for each in now if each >= 0)
        while (entry := heap[0]) != now[owner := entry % size]:
            heapq.heappop(heap)
        order.append(owner)
        starts.append(start)
        left[owner] -= 1
        if left[owner]:
            now[owner] = (entry // run + 1) * run + served + owner
            heapq.heapreplace(heap, now[owner])
        else:
            now[owner] = -1
            heapq.heappop(heap)
        served += size
        if ends:
            heapq.heapreplace(ends, (start + next_seconds[owner](), next(numbers), owner))
    return order, starts


def _left(job: Running, whole: Callable[[str], float]) -> float:
    """Return the seconds to the end of a running job, infinite if they are not known."""
    told = json.loads(job.told) if job.told else {}
    if job.is_lost:
        return math.inf
    if told.get("eta_seconds") is not None:
        return max(0.0, float(told["eta_seconds"]) - job.told_seconds_ago)
    elapsed = float(told.get("elapsed_seconds") or 0.0) + job.told_seconds_ago
    return max(0.0, whole(",".join(job.advisors)) - elapsed)


def _known(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 1)
