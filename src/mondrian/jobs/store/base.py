"""Shared by the roles of the store: run a statement, and read a job from a row."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from mondrian.database.listen import Notice
from mondrian.database.postgres import Pool, translate_errors
from mondrian.errors import JobConflict, JobNotFound
from mondrian.jobs.job import Claim, Job, Status, StepPhase
from mondrian.jobs.notices import Notifier
from mondrian.jobs.sql.shared import COLUMNS, EVENTS_CHANNEL, JOBS_CHANNEL

NO_LINES: Mapping[str, str] = {}


class Connected:
    """One role of the store, over a pool of connections. Thread-safe."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._notifier = Notifier(pool)

    def _run_one(self, statement: bytes, **parameters: Any) -> dict[str, Any]:
        return self._get_only(self._run(statement, **parameters))

    def _get_only(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        if not rows:
            raise JobNotFound
        return rows[0]

    def _run(
        self, statement: bytes, *, is_binary: bool = False, **parameters: Any
    ) -> list[dict[str, Any]]:
        """Run a statement; ``is_binary`` saves time where an answer is megabytes of bytes."""
        with translate_errors(), self._pool.connection() as connection:
            cursor = connection.execute(statement, parameters, binary=is_binary)
            return cursor.fetchall() if cursor.description else []

    def _change(
        self, statement: bytes, lines: Mapping[str, str] = NO_LINES, **parameters: Any
    ) -> list[dict[str, Any]]:
        """Run a statement that changes jobs, then send its notices, with the ``lines`` of the
        events of each job by its id."""
        with translate_errors(), self._pool.connection() as connection:
            rows = connection.execute(statement, parameters).fetchall()
            notices = list[Notice]()
            for row in rows:
                if notice := row["notice"]:
                    job_id = notice.partition(" ")[0]
                    notices.append(Notice(EVENTS_CHANNEL, notice + lines.get(job_id, "")))
                    if row["is_claimable"]:
                        notices.append(Notice(JOBS_CHANNEL, job_id))
            self._notifier.send(connection, notices)
            return rows


def identify(claim: Claim) -> dict[str, Any]:
    """Return the parameters of a statement that fences a write by its attempt (rule 3)."""
    return {"id": claim.job.id, "attempt": claim.attempt}


def refuse_if_ended(job: Job) -> Job:
    """Return ``job``. Raise ``JobConflict`` if it has ended."""
    if job.is_ended:
        raise JobConflict(f"The job has ended ({job.status}). Upload the photo again.")
    return job


def read_job(row: Mapping[str, Any]) -> Job:
    """Return the job of a row with the columns ``COLUMNS``."""
    values = {name: row[name] for name in COLUMNS}
    for name in ("advisors", "advisor_versions"):
        values[name] = tuple(values[name])
    values["status"] = Status(values["status"])
    values["step_phase"] = StepPhase(values["step_phase"])
    for name in ("created_at", "started_at", "completed_at"):
        values[name] = values[name] and values[name].astimezone(UTC)
    return Job(**values)


def clean(text: str | None) -> str | None:
    """Return text that PostgreSQL can store: no NUL, no half of a surrogate pair."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def clean_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``error`` with a message that PostgreSQL can store."""
    return {**error, "message": clean(error["message"])}
