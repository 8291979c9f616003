"""Every statement on jobs, their log and their reports. Do not "simplify" what is numbered here.

1. The job row is the queue and the lock of its job. An event gets its number from ``last_seq``
   while the row is locked, so numbers of a job have no gaps and are committed in their order: a
   reader that asks for "after n" misses nothing. (With a serial column two writers commit out of
   order, and readers miss events.)
2. One operation is one statement in autocommit mode: it happens whole or not at all, and no lock
   outlives a round trip.
3. An attempt has one holder. Whatever takes a claim away (takeover, retry, hand-back, cancel)
   raises ``attempt``; every write of a worker names its attempt and is refused if the row has
   another, or has ended. The claim itself need not raise it: nobody has held the attempt of a
   queued job.
4. A raised attempt and the ``attempt`` event that voids older text are one statement. A hand-back
   and a takeover write it before the ``status_update`` that says ``queued``, so no client sees a
   job go back without it. ``failures`` counts crashes only, and decides when to give up.
5. The end (``done`` event, status, reports) is one statement on a row that has not ended. So
   there is one ``done`` event, and a cancelled job stays cancelled.
6. ``status_update`` events are written by these statements from the row, when status, step or
   advisor changed. Nobody else writes them.
7. NOTIFY is a wake-up, sent with the commit: ``mondrian_events`` with ``<job> <last seq>``,
   ``mondrian_jobs`` with ``<job>`` when one can be claimed. Readers also look by themselves. Small
   events that end with that number are told in it, a line each (``<type> <payload>``), as they
   were committed: who knows all before them need not read them.
8. Payloads are stored as the text that is sent. PostgreSQL never parses them: a JSON column would
   refuse what a model may write (``\\u0000``).
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row

from mondrian.critiques.history import TimingRecord
from mondrian.database.postgres import Pool, translated
from mondrian.errors import AttemptSuperseded, JobConflict, JobNotFound
from mondrian.jobs import sql as statements
from mondrian.jobs.job import (
    RUNNING,
    Claim,
    Entry,
    Event,
    EventType,
    Job,
    Status,
    StepPhase,
)

LOST = "The worker was lost while it worked at this photo, three times. Upload the photo again."


MAX_TOLD = 7_000
"""A notice holds fewer than 8,000 bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One advisor's report (as JSON values) and the model's answer that it was read from."""

    advisor: str
    report: Mapping[str, Any]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A job as of event ``seq``, all from one database snapshot.

    ``status_update`` is the payload that tells its state; ``texts`` holds what each advisor begun
    has written in ``attempt``, in their order. Of an ended job, ``seq`` is the last one before the
    closing events.
    """

    job: Job
    status_update: str
    seq: int
    attempt: int
    texts: Mapping[str, str]


class Log(NamedTuple):
    """Part of a job's log, each event as number, type and payload; and the job's ``pruned_seq``, of
    the same database snapshot."""

    pruned_seq: int
    lines: list[tuple[int, str, str]]


