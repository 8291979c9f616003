"""Add a job, read it, list jobs, cancel and delete."""

from collections.abc import Iterable

from mondrian.jobs.events import UPDATE_FIELDS
from mondrian.jobs.sql.shared import (
    DONE_PAYLOAD,
    ENDED_WORDS,
    build_payload,
    build_status_update,
    compact,
    insert_events,
    list_columns,
    select_notice,
)
from mondrian.jobs.sql.webhooks import ADDED

ADD_COLUMNS = (
    "id", "owner", "filename", "photo_key", "photo_sha256", "photo_bytes", "width", "height",
    "advisors", "advisor_versions", "mode", "mode_used", "enable_rag", "base_url", "status",
    "step_phase", "current_step", "retry_of", "intent", "genre", "folder",
)  # fmt: skip

_FRESH = "i.created_at > now() - interval '24 hours'"

ADD = compact(f"""
    WITH kept AS (
        INSERT INTO idempotency AS i (owner, key, fingerprint, job_id)
        SELECT %(owner)s, %(idempotency_key)s, %(fingerprint)s, %(id)s
        WHERE %(idempotency_key)s::text IS NOT NULL
        ON CONFLICT (owner, key) DO UPDATE SET
            fingerprint = CASE WHEN {_FRESH} THEN i.fingerprint ELSE excluded.fingerprint END,
            job_id = CASE WHEN {_FRESH} THEN i.job_id ELSE excluded.job_id END,
            created_at = CASE WHEN {_FRESH} THEN i.created_at ELSE excluded.created_at END
        RETURNING i.job_id, i.fingerprint
    ), moved AS (
        INSERT INTO jobs ({", ".join(ADD_COLUMNS)}, last_seq)
        SELECT {", ".join(f"%({name})s" for name in ADD_COLUMNS)}, 1
        WHERE NOT EXISTS (SELECT FROM kept WHERE kept.job_id <> %(id)s)
        RETURNING *
    ), claimed AS (
        DELETE FROM discarded USING moved WHERE discarded.photo_key = moved.photo_key
    ), {ADDED}, {insert_events(("status_update", build_status_update("moved"), "true"))}
    SELECT kept.job_id AS kept_job_id, kept.fingerprint, {list_columns("moved")},
        {select_notice(is_claimable="moved.status = 'queued'")}
    FROM (SELECT) one LEFT JOIN kept ON true LEFT JOIN moved ON true""")

START = compact(f"""
    WITH moved AS (
        UPDATE jobs SET status = 'queued', last_seq = last_seq + 1
        WHERE id = %(id)s AND status = 'pending' RETURNING *
    ), {insert_events(("status_update", build_status_update("moved"), "true"))}
    SELECT {list_columns("moved")}, {select_notice(is_claimable="true")} FROM moved""")

_KNOWN = {"thinking": "moved.llm_thinking", "basis": "'unknown'", "attempt": "moved.attempt"}
_THINKING = build_payload(
    "'thinking_update' AS type, moved.id AS job_id, "
    + ", ".join(f"{_KNOWN.get(name, 'null')} AS {name}" for name in UPDATE_FIELDS)
)

CANCEL = compact(f"""
    WITH found AS (
        SELECT * FROM jobs WHERE id = %(id)s FOR UPDATE
    ), moved AS (
        UPDATE jobs SET status = 'cancelled', current_step = 'Cancelled',
            attempt = found.attempt + 1, claimed_by = null, lease_until = null,
            completed_at = clock_timestamp(), last_seq = found.last_seq + 2
        FROM found WHERE jobs.id = found.id AND found.status NOT IN {ENDED_WORDS}
        RETURNING jobs.*
    ), {
    insert_events(
        ("status_update", build_status_update("moved"), "true"),
        ("done", DONE_PAYLOAD, "true"),
    )
}
    SELECT {list_columns("moved")}, {select_notice()} FROM moved
    UNION ALL SELECT {list_columns("found")}, null, null FROM found WHERE status IN {
    ENDED_WORDS
}""")

MAX_OUTSIDE_BYTES = 1_000_000

