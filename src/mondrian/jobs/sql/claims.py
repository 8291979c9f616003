"""The queue: claim, renew, retry and release jobs, and list waiting and running ones."""

from mondrian.jobs.job import MAX_ATTEMPTS
from mondrian.jobs.sql.shared import (
    DONE_PAYLOAD,
    ERROR_PAYLOAD,
    HELD,
    RUNNING_WORDS,
    build_attempt,
    build_status_update,
    compact,
    insert_events,
    list_columns,
    select_notice,
)
from mondrian.jobs.sql.workers import IS_LIVING

# The table `turns` (0011.turns.sql) has the owners of queued jobs in the order in which they were
# served, which those without running jobs are taken by: the first few of its index, however many
# wait. The others, of whom there are not more than running jobs, are looked at where these do not
# suffice. (A queued job that this worker may take is looked for in a subquery, no join: so it is
# looked for in no more rows than are taken.)
_IS_MINE = "(avoid_until IS NULL OR avoid_until < now() OR NOT %(worker)s = ANY (avoid))"
_IS_WAITING = f"""(
    SELECT true FROM jobs WHERE owner = turns.owner AND status = 'queued' AND {_IS_MINE} LIMIT 1)"""
_OWNERS = 4
_JOBS = 16

# Of the owners whose turn it is, the heads of their queues: more than one of each, since other
# workers may be claiming the first ones in this moment.
_NEXT = f"""
    WITH busy AS MATERIALIZED (
        SELECT owner, count(*) AS running FROM jobs WHERE status IN {RUNNING_WORDS} GROUP BY owner
    ), idle AS MATERIALIZED (
        SELECT owner, 0 AS running, served, since FROM turns
        WHERE owner NOT IN (SELECT owner FROM busy) AND {_IS_WAITING}
        ORDER BY served, since, owner LIMIT {_OWNERS}
    ), owners AS (
        SELECT * FROM idle
        UNION ALL (
            SELECT owner, running, served, since FROM busy JOIN turns USING (owner)
            WHERE (SELECT count(*) FROM idle) < {_OWNERS} AND {_IS_WAITING}
            ORDER BY running, served, since, owner LIMIT {_OWNERS}
        )
    ), candidates AS (
        SELECT * FROM (
            SELECT queued.id, running, served, created_at
            FROM owners CROSS JOIN LATERAL (
                SELECT id, created_at FROM jobs
                WHERE status = 'queued' AND owner = owners.owner AND {_IS_MINE}
                ORDER BY created_at, id LIMIT {_JOBS}
            ) queued
            UNION ALL
            SELECT id, -1, null, created_at FROM jobs
            WHERE %(take_over)s AND status IN {RUNNING_WORDS} AND lease_until < now()
        ) all_of_them
        ORDER BY running, served, created_at, id LIMIT {_JOBS}
    ), next AS (
        SELECT jobs.id, status <> 'queued' AS is_lost,
            status <> 'queued' AND failures + 1 >= {MAX_ATTEMPTS} AS is_over,
            false AS makes_suspect
        FROM candidates JOIN jobs ON jobs.id = candidates.id
        WHERE (status = 'queued' OR (status IN {RUNNING_WORDS} AND lease_until < now()))
            AND NOT EXISTS (SELECT FROM queue_state WHERE is_paused)
        ORDER BY running, served, jobs.created_at, jobs.id
        LIMIT 1 FOR UPDATE OF jobs SKIP LOCKED
    )"""

# What a claim, a reclaim and a retry do with the job in ``next``: three events for a lost one
# (attempt, queued, processing; or error status, error, done when it is over), one for a queued one.
_TAKEN = f""", moved AS (
        UPDATE jobs SET
            status = CASE WHEN is_over THEN 'error' ELSE 'processing' END,
            step_phase = CASE WHEN is_over THEN step_phase ELSE 'image_processing' END,
            current_step = CASE WHEN is_over THEN %(error)s::json ->> 'message'
                ELSE 'Preparing the photo' END,
            error = CASE WHEN is_over THEN %(error)s::json END,
            attempt = attempt + (is_lost AND NOT is_over)::int,
            failures = failures + is_lost::int,
            is_suspect = is_suspect OR makes_suspect,
            current_advisor = CASE WHEN is_over THEN current_advisor ELSE 0 END,
            progress = CASE WHEN is_over THEN progress ELSE 0 END,
            llm_thinking = CASE WHEN is_over THEN llm_thinking ELSE '' END,
            last_seq = last_seq + CASE WHEN is_lost THEN 3 ELSE 1 END,
            claimed_by = CASE WHEN NOT is_over THEN %(worker)s END,
            lease_until = CASE WHEN NOT is_over
                THEN clock_timestamp() + make_interval(secs => %(lease_seconds)s) END,
            started_at = coalesce(started_at, clock_timestamp()),
            completed_at = CASE WHEN is_over THEN clock_timestamp() END
        FROM next WHERE jobs.id = next.id
        RETURNING jobs.*, next.is_lost AND NOT next.is_over AS is_again, next.is_over
    ), {
    insert_events(
        ("attempt", build_attempt("%(reason)s::text"), "moved.is_again"),
        ("status_update", build_status_update("moved", as_queued=True), "moved.is_again"),
        ("status_update", build_status_update("moved"), "true"),
        ("error", ERROR_PAYLOAD, "moved.is_over"),
        ("done", DONE_PAYLOAD, "moved.is_over"),
    )
}
    SELECT {list_columns("moved")}, moved.is_again, {select_notice()} FROM moved"""