class Waiting(NamedTuple):
    """A job in the queue. ``turn`` is its owner's: of two with as many running jobs, the lower one
    is served first. (A tuple, since thousands are made at once.)"""

    id: UUID
    owner: str
    advisors: tuple[str, ...]
    turn: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A job under way. ``told`` is the payload of this attempt's newest update, if there is one,
    and ``told_seconds_ago`` its age, or else the time since the job was first claimed."""

    id: UUID
    owner: str
    advisors: tuple[str, ...]
    is_lost: bool
    told: str | None
    told_seconds_ago: float


class Store:
    """All that is kept of jobs. One ``Store`` is for all threads of a process.

    Every method is one round trip unless it says otherwise, and raises ``DatabaseUnavailable``
    where the server does not answer: then nothing is known to have happened, except that a lost
    connection may hide a commit.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def add(
        self, job: Job, *, idempotency_key: str | None = None, fingerprint: str | None = None
    ) -> Job:
        """Store a new job, ``queued`` or ``pending``, with its first event, and wake a worker.

        With a key, all calls of one owner within 24 hours that have it make one job, and all
        return that one, however many run at once: its ``id`` tells whether it is the job given. (A
        call that finds one made is two round trips.) The same key with another ``fingerprint``
        raises ``JobConflict``.
        """
        values = {name: getattr(job, name) for name in statements.ADD_COLUMNS}
        values |= {"advisors": list(job.advisors), "filename": _clean(job.filename)}
        [row] = self._run(
            statements.ADD, idempotency_key=idempotency_key, fingerprint=fingerprint or "", **values
        )
        if row["kept_job_id"] in (None, job.id):
            return _read_job(row)
        if row["fingerprint"] != (fingerprint or ""):
            raise JobConflict("This Idempotency-Key was used for another upload. Choose a new one.")
        return self.read(row["kept_job_id"])

    def expect_photo(self, photo_key: str) -> None:
        """A photo will be stored. If no job is added that has it, it is ``discarded`` in a day."""
        self._run(statements.EXPECT_PHOTO, photo_key=photo_key)

    def start(self, job_id: UUID) -> Job:
        """Queue a pending job. One that is queued or running already is returned as it is (two
        round trips); an ended one raises ``JobConflict``."""
        if rows := self._run(statements.START, id=job_id):
            return _read_job(rows[0])
        return _refused_if_ended(self.read(job_id))

    def claim(self, worker: str, lease_seconds: float, *, take_over: bool = True) -> Claim | None:
        """Take the job whose turn it is, or ``None``. No two claims get one attempt of a job.

        First come jobs whose lease ran out (unless ``take_over`` is false: for a machine that
        slept, whose other workers have had no chance to renew); then the owner with the fewest
        running jobs, of these the one served least recently, of its jobs the oldest. A lost job
        gets a new attempt, with the events that say so; at its third failure it ends as an error
        (one more round trip each).
        """
        while True:
            error = {"code": "worker_lost", "message": LOST, "retryable": True}
            claim = self._take(
                statements.CLAIM, worker, lease_seconds, "worker lost", error, take_over=take_over
            )
            if claim is None or not claim.job.is_ended:
                return claim

    def retry(
        self,
        claim: Claim,
        lease_seconds: float,
        reason: str,
        error: Mapping[str, Any],
        *,
        is_suspect: bool = False,
    ) -> Claim | None:
        """Begin the next attempt of a job whose engine failed, in the hands of the same worker.

        With ``is_suspect`` the job is one from now on, in whatever hands it comes.
        At the third failure the job ends with ``error`` (code, message, retryable) instead, its
        text so far kept, and there is no claim. Raises ``AttemptSuperseded``.
        """
        next_claim = self._take(
            statements.RETRY,
            claim.worker,
            lease_seconds,
            reason,
            error,
            is_suspect=is_suspect,
            **_identity(claim),
        )
        if next_claim is None:
            raise AttemptSuperseded
        return None if next_claim.job.is_ended else next_claim

    def append(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        *,
        status: Status | None = None,
        step_phase: StepPhase | None = None,
        current_step: str | None = None,
        llm_thinking: str | None = None,
        current_advisor: int | None = None,
        progress: int | None = None,
        mode_used: str | None = None,
    ) -> int:
        """Log ``entries`` in their order, all or none, change what is given, and wake readers.

        A ``status_update`` goes before them if status, step or advisor changed. ``progress`` never
        goes back within an attempt, nor over 99. Returns the last number in the log. Raises
        ``AttemptSuperseded`` and writes nothing if the attempt is over.
        """
        assert status is None or status in RUNNING
        progress = None if progress is None else max(0, min(progress, 99))
        thinking = _clean(llm_thinking)
        if (status, step_phase, current_step, current_advisor, mode_used) == (None,) * 5:
            changes = {"llm_thinking": thinking, "progress": progress}
            return self._log(statements.APPEND, claim, entries, **changes)
        return self._write(
            claim,
            entries,
            status=status,
            step_phase=step_phase,
            current_step=_clean(current_step),
            llm_thinking=thinking,
            current_advisor=current_advisor,
            progress=progress,
            mode_used=mode_used,
        )

    def finish(
        self,
        claim: Claim,
        entries: Sequence[Entry] = (),
        *,
        reports: Sequence[Answer] = (),
        error: Mapping[str, Any] | None = None,
    ) -> int:
        """End the job: ``done``, or with an ``error`` (code, message, retryable).

        The status with its update, ``entries`` (``analysis_complete``), the ``error`` event,
        ``done`` and the reports are committed together, and only if this attempt is the current
        one and nobody else ended the job; else ``AttemptSuperseded``. Returns the last number.
        """
        error = error and _cleaned(error)
        status = Status.ERROR if error else Status.DONE
        closing = [Entry(EventType.DONE, {"status": status})]
        if error:
            closing.insert(0, Entry(EventType.ERROR, {"error": error}))
        return self._write(
            claim,
            [*entries, *closing],
            reports,
            is_end=True,
            status=status,
            step_phase=None if error else StepPhase.DONE,
            current_step=error["message"] if error else "Done",
            progress=None if error else 100,
            error=json.dumps(error) if error else None,
        )

    def renew(self, claim: Claim, lease_seconds: float) -> None:
        """Hold the claim for so long from now. Raises ``AttemptSuperseded`` if it is lost."""
        if not self._run(statements.RENEW, lease_seconds=lease_seconds, **_identity(claim)):
            raise AttemptSuperseded

    def release(self, claim: Claim) -> None:
        """Queue the job again, in its old place, counting no failure; wake another worker.

        Its next attempt is announced at once (rule 4): the log never shows a way back to
        ``queued`` alone. Raises ``AttemptSuperseded``.
        """
        if not self._run(statements.HAND_BACK, **_identity(claim)):
            raise AttemptSuperseded

    def cancel(self, job_id: UUID) -> Job:
        """End the job as cancelled, whoever works at it or died while doing so.

        After it no other end can come. A job that has ended already is returned as it is. Raises
        ``JobNotFound``.
        """
        return _read_job(self._one(statements.CANCEL, id=job_id))

    def add_thinking(self, job_id: UUID, text: str) -> Job:
        """Log what an outside advisor is thinking. Raises ``JobNotFound``, and ``JobConflict``
        if the job has ended."""
        if rows := self._run(statements.ADD_THINKING, id=job_id, thinking=_clean(text)):
            return _read_job(rows[0])
        return _refused_if_ended(self.read(job_id))

    def delete(self, job_id: UUID) -> str:
        """Remove the job with its events, reports and keys, whatever its status; its worker finds
        its attempt superseded. Returns the photo's key. Raises ``JobNotFound``."""
        row = self._one(statements.DELETE, id=job_id)
        return str(row["photo_key"])

    def delete_finished(self) -> int:
        """Remove all ended jobs; their photos are then ``discarded``. Returns how many."""
        [row] = self._run(statements.DELETE_FINISHED)
        return int(row["jobs"])

    def delete_oldest(
        self, max_bytes: int, limit: int | None = None, *, is_trial: bool = False
    ) -> tuple[int, int]:
        """Remove ended jobs, oldest first, until the photos of all jobs fit in ``max_bytes``, but
        not more than ``limit`` jobs; their photos are then ``discarded``. In a trial nothing is
        removed. Returns how many jobs, and how many bytes their photos have."""
        statement = statements.COUNT_OVERFLOW if is_trial else statements.DELETE_OVERFLOW
        [row] = self._run(statement, max_bytes=max_bytes, limit=limit)
        return row["jobs"], row["bytes"]

    def discarded(self) -> list[str]:
        """The keys of photos that have no job, or no longer, and are still to be deleted."""
        return [row["photo_key"] for row in self._run(statements.DISCARDED)]

    def forget_discarded(self, photo_key: str) -> None:
        """The photo is deleted."""
        self._run(statements.FORGET_DISCARDED, photo_key=photo_key)

    def prune(
        self, days: float, limit: int | None = None, *, is_trial: bool = False
    ) -> tuple[int, int]:
        """Remove the events of jobs that ended so long ago, but for the closing ones, of not more
        than ``limit`` jobs. The jobs and their reports stay, and ``pruned_seq`` tells what is gone.
        In a trial nothing is removed. Returns how many jobs, and how many events."""
        statement = statements.COUNT_OLD if is_trial else statements.PRUNE
        [row] = self._run(statement, seconds=days * 86_400, limit=limit)
        return row["jobs"], row["events"]

    def forget_keys(self) -> None:
        """Forget the idempotency keys that are older than 24 hours."""
        self._run(statements.FORGET_KEYS)

    @contextmanager
    def alone(self, lock: int) -> Iterator[bool]:
        """Whether no other process is in such a ``with``, which then holds for its time. It takes
        one connection."""
        with translated(), self._pool.connection() as connection:
            [row] = connection.execute(statements.TRY_LOCK, {"lock": lock}).fetchall()
            try:
                yield row["is_ours"]
            finally:
                if row["is_ours"]:
                    with suppress(psycopg.OperationalError):  # it goes with its connection too
                        connection.execute(statements.UNLOCK, {"lock": lock})

    def read(self, job_id: UUID) -> Job:
        """The job as it is. Raises ``JobNotFound``."""
        return _read_job(self._one(statements.READ, id=job_id))

    def list_jobs(
        self,
        limit: int = 50,
        *,
        before: datetime | None = None,
        status: Status | None = None,
        advisor: str | None = None,
    ) -> list[Job]:
        """The newest jobs first: those made before ``before``, in ``status``, with ``advisor``."""
        filters = {"before": before, "status": status, "advisor": advisor}
        wanted = {name: value for name, value in filters.items() if value is not None}
        rows = self._run(statements.list_jobs(wanted), limit=limit, **wanted)
        return [_read_job(row) for row in rows]

    def events_after(
        self, job_id: UUID, seq: int, limit: int = 1000, types: Iterable[EventType] | None = None
    ) -> list[Event]:
        """At most ``limit`` events numbered over ``seq``, in order; with ``types``, only those.

        An event that is not there yet will have a higher number than all that are (rule 1). Of a
        job that is not there, none.
        """
        of_types = {} if types is None else {"types": [str(name) for name in types]}
        statement = statements.events_after(of_types=bool(of_types))
        wanted = {"id": job_id, "seq": seq, "limit": limit, **of_types}
        with translated(), self._pool.connection() as connection:
            found = connection.cursor(row_factory=tuple_row).execute(statement, wanted)
            return [Event._make(row) for row in found.fetchall()]

    def log_after(
        self, job_id: UUID, seq: int, types: Iterable[EventType], limit: int, max_bytes: int
    ) -> Log:
        """The same for whoever replays it: ``max_bytes`` of payload at most, or else one event, and
        what was pruned by then."""
        wanted = {"id": job_id, "seq": seq, "limit": limit, "max_bytes": max_bytes}
        wanted["types"] = [str(name) for name in types]
        with translated(), self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            rows = cursor.execute(statements.LOG_AFTER, wanted).fetchall()
        return Log(rows[0][-1] if rows else 0, [row[:-1] for row in rows])

    def snapshot(self, job_id: UUID) -> Snapshot:
        """The job and its text so far, as of one number in its log: ``events_after`` that number
        continues it without gap or overlap. Raises ``JobNotFound``."""
        row = self._one(statements.SNAPSHOT, id=job_id)
        job = _read_job(row)
        texts: dict[str, str] = {}
        for token in map(json.loads, row["tokens"]):
            texts[token["advisor"]] = texts.get(token["advisor"], "") + token["text"]
        return Snapshot(
            job=job,
            status_update=row["status_update"],
            seq=row["covered"],
            attempt=job.attempt - (job.status is Status.CANCELLED),
            texts=texts,
        )

    def reports(self, job_id: UUID) -> list[Answer]:
        """The reports of a job, in its advisors' order; none before it is done."""
        return [Answer(**row) for row in self._run(statements.REPORTS, id=job_id)]

    def waiting(self) -> list[Waiting]:
        """The queued jobs, oldest first."""
        return [
            Waiting(row["id"], row["owner"], tuple(row["advisors"].split(",")), row["turn"])
            for row in self._run(statements.WAITING)
        ]

    def running(self) -> list[Running]:
        """The jobs that a worker holds or has lost, in the order in which they began."""
        return [
            Running(**row | {"advisors": tuple(row["advisors"])})
            for row in self._run(statements.RUNNING_JOBS)
        ]

    def usual_seconds(self) -> dict[str | None, float]:
        """The median seconds of a critique by each advisor on a loaded model, of the newest of each
        kind on the engine and model of the last one; under ``None`` that of all together. Empty if
        there was none."""
        rows = self._run(statements.USUAL_SECONDS)
        return {row["advisor"]: row["seconds"] for row in rows if row["seconds"] is not None}

    def counts(self, statuses: Collection[Status] = tuple(Status)) -> dict[Status, int]:
        """How many jobs there are in each of ``statuses``."""
        rows = self._run(statements.COUNTS, statuses=list(statuses))
        found = {row["status"]: row["jobs"] for row in rows}
        return {status: found.get(status, 0) for status in statuses}

    def record_history(self, figures: TimingRecord) -> None:
        """Keep what one advisor's critique took."""
        self._run(statements.RECORD_HISTORY, **asdict(figures) | {"marks": list(figures.marks)})

    def history(self, engine: str, model: str) -> list[TimingRecord]:
        """The newest figures of a model on an engine, of each kind (advisor and rough size of the
        photo), newest first; if there are none, those on other engines (two round trips)."""
        for of_others in (False, True):
            statement = statements.history(of_others=of_others)
            if rows := self._run(statement, engine=engine, model=model):
                break
        return [TimingRecord(**row) for row in rows]

    def _take(
        self,
        statement: bytes,
        worker: str,
        lease_seconds: float,
        reason: str,
        error: Mapping[str, Any],
        **more: Any,
    ) -> Claim | None:
        rows = self._run(
            statement,
            worker=worker,
            lease_seconds=lease_seconds,
            reason=_clean(reason),
            error=json.dumps(_cleaned(error)),
            **more,
        )
        return Claim(job=_read_job(rows[0]), worker=worker) if rows else None

    def _write(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        reports: Sequence[Answer] = (),
        is_end: bool = False,
        **changes: Any,
    ) -> int:
        empty = dict.fromkeys(("llm_thinking", "current_advisor", "mode_used", "error"))
        return self._log(
            statements.WRITE,
            claim,
            entries,
            advisors=[report.advisor for report in reports],
            reports=[json.dumps(report.report) for report in reports],
            texts=[_clean(report.text) for report in reports],
            is_end=is_end,
            **empty | changes,
        )

    def _log(
        self, statement: bytes, claim: Claim, entries: Sequence[Entry], **parameters: Any
    ) -> int:
        payloads = [entry.encode(claim.job.id) for entry in entries]
        rows = self._run(
            statement,
            types=[entry.type for entry in entries],
            payloads=payloads,
            told=_told(entries, payloads),
            **_identity(claim),
            **parameters,
        )
        if not rows:
            raise AttemptSuperseded
        return int(rows[0]["last_seq"])

    def _one(self, statement: bytes, **parameters: Any) -> dict[str, Any]:
        rows = self._run(statement, **parameters)
        if not rows:
            raise JobNotFound
        return rows[0]

    def _run(self, statement: bytes, **parameters: Any) -> list[dict[str, Any]]:
        with translated(), self._pool.connection() as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


def _told(entries: Sequence[Entry], payloads: Sequence[str]) -> str:
    """The events as lines of a notice (rule 7), or nothing where they would not fit in one."""
    told = "".join(
        f"\n{entry.type} {payload}" for entry, payload in zip(entries, payloads, strict=True)
    )
    return told if len(told) <= MAX_TOLD else ""


def _identity(claim: Claim) -> dict[str, Any]:
    return {"id": claim.job.id, "attempt": claim.attempt}


def _refused_if_ended(job: Job) -> Job:
    if job.is_ended:
        raise JobConflict(f"The job has ended ({job.status}). Upload the photo again.")
    return job


def _read_job(row: Mapping[str, Any]) -> Job:
    values = {name: row[name] for name in statements.COLUMNS}
    values["advisors"] = tuple(values["advisors"])
    values["status"] = Status(values["status"])
    values["step_phase"] = StepPhase(values["step_phase"])
    return Job(**values)


def _clean(text: str | None) -> str | None:
    """Text that PostgreSQL can store: no NUL, no half of a surrogate pair."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _cleaned(error: Mapping[str, Any]) -> dict[str, Any]:
    return {**error, "message": _clean(error["message"])}
