"""Remove what need not be kept: logs, jobs, photos, idempotency keys."""

from mondrian.jobs.sql.shared import CLOSING_WORDS, ENDED_WORDS, compact

# A statement that removes jobs also records their photos, which are stored elsewhere: the process
# may die before it has deleted them.
_DISCARDED = """discarding AS (
        INSERT INTO discarded (photo_key) SELECT photo_key FROM gone ON CONFLICT DO NOTHING
    )"""

DELETE_FINISHED = compact(f"""
    WITH gone AS (
        DELETE FROM jobs WHERE status IN {ENDED_WORDS} AND owner = coalesce(%(owner)s, owner)
        RETURNING photo_key
    ), {_DISCARDED}
    SELECT count(*) AS jobs FROM gone""")

# The ended jobs, oldest first, that have to go until the photos of all jobs fit in so many bytes:
# of those owners only who have more than their part of them, and no more than what is over it.
_OVERFLOW = f"""overflow AS (
        SELECT id, photo_bytes FROM (
            SELECT id, created_at, photo_bytes,
                sum(photo_bytes) OVER (ORDER BY created_at, id) - photo_bytes AS older
            FROM (
                SELECT *, sum(photo_bytes) OVER (
                    PARTITION BY owner ORDER BY status IN {ENDED_WORDS}, created_at DESC, id DESC
                ) AS kept FROM jobs
            ) all_of_them
            WHERE status IN {ENDED_WORDS}
                AND kept > %(max_bytes)s / (SELECT count(DISTINCT owner) FROM jobs)
        ) ended
        WHERE (SELECT sum(photo_bytes) FROM jobs) - older > %(max_bytes)s
        ORDER BY created_at, id LIMIT %(limit)s
    )"""

COUNT_OVERFLOW = compact(f"""
    WITH {_OVERFLOW}
    SELECT count(*) AS jobs, coalesce(sum(photo_bytes), 0)::bigint AS bytes FROM overflow""")

DELETE_OVERFLOW = compact(f"""
    WITH {_OVERFLOW}, gone AS (
        DELETE FROM jobs USING overflow WHERE jobs.id = overflow.id
        RETURNING jobs.photo_key, jobs.photo_bytes
    ), {_DISCARDED}
    SELECT count(*) AS jobs, coalesce(sum(photo_bytes), 0)::bigint AS bytes FROM gone""")

ABANDONED = compact("""
    SELECT id FROM jobs WHERE status = 'pending' AND created_at < now() - interval '24 hours'
    ORDER BY created_at LIMIT %(limit)s""")

EXPECT_PHOTO = compact("""
    INSERT INTO discarded (photo_key, due) VALUES (%(photo_key)s, now() + interval '24 hours')""")

DISCARDED = compact("SELECT photo_key FROM discarded WHERE due <= now() ORDER BY photo_key")

FORGET_DISCARDED = compact("DELETE FROM discarded WHERE photo_key = ANY (%(photo_keys)s)")

# Jobs that ended so long ago, the first of them, with the last event before their closing ones.
_OLD = f"""old AS (
        SELECT id, (
            SELECT min(seq) - 1 FROM events WHERE job_id = jobs.id AND type IN {CLOSING_WORDS}
        ) AS last FROM jobs
        WHERE pruned_seq = 0 AND completed_at < now() - make_interval(secs => %(seconds)s)
        ORDER BY completed_at LIMIT %(limit)s
    )"""

COUNT_OLD = compact(f"""
    WITH {_OLD}
    SELECT count(DISTINCT id) AS jobs, count(seq) AS events
    FROM old LEFT JOIN events ON job_id = id AND seq <= last""")

PRUNE = compact(f"""
    WITH {_OLD}, pruned AS (
        UPDATE jobs SET pruned_seq = old.last FROM old
        WHERE jobs.id = old.id AND jobs.pruned_seq = 0 RETURNING jobs.id, old.last
    ), gone AS (
        DELETE FROM events USING pruned WHERE job_id = pruned.id AND seq <= pruned.last
        RETURNING seq
    )
    SELECT (SELECT count(*) FROM pruned) AS jobs, (SELECT count(*) FROM gone) AS events""")

CLEAR_TURNS = compact("""
    SELECT clear_turn(owner) FROM turns
    WHERE NOT EXISTS (SELECT FROM jobs WHERE owner = turns.owner AND status = 'queued')""")

FORGET_OLD = compact("""
    WITH forgotten AS (DELETE FROM workers WHERE seen_at < now() - interval '7 days')
    DELETE FROM idempotency WHERE created_at < now() - interval '24 hours'""")

TRY_LOCK = compact("SELECT pg_try_advisory_xact_lock(%(lock)s) AS is_ours")
