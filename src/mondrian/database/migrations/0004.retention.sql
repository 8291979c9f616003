-- Photos whose jobs are gone and which are still to be deleted, and what a prune looks for.

CREATE TABLE IF NOT EXISTS discarded (
    photo_key text PRIMARY KEY
);

CREATE INDEX IF NOT EXISTS jobs_unpruned ON jobs (completed_at)
    WHERE pruned_seq = 0 AND completed_at IS NOT NULL;
