-- Advisors as they were when jobs were sent, by the hash of their text: so that a worker needs no
-- files of them, and a file that is changed changes no job that waits.

CREATE TABLE IF NOT EXISTS advisors (
    version text PRIMARY KEY,
    advisor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE jobs ADD COLUMN IF NOT EXISTS advisor_versions text[] NOT NULL DEFAULT '{}';
