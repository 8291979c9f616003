"""The queue as its clients see it: each job's position, and how long it will wait.

1. A free worker claims the next job as ``Store.claim`` chooses it: of the owner with the fewest
   running jobs, then of the owner served least recently, the oldest. The order in which running
   jobs end therefore decides who is next, and the queue is simulated. Workers are counted by their
   leases: while a job waits, none is idle. If end times are unknown, jobs end in the order in which
   they began.
2. Running jobs end when their own updates say so; waiting jobs take as long as their advisors
   usually do on the engine and model of the last critique. If either is unknown, so is the wait:
   nothing is guessed.
3. Reading the queue takes longer the longer it is. One reading serves all concurrent callers, and
   readings take at most a twentieth of the time, or a fifth where callers ask for jobs that were
   added after the last reading.
"""

import heapq
import itertools
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias
from uuid import UUID

from mondrian.engines.base import Basis
from mondrian.jobs.store import Running, Store, Waiting

FRESH_SECONDS = 0.5
_COST = 20
_NEW_COST = 5


class Place(NamedTuple):
    """``position`` in the queue, from 1, and the seconds until the job begins; for a running job
    ``None`` and the seconds until it ends. ``eta_seconds`` is ``None`` if it is unknown."""

    position: int | None
    eta_seconds: float | None

    def __str__(self) -> str:
        if self.position is None:
            return "Waiting in queue"  # it was just released
        return f"Waiting in queue (position {self.position}){self._about}"

    @property
    def basis(self) -> Basis:
        """The basis of the time: the time that other jobs will take is never measured."""
        return Basis.UNKNOWN if self.eta_seconds is None else Basis.ESTIMATED

    @property
    def _about(self) -> str:
        if self.eta_seconds is None:
            return ""
        return f", {describe_time(self.eta_seconds)}"


def describe_time(seconds: float) -> str:
    """Return a time to wait in words, as exact as an estimate is: ``about 14 minutes``."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.0f} {unit}s"
    return f"about {max(10, round(seconds, -1)):.0f} seconds"


class Places:
    """The places of all waiting and running jobs. (``get`` makes a ``Place``: there may be a
    hundred thousand.)"""

    def __init__(self) -> None:
        self.ends: dict[bytes, float] = {}
        self.positions: dict[bytes, int] = {}
        self.starts: list[float] = []

    def get(self, job_id: UUID) -> Place | None:
        """Return the place of a job, ``None`` if it neither waits nor runs."""
        key = job_id.bytes
        if (position := self.positions.get(key)) is not None:
            return Place(position, _round_known(self.starts[position - 1]))
        return Place(None, _round_known(self.ends[key])) if key in self.ends else None


class Queue:
    """The places of all waiting and running jobs, as of a moment ago. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading = threading.Lock()
        self._places = Places()
        self._fresh_until = self._readable_from = 0.0

    @property
    def fresh(self) -> Places | None:
        """The places, or ``None`` if they have to be read again."""
        return self._places if time.monotonic() < self._fresh_until else None

    def read_places(self) -> Places:
        """Return the places, in a few round trips unless they are fresh. Raise ``StorageError``."""
        with self._reading:
            if self.fresh is None:
                self._read()
            return self._places

    def find_place(self, job_id: UUID) -> Place | None:
        """Return the place of a waiting or running job, also of one that was just added. Return
        ``None`` if it has ended, or if the queue was read too recently to be read again. Raise
        ``StorageError``."""
        with self._reading:
            is_read = self._places.get(job_id) is not None and self.fresh is not None
            if not is_read and time.monotonic() >= self._readable_from:
                self._read()
            return self._places.get(job_id)

    def _read(self) -> None:
        began, store = time.monotonic(), self._store
        waiting, running = store.list_waiting(), store.list_running()
        self._places = predict_places(waiting, running, store.read_usual_seconds())
        now = time.monotonic()
        self._readable_from = now + _NEW_COST * (now - began)
        self._fresh_until = now + max(FRESH_SECONDS, _COST * (now - began))


