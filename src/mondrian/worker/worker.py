"""The worker: threads that run jobs, one that keeps their claims, and the handling of failures.

1. Each of the ``concurrency`` threads runs one job at a time. The keeper thread renews the claims,
   detects lost ones, and wakes an idle thread for each new job (which wakes another one: there may
   be more jobs). The thread that called ``run`` only waits for ``stop``. No error ends any of them.
2. An expired lease means that its worker died only if the worker could have renewed it. Jobs are
   therefore reclaimed only after this process has seen the database answer on time for as long as a
   lease: after a sleep of the machine or an outage of the database, every live worker has renewed
   by then.
3. A worker reports its state, so that others know which workers are alive. One whose engine fails
   before its first token gives the job to another worker, without counting a failure, and claims
   nothing until the engine answers. Otherwise it would fail jobs faster than others finish them.
4. A stop releases the jobs without counting a failure. Later writes of a stopped thread are
   rejected, since a release raises the attempt. All of it has one deadline: if the database does
   not answer, the leases expire.
5. When an engine crashes or hangs, every job in it is treated as a poison job, since any of them
   may be the cause. From then on each runs alone in the engine, so that it cannot take others down.
"""

import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from mondrian.advisors import Advisor
from mondrian.database.listen import Listener
from mondrian.engines.base import Engine
from mondrian.engines.watched import Meter, WatchedEngine
from mondrian.errors import (
    AttemptSuperseded,
    EngineCrashed,
    EngineStalled,
    JobNotFound,
    MondrianError,
    RetryPolicy,
    StorageError,
    without_secrets,
)
from mondrian.jobs.job import Claim
from mondrian.jobs.log_context import logging_job
from mondrian.jobs.store import Store, WorkerReport, WorkerState
from mondrian.photos import PhotoStore
from mondrian.photos.readers import PhotoReaders
from mondrian.settings import Settings
from mondrian.worker.advisors import JobAdvisors
from mondrian.worker.attempt import run_attempt
from mondrian.worker.breaker import Breaker, is_engine_down
from mondrian.worker.figures import Figures
from mondrian.worker.job_log import HeldClaim, JobLog

log = logging.getLogger(__name__)

KEEP_SECONDS = 0.5
POLL_SECONDS = 5.0
"""The longest pause between polls of an idle worker: there is no notice of an expired lease."""

STUCK_SECONDS = 60.0

_LEAVE_SECONDS = 3.0
_ERROR_PAUSE_SECONDS = 1.0


