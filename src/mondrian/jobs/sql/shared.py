"""What the statements of several roles share.

Statements that change a job share a form: the CTE ``moved`` is the changed row, its ``last_seq``
already raised; ``logged`` inserts the events; the columns ``notice`` and ``is_claimable`` are what
readers and workers are notified of. A row is read first (``FOR UPDATE`` in a CTE) where its old
values matter: that read returns the newest committed row, while the snapshot of the statement may
be older.
"""

from collections.abc import Iterable
from dataclasses import fields

from mondrian.jobs.job import CLOSING, ENDED, RUNNING, Job

EVENTS_CHANNEL = "mondrian_events"
JOBS_CHANNEL = "mondrian_jobs"
EPOCH_NOTICE = "epoch"
"""The payload on the first channel when the log has another epoch."""

_LEFT = "lease_seconds"
COLUMNS = tuple(field.name for field in fields(Job))


def compact(text: str) -> bytes:
    """Return ``text`` without line breaks: psycopg caches parsed statements up to 4,096 bytes."""
    return " ".join(text.split()).encode()


def quote_words(words: Iterable[str]) -> str:
    """Return SQL for a list of words in brackets."""
    return "(" + ", ".join(f"'{word}'" for word in sorted(words)) + ")"


RUNNING_WORDS = quote_words(RUNNING)
ENDED_WORDS = quote_words(ENDED)
CLOSING_WORDS = quote_words(CLOSING)
HELD = f"id = %(id)s AND attempt = %(attempt)s AND status IN {RUNNING_WORDS}"
HELD_BEFORE = f"{HELD} AND last_seq >= %(seen)s"


def list_columns(row: str) -> str:
    """Return SQL for the columns of ``Job`` of ``row``."""
    columns = [f"{row}.{name}" for name in COLUMNS if name != _LEFT]
    left = f"extract(epoch FROM {row}.lease_until - clock_timestamp())::float8 AS {_LEFT}"
    return ", ".join([*columns, left])


def build_payload(columns: str, source: str = "") -> str:
    """Return SQL for one line of compact JSON. (``json_build_object`` would add spaces.)"""
    return f"(SELECT row_to_json(p)::text FROM (SELECT {columns} {source}) p)"


def build_status_update(row: str, *, as_queued: bool = False) -> str:
    """Return SQL for the payload of a ``status_update`` with the state of ``row``."""
    status, phase, step = f"{row}.status", "step_phase", "current_step"
    if as_queued:
        status, phase, step = "'queued'", "'queued'", "'Waiting in queue'"
    state = f"""
        SELECT {row}.id AS job_id, {status} AS status, {step} AS current_step, llm_thinking,
            current_advisor, cardinality(advisors) AS total_advisors, {phase} AS step_phase,
            progress AS progress_percentage, {row}.attempt, {row}.error,
            base_url || '/status/' || {row}.id AS status_url,
            base_url || '/stream/' || {row}.id AS stream_url,
            base_url || '/analysis/' || {row}.id AS analysis_url"""
    return build_payload(
        f"""'status_update' AS type, {row}.id AS job_id,
            round(extract(epoch FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data""",
        f"FROM ({state}) d",
    )


def build_attempt(reason: str) -> str:
    """Return SQL for the payload of an ``attempt`` for this reason (SQL)."""
    return build_payload(
        f"'attempt' AS type, moved.id AS job_id, moved.attempt, {reason} AS reason"
    )


ERROR_PAYLOAD = build_payload("'error' AS type, moved.id AS job_id, moved.error")
DONE_PAYLOAD = build_payload("'done' AS type, moved.id AS job_id, moved.status")


def insert_events(*entries: tuple[str, str, str], more: str = "") -> str:
    """Return SQL that inserts each (type, payload, condition) into the log of the job in ``moved``,
    whose ``last_seq`` has already been raised by the number of true conditions."""
    chosen = "UNION ALL ".join(
        f"SELECT {place} AS place, '{name}' AS type, {payload} AS payload WHERE {wanted} "
        for place, (name, payload, wanted) in enumerate(entries)
    )
    return f"""logged AS (
        INSERT INTO events (job_id, seq, type, attempt, payload)
        SELECT moved.id,
            moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place),
            e.type, moved.attempt, e.payload
        FROM moved CROSS JOIN LATERAL ({chosen} {more}) e
    )"""


TYPES = "string_to_array(%(types)s, ',')"
_PAYLOADS = "string_to_array(%(payloads)s, chr(10))"
_GIVEN = f"unnest({TYPES}, {_PAYLOADS}) WITH ORDINALITY g (type, payload, place)"
"""Given events: their types with commas and their payloads, each a line of JSON, with line breaks
between them. (psycopg takes longer over a list than PostgreSQL over a text.)"""

GIVEN_EVENTS = f"UNION ALL SELECT g.place, g.type, g.payload FROM {_GIVEN}"
"""The given events as ``more`` of ``insert_events``."""


def insert_reports(advisors: str) -> str:
    """Return SQL that inserts the given reports of the job in ``moved``; ``advisors`` is the
    placeholder of their ids."""
    return f"""reported AS (
        INSERT INTO reports (job_id, advisor, place, report, text)
        SELECT moved.id, r.advisor, r.place, r.report, r.text
        FROM moved, unnest({advisors}::text[], %(reports)s::json[], %(texts)s::text[])
            WITH ORDINALITY r (advisor, report, text, place)
    )"""


def select_notice(*, is_claimable: str = "false") -> str:
    """Return SQL for the columns from which the notices of a changed job are made (rule 7 of
    ``mondrian.jobs.store``)."""
    return f"moved.id || ' ' || moved.last_seq AS notice, {is_claimable} AS is_claimable"


NOTIFY_ONE = compact("SELECT pg_notify(%(channel)s, %(payload)s)")
NOTIFY = compact("""
    SELECT pg_notify(channel, payload)
    FROM unnest(%(channels)s::text[], %(payloads)s::text[]) n (channel, payload)""")
