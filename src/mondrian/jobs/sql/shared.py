"""What the statements of several roles share.

Statements that change a job share a form: ``moved`` is the changed row, its ``last_seq`` already
raised; ``logged`` writes the events; ``noticed`` is what then is told of it. A
row is read first (``FOR UPDATE`` in a CTE) where its old values matter: that read returns the
newest committed row, while the snapshot of the statement may be older.
"""

from collections.abc import Iterable
from dataclasses import fields

from mondrian.jobs.job import CLOSING, ENDED, RUNNING, Job

EVENTS_CHANNEL = "mondrian_events"
JOBS_CHANNEL = "mondrian_jobs"
EPOCH_NOTICE = "epoch"
"""What the first channel says when the log has another epoch."""

_LEFT = "lease_seconds"
COLUMNS = tuple(field.name for field in fields(Job))


def statement(text: str) -> bytes:
    """``text`` without its line breaks: psycopg remembers its placeholders up to 4,096 bytes."""
    return " ".join(text.split()).encode()


def quote_words(words: Iterable[str]) -> str:
    """Return SQL for a list of words in brackets."""
    return "(" + ", ".join(f"'{word}'" for word in sorted(words)) + ")"


RUNNING_WORDS = quote_words(RUNNING)
ENDED_WORDS = quote_words(ENDED)
CLOSING_WORDS = quote_words(CLOSING)
HELD = f"id = %(id)s AND attempt = %(attempt)s AND status IN {RUNNING_WORDS}"
HELD_BEFORE = f"{HELD} AND last_seq >= %(seen)s"


def job_columns(row: str) -> str:
    """SQL for the columns of ``Job`` of ``row``."""
    columns = [f"{row}.{name}" for name in COLUMNS if name != _LEFT]
    left = f"extract(epoch FROM {row}.lease_until - clock_timestamp())::float8 AS {_LEFT}"
    return ", ".join([*columns, left])


def payload(columns: str, source: str = "") -> str:
    """SQL for one line of compact JSON. (``json_build_object`` would put spaces in.)"""
    return f"(SELECT row_to_json(p)::text FROM (SELECT {columns} {source}) p)"


def status_update(row: str, *, as_queued: bool = False) -> str:
    """SQL for the payload of a ``status_update`` that tells the state of ``row``."""
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
    return payload(
        f"""'status_update' AS type, {row}.id AS job_id,
            round(extract(epoch FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data""",
        f"FROM ({state}) d",
    )


def attempt_payload(reason: str) -> str:
    """Return SQL for the payload of an ``attempt`` for this reason (SQL)."""
    return payload(f"'attempt' AS type, moved.id AS job_id, moved.attempt, {reason} AS reason")


ERROR_PAYLOAD = payload("'error' AS type, moved.id AS job_id, moved.error")
DONE_PAYLOAD = payload("'done' AS type, moved.id AS job_id, moved.status")


def logged(*entries: tuple[str, str, str], more: str = "") -> str:
    """SQL that writes each (type, payload, condition) to the log of the job in ``moved``, whose
    ``last_seq`` has already been raised by so many as have a true condition."""
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


def noticed(*, is_claimable: str = "false") -> str:
    """Return SQL for the columns from which the notices of a changed job are made (rule 7 of the
    store)."""
    return f"moved.id || ' ' || moved.last_seq AS notice, {is_claimable} AS is_claimable"


NOTIFY = statement("""
    SELECT pg_notify(channel, payload)
    FROM unnest(%(channels)s::text[], %(payloads)s::text[]) n (channel, payload)""")
