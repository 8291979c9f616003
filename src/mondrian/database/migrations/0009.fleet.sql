-- Workers as they report themselves, jobs whose engine failed at a worker before its first token, and
-- a queue that can be paused.

CREATE TABLE IF NOT EXISTS workers (
    name text PRIMARY KEY,
    engine text NOT NULL,
    model text NOT NULL,
    slots integer NOT NULL,
    busy integer NOT NULL,
    state text NOT NULL,
    reason text NOT NULL DEFAULT '',
    should_drain boolean NOT NULL DEFAULT false,
    lease_seconds double precision NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE jobs
    ADD COLUMN IF NOT EXISTS avoid text[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS avoid_until timestamptz;

CREATE TABLE IF NOT EXISTS queue_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    is_paused boolean NOT NULL DEFAULT false
);

INSERT INTO queue_state DEFAULT VALUES ON CONFLICT DO NOTHING;
