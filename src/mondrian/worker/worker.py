"""The worker: threads that take jobs, one that keeps their claims, and what a failure costs.

1. Each of the ``concurrency`` threads has one job at a time. One more keeps: it renews the claims,
   sees those that are lost, and wakes one of the others for each new job (which wakes
   another: there may be more). That which called ``run`` waits for
   nothing but ``stop``. None of them ends by an error, whatever it is.
2. A lease that ran out means that its worker died only if that worker could have renewed it. So
   jobs are taken over only after this process has watched the database answer on time for as long
   as a lease: after a sleep of the machine or an absence of the database, everybody who is alive
   has renewed by then.
3. A worker reports itself, so that others know who is alive. One whose engine fails before its
   first token gives the job to another, which counts no failure, and claims nothing until the
   engine answers: else it would fail faster than others work, and draw the whole queue.
4. A stop hands the jobs back, which counts no failure. What a stopped thread still tries to write
   is refused, since a release raises the attempt. All of that has one deadline: where the
   database does not answer, the leases run out.
5. When an engine crashes or is stuck, every job in it is a poison job: it is not known which of
   them did it. From then on it has the engine to itself, so that the next time, if there is one,
   takes no other job along.
"""

import logging
import os
import platform
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from mondrian.advisors import Advisor
from mondrian.database.listen import Listener
from mondrian.engines.base import Engine
from mondrian.engines.openai.connection import without_secrets
from mondrian.engines.watched import Meter, WatchedEngine
from mondrian.errors import (
    AttemptSuperseded,
    EngineCrashed,
    EngineStalled,
    JobNotFound,
    MondrianError,
    RetryPolicy,
    StorageError,
)
from mondrian.jobs.job import Claim
from mondrian.jobs.store import Store, WorkerReport, WorkerState
from mondrian.photos import PhotoStore
from mondrian.photos.readers import PhotoReaders
from mondrian.settings import Settings
from mondrian.worker.attempt import work
from mondrian.worker.breaker import Breaker, is_gone
from mondrian.worker.job_log import HeldClaim, JobLog

log = logging.getLogger(__name__)

KEEP_SECONDS = 0.5
POLL_SECONDS = 5.0
"""An idle worker looks for a job at least so often: an expired lease is not announced."""

STUCK_SECONDS = 60.0

_LEAVE_SECONDS = 3.0
_UNFORESEEN_SECONDS = 1.0