def predict_places(
    waiting: Sequence[Waiting], running: Sequence[Running], usual: Mapping[str | None, float]
) -> Places:
    """Return the place of each job. ``waiting`` has the owners by their turns. ``usual`` has the
    seconds of a critique by advisor; ``None`` is the key for all others."""
    places, ends, begun = Places(), list[_End](), list[int]()

    @cache
    def sum_seconds(advisors: str) -> float:
        return sum(usual.get(name, usual.get(None, math.inf)) for name in advisors.split(","))

    owners = _number_owners(waiting, running)
    runs = Counter(owners[job.owner] for job in running)
    for job in running:
        left = places.ends[job.id.bytes] = _estimate_left(job, sum_seconds)
        if not job.is_lost:
            heapq.heappush(ends, (left, len(begun)))
            begun.append(owners[job.owner])
    for job in running:
        if job.is_lost and ends:  # it goes before all waiting jobs
            start, ended = ends[0]
            runs[begun[ended]] -= 1
            heapq.heapreplace(ends, (start + sum_seconds(",".join(job.advisors)), len(begun)))
            begun.append(owners[job.owner])
    seconds = [list(map(sum_seconds, each.advisors)) for each in waiting]
    order, places.starts = _simulate(seconds, [runs[n] for n in range(len(owners))], ends, begun)
    ids = list(itertools.chain.from_iterable(each.ids for each in waiting))
    places.positions = dict(zip(map(ids.__getitem__, order), itertools.count(1), strict=False))
    return places


_End: TypeAlias = tuple[float, int]
"""When a job ends, in seconds, and its number, in the order in which jobs began."""


def _number_owners(waiting: Sequence[Waiting], running: Sequence[Running]) -> dict[str, int]:
    """Return a number for each owner: first those with waiting jobs in their order, then others."""
    names = dict.fromkeys([each.owner for each in waiting] + [job.owner for job in running])
    return {name: number for number, name in enumerate(names)}


def _simulate(
    seconds: Sequence[Sequence[float]], runs: Sequence[int], ends: list[_End], begun: Sequence[int]
) -> tuple[list[int], list[float]]:
    """Simulate the queue: ``seconds`` of the waiting jobs of each owner, by turns, the number of
    running jobs of each owner (also of others), the heap of their ``ends``, and the owners of the
    jobs that have ``begun``. Return the jobs in the order in which they begin (numbered through all
    of ``seconds``), and the seconds until each begins.

    Optimized for a hundred thousand jobs. The owners are in a heap of integers, which compare
    quickly: the number of running jobs in the high bits, the turn in the low ones. A turn is the
    number of the owner's last job, or comes before those of all waiting jobs. ``now`` has the valid
    entry of each owner; -1 means that no job is left.
    """
    all_seconds = list(itertools.chain.from_iterable(seconds))
    lengths = list(map(len, seconds))
    stops = list(itertools.accumulate(lengths))
    order, starts, ends = _rotate(all_seconds, lengths, ends, begun)
    if len(order) == len(all_seconds):
        return order, starts
    by_job = [owner for owner, length in enumerate(lengths) for _ in range(length)]
    owners = [*begun, *range(len(lengths)), *map(by_job.__getitem__, order)]  # by turn
    turns = dict(zip(owners[len(begun) :], itertools.count(len(begun)), strict=False))
    heads = [0, *stops[:-1]]
    for owner, count in Counter(owners[len(begun) + len(lengths) :]).items():
        heads[owner] += count
    first, last = len(owners), len(owners) + len(all_seconds) - len(order)
    running = Counter(owners[number] for _, number in ends) if ends else dict(enumerate(runs))
    run = 1 << last.bit_length()  # the weight of one running job
    turn_bits = run - 1
    now = [-1] * len(runs)
    for owner, head in enumerate(heads):
        if head < stops[owner]:
            now[owner] = running.get(owner, 0) * run + turns[owner]
    heap, start = sorted(each for each in now if each >= 0), math.inf
    for number in range(first, last):
        if ends:
            start, ended = ends[0]
            owner = owners[ended]
            if now[owner] >= 0:
                now[owner] -= run
                heapq.heappush(heap, now[owner])
        if len(heap) > 4 * len(lengths) + 64:  # most entries are outdated
            heap = sorted(each for each in now if each >= 0)
        while (entry := heap[0]) != now[owner := owners[entry & turn_bits]]:
            heapq.heappop(heap)
        job = heads[owner]
        heads[owner] += 1
        order.append(job)
        starts.append(start)
        owners.append(owner)
        if heads[owner] < stops[owner]:
            now[owner] = (entry & ~turn_bits) + run + number
            heapq.heapreplace(heap, now[owner])
        else:
            now[owner] = -1
            heapq.heappop(heap)
        if ends:
            heapq.heapreplace(ends, (start + all_seconds[job], number))
    return order, starts


