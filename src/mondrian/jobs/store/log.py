"""The logs of jobs: append to them, end them, and read them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from mondrian.database.postgres import Pool, translate_errors
from mondrian.errors import (
    AttemptSuperseded,
    DatabaseUnavailable,
    MondrianError,
    StorageError,
    StorageFull,
)
from mondrian.jobs.job import RUNNING, Claim, Entry, Event, EventType, Job, Status, StepPhase
from mondrian.jobs.sql import log as sql
from mondrian.jobs.store.base import (
    Connected,
    clean,
    clean_error,
    identify,
    read_job,
)
from mondrian.jobs.store.gather import Gatherer

MAX_NOTICE = 7_000
"""The most characters of events in a notice, which holds fewer than 8,000 bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One advisor's report (as JSON values) and the text of the model's answer."""

    advisor: str
    report: Mapping[str, Any]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A job as of event ``seq``, all from one database snapshot.

    ``status_update`` is the payload with its state; ``texts`` has the text of ``attempt`` so far by
    advisor, in their order. For an ended job, ``seq`` is the last one before the closing events.
    """

    job: Job
    status_update: str
    seq: int
    attempt: int
    texts: Mapping[str, str]


class Log(NamedTuple):
    """Part of a job's log, each event as number, type and payload, and the job's ``pruned_seq`` of
    the same database snapshot."""

    pruned_seq: int
    lines: list[tuple[int, str, str]]


