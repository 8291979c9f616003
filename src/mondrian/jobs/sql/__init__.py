"""The SQL of jobs, by role. The rules that these statements keep stand in ``mondrian.jobs.store``.

``python -m mondrian.jobs.sql`` prints each statement so that it can be pasted into psql.
"""

from mondrian.jobs.sql.shared import EVENTS_CHANNEL, JOBS_CHANNEL

__all__ = ["EVENTS_CHANNEL", "JOBS_CHANNEL"]
