"""Jobs: add, start, read, list, cancel and delete them."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from mondrian.errors import JobConflict, TooManyRequests
from mondrian.jobs.job import Job, Status
from mondrian.jobs.sql import jobs as sql
from mondrian.jobs.store.base import Connected, clean, read_job, refuse_if_ended
from mondrian.jobs.store.log import Answer
from mondrian.jobs.store.webhooks import Target

_LOWEST_ID = UUID(int=0)


class Usage(NamedTuple):
    """The bytes of all stored photos, and of one owner's."""

    all_bytes: int
    own_bytes: int


class Jobs(Connected):
    """All jobs."""

    def add(
        self,
        job: Job,
        *,
        idempotency_key: str | None = None,
        fingerprint: str | None = None,
        targets: Sequence[Target] = (),
    ) -> Job:
        """Store a new job, ``queued`` or ``pending``, with its first event and the ``targets`` that
        are told of its end, and wake a worker.

        Calls of one owner with the same key within 24 hours, also concurrent ones, make one job and
        all return it: compare its ``id`` with that of ``job``. (A repeated call takes two round
        trips.) Raise ``JobConflict`` for the same key with another ``fingerprint``.
        """
        values = {name: getattr(job, name) for name in sql.ADD_COLUMNS}
        values |= {"advisors": list(job.advisors), "filename": clean(job.filename)}
        values |= {
            "hook_urls": [each.url for each in targets],
            "hook_hosts": [each.host for each in targets],
            "hook_bases": [each.base_url for each in targets],
            "hook_kinds": [each.is_callback for each in targets],
        }
        values["advisor_versions"] = list(job.advisor_versions)
        values["folder"] = clean(job.folder)
        [row] = self._change(
            sql.ADD, idempotency_key=idempotency_key, fingerprint=fingerprint or "", **values
        )
        if row["kept_job_id"] in (None, job.id):
            return read_job(row)
        if row["fingerprint"] != (fingerprint or ""):
            raise JobConflict("This Idempotency-Key was used for another upload. Choose a new one.")
        return self.read(row["kept_job_id"])

    def start(self, job_id: UUID) -> Job:
        """Queue a pending job; return one that is queued or running unchanged (two round trips).
        Raise ``JobConflict`` if it has ended."""
        if rows := self._change(sql.START, id=job_id):
            return read_job(rows[0])
        return refuse_if_ended(self.read(job_id))

    def cancel(self, job_id: UUID) -> Job:
        """End the job as cancelled, whether or not its worker is alive.

        It cannot end otherwise afterwards. Return an ended job unchanged. Raise ``JobNotFound``.
        """
        return read_job(self._get_only(self._change(sql.CANCEL, id=job_id)))

    def add_thinking(self, job_id: UUID, text: str) -> Job:
        """Log the thinking of an outside advisor. Raise ``JobNotFound``, ``JobConflict`` if the job
        has ended, and ``TooManyRequests`` beyond a megabyte."""
        if rows := self._change(sql.ADD_THINKING, id=job_id, thinking=clean(text)):
            return read_job(rows[0])
        refuse_if_ended(self.read(job_id))
        raise TooManyRequests(
            "This job has had a megabyte of thinking updates from outside. Wait until it ends."
        )

    def find_repeated(self, owner: str, idempotency_key: str, fingerprint: str) -> Job | None:
        """Return the job that an earlier upload with the same key and fingerprint made (two round
        trips), if there is one."""
        rows = self._run(sql.REPEATED, owner=owner, idempotency_key=idempotency_key)
        is_same = rows and rows[0]["fingerprint"] == fingerprint
        return self.read(rows[0]["job_id"]) if is_same else None

    def count_waiting(self, owner: str, limit: int) -> int:
        """Return how many jobs of ``owner`` are pending or queued, ``limit`` at most."""
        [row] = self._run(sql.COUNT_WAITING, owner=owner, limit=limit)
        return int(row["jobs"])

    def read_usage(self, owner: str) -> Usage:
        """Return the bytes of all jobs' photos, and of those of ``owner``."""
        [row] = self._run(sql.USAGE, owner=owner)
        return Usage(**row)

    def find_file(self, filename: str) -> Job | None:
        """Return the job whose photo has that name; a name begins with eight letters of the id."""
        head = filename.partition("-")[0].lower()
        if not re.fullmatch("[0-9a-f]{8}", head):
            return None
        first, last = (UUID(head + digit * 24) for digit in "0f")
        rows = self._run(sql.FIND_FILE, first=first, last=last, filename=clean(filename))
        return read_job(rows[0]) if rows else None

    def delete(self, job_id: UUID) -> str:
        """Delete the job with its events, reports and keys, whatever its status, and return the
        photo's key. A worker's next write raises ``AttemptSuperseded``. Raise ``JobNotFound``."""
        row = self._run_one(sql.DELETE, id=job_id)
        return str(row["photo_key"])

    def read(self, job_id: UUID) -> Job:
        """Return the job. Raise ``JobNotFound``."""
        return read_job(self._run_one(sql.READ, id=job_id))

    def list_jobs(
        self,
        limit: int = 50,
        *,
        before: datetime | None = None,
        before_id: UUID | None = None,
        status: Status | None = None,
        advisor: str | None = None,
        owner: str | None = None,
        photo_sha256: str | None = None,
        search: str | None = None,
        ids: Collection[UUID] | None = None,
        folder: str | None = None,
        is_by_score: bool = False,
        below: float | None = None,
    ) -> list[Job]:
        """Return jobs, the newest first or (``is_by_score``) the highest scores first.

        They are filtered by time of creation, status, advisor, words in the photo's name
        (``search``), ids, owner, photo and folder. With ``before`` and ``before_id`` the list
        continues after the job of that time and id, with ``below`` after that of that score too.
        Without ``before_id`` it continues after all jobs of that time.
        """
        filters = {
            "before": before,
            "status": status,
            "advisor": advisor,
            "search": clean(search),
            "ids": None if ids is None else list(ids),
            "owner": owner,
            "photo_sha256": photo_sha256,
            "folder": clean(folder),
            "below": below if before else None,
        }
        wanted: dict[str, Any] = {
            name: value for name, value in filters.items() if value is not None
        }
        statement = sql.list_jobs(wanted, is_by_score=is_by_score)
        last = before_id or _LOWEST_ID
        return [
            read_job(row) for row in self._run(statement, limit=limit, before_id=last, **wanted)
        ]

    def read_reports(self, job_id: UUID) -> list[Answer]:
        """Return the reports of a job, in its advisors' order; none before it is done."""
        return [Answer(**row) for row in self._run(sql.REPORTS, id=job_id)]

    def reports_of(self, job_ids: Collection[UUID]) -> dict[UUID, list[Mapping[str, Any]]]:
        """Return the reports of jobs, as JSON values in their advisors' order, by job."""
        found: dict[UUID, list[Mapping[str, Any]]] = {}
        for row in self._run(sql.REPORTS_OF, ids=list(job_ids)):
            found.setdefault(row["job_id"], []).append(row["report"])
        return found

    def list_folders(self, owner: str | None, limit: int = 12) -> list[str]:
        """Return the folders that jobs of ``owner``, or everybody's, were handed in with, the
        latest first."""
        return [row["folder"] for row in self._run(sql.FOLDERS, owner=owner, limit=limit)]

    def count_by_status(self, statuses: Collection[Status] = tuple(Status)) -> dict[Status, int]:
        """Return how many jobs there are in each of ``statuses``."""
        rows = self._run(sql.COUNTS, statuses=list(statuses))
        found = {row["status"]: row["jobs"] for row in rows}
        return {status: found.get(status, 0) for status in statuses}

    def count_errors(self) -> dict[str, int]:
        """Return how many jobs ended with each code of an error."""
        return {row["code"]: row["jobs"] for row in self._run(sql.COUNT_ERRORS)}