def _rotate(
    all_seconds: Sequence[float], lengths: Sequence[int], ends: list[_End], begun: Sequence[int]
) -> tuple[list[int], list[float], list[_End]]:
    """Simulate the queue as long as its owners are served in rotation: while each whose turn it is
    has no running job, or is the only one who waits. Return the order and the starts of these jobs,
    and the heap of the ends after them.

    Where owners outnumber workers that is nearly all of the queue, and takes no decision for each
    job. Jobs end in the order of their ends and numbers, one before each start: so the job of rank
    n ends before the n-th start.
    """
    import numpy as np

    if not ends or not all_seconds or 1 < len(lengths) <= len(ends):
        return [], [], ends
    counts, total, live = np.array(lengths), len(all_seconds), sorted(ends, key=lambda end: end[1])
    heads = np.cumsum(counts) - counts
    order = np.argsort(np.arange(total) - np.repeat(heads, counts), kind="stable")
    owners = np.repeat(np.arange(len(counts)), counts)[order]
    seconds = np.array(all_seconds)[order]
    starts = _list_starts(seconds.tolist(), [end for end, _ in live])
    all_ends = np.concatenate([[end for end, _ in live], starts + seconds])
    ranks = np.empty(len(all_ends), int)
    ranks[np.argsort(all_ends, kind="stable")] = np.arange(len(all_ends))
    before = np.empty(total, int)  # the rank of the owner's last job before each
    before[order] = ranks[len(live) :]
    before[1:] = before[:-1].copy()
    before[heads] = -1
    for (_, number), rank in zip(live, ranks.tolist(), strict=False):
        if (owner := begun[number]) < len(heads):
            before[heads[owner]] = max(before[heads[owner]], rank)
    is_free = before[order] <= np.arange(total)
    is_free[np.max(np.flatnonzero(owners != owners[-1]), initial=-1) + 1 :] = True
    done = total if is_free.all() else int(is_free.argmin())
    numbers = [number for _, number in live]
    numbers += range(len(begun) + len(counts), len(begun) + len(counts) + done)
    left = np.flatnonzero(ranks[: len(numbers)] >= done).tolist()
    rest = sorted((float(all_ends[each]), numbers[each]) for each in left)
    return order[:done].tolist(), starts[:done], rest


def _list_starts(seconds: Sequence[float], ends: Sequence[float]) -> list[float]:
    """Return when jobs of so many seconds begin, each at the next of the ends."""
    starts, heap = list[float](), sorted(ends)
    for each in seconds:
        start = heap[0]
        starts.append(start)
        heapq.heapreplace(heap, start + each)
    return starts


def _estimate_left(job: Running, sum_seconds: Callable[[str], float]) -> float:
    """Return the seconds to the end of a running job, infinite if they are unknown."""
    update = json.loads(job.latest_update) if job.latest_update else {}
    if job.is_lost:
        return math.inf
    if update.get("eta_seconds") is not None:
        return max(0.0, float(update["eta_seconds"]) - job.update_seconds_ago)
    elapsed = float(update.get("elapsed_seconds") or 0.0) + job.update_seconds_ago
    return max(0.0, sum_seconds(",".join(job.advisors)) - elapsed)


def _round_known(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 1)