ADD_THINKING = compact(f"""
    WITH moved AS (
        UPDATE jobs SET llm_thinking = %(thinking)s, last_seq = last_seq + 1,
            outside_bytes = outside_bytes + octet_length(%(thinking)s) + 200
        WHERE id = %(id)s AND status NOT IN {ENDED_WORDS} AND outside_bytes < {MAX_OUTSIDE_BYTES}
        RETURNING *
    ), {insert_events(("thinking_update", _THINKING, "true"))}
    SELECT {list_columns("moved")}, {select_notice()} FROM moved""")


REPEATED = compact("""
    SELECT job_id, fingerprint FROM idempotency WHERE owner = %(owner)s
    AND key = %(idempotency_key)s AND created_at > now() - interval '24 hours'""")

COUNT_WAITING = compact("""
    SELECT count(*) AS jobs FROM (
        SELECT FROM jobs WHERE owner = %(owner)s AND status IN ('pending', 'queued')
        LIMIT %(limit)s
    ) waiting""")

USAGE = compact("""
    SELECT coalesce(sum(photo_bytes), 0)::bigint AS all_bytes,
        coalesce(sum(photo_bytes) FILTER (WHERE owner = %(owner)s), 0)::bigint AS own_bytes
    FROM jobs""")

READ = compact(f"SELECT {list_columns('jobs')} FROM jobs WHERE id = %(id)s")

_FILTERS = {
    "before": "(created_at, id) < (%(before)s, %(before_id)s)",
    "status": "status = %(status)s",
    "advisor": "%(advisor)s = ANY (advisors)",
    "owner": "owner = %(owner)s",
    "photo_sha256": "photo_sha256 = %(photo_sha256)s",
    "search": "strpos(lower(substr(filename, 10)), lower(%(search)s)) > 0",
    "ids": "id = ANY (%(ids)s)",
    "folder": "folder = %(folder)s AND folder <> ''",
    "below": "(score, created_at, id) < (%(below)s::real, %(before)s, %(before_id)s)",
}


def list_jobs(filters: Iterable[str], *, is_by_score: bool = False) -> bytes:
    """Return the newest jobs first, or those that have a score, the highest first, with the
    conditions named: ``before``, ``status``, ``advisor``, ``search``, ``ids``, ``below``,
    ``owner``, ``photo_sha256``, ``folder``."""
    named = set(filters)
    if "below" in named:
        named.discard("before")
    conditions = [_FILTERS[name] for name in sorted(named)]
    if is_by_score:
        conditions.append("score IS NOT NULL")
    where = " AND ".join(conditions) or "true"
    order = "score DESC, created_at DESC, id DESC" if is_by_score else "created_at DESC, id DESC"
    return compact(f"""
        SELECT {list_columns("jobs")} FROM jobs WHERE {where} ORDER BY {order} LIMIT %(limit)s""")


FIND_FILE = compact(f"""
    SELECT {list_columns("jobs")} FROM jobs
    WHERE id BETWEEN %(first)s AND %(last)s AND filename = %(filename)s""")

COUNTS = compact("""
    SELECT status, count(*) AS jobs FROM jobs WHERE status = ANY(%(statuses)s) GROUP BY status""")

COUNT_ERRORS = compact("""
    SELECT error ->> 'code' AS code, count(*) AS jobs FROM jobs
    WHERE status = 'error' AND error IS NOT NULL GROUP BY 1""")

REPORTS = compact("SELECT advisor, report, text FROM reports WHERE job_id = %(id)s ORDER BY place")

REPORTS_OF = compact("""
    SELECT job_id, advisor, report FROM reports WHERE job_id = ANY (%(ids)s)
    ORDER BY job_id, place""")

FOLDERS = compact("""
    SELECT folder FROM jobs WHERE folder <> '' AND (%(owner)s::text IS NULL OR owner = %(owner)s)
    GROUP BY folder ORDER BY max(created_at) DESC LIMIT %(limit)s""")

DELETE = compact("DELETE FROM jobs WHERE id = %(id)s RETURNING photo_key")
