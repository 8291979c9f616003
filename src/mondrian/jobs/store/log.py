"""The logs of jobs: append to them, end them, and read them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from mondrian.database.postgres import translate_errors
from mondrian.errors import AttemptSuperseded
from mondrian.jobs.job import RUNNING, Claim, Entry, Event, EventType, Job, Status, StepPhase
from mondrian.jobs.sql import log as sql
from mondrian.jobs.store.base import (
    Connected,
    clean,
    clean_error,
    identify,
    read_job,
)

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


class Logs(Connected):
    """The logs of all jobs."""

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
        """Log ``entries`` in their order, all or none, change what is given, and wake readers.

        A ``status_update`` goes before them if status, step or advisor changed. ``progress`` never
        goes back within an attempt, nor over 99. Returns the last number in the log. Raises
        ``AttemptSuperseded`` and writes nothing if the attempt is over, or the log does not reach
        to number ``seen`` any more: then it went back, and has a gap.
        """
        assert status is None or status in RUNNING
        progress = None if progress is None else max(0, min(progress, 99))
        thinking = clean(llm_thinking)
        if (status, step_phase, current_step, current_advisor, mode_used) == (None,) * 5:
            changes = {"llm_thinking": thinking, "progress": progress, "seen": seen}
            return self._log(sql.APPEND, claim, entries, **changes)
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
        ``AttemptSuperseded``. Returns the last number.
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

    def events_after(
        self, job_id: UUID, seq: int, limit: int = 1000, types: Iterable[EventType] | None = None
    ) -> list[Event]:
        """At most ``limit`` events numbered over ``seq``, in order; with ``types``, only those.

        An event that is not there yet will have a higher number than all that are (rule 1). Of a
        job that is not there, none.
        """
        of_types = {} if types is None else {"types": [str(name) for name in types]}
        statement = sql.events_after(of_types=bool(of_types))
        wanted = {"id": job_id, "seq": seq, "limit": limit, **of_types}
        with translate_errors(), self._pool.connection() as connection:
            found = connection.cursor(row_factory=tuple_row).execute(statement, wanted)
            return [Event._make(row) for row in found.fetchall()]

    def log_after(
        self, job_id: UUID, seq: int, types: Iterable[EventType], limit: int, max_bytes: int
    ) -> Log:
        """Return the same for a replay: ``max_bytes`` of payload at most, or else one event, and
        what was pruned by then."""
        wanted = {"id": job_id, "seq": seq, "limit": limit, "max_bytes": max_bytes}
        wanted["types"] = [str(name) for name in types]
        with translate_errors(), self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            rows = cursor.execute(sql.LOG_AFTER, wanted).fetchall()
        return Log(rows[0][-1] if rows else 0, [row[:-1] for row in rows])

    def snapshot(self, job_id: UUID) -> Snapshot:
        """The job and its text so far, as of one number in its log: ``events_after`` that number
        continues it without gap or overlap. Raises ``JobNotFound``."""
        row = self._one(sql.SNAPSHOT, id=job_id)
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

    def epoch(self) -> str:
        """Return the epoch of the log, a short word: another one after the log went back."""
        [row] = self._run(sql.EPOCH)
        return str(row["epoch"])

    def renew_epoch(self, epoch: str) -> str:
        """Give the log another epoch, unless it has another one than ``epoch`` already, and wake
        all who follow it. Returns the one it has now. (Two round trips.)"""
        self._run(sql.RENEW_EPOCH, epoch=epoch)
        return self.epoch()

    def _write(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        reports: Sequence[Answer] = (),
        is_end: bool = False,
        **changes: Any,
    ) -> int:
        empty = dict.fromkeys(("llm_thinking", "current_advisor", "mode_used", "error", "score"))
        return self._log(
            sql.WRITE,
            claim,
            entries,
            advisors=[report.advisor for report in reports],
            reports=[json.dumps(report.report) for report in reports],
            texts=[clean(report.text) for report in reports],
            is_end=is_end,
            **empty | changes,
        )

    def _log(
        self, statement: bytes, claim: Claim, entries: Sequence[Entry], **parameters: Any
    ) -> int:
        payloads = [entry.encode(claim.job.id) for entry in entries]
        rows = self._change(
            statement,
            types=[entry.type for entry in entries],
            payloads=payloads,
            told=_told(entries, payloads),
            **identify(claim),
            **parameters,
        )
        if not rows:
            raise AttemptSuperseded
        return int(rows[0]["last_seq"])


def mean_score(reports: Iterable[Answer]) -> float | None:
    """Return the mean of the overall scores that there are, to one decimal."""
    scores = [report.report.get("overall_score") for report in reports]
    numbers = [score for score in scores if isinstance(score, int | float)]
    return round(fmean(numbers), 1) if numbers else None


def _told(entries: Sequence[Entry], payloads: Sequence[str]) -> str:
    """The events as lines of a notice (rule 7), or nothing where they would not fit in one."""
    told = "".join(
        f"\n{entry.type} {payload}" for entry, payload in zip(entries, payloads, strict=True)
    )
    return told if len(told) <= MAX_TOLD else ""
