-- The queue by owner, with the advisors of each job, so that the places of all jobs are read from an
-- index alone. And triggers that keep to the index of `turns`: their plans, once made while it had
-- few rows, would go through all of it with each job, until the table is analyzed.

DROP INDEX IF EXISTS jobs_queued;

CREATE INDEX IF NOT EXISTS jobs_queue ON jobs (owner, created_at, id) INCLUDE (advisors)
    WHERE status = 'queued';

ALTER FUNCTION enter_turns() SET enable_seqscan = off;
ALTER FUNCTION clear_turn(text) SET enable_seqscan = off;
ALTER FUNCTION leave_turns() SET enable_seqscan = off;
