-- What an outside advisor has said of a job, in bytes, and the jobs of an owner that wait.

ALTER TABLE jobs ADD COLUMN IF NOT EXISTS outside_bytes integer NOT NULL DEFAULT 0;

CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (owner) WHERE status IN ('pending', 'queued');
