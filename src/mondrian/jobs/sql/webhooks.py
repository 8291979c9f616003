"""Webhooks: claim one that is due, and record the result."""

from mondrian.jobs.sql.shared import ENDED_WORDS, compact

MAX_HELD_PER_HOST = 2

# Part of the statement that adds the job, so that none is lost however the job ends.
ADDED = """hooked AS (
        INSERT INTO webhooks (id, job_id, url, host, base_url, is_callback)
        SELECT gen_random_uuid(), moved.id, w.url, w.host, w.base_url, w.is_callback
        FROM moved, unnest(%(hook_urls)s::text[], %(hook_hosts)s::text[], %(hook_bases)s::text[],
            %(hook_kinds)s::boolean[]) w (url, host, base_url, is_callback)
    )"""

# One at a time, so that each claim sees the earlier ones and no host takes all slots. A claim that
# is not finished in time (its server died) is due again.
CLAIM_WEBHOOK = compact(f"""
    WITH next AS (
        SELECT webhooks.id FROM webhooks JOIN jobs ON jobs.id = webhooks.job_id
        WHERE webhooks.status = 'waiting' AND due <= clock_timestamp()
            AND jobs.status IN {ENDED_WORDS}
            AND {MAX_HELD_PER_HOST} > (
                SELECT count(*) FROM webhooks others WHERE others.host = webhooks.host
                AND others.is_held AND others.due > clock_timestamp())
        ORDER BY due, webhooks.id LIMIT 1 FOR UPDATE OF webhooks SKIP LOCKED
    )
    UPDATE webhooks SET attempts = attempts + 1, is_held = true,
        due = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
    FROM next WHERE webhooks.id = next.id
    RETURNING webhooks.id, job_id, url, host, base_url, is_callback, attempts""")

FINISH_WEBHOOK = compact("""
    UPDATE webhooks SET status = %(status)s, outcome = %(outcome)s, is_held = false,
        due = clock_timestamp() + make_interval(secs => %(delay_seconds)s)
    WHERE id = %(id)s AND attempts = %(attempt)s AND status = 'waiting'""")

CALLBACKS = compact("""
    SELECT url, base_url, status, attempts, outcome FROM webhooks
    WHERE job_id = %(id)s AND is_callback ORDER BY created_at, id""")

COUNT_WEBHOOKS = compact("""
    SELECT status, count(*) AS webhooks FROM webhooks WHERE status <> 'delivered'
    GROUP BY status""")