CLAIM = compact(_NEXT + _TAKEN)

RETRY = compact(f"""
    WITH next AS (
        SELECT id, true AS is_lost, failures + 1 >= {MAX_ATTEMPTS} AS is_over,
            %(is_suspect)s::boolean AS makes_suspect
        FROM jobs WHERE {HELD} FOR UPDATE
    ){_TAKEN}""")

# One statement for all claims of a worker, and no write while none is due.
RENEW = compact(f"""
    WITH held AS (
        SELECT jobs.id, jobs.attempt, lease_until < clock_timestamp()
            + make_interval(secs => %(lease_seconds)s * 2 / 3.0) AS is_due
        FROM jobs JOIN unnest(%(ids)s::uuid[], %(attempts)s::integer[]) claims (id, attempt)
            ON jobs.id = claims.id AND jobs.attempt = claims.attempt
        WHERE status IN {RUNNING_WORDS}
    ), due AS (
        SELECT jobs.id FROM jobs JOIN held ON jobs.id = held.id AND jobs.attempt = held.attempt
        WHERE is_due AND status IN {RUNNING_WORDS} ORDER BY jobs.id FOR UPDATE OF jobs
    ), renewed AS (
        UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
        FROM due WHERE jobs.id = due.id
    )
    SELECT id FROM held""")

AVOID_SECONDS = 30


def _release(condition: str, changes: str, reason: str) -> bytes:
    return compact(f"""
    WITH moved AS (
        UPDATE jobs SET status = 'queued', step_phase = 'queued', current_step = 'Waiting in queue',
            llm_thinking = '', current_advisor = 0, progress = 0, attempt = attempt + 1,
            claimed_by = null, lease_until = null, last_seq = last_seq + 2 {changes}
        WHERE {HELD} {condition} RETURNING *
    ), {
        insert_events(
            ("attempt", build_attempt(reason), "true"),
            ("status_update", build_status_update("moved"), "true"),
        )
    }
    SELECT moved.id, {select_notice(is_claimable="true")} FROM moved""")


RELEASE = _release("", "", "'worker stopped'")

# To a worker that is alive and has not failed at this job as this one has.
GIVE_TO_OTHERS = _release(
    f"""AND EXISTS (
        SELECT FROM workers WHERE name <> %(worker)s AND NOT name = ANY (jobs.avoid)
            AND state <> 'draining' AND {IS_LIVING})""",
    f""", avoid = array_append(avoid, %(worker)s),
        avoid_until = clock_timestamp() + interval '{AVOID_SECONDS} seconds'""",
    "%(reason)s::text",
)

# The queued jobs of each owner, by turn: ids of 16 bytes each, and as many lists of advisors. (All
# from the index `jobs_queue`, in its order: without a sort, and without a look at the table.)
WAITING = compact("""
    SELECT owner, ids, advisors FROM turns JOIN (
        SELECT owner, string_agg(uuid_send(id), '') AS ids,
            string_agg(array_to_string(advisors, ','), ' ') AS advisors
        FROM (
            SELECT owner, id, advisors FROM jobs WHERE status = 'queued'
            ORDER BY owner, created_at, id
        ) queued GROUP BY owner
    ) jobs USING (owner) ORDER BY served, since, owner""")

# An update without a time is what an outside advisor is thinking, not the worker.
RUNNING_JOBS = compact(f"""
    SELECT id, owner, advisors, lease_until < clock_timestamp() AS is_lost,
        latest.payload AS latest_update,
        extract(epoch FROM clock_timestamp() - coalesce(latest.created_at, started_at))::float8
            AS update_seconds_ago
    FROM jobs LEFT JOIN LATERAL (
        SELECT payload, created_at FROM events
        WHERE job_id = jobs.id AND type = 'thinking_update' AND attempt = jobs.attempt
            AND payload::json ->> 'elapsed_seconds' IS NOT NULL
        ORDER BY seq DESC LIMIT 1
    ) latest ON true
    WHERE status IN {RUNNING_WORDS} ORDER BY started_at""")
