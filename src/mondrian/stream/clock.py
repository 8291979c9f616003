"""When to read a watched job again, and which update to send when no worker writes.

Pure: each method is given the time, in seconds of any clock, and none waits.

1. An update is due one interval after the last event of the ``PACED`` types. If a worker holds the
   job, the clock waits ``GRACE_SECONDS`` longer, since the worker's own update may be on its way;
   and an update is due as soon as the worker's lease expires. A live worker renews its lease when a
   third of it is over. While ``LATE`` of it is left, the worker is therefore alive and only its
   update is late, as on a busy machine: the last one is sent again.
2. The log may be newer than the job as it was read. Until the job is read again, the clock sends no
   place, percent or attempt, and assumes that a worker holds the job.
3. A lost worker is reported when its lease expires, whatever the interval: the lease is read when
   the log has been silent for ``LOOK_SECONDS``, and again when it should have expired.
"""

import math
from typing import NamedTuple

from mondrian.jobs.job import MAX_ATTEMPTS, Job, Status
from mondrian.jobs.queue import Place

GRACE_SECONDS = 0.25
LATE = 1 / 3
"""The part of a lease from which on its worker is waited for."""

LOOK_SECONDS = 5.5
AWAY_SECONDS = 1.0
"""After this time without an answer of the database the clock reports that it waits for it."""


class ClockUpdate(NamedTuple):
    """An update of the clock: the text of a ``thinking_update``, and its known fields."""

    thinking: str
    known: dict[str, float | str | None]


class Clock:
    """The clock of one job, as of a ``job`` read at ``now``, whose worker renews a lease of
    ``lease_seconds``."""

    def __init__(
        self, job: Job, interval_seconds: float, now: float, *, lease_seconds: float
    ) -> None:
        self.job = job
        self._seq = job.last_seq
        self._interval = interval_seconds
        self._late_seconds = lease_seconds * LATE
        self._told = _find_last_words(job)
        self._heard = self._spoken = self._looked = now  # the log; its PACED types; the last look
        self._lease_ends = _find_lease_end(job, now)
        self._place: Place | None = None
        self._unanswered: float | None = None  # since when the database has not answered
        self._lost_sent_at = -math.inf  # when it was last said that the worker is lost

    def hear(self, now: float, seq: int, *, is_paced: bool, told: str = "") -> None:
        """Take note of events in the log, up to ``seq``, which ``told`` the client what is done."""
        self._heard, self._seq = now, seq
        if self._is_outdated:
            self._lease_ends = math.inf  # taken as held, until we know
        self._told = told or self._told
        if is_paced:
            self._spoken = now

    def record_read(self, now: float) -> None:
        """Record that the database is being read."""
        self._looked = now
        if self._unanswered is None:
            self._unanswered = now

    def record_answer(self) -> None:
        """Record that the database has answered."""
        self._unanswered = None

    def learn(self, job: Job, place: Place | None, asked: float) -> None:
        """Record the job, whose read began at ``asked``, and its place in the queue."""
        self.job, self._place = job, place
        if not self._is_outdated:
            self._lease_ends = _find_lease_end(job, asked)
            self._told = _find_last_words(job)

    def compute_next_look(self) -> float:
        """Return when to read the job, and to send an update if the read brings nothing new."""
        if not self._is_held():
            return self._spoken + self._interval
        look = max(self._heard, self._looked) + LOOK_SECONDS if self._is_outdated else math.inf
        ends = math.inf if self._lease_ends is None else self._lease_ends
        return min(self._spoken + self._interval + GRACE_SECONDS, ends, look)

    def should_speak(self, now: float) -> bool:
        """Return whether the log has been silent for an interval, or the worker is lost untold."""
        silent_since = self._spoken + self._interval + GRACE_SECONDS * self._is_held()
        return now >= silent_since or self._is_lost(now)

    def speak(self, now: float) -> ClockUpdate:
        """Return the update to send now, and record that it is sent."""
        known: dict[str, float | str | None] = {}
        if not (self._is_away(now) or self._is_outdated):
            known["attempt"] = self.job.attempt
            if self.job.status is Status.QUEUED:
                known |= {"phase": "queued", "percent": 0}
                if self._place:
                    known |= {"queue_position": self._place.position}
                    known |= {"eta_seconds": self._place.eta_seconds, "basis": self._place.basis}
        if self._is_lost(now):
            self._lost_sent_at = now
        self._spoken = now
        return ClockUpdate(self._describe(now), known)

    @property
    def _is_outdated(self) -> bool:
        """Whether the log has told more than the job that was read knows of."""
        return self.job.last_seq < self._seq

    def _is_held(self) -> bool:
        """Return whether a worker has the job, for all that was told."""
        return self._lease_ends is not None and self._lost_sent_at < self._lease_ends

    def _is_late(self, now: float) -> bool:
        """Return whether the worker should have renewed its lease long ago."""
        return self._lease_ends is not None and self._lease_ends - now < self._late_seconds

    def _is_lost(self, now: float) -> bool:
        """Return whether the worker is lost and that has not been sent yet."""
        ends = math.inf if self._lease_ends is None else self._lease_ends
        return self._is_held() and self._unanswered is None and ends <= now

    def _is_away(self, now: float) -> bool:
        return self._unanswered is not None and now - self._unanswered >= AWAY_SECONDS

    def _describe(self, now: float) -> str:
        job = self.job
        if self._is_away(now):
            since = now if self._unanswered is None else self._unanswered
            return f"Waiting for the database... ({now - since:.0f} s)"
        if self._is_outdated or self._is_held():
            if self._told and not self._is_late(now):
                return self._told
            return f"Waiting for the worker... ({now - self._heard:.0f} s)"
        if job.status is Status.PENDING:
            return "Waiting to be started"
        if job.status is Status.QUEUED:
            return str(self._place or "Waiting in queue")
        if job.failures + 1 < MAX_ATTEMPTS:
            return f"Worker lost, trying again (attempt {job.attempt + 1})"
        return "Worker lost, too often to try again"


def _find_last_words(job: Job) -> str:
    """Return what the worker that holds the job told last; nothing if no worker does."""
    return "" if job.lease_seconds is None else job.llm_thinking or job.current_step


def _find_lease_end(job: Job, asked: float) -> float | None:
    """Return when the worker that holds the job, read at ``asked``, is lost unless it is heard of;
    ``None`` if no worker does."""
    return None if job.lease_seconds is None else asked + job.lease_seconds