class Worker:
    """Run the jobs of ``store`` with one ``engine`` for all threads.

    ``readers`` read the photos. ``listener`` listens for queued jobs and is closed at the end of
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
        self.figures = Figures()
        # containers may have one host name, and all of them the process id 1
        self.name = f"{platform.node()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._store = store
        self._photos = photos
        self._readers = readers
        self._engine = engine
        self._listener = listener
        self._advisors = JobAdvisors(store, advisors)
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
        self._reported: tuple[object, ...] = ()
        self._report_at = 0.0
        self._renewed = self._awake_since = time.monotonic()
        self._kept = _read_clocks()

    def run(self) -> None:
        """Run jobs until ``stop``, and release those that are not done."""
        keeper = threading.Thread(target=self._run_keeper, name="keeper", daemon=True)
        workers = [
            threading.Thread(target=self._run_worker, name=f"worker-{n}", daemon=True)
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
        """Make ``run`` release its jobs and return within seconds. Thread-safe and idempotent."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def drain(self) -> None:
        """Make ``run`` claim no more jobs and return when its own are done. Thread-safe and
        idempotent."""
        self._is_draining = True

    def find_liveness_problem(self) -> str:
        """Return why this worker should be restarted, empty if it should not: its keeper, which
        runs every half second, has not run for ``STUCK_SECONDS``."""
        is_stuck = time.monotonic() - self._kept[0] > STUCK_SECONDS
        return "stuck" if is_stuck else ""

    def find_readiness_problem(self) -> str:
        """Return why this worker claims no jobs, empty if it does."""
        if not self._is_database_up:
            return "database"
        report = self.report()
        return report.reason or ("" if report.state is WorkerState.READY else report.state)

    def report(self) -> WorkerReport:
        """Return the state of this worker."""
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
        """Report the state if that is due or the state changed, and follow the orders returned."""
        report, now = self.report(), time.monotonic()
        reported = (report.state, report.reason)
        if reported == self._reported and now < self._report_at:
            return
        try:
            orders = self._store.report_worker(report, self._settings.lease)
        except StorageError:
            self._is_database_up = False
            return
        self._is_database_up = True
        self._reported, self._report_at = reported, now + self._settings.lease / 3
        self._has_others = orders.has_others
        if orders.should_drain:
            self.drain()

    def _may_claim(self) -> bool:
        """Return whether to claim jobs. A worker whose engine is down does so if it is the only
        one: a waiting client had better see the error."""
        is_able = not (self._breaker.is_open and self._has_others)
        return is_able and not self._is_draining and not self._stopping.is_set()

    def _wake_all(self) -> None:
        self._wake(self._concurrency)

    @contextmanager
    def _survive_errors(self) -> Iterator[None]:
        """Log an unexpected error, and let the thread continue with its next round."""
        try:
            yield
        except Exception:
            log.exception("unexpected error in the worker, which continues")
            self._stopping.wait(_ERROR_PAUSE_SECONDS)

    def _run_keeper(self) -> None:
        while not self._stopping.is_set():
            with self._survive_errors():
                self._run_round()
        self._listener.close()
        with suppress(StorageError):
            self._store.forget_worker(self.name)

    def _run_round(self) -> None:
        """Wait half a second for notices of queued jobs, and renew the claims."""
        began = _read_clocks()
        notices = self._listener.wait(KEEP_SECONDS)
        is_listening_anew = not notices and time.monotonic() - began[0] < KEEP_SECONDS * 0.9
        self._wake(len(notices) + (is_listening_anew or self._is_poll_due()))
        is_answered = self._renew()
        self._report()
        if is_listening_anew or not is_answered or not self._is_on_time(began):
            self._awake_since = time.monotonic()
        self._kept = _read_clocks()

    def _is_on_time(self, began: tuple[float, float]) -> bool:
        """Return whether a round that began then has not taken too long. (While the machine sleeps,
        Linux's monotonic clock stops and the wall clock does not.)"""
        took = max(now - then for now, then in zip(_read_clocks(), began, strict=True))
        return took < KEEP_SECONDS + self._settings.lease / 2

    def _is_awake(self) -> bool:
        """Return whether the database has answered for as long as a lease (rule 2). After a sleep
        this may be called before ``_run_round`` has noticed it."""
        watched = time.monotonic() - self._awake_since
        return watched >= self._settings.lease and self._is_on_time(self._kept)

    def _renew(self) -> bool:
        """Renew the claims, unless they just were. Return whether the database answered."""
        if time.monotonic() - self._renewed < KEEP_SECONDS * 0.9:
            return True
        self._renewed = time.monotonic()
        if not (held := self._list_held()):
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
        for held in self._list_held():
            self._release(held.claim)

    def _release(self, claim: Claim) -> None:
        with suppress(AttemptSuperseded, StorageError):
            self._store.release(claim)

    def _list_held(self) -> list[HeldClaim]:
        with self._changed:
            return list(self._holds)

    def _run_worker(self) -> None:
        while self._wait_for_work():
            with self._survive_errors():
                while self._may_claim() and (claim := self._claim()):
                    self._wake(1)  # there may be more
                    with logging_job(claim.job.id):
                        while claim:
                            claim = self._run_attempt(claim)

    def _wake(self, threads: int) -> None:
        """Wake ``threads`` idle threads, to claim jobs."""
        with self._changed:
            self._wakeups = min(self._wakeups + threads, self._concurrency)
            self._changed.notify(threads)

    def _wait_for_work(self) -> bool:
        """Wait until this thread is woken to claim a job. Return false if it should end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping.is_set() or self._wakeups > 0)
            self._wakeups = max(0, self._wakeups - 1)
        return not self._stopping.is_set()

    def _is_poll_due(self) -> bool:
        """Return whether a thread should try to claim a job without a notice."""
        now, pause = time.monotonic(), min(self._settings.update_interval, POLL_SECONDS)
        is_due = now - self._polled >= pause
        if is_due:
            self._polled = now
        return is_due

    def _claim(self) -> Claim | None:
        try:
            claim = self._store.claim(self.name, self._settings.lease, take_over=self._is_awake())
        except StorageError as exc:
            log.warning("no job can be claimed: %s", exc)
            self._awake_since = time.monotonic()
            return None
        if claim:
            self.figures.count_claim(claim)
        return claim

    @contextmanager
    def _hold(self, claim: Claim) -> Iterator[HeldClaim]:
        held = HeldClaim(claim=claim, stopping=self._stopping)
        with self._changed:
            self._holds.add(held)
        try:
            yield held
        finally:
            with self._changed:
                self._holds.discard(held)

    def _run_attempt(self, claim: Claim) -> Claim | None:
        """Run one attempt. Return the claim of the next attempt if it failed and is retried."""
        settings = self._settings
        held, began = None, time.monotonic()
        try:
            with self._hold(claim) as held:
                engine = WatchedEngine(
                    self._engine,
                    self.meter,
                    held.check,
                    stall_seconds=settings.stall,
                    alone=claim.job.is_suspect,
                    mode=claim.job.mode,
                )
                job_log = JobLog(self._store, held, settings.update_interval)
                run_attempt(
                    job_log,
                    self._photos,
                    self._readers,
                    engine,
                    self._advisors,
                    settings.home,
                )
            seconds = self._count("done", began)
            log.info("job %s, attempt %d: done in %.1f s", claim.job.id, claim.attempt, seconds)
            return None
        except MondrianError as exc:
            self._count(exc.code, began)
            has_text = held is not None and held.has_text
            return self._handle_failure(claim, exc, is_down=is_engine_down(exc, has_text=has_text))
        except Exception:
            log.exception("job %s: unexpected error", claim.job.id)
            error = MondrianError()
            self._count(error.code, began)
            return self._handle_failure(claim, error)

    def _count(self, outcome: str, began: float) -> float:
        """Count an attempt that has ended. Return its seconds."""
        seconds = time.monotonic() - began
        self.figures.count_attempt(outcome, seconds)
        return seconds

    def _handle_failure(
        self, claim: Claim, error: MondrianError, *, is_down: bool = False
    ) -> Claim | None:
        """Retry, end or release the job as the error's class says. If the engine is down, give it
        to another worker, if there is one."""
        policy = error.retry_policy
        held = HeldClaim(claim=claim, stopping=self._stopping)
        level = logging.DEBUG if policy is RetryPolicy.FORGET else logging.INFO
        log.log(level, "job %s, attempt %d: %s", claim.job.id, claim.attempt, error)
        try:
            if is_down:
                self._breaker.open(error)
                if held.retry(lambda: self._store.give_to_others(claim, summarize(error))):
                    return None
            if policy is not RetryPolicy.FORGET:
                return held.retry(
                    lambda: self._end_or_retry(claim, error, policy),
                    lambda: self._find_next_claim(claim),
                )
        except (AttemptSuperseded, JobNotFound):
            pass
        except StorageError:
            log.exception("job %s cannot be ended", claim.job.id)
        if self._stopping.is_set() or isinstance(error, AttemptSuperseded):
            # rejected, unless the log went back: there the next attempt fills the gap
            self._release(claim)
        return None

    def _find_next_claim(self, claim: Claim) -> Claim | None:
        """Return the claim of the next attempt, if a retry whose answer was lost began it."""
        job = self._store.read(claim.job.id)
        is_ours = (job.attempt, job.claimed_by) == (claim.attempt + 1, claim.worker)
        return Claim(job=job, worker=claim.worker) if is_ours else None

    def _end_or_retry(
        self, claim: Claim, error: MondrianError, policy: RetryPolicy
    ) -> Claim | None:
        is_retryable = policy is RetryPolicy.AGAIN
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


def _read_clocks() -> tuple[float, float]:
    """Return the monotonic time and the wall-clock time in seconds."""
    return time.monotonic(), time.time()
