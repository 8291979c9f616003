"""The claim that an attempt holds, and what it writes to the log of its job.

1. A claim can be lost at any moment: by a cancel, a reclaim, a release. The attempt often asks its
   ``HeldClaim`` whether to continue.
2. A write that the database does not answer is retried until it does, while the critique continues
   in its own thread. A lost connection may hide a commit, so the log is read before each retry.
3. The critique's clock ticks faster than the interval, and here the updates are throttled: a change
   is written at once while the limit allows it (15 + duration / interval events a job), otherwise
   one event per interval.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from threading import Event
from typing import Any, TypeVar

from mondrian.critiques.pacing import Update
from mondrian.engines.base import Phase
from mondrian.errors import AttemptSuperseded, DatabaseUnavailable, StorageFull
from mondrian.jobs.events import build_update_fields
from mondrian.jobs.job import MAX_ATTEMPTS, Claim, Entry, EventType, Job
from mondrian.jobs.store import Answer, Store

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_EVENTS = 15
"""The most events of a job besides one per interval; tokens and partial reports do not count."""

COUNTED = (
    EventType.STATUS_UPDATE,
    EventType.THINKING_UPDATE,
    EventType.ANALYSIS_COMPLETE,
    EventType.ERROR,
)
_END_EVENTS = 2  # the last status, and the analysis or the error
_RETRY_EVENTS = 3  # two statuses and the attempt
_BACK_OFF_SECONDS = (0.1, 0.2, 0.5, 1.0)


@dataclass(kw_only=True, eq=False)
class HeldClaim:
    """A claim that this process holds. ``is_lost`` is set when it no longer does, ``stopping`` when
    the worker stops. ``has_text`` is true once the engine has written text."""

    claim: Claim
    stopping: Event
    is_lost: Event = field(default_factory=Event)
    has_text: bool = False

    def check(self) -> None:
        """Raise ``AttemptSuperseded`` if the claim is lost or the worker stops."""
        if self.is_lost.is_set() or self.stopping.is_set():
            raise AttemptSuperseded

    def pause(self, seconds: float) -> None:
        """Wait. Raise ``AttemptSuperseded`` as soon as ``check`` does."""
        deadline = time.monotonic() + seconds
        self.check()
        while (left := deadline - time.monotonic()) > 0:
            self.is_lost.wait(min(left, 0.2))
            self.check()

    def retry(self, write: Callable[[], T], find: Callable[[], T | None] = lambda: None) -> T:
        """Call ``write`` until the database answers, and return its result, or that of ``find`` if
        it finds the result of an earlier call. Raise ``AttemptSuperseded`` as ``check`` does."""
        failures = 0
        while True:
            self.check()
            try:
                found = find() if failures else None
                return write() if found is None else found
            except (DatabaseUnavailable, StorageFull) as exc:
                log.warning("job %s waits for the database: %s", self.claim.job.id, exc)
            self.pause(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
            failures += 1


class JobLog:
    """Write the events of one attempt to its job's log. Not thread-safe."""

    def __init__(self, store: Store, held: HeldClaim, interval_seconds: float) -> None:
        self.store = store
        self.held = held
        self.interval_seconds = interval_seconds
        self.tick_seconds = min(0.25, max(0.05, interval_seconds / 20))
        self._started = self._written_at = time.monotonic()
        age = (datetime.now(UTC) - held.claim.job.created_at).total_seconds()
        self._born = self._started - max(0.0, age)
        self._seq = held.claim.job.last_seq
        self._sent = 1 + self._count_sent()  # `connected` is one
        self._state: dict[str, Any] = {}
        self._phase: Phase | None = None
        self._percent = 0.0

    @property
    def job(self) -> Job:
        """The job as it was claimed."""
        return self.held.claim.job

    @property
    def attempt(self) -> int:
        """The attempt that writes here."""
        return self.held.claim.attempt

    def update(self, update: Update, **state: Any) -> None:
        """Write ``update`` and the job's new ``state`` (``status``, ``step_phase``,
        ``current_advisor``, ``current_step``), unless it is too early.

        Percent and time are of the whole job; percent never decreases.
        """
        now = time.monotonic()
        is_due = now - self._written_at >= self.interval_seconds - self.tick_seconds / 2
        has_update = is_due or update.phase is not self._phase
        has_state = bool(state) and state != self._state
        if self._count_allowed(now) < has_update + has_state:
            if not is_due:
                return
            has_update = not has_state
        if has_update or has_state:
            self._percent = max(self._percent, update.percent)
            elapsed = round(now - self._started, 3)
            update = replace(update, percent=self._percent, elapsed_seconds=elapsed)
            self.write_update(update if has_update else None, state if has_state else {})

    def write_update(self, update: Update | None, state: Mapping[str, Any]) -> None:
        """Write ``update`` and ``state`` now."""
        entries, changes = list[Entry](), dict(state)
        if update:
            fields = build_update_fields(update, attempt=self.attempt)
            entries.append(Entry(EventType.THINKING_UPDATE, fields))
            changes |= {"llm_thinking": update.thinking, "progress": int(update.percent)}
            self._phase = update.phase
        self.append(entries, **changes)
        self._sent += bool(update) + bool(state)
        self._state, self._written_at = dict(state) or self._state, time.monotonic()

    def append(self, entries: Sequence[Entry], **changes: Any) -> None:
        """Append to the log and change the job; retry while the database does not answer."""

        def write() -> int:
            return self.store.append(self.held.claim, entries, seen=self._seq, **changes)

        self._seq = self.held.retry(write, lambda: self._find(entries))
        self.held.has_text |= any(entry.type is EventType.TOKEN for entry in entries)

    def finish(self, entries: Sequence[Entry], reports: Sequence[Answer]) -> None:
        """End the job as done; retry while the database does not answer."""

        def write() -> int:
            return self.store.finish(self.held.claim, entries, reports=reports, seen=self._seq)

        self.held.retry(write)

    def _find(self, entries: Sequence[Entry]) -> int | None:
        """Return the number of the last of ``entries`` if they are in the log (all or none are)."""
        if not entries:
            return None
        wanted = entries[-1].encode(self.job.id)
        events = self.store.read_events(self.job.id, self._seq)
        return next((event.seq for event in events if event.payload == wanted), None)

    def _count_sent(self) -> int:
        """Return the number of events so far, including those that the API's clock sent in between:
        one per interval, and one when a worker was lost."""
        if self.attempt == 1:  # nothing but status updates so far
            return self.job.last_seq + int((self._started - self._born) / self.interval_seconds)
        counted = self.held.retry(lambda: self.store.read_events(self.job.id, 0, types=COUNTED))
        gaps = (after.created_at - before.created_at for before, after in pairwise(counted))
        late = self.tick_seconds  # as updates are, and the API does not speak yet
        silent = sum(int((gap.total_seconds() - late) / self.interval_seconds) for gap in gaps)
        return len(counted) + silent + self.job.failures

    def _count_allowed(self, now: float) -> int:
        """Return how many more events may be written now."""
        kept = _END_EVENTS
        if self.job.failures:  # there may be more of them
            kept += _RETRY_EVENTS * (MAX_ATTEMPTS - 1 - self.job.failures)
        allowed = MAX_EVENTS + int((now - self._born) / self.interval_seconds)
        return allowed - self._sent - kept
