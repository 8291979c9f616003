-- Webhooks: who is told of a job's end, and how far that is. They go with their job.

CREATE TABLE IF NOT EXISTS webhooks (
    id uuid PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    url text NOT NULL,
    host text NOT NULL,
    base_url text NOT NULL,
    is_callback boolean NOT NULL,
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    is_held boolean NOT NULL DEFAULT false,
    due timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX IF NOT EXISTS webhooks_job ON webhooks (job_id);

CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks (due) WHERE status = 'waiting';

CREATE INDEX IF NOT EXISTS webhooks_held ON webhooks (host) WHERE is_held;

CREATE INDEX IF NOT EXISTS webhooks_undelivered ON webhooks (status) WHERE status <> 'delivered';
