"""Workers' reports, and the switches for operators."""

from mondrian.jobs.sql.shared import compact

# A worker lives while it has been heard of within its lease.
IS_LIVING = "seen_at > clock_timestamp() - make_interval(secs => lease_seconds)"

REPORT = compact(f"""
    INSERT INTO workers (name, engine, model, slots, busy, state, reason, lease_seconds)
    VALUES (%(name)s, %(engine)s, %(model)s, %(slots)s, %(busy)s, %(state)s, %(reason)s,
        %(lease_seconds)s)
    ON CONFLICT (name) DO UPDATE SET engine = excluded.engine, model = excluded.model,
        slots = excluded.slots, busy = excluded.busy, state = excluded.state,
        reason = excluded.reason, lease_seconds = excluded.lease_seconds,
        seen_at = clock_timestamp()
    RETURNING should_drain, EXISTS (
        SELECT FROM workers others WHERE name <> %(name)s AND state <> 'draining' AND {IS_LIVING}
    ) AS has_others""")

LIST = compact(f"""
    SELECT name, engine, model, slots, busy, state, reason, {IS_LIVING} AS is_living, started_at,
        extract(epoch FROM clock_timestamp() - seen_at)::float8 AS seen_seconds_ago
    FROM workers WHERE seen_at > now() - interval '1 day' ORDER BY started_at, name""")

FORGET = compact("DELETE FROM workers WHERE name = %(name)s")

DRAIN = compact("""
    UPDATE workers SET should_drain = true
    WHERE %(name)s IN ('', name) AND seen_at > now() - interval '1 day' RETURNING name""")

PAUSE = compact("""
    INSERT INTO queue_state (is_paused) VALUES (%(is_paused)s)
    ON CONFLICT (only_row) DO UPDATE SET is_paused = excluded.is_paused""")

IS_PAUSED = compact("SELECT is_paused FROM queue_state")

# What an operator scales by and is alarmed by.
QUEUE_AGE = compact("""
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS seconds
    FROM jobs WHERE status = 'queued'""")
