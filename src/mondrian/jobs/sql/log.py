"""Append to a job's log, and read it."""

from mondrian.jobs.job import Event
from mondrian.jobs.sql.shared import (
    CLOSING_WORDS,
    ENDED_WORDS,
    EPOCH_NOTICE,
    EVENTS_CHANNEL,
    GIVEN_EVENTS,
    HELD_BEFORE,
    TYPES,
    build_status_update,
    compact,
    insert_events,
    insert_reports,
    list_columns,
    select_notice,
)

# Appends, and ends: both write what they are given, and the end has reports and an ended status.
WRITE = compact(f"""
    WITH held AS (
        SELECT *, (status, step_phase, current_advisor) IS DISTINCT FROM (
            coalesce(%(status)s, status), coalesce(%(step_phase)s, step_phase),
            coalesce(%(current_advisor)s, current_advisor)) AS is_changed
        FROM jobs WHERE {HELD_BEFORE} FOR UPDATE
    ), moved AS (
        UPDATE jobs SET
            status = coalesce(%(status)s, held.status),
            step_phase = coalesce(%(step_phase)s, held.step_phase),
            current_step = coalesce(%(current_step)s, held.current_step),
            llm_thinking = coalesce(%(llm_thinking)s, held.llm_thinking),
            current_advisor = coalesce(%(current_advisor)s, held.current_advisor),
            mode_used = coalesce(%(mode_used)s, held.mode_used),
            progress = greatest(held.progress, %(progress)s),
            error = %(error)s::json,
            score = coalesce(%(score)s::real, held.score),
            last_seq = held.last_seq + held.is_changed::int + cardinality({TYPES}),
            claimed_by = CASE WHEN NOT %(is_end)s THEN held.claimed_by END,
            lease_until = CASE WHEN NOT %(is_end)s THEN held.lease_until END,
            completed_at = CASE WHEN %(is_end)s THEN clock_timestamp() END
        FROM held WHERE jobs.id = held.id
        RETURNING jobs.*, held.is_changed
    ), {
    insert_events(
        ("status_update", build_status_update("moved"), "moved.is_changed"),
        more=GIVEN_EVENTS,
    )
}, {insert_reports("%(advisors)s")}
    SELECT moved.last_seq, {select_notice()} FROM moved""")

# The same for appends that change no status: most of them, and for half the price. They are
# procedures of the schema, since a statement cannot send the notices after its commit.
APPEND = compact("""
    CALL append_events(%(id)s, %(attempt)s, %(llm_thinking)s, %(progress)s, %(seen)s,
        %(types)s, %(payloads)s, %(lines)s, NULL)""")
APPEND_ALL = compact("CALL append_all_events(%(appends)s, NULL)")


def read_events(*, of_types: bool) -> bytes:
    """Return a job's events from a number on, all or those of some types."""
    filtered = f"AND type = ANY ({TYPES})" if of_types else ""
    return compact(f"""
        SELECT {", ".join(Event._fields)} FROM events
        WHERE job_id = %(id)s AND seq > %(seq)s {filtered} ORDER BY seq LIMIT %(limit)s""")


LOG_AFTER = compact(f"""
    SELECT seq, type, payload, (SELECT pruned_seq FROM jobs WHERE id = %(id)s)
    FROM (
        SELECT *, sum(octet_length(payload)) OVER (ORDER BY seq) AS bytes FROM events
        WHERE job_id = %(id)s AND seq > %(seq)s AND type = ANY ({TYPES})
        ORDER BY seq LIMIT %(limit)s
    ) next
    WHERE bytes <= %(max_bytes)s OR bytes = octet_length(payload) ORDER BY seq""")

# The text of a cancelled job is that of the attempt before the one that the cancel raised.
SNAPSHOT = compact(f"""
    SELECT {list_columns("jobs")}, {build_status_update("jobs")} AS status_update,
        CASE WHEN status NOT IN {ENDED_WORDS} THEN last_seq ELSE (
            SELECT min(seq) - 1 FROM events WHERE job_id = jobs.id AND type IN {CLOSING_WORDS}
        ) END AS covered,
        ARRAY(
            SELECT payload FROM events WHERE job_id = jobs.id AND type = 'token'
            AND events.attempt = jobs.attempt - (status = 'cancelled')::int ORDER BY seq
        ) AS tokens
    FROM jobs WHERE id = %(id)s""")

# The timeline is another one after a failover, the system after a dump was restored elsewhere, the
# database's number after it was restored in its place; the word where none of these tells.
_EPOCH = """left(md5(concat_ws(' ', word,
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()))), 8)"""

EPOCH = compact(f"SELECT {_EPOCH} AS epoch FROM log_epoch")

# Of those who notice that the log went back, one renews the epoch.
RENEW_EPOCH = compact(f"""
    UPDATE log_epoch SET word = md5(random()::text || clock_timestamp()::text)
    WHERE {_EPOCH} = %(epoch)s
    RETURNING pg_notify('{EVENTS_CHANNEL}', '{EPOCH_NOTICE}')""")
