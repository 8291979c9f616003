"""The secret that tokens and sessions are signed with, and sessions that were ended early."""

from mondrian.jobs.sql.shared import compact

SIGNING_SECRET = compact("""
    INSERT INTO secrets (name, value) VALUES ('signing', %(value)s)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING value""")

END_SESSION = compact("""
    WITH expired AS (DELETE FROM ended_sessions WHERE until < now())
    INSERT INTO ended_sessions (id, until) VALUES (%(session_id)s, to_timestamp(%(until)s))
    ON CONFLICT DO NOTHING""")

IS_SESSION_ENDED = compact("""
    SELECT EXISTS (SELECT FROM ended_sessions WHERE id = %(session_id)s) AS is_ended""")
