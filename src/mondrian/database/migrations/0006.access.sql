-- The secret that tokens and sessions are signed with, sessions that were ended before their time,
-- and an owner's own jobs, the newest first.

CREATE TABLE IF NOT EXISTS secrets (
    name text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE IF NOT EXISTS ended_sessions (
    id text PRIMARY KEY,
    until timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS ended_sessions_until ON ended_sessions (until);

CREATE INDEX IF NOT EXISTS jobs_owner ON jobs (owner, created_at, id);