class Worker:
    """Works at the queue in ``store``, with one ``engine`` for all its threads.

    ``readers`` read the photos. ``listener`` listens for jobs to claim. It is closed at the end of
    ``run``; engine and readers are not.
    """

    def __init__(
        self,
        store: Store,
        photos: PhotoStore,
        readers: PhotoReaders,
        engine: Engine,
        *,
        listener: Listener,
        advisors: Mapping[str, Advisor],
        settings: Settings,
    ) -> None:
        self.meter = Meter()
        # containers may have one host name, and all of them the process id 1
        self.name = f"{platform.node()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._store = store
        self._photos = photos
        self._readers = readers
        self._engine = engine
        self._listener = listener
        self._advisors = advisors
        self._settings = settings
        self._concurrency = settings.concurrency or engine.slots
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._wakeups = 1
        self._polled = time.monotonic()
        self._holds: set[HeldClaim] = set()
        self._breaker = Breaker(engine, self._stopping, self._wake_all)
        self._is_draining = False
        self._has_others = False
        self._is_database_up = True
        self.counts = Counter[str]()
        self._reported: tuple[object, ...] = ()
        self._report_at = 0.0
        self._renewed = self._awake_since = time.monotonic()
        self._kept = _now()

    def run(self) -> None:
        """Work until ``stop``; then all jobs have been handed back."""
        keeper = threading.Thread(target=self._keep_claims, name="keeper", daemon=True)
        workers = [
            threading.Thread(target=self._take_jobs, name=f"worker-{n}", daemon=True)
            for n in range(self._concurrency)
        ]
        for thread in (keeper, *workers):
            thread.start()
        while not self._stopping.is_set():  # not `wait`: `stop` may come as a signal in this thread
            keeper.join(KEEP_SECONDS)
            if self._is_draining and not self._holds:
                self.stop()
        leaver = threading.Thread(target=self._release_all, name="leaver", daemon=True)
        leaver.start()
        deadline = time.monotonic() + _LEAVE_SECONDS
        for thread in (leaver, *workers, keeper):
            thread.join(max(0.0, deadline - time.monotonic()))

    def stop(self) -> None:
        """Make ``run`` release its jobs and return, within seconds. From any thread, any number
        of times."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def drain(self) -> None:
        """Make ``run`` return when the jobs that it has are done; no other is claimed. From any
        thread, any number of times."""
        self._is_draining = True

    def why_not_live(self) -> str:
        """Return why this worker should be started anew, empty if it should not: its keeper, which
        looks every half second, has not for as long as ``STUCK_SECONDS``."""
        is_stuck = time.monotonic() - self._kept[0] > STUCK_SECONDS
        return "stuck" if is_stuck else ""

    def why_not_ready(self) -> str:
        """Return why this worker claims nothing, empty if it does."""
        if not self._is_database_up:
            return "database"
        report = self.report()
        return report.reason or ("" if report.state is WorkerState.READY else report.state)

    def report(self) -> WorkerReport:
        """Return what this worker tells of itself."""
        state, reason = WorkerState.READY, ""
        if self._is_draining:
            state = WorkerState.DRAINING
        elif self._breaker.is_open:
            state, reason = WorkerState.ENGINE_DOWN, self._breaker.reason
        return WorkerReport(
            name=self.name,
            engine=without_secrets(self._engine.url),
            model=self._engine.model,
            slots=self._concurrency,
            busy=len(self._holds),
            state=state,
            reason=reason,
        )

    def _report(self) -> None:
        """Report, where that is due or the state has changed, and do as is asked."""
        report, now = self.report(), time.monotonic()
        told = (report.state, report.reason)
        if told == self._reported and now < self._report_at:
            return
        try:
            orders = self._store.report_worker(report, self._settings.lease)
        except StorageError:
            self._is_database_up = False
            return
        self._is_database_up = True
        self._reported, self._report_at = told, now + self._settings.lease / 3
        self._has_others = orders.has_others
        if orders.should_drain:
            self.drain()

    def _may_claim(self) -> bool:
        """Return whether jobs are to be claimed. Alone, a worker whose engine is gone claims them
        still: a waiting client is better told what is the matter."""
        is_able = not (self._breaker.is_open and self._has_others)
        return is_able and not self._is_draining and not self._stopping.is_set()

    def _wake_all(self) -> None:
        self._wake(self._concurrency)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Log an unexpected error, and let the thread go on with its next round."""
        try:
            yield
        except Exception:
            log.exception("unexpected error in the worker, which goes on")
            self._stopping.wait(_UNFORESEEN_SECONDS)

    def _keep_claims(self) -> None:
        while not self._stopping.is_set():
            with self._going_on():
                self._keep()
        self._listener.close()
        with suppress(StorageError):
            self._store.forget_worker(self.name)

    def _keep(self) -> None:
        """One round: wait half a second for jobs to claim, and renew what is held."""
        began = _now()
        notices = self._listener.wait(KEEP_SECONDS)
        is_listening_anew = not notices and time.monotonic() - began[0] < KEEP_SECONDS * 0.9
        self._wake(len(notices) + (is_listening_anew or self._is_poll_due()))
        is_answered = self._renew()
        self._report()
        if is_listening_anew or not is_answered or not self._is_on_time(began):
            self._awake_since = time.monotonic()
        self._kept = _now()

    def _is_on_time(self, began: tuple[float, float]) -> bool:
        """Whether a round that began then has not taken too long. (The monotonic clock of Linux
        stands still while the machine sleeps, the other one does not.)"""
        took = max(now - then for now, then in zip(_now(), began, strict=True))
        return took < KEEP_SECONDS + self._settings.lease / 2

    def _is_awake(self) -> bool:
        """Whether the database has been watched for as long as a lease (rule 2). After a sleep
        this may be asked before ``_keep`` has noticed it."""
        watched = time.monotonic() - self._awake_since
        return watched >= self._settings.lease and self._is_on_time(self._kept)

    def _renew(self) -> bool:
        """Renew the claims, unless that was just now. Returns whether the database answered."""
        if time.monotonic() - self._renewed < KEEP_SECONDS * 0.9:
            return True
        self._renewed = time.monotonic()
        if not (held := self._held()):
            return True
        try:
            kept = self._store.renew([each.claim for each in held], self._settings.lease)
        except StorageError:
            return False
        for each in held:
            if each.claim.job.id not in kept:
                each.is_lost.set()
        return True

    def _release_all(self) -> None:
        for held in self._held():
            self._release(held.claim)

    def _release(self, claim: Claim) -> None:
        with suppress(AttemptSuperseded, StorageError):
            self._store.release(claim)

    def _held(self) -> list[HeldClaim]:
        with self._changed:
            return list(self._holds)

    def _take_jobs(self) -> None:
        while self._is_woken():
            with self._going_on():
                while self._may_claim() and (claim := self._claim()):
                    self._wake(1)  # there may be more
                    while claim:
                        claim = self._attempt(claim)

    def _wake(self, threads: int) -> None:
        """Let so many idle threads look for a job."""
        with self._changed:
            self._wakeups = min(self._wakeups + threads, self._concurrency)
            self._changed.notify(threads)

    def _is_woken(self) -> bool:
        """Wait until this thread should look for a job. Return whether it should, or stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping.is_set() or self._wakeups > 0)
            self._wakeups = max(0, self._wakeups - 1)
        return not self._stopping.is_set()

    def _is_poll_due(self) -> bool:
        """Return whether a thread should look though there was no notice."""
        now, pause = time.monotonic(), min(self._settings.update_interval, POLL_SECONDS)
        is_due = now - self._polled >= pause
        if is_due:
            self._polled = now
        return is_due

    def _claim(self) -> Claim | None:
        try:
            return self._store.claim(self.name, self._settings.lease, take_over=self._is_awake())
        except StorageError as exc:
            log.warning("no job can be claimed: %s", exc)
            self._awake_since = time.monotonic()
            return None

    @contextmanager
    def _holding(self, claim: Claim) -> Iterator[HeldClaim]:
        held = HeldClaim(claim=claim, stopping=self._stopping)
        with self._changed:
            self._holds.add(held)
        try:
            yield held
        finally:
            with self._changed:
                self._holds.discard(held)

    def _attempt(self, claim: Claim) -> Claim | None:
        """Do the job, or fail at it. Returns the claim for another attempt, if there is one."""
        settings = self._settings
        held = None
        try:
            with self._holding(claim) as held:
                engine = WatchedEngine(
                    self._engine,
                    self.meter,
                    held.check,
                    stall_seconds=settings.stall,
                    alone=claim.job.is_suspect,
                    mode=claim.job.mode,
                )
                job_log = JobLog(self._store, held, settings.update_interval)
                work(
                    job_log,
                    self._photos,
                    self._readers,
                    engine,
                    self._advisors,
                    settings.home,
                )
            self.counts["done"] += 1
            return None
        except MondrianError as exc:
            has_text = held is not None and held.has_text
            return self._judge(claim, exc, is_gone=is_gone(exc, has_text=has_text))
        except Exception:
            log.exception("job %s: unexpected error", claim.job.id)
            return self._judge(claim, MondrianError())

    def _judge(self, claim: Claim, error: MondrianError, *, is_gone: bool = False) -> Claim | None:
        """Let the failure cost what its class says. Where the engine ``is_gone``, other workers
        have the job, if there are any."""
        self.counts[error.code] += 1
        verdict = error.retry_policy
        held = HeldClaim(claim=claim, stopping=self._stopping)
        level = logging.DEBUG if verdict is RetryPolicy.FORGET else logging.INFO
        log.log(level, "job %s, attempt %d: %s", claim.job.id, claim.attempt, error)
        try:
            if is_gone:
                self._breaker.open(error)
                if held.insist(lambda: self._store.give_to_others(claim, summarize(error))):
                    return None
            if verdict is not RetryPolicy.FORGET:
                return held.insist(
                    lambda: self._end_or_retry(claim, error, verdict), lambda: self._next(claim)
                )
        except (AttemptSuperseded, JobNotFound):
            pass
        except StorageError:
            log.exception("job %s cannot be ended", claim.job.id)
        if self._stopping.is_set() or isinstance(error, AttemptSuperseded):
            # that is refused, but where the log went back: there the next attempt fills the gap
            self._release(claim)
        return None

    def _next(self, claim: Claim) -> Claim | None:
        """The claim of the next attempt, if a retry began it whose answer was lost."""
        job = self._store.read(claim.job.id)
        is_ours = (job.attempt, job.claimed_by) == (claim.attempt + 1, claim.worker)
        return Claim(job=job, worker=claim.worker) if is_ours else None

    def _end_or_retry(
        self, claim: Claim, error: MondrianError, verdict: RetryPolicy
    ) -> Claim | None:
        is_retryable = verdict is RetryPolicy.AGAIN
        known = {"code": error.code, "message": error.message, "retryable": is_retryable}
        if is_retryable:
            is_suspect = isinstance(error, EngineCrashed | EngineStalled)
            lease = self._settings.lease
            return self._store.retry(claim, lease, summarize(error), known, is_suspect=is_suspect)
        self._store.finish(claim, error=known)
        return None


def summarize(error: MondrianError) -> str:
    """Return the first sentence of an error's message, without its full stop."""
    return error.message.partition(". ")[0].rstrip(".")


def _now() -> tuple[float, float]:
    """The monotonic clock, and that of the wall."""
    return time.monotonic(), time.time()
