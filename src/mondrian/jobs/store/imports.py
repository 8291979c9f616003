"""Ended jobs of an earlier system."""

import json
from collections.abc import Sequence

from mondrian.jobs.job import Entry, EventType, Job
from mondrian.jobs.sql import imports as sql
from mondrian.jobs.store.base import Connected, clean, clean_error
from mondrian.jobs.store.log import Answer, mean_score


class Imports(Connected):
    """Import jobs that ended in another system."""

    def import_ended(
        self, job: Job, entries: Sequence[Entry] = (), reports: Sequence[Answer] = ()
    ) -> bool:
        """Store an ended job with its times, reports and closing events. Return false and change
        nothing if there is already a job with its id.

        The log is a ``status_update``, ``entries`` (text, ``analysis_complete``), an ``error`` if
        the job has one, and ``done``. It begins at number 2, and is not pruned.
        """
        assert job.is_ended
        error = job.error and clean_error(job.error)
        closing = [Entry(EventType.ERROR, {"error": error})] if error else []
        closing.append(Entry(EventType.DONE, {"status": job.status}))
        written = [*entries, *closing]
        values = {name: getattr(job, name) for name in sql.IMPORT_COLUMNS}
        for name in ("filename", "current_step", "llm_thinking"):
            values[name] = clean(values[name])
        values |= {"advisors": list(job.advisors), "score": mean_score(reports)}
        values["advisor_versions"] = list(job.advisor_versions)
        rows = self._change(
            sql.IMPORT,
            error=json.dumps(error) if error else None,
            types=",".join(entry.type for entry in written),
            payloads="\n".join(entry.encode(job.id) for entry in written),
            report_advisors=[report.advisor for report in reports],
            reports=[json.dumps(report.report) for report in reports],
            texts=[clean(report.text) for report in reports],
            **values,
        )
        return bool(rows)
