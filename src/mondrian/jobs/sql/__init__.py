"""The SQL of jobs, by role. The rules of these statements are in ``mondrian.jobs.store``.

``python -m mondrian.jobs.sql`` prints each statement so that it can be pasted into psql.
"""

from mondrian.jobs.sql.shared import EPOCH_NOTICE, EVENTS_CHANNEL, JOBS_CHANNEL

__all__ = ["EPOCH_NOTICE", "EVENTS_CHANNEL", "JOBS_CHANNEL"]