class Logs(Connected):
    """The logs of all jobs. Appends of several threads at the same time are made together."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._appends = Gatherer(self._append_all)

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
        seen: int = 0,
    ) -> int:
        """Append all ``entries`` in order, change the given columns, and notify readers.

        A ``status_update`` goes before them if status, step or advisor changed. ``progress`` never
        decreases within an attempt, nor exceeds 99. Return the last number in the log. Raise
        ``AttemptSuperseded`` and write nothing if the attempt is over, or the log does not reach
        number ``seen``: then it went back, and has a gap.
        """
        assert status is None or status in RUNNING
        progress = None if progress is None else max(0, min(progress, 99))
        thinking = clean(llm_thinking)
        if (status, step_phase, current_step, current_advisor, mode_used) == (None,) * 5:
            changes = {"llm_thinking": thinking, "progress": progress, "seen": seen}
            given, lines = _encode(claim, entries)
            last = self._appends.call(claim.job.id, {**given, **changes, "lines": lines})
            if isinstance(last, MondrianError):
                raise last
            return last
        return self._write(
            claim,
            entries,
            status=status,
            step_phase=step_phase,
            current_step=clean(current_step),
            llm_thinking=thinking,
            current_advisor=current_advisor,
            progress=progress,
            mode_used=mode_used,
            seen=seen,
        )

    def finish(
        self,
        claim: Claim,
        entries: Sequence[Entry] = (),
        *,
        reports: Sequence[Answer] = (),
        error: Mapping[str, Any] | None = None,
        seen: int = 0,
    ) -> int:
        """End the job: ``done``, or with an ``error`` (code, message, retryable).

        The status with its update, ``entries`` (``analysis_complete``), the ``error`` event,
        ``done`` and the reports are committed together, and only if this attempt is the current
        one, the job has not ended otherwise, and the log reaches to number ``seen``; else
        ``AttemptSuperseded``. Return the last number.
        """
        error = error and clean_error(error)
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
            llm_thinking=None if error else "Done",
            progress=None if error else 100,
            error=json.dumps(error) if error else None,
            seen=seen,
            score=mean_score(reports),
        )

    def read_events(
        self, job_id: UUID, seq: int, limit: int = 1000, types: Iterable[EventType] | None = None
    ) -> list[Event]:
        """Return at most ``limit`` events after ``seq``, in order; with ``types``, only those.

        Later events have higher numbers (rule 1). Return none for an unknown job.
        """
        of_types = {} if types is None else {"types": ",".join(types)}
        statement = sql.read_events(of_types=bool(of_types))
        wanted = {"id": job_id, "seq": seq, "limit": limit, **of_types}
        with translate_errors(), self._pool.connection() as connection:
            found = connection.cursor(row_factory=tuple_row).execute(statement, wanted)
            return [Event._make(row) for row in found.fetchall()]

    def read_log(
        self, job_id: UUID, seq: int, types: Iterable[EventType], limit: int, max_bytes: int
    ) -> Log:
        """Return events for a replay: at most ``max_bytes`` of payload, but at least one event, and
        the job's ``pruned_seq``."""
        wanted = {"id": job_id, "seq": seq, "limit": limit, "max_bytes": max_bytes}
        wanted["types"] = ",".join(types)
        with translate_errors(), self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            rows = cursor.execute(sql.LOG_AFTER, wanted).fetchall()
        return Log(rows[0][-1] if rows else 0, [row[:-1] for row in rows])

    def read_snapshot(self, job_id: UUID) -> Snapshot:
        """Return the job and its text so far, as of one number in its log: ``read_events`` after it
        continues without gap or overlap. Raise ``JobNotFound``."""
        row = self._run_one(sql.SNAPSHOT, id=job_id)
        job = read_job(row)
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

    def read_epoch(self) -> str:
        """Return the epoch of the log, a short word that changes when the log went back."""
        [row] = self._run(sql.EPOCH)
        return str(row["epoch"])

    def renew_epoch(self, epoch: str) -> str:
        """Change the log's epoch if it is ``epoch``, notify its readers, and return the current
        one. (Two round trips.)"""
        self._run(sql.RENEW_EPOCH, epoch=epoch)
        return self.read_epoch()

    def _write(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        reports: Sequence[Answer] = (),
        is_end: bool = False,
        **changes: Any,
    ) -> int:
        empty = dict.fromkeys(("llm_thinking", "current_advisor", "mode_used", "error", "score"))
        given, lines = _encode(claim, entries)
        rows = self._change(
            sql.WRITE,
            {str(claim.job.id): lines},
            **given,
            advisors=[report.advisor for report in reports],
            reports=[json.dumps(report.report) for report in reports],
            texts=[clean(report.text) for report in reports],
            is_end=is_end,
            **empty | changes,
        )
        if not rows:
            raise AttemptSuperseded
        return int(rows[0]["last_seq"])

    def _append_all(self, appends: Sequence[Mapping[str, Any]]) -> list[int | MondrianError]:
        """Return the last number in the log after each append, or why it was not made. An error of
        the database is raised, unless it refuses the statement, which may be for one of them."""
        try:
            if len(appends) == 1:
                [row] = self._run(sql.APPEND, **appends[0])
                return [AttemptSuperseded() if row["last"] is None else int(row["last"])]
            [row] = self._run(sql.APPEND_ALL, appends=json.dumps(appends, default=str))
        except (DatabaseUnavailable, StorageFull):
            raise
        except StorageError as exc:
            if len(appends) == 1:
                return [exc]
            return [last for each in appends for last in self._append_all([each])]
        last = row["last"]
        return [last.get(str(each["id"])) or AttemptSuperseded() for each in appends]


def mean_score(reports: Iterable[Answer]) -> float | None:
    """Return the mean of the overall scores, to one decimal; ``None`` without any."""
    scores = [report.report.get("overall_score") for report in reports]
    numbers = [score for score in scores if isinstance(score, int | float)]
    return round(fmean(numbers), 1) if numbers else None


def _encode(claim: Claim, entries: Sequence[Entry]) -> tuple[dict[str, Any], str]:
    """Return the parameters of a statement that appends ``entries``, and the lines of the
    notice."""
    payloads = [entry.encode(claim.job.id) for entry in entries]
    parameters = identify(claim) | {
        "types": ",".join(entry.type for entry in entries),
        "payloads": "\n".join(payloads),
    }
    return parameters, _format_lines(entries, payloads)


def _format_lines(entries: Sequence[Entry], payloads: Sequence[str]) -> str:
    """Return the events as lines of a notice (rule 7), empty if they do not fit in one."""
    lines = "".join(
        f"\n{entry.type} {payload}" for entry, payload in zip(entries, payloads, strict=True)
    )
    return lines if len(lines) <= MAX_NOTICE else ""
