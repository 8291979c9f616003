-- jobs.ADD
\set owner 'x'
\set idempotency_key 'x'
\set fingerprint 'x'
\set id '00000000-0000-0000-0000-000000000001'
\set filename 'x'
\set photo_key 'x'
\set photo_sha256 'x'
\set photo_bytes '1'
\set width '1'
\set height '1'
\set advisors '{ansel}'
\set mode 'x'
\set mode_used 'x'
\set enable_rag '1'
\set base_url 'x'
\set status 'processing'
\set step_phase 'advisor_analysis'
\set current_step 'x'
\set retry_of '00000000-0000-0000-0000-000000000002'
WITH kept AS ( INSERT INTO idempotency AS i (owner, key, fingerprint, job_id) SELECT :'owner', :'idempotency_key', :'fingerprint', :'id'
WHERE :'idempotency_key'::text IS NOT NULL ON CONFLICT (owner, key) DO UPDATE
SET fingerprint = CASE WHEN i.created_at > now() - interval '24 hours' THEN i.fingerprint ELSE excluded.fingerprint END, job_id = CASE WHEN i.created_at > now() - interval '24 hours' THEN i.job_id ELSE excluded.job_id END, created_at = CASE WHEN i.created_at > now() - interval '24 hours' THEN i.created_at ELSE excluded.created_at END
RETURNING i.job_id, i.fingerprint ), moved AS ( INSERT INTO jobs (id, owner, filename, photo_key, photo_sha256, photo_bytes, width, height, advisors, mode, mode_used, enable_rag, base_url, status, step_phase, current_step, retry_of, last_seq) SELECT :'id', :'owner', :'filename', :'photo_key', :'photo_sha256', :'photo_bytes', :'width', :'height', :'advisors', :'mode', :'mode_used', :'enable_rag', :'base_url', :'status', :'step_phase', :'current_step', :'retry_of', 1
WHERE NOT EXISTS (SELECT
FROM kept
WHERE kept.job_id <> :'id')
RETURNING * ), claimed AS ( DELETE
FROM discarded USING moved
WHERE discarded.photo_key = moved.photo_key ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE true ) e ) SELECT kept.job_id AS kept_job_id, kept.fingerprint, moved.id, moved.owner, moved.filename, moved.photo_key, moved.photo_sha256, moved.photo_bytes, moved.width, moved.height, moved.advisors, moved.mode, moved.mode_used, moved.enable_rag, moved.base_url, moved.status, moved.step_phase, moved.current_step, moved.llm_thinking, moved.current_advisor, moved.progress, moved.attempt, moved.failures, moved.is_suspect, moved.last_seq, moved.pruned_seq, moved.claimed_by, moved.error, moved.score, moved.retry_of, moved.created_at, moved.started_at, moved.completed_at, extract(epoch
FROM moved.lease_until - clock_timestamp())::float8 AS lease_seconds, moved.id || ' ' || moved.last_seq AS notice, moved.status = 'queued' AS is_claimable
FROM (SELECT) one
LEFT JOIN kept ON true
LEFT JOIN moved ON true;

-- jobs.START
\set id '00000000-0000-0000-0000-000000000001'
WITH moved AS ( UPDATE jobs
SET status = 'queued', last_seq = last_seq + 1
WHERE id = :'id' AND status = 'pending'
RETURNING * ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE true ) e ) SELECT moved.id, moved.owner, moved.filename, moved.photo_key, moved.photo_sha256, moved.photo_bytes, moved.width, moved.height, moved.advisors, moved.mode, moved.mode_used, moved.enable_rag, moved.base_url, moved.status, moved.step_phase, moved.current_step, moved.llm_thinking, moved.current_advisor, moved.progress, moved.attempt, moved.failures, moved.is_suspect, moved.last_seq, moved.pruned_seq, moved.claimed_by, moved.error, moved.score, moved.retry_of, moved.created_at, moved.started_at, moved.completed_at, extract(epoch
FROM moved.lease_until - clock_timestamp())::float8 AS lease_seconds, moved.id || ' ' || moved.last_seq AS notice, true AS is_claimable
FROM moved;

-- jobs.CANCEL
\set id '00000000-0000-0000-0000-000000000001'
WITH found AS ( SELECT *
FROM jobs
WHERE id = :'id' FOR UPDATE ), moved AS ( UPDATE jobs
SET status = 'cancelled', current_step = 'Cancelled', attempt = found.attempt + 1, claimed_by = null, lease_until = null, completed_at = clock_timestamp(), last_seq = found.last_seq + 2
FROM found
WHERE jobs.id = found.id AND found.status NOT IN ('cancelled', 'done', 'error')
RETURNING jobs.* ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE true
UNION ALL SELECT 1 AS place, 'done' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'done' AS type, moved.id AS job_id, moved.status ) p) AS payload
WHERE true ) e ) SELECT moved.id, moved.owner, moved.filename, moved.photo_key, moved.photo_sha256, moved.photo_bytes, moved.width, moved.height, moved.advisors, moved.mode, moved.mode_used, moved.enable_rag, moved.base_url, moved.status, moved.step_phase, moved.current_step, moved.llm_thinking, moved.current_advisor, moved.progress, moved.attempt, moved.failures, moved.is_suspect, moved.last_seq, moved.pruned_seq, moved.claimed_by, moved.error, moved.score, moved.retry_of, moved.created_at, moved.started_at, moved.completed_at, extract(epoch
FROM moved.lease_until - clock_timestamp())::float8 AS lease_seconds, moved.id || ' ' || moved.last_seq AS notice, false AS is_claimable
FROM moved
UNION ALL SELECT found.id, found.owner, found.filename, found.photo_key, found.photo_sha256, found.photo_bytes, found.width, found.height, found.advisors, found.mode, found.mode_used, found.enable_rag, found.base_url, found.status, found.step_phase, found.current_step, found.llm_thinking, found.current_advisor, found.progress, found.attempt, found.failures, found.is_suspect, found.last_seq, found.pruned_seq, found.claimed_by, found.error, found.score, found.retry_of, found.created_at, found.started_at, found.completed_at, extract(epoch
FROM found.lease_until - clock_timestamp())::float8 AS lease_seconds, null, null
FROM found
WHERE status IN ('cancelled', 'done', 'error');

-- jobs.ADD_THINKING
\set thinking 'x'
\set id '00000000-0000-0000-0000-000000000001'
WITH moved AS ( UPDATE jobs
SET llm_thinking = :'thinking', last_seq = last_seq + 1, outside_bytes = outside_bytes + octet_length(:'thinking') + 200
WHERE id = :'id' AND status NOT IN ('cancelled', 'done', 'error') AND outside_bytes < 1000000
RETURNING * ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'thinking_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'thinking_update' AS type, moved.id AS job_id, null AS tokens, null AS tokens_per_second, null AS prompt_tokens, null AS prompt_tokens_per_second, null AS cached_tokens, null AS peak_memory_gb, null AS finish_reason, moved.llm_thinking AS thinking, null AS phase, null AS elapsed_seconds, null AS eta_seconds, null AS percent, 'unknown' AS basis, null AS queue_position, moved.attempt AS attempt ) p) AS payload
WHERE true ) e ) SELECT moved.id, moved.owner, moved.filename, moved.photo_key, moved.photo_sha256, moved.photo_bytes, moved.width, moved.height, moved.advisors, moved.mode, moved.mode_used, moved.enable_rag, moved.base_url, moved.status, moved.step_phase, moved.current_step, moved.llm_thinking, moved.current_advisor, moved.progress, moved.attempt, moved.failures, moved.is_suspect, moved.last_seq, moved.pruned_seq, moved.claimed_by, moved.error, moved.score, moved.retry_of, moved.created_at, moved.started_at, moved.completed_at, extract(epoch
FROM moved.lease_until - clock_timestamp())::float8 AS lease_seconds, moved.id || ' ' || moved.last_seq AS notice, false AS is_claimable
FROM moved;

-- jobs.REPEATED
\set owner 'x'
\set idempotency_key 'x'
SELECT job_id, fingerprint
FROM idempotency
WHERE owner = :'owner' AND key = :'idempotency_key' AND created_at > now() - interval '24 hours';

-- jobs.COUNT_WAITING
\set owner 'x'
\set limit '1'
SELECT count(*) AS jobs
FROM ( SELECT
FROM jobs
WHERE owner = :'owner' AND status IN ('pending', 'queued') LIMIT :'limit' ) waiting;

-- jobs.USAGE
\set owner 'x'
SELECT coalesce(sum(photo_bytes), 0)::bigint AS all_bytes, coalesce(sum(photo_bytes) FILTER (WHERE owner = :'owner'), 0)::bigint AS own_bytes
FROM jobs;

-- jobs.READ
\set id '00000000-0000-0000-0000-000000000001'
SELECT jobs.id, jobs.owner, jobs.filename, jobs.photo_key, jobs.photo_sha256, jobs.photo_bytes, jobs.width, jobs.height, jobs.advisors, jobs.mode, jobs.mode_used, jobs.enable_rag, jobs.base_url, jobs.status, jobs.step_phase, jobs.current_step, jobs.llm_thinking, jobs.current_advisor, jobs.progress, jobs.attempt, jobs.failures, jobs.is_suspect, jobs.last_seq, jobs.pruned_seq, jobs.claimed_by, jobs.error, jobs.score, jobs.retry_of, jobs.created_at, jobs.started_at, jobs.completed_at, extract(epoch
FROM jobs.lease_until - clock_timestamp())::float8 AS lease_seconds
FROM jobs
WHERE id = :'id';

-- jobs.FIND_FILE
\set first '00000000-0000-0000-0000-000000000001'
\set last '00000000-0000-0000-0000-000000000002'
\set filename 'x'
SELECT jobs.id, jobs.owner, jobs.filename, jobs.photo_key, jobs.photo_sha256, jobs.photo_bytes, jobs.width, jobs.height, jobs.advisors, jobs.mode, jobs.mode_used, jobs.enable_rag, jobs.base_url, jobs.status, jobs.step_phase, jobs.current_step, jobs.llm_thinking, jobs.current_advisor, jobs.progress, jobs.attempt, jobs.failures, jobs.is_suspect, jobs.last_seq, jobs.pruned_seq, jobs.claimed_by, jobs.error, jobs.score, jobs.retry_of, jobs.created_at, jobs.started_at, jobs.completed_at, extract(epoch
FROM jobs.lease_until - clock_timestamp())::float8 AS lease_seconds
FROM jobs
WHERE id BETWEEN :'first' AND :'last' AND filename = :'filename';

-- jobs.COUNTS
\set statuses '{queued}'
SELECT status, count(*) AS jobs
FROM jobs
WHERE status = ANY(:'statuses') GROUP BY status;

-- jobs.REPORTS
\set id '00000000-0000-0000-0000-000000000001'
SELECT advisor, report, text
FROM reports
WHERE job_id = :'id'
ORDER BY place;

-- jobs.DELETE
\set id '00000000-0000-0000-0000-000000000001'
DELETE
FROM jobs
WHERE id = :'id'
RETURNING photo_key;

-- claims.CLAIM
\set worker 'x'
\set take_over '1'
\set error '{"code": "engine_failed", "message": "The engine failed.", "retryable": true}'
\set lease_seconds '1'
\set reason 'x'
WITH RECURSIVE owners AS ( (SELECT owner
FROM jobs
WHERE status = 'queued'
ORDER BY owner LIMIT 1)
UNION ALL SELECT (SELECT jobs.owner
FROM jobs
WHERE status = 'queued' AND jobs.owner > owners.owner
ORDER BY jobs.owner LIMIT 1)
FROM owners
WHERE owners.owner IS NOT NULL ), turns AS MATERIALIZED ( SELECT owners.owner, (SELECT count(*)
FROM jobs
WHERE jobs.owner = owners.owner AND status IN ('analyzing', 'finalizing', 'processing')) AS running, (SELECT max(started_at)
FROM jobs
WHERE jobs.owner = owners.owner AND started_at IS NOT NULL) AS served, (SELECT min(created_at)
FROM jobs
WHERE jobs.owner = owners.owner AND status = 'queued') AS head
FROM owners
WHERE owners.owner IS NOT NULL ), candidates AS ( SELECT *
FROM ( SELECT queued.id, running, served, created_at
FROM (SELECT *
FROM turns
ORDER BY running, served NULLS FIRST, head LIMIT 4) turns CROSS JOIN LATERAL ( SELECT id, created_at
FROM jobs
WHERE status = 'queued' AND owner = turns.owner AND (avoid_until IS NULL OR avoid_until < now() OR NOT :'worker' = ANY (avoid))
ORDER BY created_at, id LIMIT 16 ) queued
UNION ALL SELECT id, -1, null, created_at
FROM jobs
WHERE :'take_over' AND status IN ('analyzing', 'finalizing', 'processing') AND lease_until < now() ) all_of_them
ORDER BY running, served NULLS FIRST, created_at, id LIMIT 16 ), next AS ( SELECT jobs.id, status <> 'queued' AS is_lost, status <> 'queued' AND failures + 1 >= 3 AS is_over, false AS makes_suspect
FROM candidates JOIN jobs ON jobs.id = candidates.id
WHERE (status = 'queued' OR (status IN ('analyzing', 'finalizing', 'processing') AND lease_until < now())) AND NOT EXISTS (SELECT
FROM queue_state
WHERE is_paused)
ORDER BY running, served NULLS FIRST, jobs.created_at, jobs.id LIMIT 1 FOR UPDATE OF jobs SKIP LOCKED ), moved AS ( UPDATE jobs
SET status = CASE WHEN is_over THEN 'error' ELSE 'processing' END, step_phase = CASE WHEN is_over THEN step_phase ELSE 'image_processing' END, current_step = CASE WHEN is_over THEN :'error'::json ->> 'message' ELSE 'Preparing the photo' END, error = CASE WHEN is_over THEN :'error'::json END, attempt = attempt + (is_lost AND NOT is_over)::int, failures = failures + is_lost::int, is_suspect = is_suspect OR makes_suspect, current_advisor = CASE WHEN is_over THEN current_advisor ELSE 0 END, progress = CASE WHEN is_over THEN progress ELSE 0 END, llm_thinking = CASE WHEN is_over THEN llm_thinking ELSE '' END, last_seq = last_seq + CASE WHEN is_lost THEN 3 ELSE 1 END, claimed_by = CASE WHEN NOT is_over THEN :'worker' END, lease_until = CASE WHEN NOT is_over THEN clock_timestamp() + make_interval(secs => :'lease_seconds') END, started_at = coalesce(started_at, clock_timestamp()), completed_at = CASE WHEN is_over THEN clock_timestamp() END
FROM next
WHERE jobs.id = next.id
RETURNING jobs.*, next.is_lost AND NOT next.is_over AS is_again, next.is_over ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'attempt' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'attempt' AS type, moved.id AS job_id, moved.attempt, :'reason'::text AS reason ) p) AS payload
WHERE moved.is_again
UNION ALL SELECT 1 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, 'queued' AS status, 'Waiting in queue' AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, 'queued' AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE moved.is_again
UNION ALL SELECT 2 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE true
UNION ALL SELECT 3 AS place, 'error' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'error' AS type, moved.id AS job_id, moved.error ) p) AS payload
WHERE moved.is_over
UNION ALL SELECT 4 AS place, 'done' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'done' AS type, moved.id AS job_id, moved.status ) p) AS payload
WHERE moved.is_over ) e ) SELECT moved.id, moved.owner, moved.filename, moved.photo_key, moved.photo_sha256, moved.photo_bytes, moved.width, moved.height, moved.advisors, moved.mode, moved.mode_used, moved.enable_rag, moved.base_url, moved.status, moved.step_phase, moved.current_step, moved.llm_thinking, moved.current_advisor, moved.progress, moved.attempt, moved.failures, moved.is_suspect, moved.last_seq, moved.pruned_seq, moved.claimed_by, moved.error, moved.score, moved.retry_of, moved.created_at, moved.started_at, moved.completed_at, extract(epoch
FROM moved.lease_until - clock_timestamp())::float8 AS lease_seconds, moved.id || ' ' || moved.last_seq AS notice, false AS is_claimable
FROM moved;

-- claims.RETRY
\set is_suspect '1'
\set id '00000000-0000-0000-0000-000000000001'
\set attempt '1'
\set error '{"code": "engine_failed", "message": "The engine failed.", "retryable": true}'
\set worker 'x'
\set lease_seconds '1'
\set reason 'x'
WITH next AS ( SELECT id, true AS is_lost, failures + 1 >= 3 AS is_over, :'is_suspect'::boolean AS makes_suspect
FROM jobs
WHERE id = :'id' AND attempt = :'attempt' AND status IN ('analyzing', 'finalizing', 'processing') FOR UPDATE ), moved AS ( UPDATE jobs
SET status = CASE WHEN is_over THEN 'error' ELSE 'processing' END, step_phase = CASE WHEN is_over THEN step_phase ELSE 'image_processing' END, current_step = CASE WHEN is_over THEN :'error'::json ->> 'message' ELSE 'Preparing the photo' END, error = CASE WHEN is_over THEN :'error'::json END, attempt = attempt + (is_lost AND NOT is_over)::int, failures = failures + is_lost::int, is_suspect = is_suspect OR makes_suspect, current_advisor = CASE WHEN is_over THEN current_advisor ELSE 0 END, progress = CASE WHEN is_over THEN progress ELSE 0 END, llm_thinking = CASE WHEN is_over THEN llm_thinking ELSE '' END, last_seq = last_seq + CASE WHEN is_lost THEN 3 ELSE 1 END, claimed_by = CASE WHEN NOT is_over THEN :'worker' END, lease_until = CASE WHEN NOT is_over THEN clock_timestamp() + make_interval(secs => :'lease_seconds') END, started_at = coalesce(started_at, clock_timestamp()), completed_at = CASE WHEN is_over THEN clock_timestamp() END
FROM next
WHERE jobs.id = next.id
RETURNING jobs.*, next.is_lost AND NOT next.is_over AS is_again, next.is_over ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'attempt' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'attempt' AS type, moved.id AS job_id, moved.attempt, :'reason'::text AS reason ) p) AS payload
WHERE moved.is_again
UNION ALL SELECT 1 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, 'queued' AS status, 'Waiting in queue' AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, 'queued' AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE moved.is_again
UNION ALL SELECT 2 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE true
UNION ALL SELECT 3 AS place, 'error' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'error' AS type, moved.id AS job_id, moved.error ) p) AS payload
WHERE moved.is_over
UNION ALL SELECT 4 AS place, 'done' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'done' AS type, moved.id AS job_id, moved.status ) p) AS payload
WHERE moved.is_over ) e ) SELECT moved.id, moved.owner, moved.filename, moved.photo_key, moved.photo_sha256, moved.photo_bytes, moved.width, moved.height, moved.advisors, moved.mode, moved.mode_used, moved.enable_rag, moved.base_url, moved.status, moved.step_phase, moved.current_step, moved.llm_thinking, moved.current_advisor, moved.progress, moved.attempt, moved.failures, moved.is_suspect, moved.last_seq, moved.pruned_seq, moved.claimed_by, moved.error, moved.score, moved.retry_of, moved.created_at, moved.started_at, moved.completed_at, extract(epoch
FROM moved.lease_until - clock_timestamp())::float8 AS lease_seconds, moved.id || ' ' || moved.last_seq AS notice, false AS is_claimable
FROM moved;

-- claims.RENEW
\set lease_seconds '1'
\set ids '{}'
\set attempts '{1}'
WITH held AS ( SELECT jobs.id, jobs.attempt, lease_until < clock_timestamp() + make_interval(secs => :'lease_seconds' * 2 / 3.0) AS is_due
FROM jobs JOIN unnest(:'ids'::uuid[], :'attempts'::integer[]) claims (id, attempt) ON jobs.id = claims.id AND jobs.attempt = claims.attempt
WHERE status IN ('analyzing', 'finalizing', 'processing') ), renewed AS ( UPDATE jobs
SET lease_until = clock_timestamp() + make_interval(secs => :'lease_seconds')
FROM held
WHERE jobs.id = held.id AND jobs.attempt = held.attempt AND is_due AND status IN ('analyzing', 'finalizing', 'processing') ) SELECT id
FROM held;

-- claims.HAND_BACK
\set id '00000000-0000-0000-0000-000000000001'
\set attempt '1'
WITH moved AS ( UPDATE jobs
SET status = 'queued', step_phase = 'queued', current_step = 'Waiting in queue', llm_thinking = '', current_advisor = 0, progress = 0, attempt = attempt + 1, claimed_by = null, lease_until = null, last_seq = last_seq + 2
WHERE id = :'id' AND attempt = :'attempt' AND status IN ('analyzing', 'finalizing', 'processing')
RETURNING * ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'attempt' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'attempt' AS type, moved.id AS job_id, moved.attempt, 'handed back' AS reason ) p) AS payload
WHERE true
UNION ALL SELECT 1 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE true ) e ) SELECT moved.id, moved.id || ' ' || moved.last_seq AS notice, true AS is_claimable
FROM moved;

-- claims.GIVE_TO_OTHERS
\set worker 'x'
\set id '00000000-0000-0000-0000-000000000001'
\set attempt '1'
\set reason 'x'
WITH moved AS ( UPDATE jobs
SET status = 'queued', step_phase = 'queued', current_step = 'Waiting in queue', llm_thinking = '', current_advisor = 0, progress = 0, attempt = attempt + 1, claimed_by = null, lease_until = null, last_seq = last_seq + 2 , avoid = array_append(avoid, :'worker'), avoid_until = clock_timestamp() + interval '30 seconds'
WHERE id = :'id' AND attempt = :'attempt' AND status IN ('analyzing', 'finalizing', 'processing') AND EXISTS ( SELECT
FROM workers
WHERE name <> :'worker' AND NOT name = ANY (jobs.avoid) AND state <> 'draining' AND seen_at > clock_timestamp() - make_interval(secs => lease_seconds))
RETURNING * ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'attempt' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'attempt' AS type, moved.id AS job_id, moved.attempt, :'reason'::text AS reason ) p) AS payload
WHERE true
UNION ALL SELECT 1 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE true ) e ) SELECT moved.id, moved.id || ' ' || moved.last_seq AS notice, true AS is_claimable
FROM moved;

-- claims.WAITING
WITH RECURSIVE owners AS ( (SELECT owner
FROM jobs
WHERE status = 'queued'
ORDER BY owner LIMIT 1)
UNION ALL SELECT (SELECT jobs.owner
FROM jobs
WHERE status = 'queued' AND jobs.owner > owners.owner
ORDER BY jobs.owner LIMIT 1)
FROM owners
WHERE owners.owner IS NOT NULL ), turns AS MATERIALIZED ( SELECT owners.owner, (SELECT count(*)
FROM jobs
WHERE jobs.owner = owners.owner AND status IN ('analyzing', 'finalizing', 'processing')) AS running, (SELECT max(started_at)
FROM jobs
WHERE jobs.owner = owners.owner AND started_at IS NOT NULL) AS served, (SELECT min(created_at)
FROM jobs
WHERE jobs.owner = owners.owner AND status = 'queued') AS head
FROM owners
WHERE owners.owner IS NOT NULL ) SELECT id, owner, array_to_string(advisors, ',') AS advisors, turn
FROM jobs JOIN ( SELECT owner, row_number() OVER (ORDER BY served NULLS FIRST, head) AS turn
FROM turns ) turns USING (owner)
WHERE status = 'queued'
ORDER BY created_at, id;

-- claims.RUNNING_JOBS
SELECT id, owner, advisors, lease_until < clock_timestamp() AS is_lost, told.payload AS told, extract(epoch
FROM clock_timestamp() - coalesce(told.created_at, started_at))::float8 AS told_seconds_ago
FROM jobs
LEFT JOIN LATERAL ( SELECT payload, created_at
FROM events
WHERE job_id = jobs.id AND type = 'thinking_update' AND attempt = jobs.attempt AND payload::json ->> 'elapsed_seconds' IS NOT NULL
ORDER BY seq DESC LIMIT 1 ) told ON true
WHERE status IN ('analyzing', 'finalizing', 'processing')
ORDER BY started_at;

-- log.WRITE
\set status 'processing'
\set step_phase 'advisor_analysis'
\set current_advisor '1'
\set id '00000000-0000-0000-0000-000000000001'
\set attempt '1'
\set seen '1'
\set current_step 'x'
\set llm_thinking 'x'
\set mode_used 'x'
\set progress '1'
\set error '{"code": "engine_failed", "message": "The engine failed.", "retryable": true}'
\set score '1'
\set types '{token}'
\set is_end '1'
\set payloads '{"{}"}'
\set advisors '{ansel}'
\set reports '{"{}"}'
\set texts '{""}'
WITH held AS ( SELECT *, (status, step_phase, current_advisor) IS DISTINCT
FROM ( coalesce(:'status', status), coalesce(:'step_phase', step_phase), coalesce(:'current_advisor', current_advisor)) AS is_changed
FROM jobs
WHERE id = :'id' AND attempt = :'attempt' AND status IN ('analyzing', 'finalizing', 'processing') AND last_seq >= :'seen' FOR UPDATE ), moved AS ( UPDATE jobs
SET status = coalesce(:'status', held.status), step_phase = coalesce(:'step_phase', held.step_phase), current_step = coalesce(:'current_step', held.current_step), llm_thinking = coalesce(:'llm_thinking', held.llm_thinking), current_advisor = coalesce(:'current_advisor', held.current_advisor), mode_used = coalesce(:'mode_used', held.mode_used), progress = greatest(held.progress, :'progress'), error = :'error'::json, score = coalesce(:'score'::real, held.score), last_seq = held.last_seq + held.is_changed::int + cardinality(:'types'::text[]), claimed_by = CASE WHEN NOT :'is_end' THEN held.claimed_by END, lease_until = CASE WHEN NOT :'is_end' THEN held.lease_until END, completed_at = CASE WHEN :'is_end' THEN clock_timestamp() END
FROM held
WHERE jobs.id = held.id
RETURNING jobs.*, held.is_changed ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE moved.is_changed
UNION ALL SELECT g.place, g.type, g.payload
FROM unnest(:'types'::text[], :'payloads'::text[]) WITH ORDINALITY g (type, payload, place)) e ), reported AS ( INSERT INTO reports (job_id, advisor, place, report, text) SELECT moved.id, r.advisor, r.place, r.report, r.text
FROM moved, unnest(:'advisors'::text[], :'reports'::json[], :'texts'::text[]) WITH ORDINALITY r (advisor, report, text, place) ) SELECT moved.last_seq, moved.id || ' ' || moved.last_seq AS notice, false AS is_claimable
FROM moved;

-- log.APPEND
\set llm_thinking 'x'
\set progress '1'
\set types '{token}'
\set id '00000000-0000-0000-0000-000000000001'
\set attempt '1'
\set seen '1'
\set payloads '{"{}"}'
WITH moved AS ( UPDATE jobs
SET llm_thinking = coalesce(:'llm_thinking', llm_thinking), progress = greatest(progress, :'progress'), last_seq = last_seq + cardinality(:'types'::text[])
WHERE id = :'id' AND attempt = :'attempt' AND status IN ('analyzing', 'finalizing', 'processing') AND last_seq >= :'seen'
RETURNING id, attempt, last_seq ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - cardinality(:'types'::text[]) + g.place, g.type, moved.attempt, g.payload
FROM moved, unnest(:'types'::text[], :'payloads'::text[]) WITH ORDINALITY g (type, payload, place) ) SELECT moved.last_seq, moved.id || ' ' || moved.last_seq AS notice, false AS is_claimable
FROM moved;

-- log.LOG_AFTER
\set id '00000000-0000-0000-0000-000000000001'
\set seq '1'
\set types '{token}'
\set limit '1'
\set max_bytes '1'
SELECT seq, type, payload, (SELECT pruned_seq
FROM jobs
WHERE id = :'id')
FROM ( SELECT *, sum(octet_length(payload)) OVER (ORDER BY seq) AS bytes
FROM events
WHERE job_id = :'id' AND seq > :'seq' AND type = ANY (:'types')
ORDER BY seq LIMIT :'limit' ) next
WHERE bytes <= :'max_bytes' OR bytes = octet_length(payload)
ORDER BY seq;

-- log.SNAPSHOT
\set id '00000000-0000-0000-0000-000000000001'
SELECT jobs.id, jobs.owner, jobs.filename, jobs.photo_key, jobs.photo_sha256, jobs.photo_bytes, jobs.width, jobs.height, jobs.advisors, jobs.mode, jobs.mode_used, jobs.enable_rag, jobs.base_url, jobs.status, jobs.step_phase, jobs.current_step, jobs.llm_thinking, jobs.current_advisor, jobs.progress, jobs.attempt, jobs.failures, jobs.is_suspect, jobs.last_seq, jobs.pruned_seq, jobs.claimed_by, jobs.error, jobs.score, jobs.retry_of, jobs.created_at, jobs.started_at, jobs.completed_at, extract(epoch
FROM jobs.lease_until - clock_timestamp())::float8 AS lease_seconds, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, jobs.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT jobs.id AS job_id, jobs.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, jobs.attempt, jobs.error, base_url || '/status/' || jobs.id AS status_url, base_url || '/stream/' || jobs.id AS stream_url, base_url || '/analysis/' || jobs.id AS analysis_url) d) p) AS status_update, CASE WHEN status NOT IN ('cancelled', 'done', 'error') THEN last_seq ELSE ( SELECT min(seq) - 1
FROM events
WHERE job_id = jobs.id AND type IN ('analysis_complete', 'done', 'error') ) END AS covered, ARRAY( SELECT payload
FROM events
WHERE job_id = jobs.id AND type = 'token' AND events.attempt = jobs.attempt - (status = 'cancelled')::int
ORDER BY seq ) AS tokens
FROM jobs
WHERE id = :'id';

-- log.EPOCH
SELECT left(md5(concat_ws(' ', word, (SELECT system_identifier
FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8), (SELECT oid
FROM pg_database
WHERE datname = current_database()))), 8) AS epoch
FROM log_epoch;

-- log.RENEW_EPOCH
\set epoch '1'
UPDATE log_epoch
SET word = md5(random()::text || clock_timestamp()::text)
WHERE left(md5(concat_ws(' ', word, (SELECT system_identifier
FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8), (SELECT oid
FROM pg_database
WHERE datname = current_database()))), 8) = :'epoch'
RETURNING pg_notify('mondrian_events', 'epoch');

-- workers.REPORT
\set name 'x'
\set engine 'x'
\set model 'x'
\set slots '1'
\set busy '1'
\set state 'x'
\set reason 'x'
\set lease_seconds '1'
INSERT INTO workers (name, engine, model, slots, busy, state, reason, lease_seconds)
VALUES (:'name', :'engine', :'model', :'slots', :'busy', :'state', :'reason', :'lease_seconds') ON CONFLICT (name) DO UPDATE
SET engine = excluded.engine, model = excluded.model, slots = excluded.slots, busy = excluded.busy, state = excluded.state, reason = excluded.reason, lease_seconds = excluded.lease_seconds, seen_at = clock_timestamp()
RETURNING should_drain, EXISTS ( SELECT
FROM workers others
WHERE name <> :'name' AND state <> 'draining' AND seen_at > clock_timestamp() - make_interval(secs => lease_seconds) ) AS has_others;

-- workers.LIST
SELECT name, engine, model, slots, busy, state, reason, seen_at > clock_timestamp() - make_interval(secs => lease_seconds) AS is_living, started_at, extract(epoch
FROM clock_timestamp() - seen_at)::float8 AS seen_seconds_ago
FROM workers
WHERE seen_at > now() - interval '1 day'
ORDER BY started_at, name;

-- workers.FORGET
\set name 'x'
DELETE
FROM workers
WHERE name = :'name';

-- workers.DRAIN
\set name 'x'
UPDATE workers
SET should_drain = true
WHERE :'name' IN ('', name) AND seen_at > now() - interval '1 day'
RETURNING name;

-- workers.PAUSE
\set is_paused '1'
INSERT INTO queue_state (is_paused)
VALUES (:'is_paused') ON CONFLICT (only_row) DO UPDATE
SET is_paused = excluded.is_paused;

-- workers.IS_PAUSED
SELECT is_paused
FROM queue_state;

-- workers.QUEUE_AGE
SELECT coalesce(extract(epoch
FROM clock_timestamp() - min(created_at)), 0)::float8 AS seconds
FROM jobs
WHERE status = 'queued';

-- retention.DELETE_FINISHED
\set owner 'x'
WITH gone AS ( DELETE
FROM jobs
WHERE status IN ('cancelled', 'done', 'error') AND owner = coalesce(:'owner', owner)
RETURNING photo_key ), discarding AS ( INSERT INTO discarded (photo_key) SELECT photo_key
FROM gone ON CONFLICT DO NOTHING ) SELECT count(*) AS jobs
FROM gone;

-- retention.COUNT_OVERFLOW
\set max_bytes '1'
\set limit '1'
WITH overflow AS ( SELECT id, photo_bytes
FROM ( SELECT id, created_at, photo_bytes, sum(photo_bytes) OVER (ORDER BY created_at, id) - photo_bytes AS older
FROM ( SELECT *, sum(photo_bytes) OVER ( PARTITION BY owner
ORDER BY status IN ('cancelled', 'done', 'error'), created_at DESC, id DESC ) AS kept
FROM jobs ) all_of_them
WHERE status IN ('cancelled', 'done', 'error') AND kept > :'max_bytes' / (SELECT count(DISTINCT owner)
FROM jobs) ) ended
WHERE (SELECT sum(photo_bytes)
FROM jobs) - older > :'max_bytes'
ORDER BY created_at, id LIMIT :'limit' ) SELECT count(*) AS jobs, coalesce(sum(photo_bytes), 0)::bigint AS bytes
FROM overflow;

-- retention.DELETE_OVERFLOW
\set max_bytes '1'
\set limit '1'
WITH overflow AS ( SELECT id, photo_bytes
FROM ( SELECT id, created_at, photo_bytes, sum(photo_bytes) OVER (ORDER BY created_at, id) - photo_bytes AS older
FROM ( SELECT *, sum(photo_bytes) OVER ( PARTITION BY owner
ORDER BY status IN ('cancelled', 'done', 'error'), created_at DESC, id DESC ) AS kept
FROM jobs ) all_of_them
WHERE status IN ('cancelled', 'done', 'error') AND kept > :'max_bytes' / (SELECT count(DISTINCT owner)
FROM jobs) ) ended
WHERE (SELECT sum(photo_bytes)
FROM jobs) - older > :'max_bytes'
ORDER BY created_at, id LIMIT :'limit' ), gone AS ( DELETE
FROM jobs USING overflow
WHERE jobs.id = overflow.id
RETURNING jobs.photo_key, jobs.photo_bytes ), discarding AS ( INSERT INTO discarded (photo_key) SELECT photo_key
FROM gone ON CONFLICT DO NOTHING ) SELECT count(*) AS jobs, coalesce(sum(photo_bytes), 0)::bigint AS bytes
FROM gone;

-- retention.ABANDONED
\set limit '1'
SELECT id
FROM jobs
WHERE status = 'pending' AND created_at < now() - interval '24 hours'
ORDER BY created_at LIMIT :'limit';

-- retention.EXPECT_PHOTO
\set photo_key 'x'
INSERT INTO discarded (photo_key, due)
VALUES (:'photo_key', now() + interval '24 hours');

-- retention.DISCARDED
SELECT photo_key
FROM discarded
WHERE due <= now()
ORDER BY photo_key;

-- retention.FORGET_DISCARDED
\set photo_keys '{x}'
DELETE
FROM discarded
WHERE photo_key = ANY (:'photo_keys');

-- retention.COUNT_OLD
\set seconds '1'
\set limit '1'
WITH old AS ( SELECT id, ( SELECT min(seq) - 1
FROM events
WHERE job_id = jobs.id AND type IN ('analysis_complete', 'done', 'error') ) AS last
FROM jobs
WHERE pruned_seq = 0 AND completed_at < now() - make_interval(secs => :'seconds')
ORDER BY completed_at LIMIT :'limit' ) SELECT count(DISTINCT id) AS jobs, count(seq) AS events
FROM old
LEFT JOIN events ON job_id = id AND seq <= last;

-- retention.PRUNE
\set seconds '1'
\set limit '1'
WITH old AS ( SELECT id, ( SELECT min(seq) - 1
FROM events
WHERE job_id = jobs.id AND type IN ('analysis_complete', 'done', 'error') ) AS last
FROM jobs
WHERE pruned_seq = 0 AND completed_at < now() - make_interval(secs => :'seconds')
ORDER BY completed_at LIMIT :'limit' ), pruned AS ( UPDATE jobs
SET pruned_seq = old.last
FROM old
WHERE jobs.id = old.id AND jobs.pruned_seq = 0
RETURNING jobs.id, old.last ), gone AS ( DELETE
FROM events USING pruned
WHERE job_id = pruned.id AND seq <= pruned.last
RETURNING seq ) SELECT (SELECT count(*)
FROM pruned) AS jobs, (SELECT count(*)
FROM gone) AS events;

-- retention.FORGET_KEYS
WITH forgotten AS (DELETE
FROM workers
WHERE seen_at < now() - interval '7 days') DELETE
FROM idempotency
WHERE created_at < now() - interval '24 hours';

-- retention.TRY_LOCK
\set lock '1'
SELECT pg_try_advisory_xact_lock(:'lock') AS is_ours;

-- sessions.SIGNING_SECRET
\set value 'x'
INSERT INTO secrets (name, value)
VALUES ('signing', :'value') ON CONFLICT (name) DO UPDATE
SET name = excluded.name
RETURNING value;

-- sessions.END_SESSION
\set session_id 'x'
\set until '1'
WITH expired AS (DELETE
FROM ended_sessions
WHERE until < now()) INSERT INTO ended_sessions (id, until)
VALUES (:'session_id', to_timestamp(:'until')) ON CONFLICT DO NOTHING;

-- sessions.IS_SESSION_ENDED
\set session_id 'x'
SELECT EXISTS (SELECT
FROM ended_sessions
WHERE id = :'session_id') AS is_ended;

-- history.USUAL_SECONDS
SELECT advisor, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds - coalesce(load_seconds, 0) + coalesce(measure_seconds, 0)) AS seconds
FROM ( SELECT *, row_number() OVER ( PARTITION BY advisor, round(ln(greatest(megapixels, 0.001)))
ORDER BY id DESC) AS nth
FROM (SELECT *
FROM history
WHERE (engine, model) = (SELECT engine, model
FROM history
ORDER BY id DESC LIMIT 1)
ORDER BY id DESC LIMIT 5000) newest ) kinds
WHERE nth <= 20 GROUP BY ROLLUP (advisor);

-- history.RECORD_HISTORY
\set engine 'x'
\set model 'x'
\set advisor 'x'
\set megapixels '1'
\set prompt_tokens '1'
\set measure_seconds '1'
\set load_seconds '1'
\set encode_seconds '1'
\set prefill_seconds '1'
\set generation_tokens '1'
\set marks '{}'
\set tokens_per_second '1'
\set seconds '1'
\set created_at '2026-01-01 00:00:00+00'
INSERT INTO history (engine, model, advisor, megapixels, prompt_tokens, measure_seconds, load_seconds, encode_seconds, prefill_seconds, generation_tokens, marks, tokens_per_second, seconds, created_at)
VALUES (:'engine', :'model', :'advisor', :'megapixels', :'prompt_tokens', :'measure_seconds', :'load_seconds', :'encode_seconds', :'prefill_seconds', :'generation_tokens', :'marks', :'tokens_per_second', :'seconds', :'created_at');

-- imports.IMPORT
\set id '00000000-0000-0000-0000-000000000001'
\set owner 'x'
\set filename 'x'
\set photo_key 'x'
\set photo_sha256 'x'
\set photo_bytes '1'
\set width '1'
\set height '1'
\set advisors '{ansel}'
\set mode 'x'
\set mode_used 'x'
\set enable_rag '1'
\set base_url 'x'
\set status 'processing'
\set step_phase 'advisor_analysis'
\set current_step 'x'
\set retry_of '00000000-0000-0000-0000-000000000002'
\set llm_thinking 'x'
\set current_advisor '1'
\set progress '1'
\set attempt '1'
\set score '1'
\set created_at '2026-01-01 00:00:00+00'
\set started_at '2026-01-01 00:00:00+00'
\set completed_at '2026-01-01 00:00:00+00'
\set error '{"code": "engine_failed", "message": "The engine failed.", "retryable": true}'
\set types '{token}'
\set payloads '{"{}"}'
\set report_advisors '{ansel}'
\set reports '{"{}"}'
\set texts '{""}'
WITH moved AS ( INSERT INTO jobs (id, owner, filename, photo_key, photo_sha256, photo_bytes, width, height, advisors, mode, mode_used, enable_rag, base_url, status, step_phase, current_step, retry_of, llm_thinking, current_advisor, progress, attempt, score, created_at, started_at, completed_at, error, pruned_seq, last_seq) SELECT :'id', :'owner', :'filename', :'photo_key', :'photo_sha256', :'photo_bytes', :'width', :'height', :'advisors', :'mode', :'mode_used', :'enable_rag', :'base_url', :'status', :'step_phase', :'current_step', :'retry_of', :'llm_thinking', :'current_advisor', :'progress', :'attempt', :'score', :'created_at', :'started_at', :'completed_at', :'error'::json, 1, 2 + cardinality(:'types'::text[]) ON CONFLICT (id) DO NOTHING
RETURNING * ), claimed AS ( DELETE
FROM discarded USING moved
WHERE discarded.photo_key = moved.photo_key ), logged AS ( INSERT INTO events (job_id, seq, type, attempt, payload) SELECT moved.id, moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place), e.type, moved.attempt, e.payload
FROM moved CROSS JOIN LATERAL (SELECT 0 AS place, 'status_update' AS type, (SELECT row_to_json(p)::text
FROM (SELECT 'status_update' AS type, moved.id AS job_id, round(extract(epoch
FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data
FROM ( SELECT moved.id AS job_id, moved.status AS status, current_step AS current_step, llm_thinking, current_advisor, cardinality(advisors) AS total_advisors, step_phase AS step_phase, progress AS progress_percentage, moved.attempt, moved.error, base_url || '/status/' || moved.id AS status_url, base_url || '/stream/' || moved.id AS stream_url, base_url || '/analysis/' || moved.id AS analysis_url) d) p) AS payload
WHERE true
UNION ALL SELECT g.place, g.type, g.payload
FROM unnest(:'types'::text[], :'payloads'::text[]) WITH ORDINALITY g (type, payload, place)) e ), reported AS ( INSERT INTO reports (job_id, advisor, place, report, text) SELECT moved.id, r.advisor, r.place, r.report, r.text
FROM moved, unnest(:'report_advisors'::text[], :'reports'::json[], :'texts'::text[]) WITH ORDINALITY r (advisor, report, text, place) ) SELECT moved.id, moved.id || ' ' || moved.last_seq AS notice, false AS is_claimable
FROM moved;

-- jobs.list_jobs
\set advisor 'x'
\set before '2026-01-01 00:00:00+00'
\set owner 'x'
\set status 'processing'
\set limit '1'
SELECT jobs.id, jobs.owner, jobs.filename, jobs.photo_key, jobs.photo_sha256, jobs.photo_bytes, jobs.width, jobs.height, jobs.advisors, jobs.mode, jobs.mode_used, jobs.enable_rag, jobs.base_url, jobs.status, jobs.step_phase, jobs.current_step, jobs.llm_thinking, jobs.current_advisor, jobs.progress, jobs.attempt, jobs.failures, jobs.is_suspect, jobs.last_seq, jobs.pruned_seq, jobs.claimed_by, jobs.error, jobs.score, jobs.retry_of, jobs.created_at, jobs.started_at, jobs.completed_at, extract(epoch
FROM jobs.lease_until - clock_timestamp())::float8 AS lease_seconds
FROM jobs
WHERE :'advisor' = ANY (advisors) AND created_at < :'before' AND owner = :'owner' AND status = :'status'
ORDER BY created_at DESC, id DESC LIMIT :'limit';

-- log.events_after
\set id '00000000-0000-0000-0000-000000000001'
\set seq '1'
\set types '{token}'
\set limit '1'
SELECT seq, type, payload, created_at
FROM events
WHERE job_id = :'id' AND seq > :'seq' AND type = ANY (:'types')
ORDER BY seq LIMIT :'limit';

-- history.history
\set engine 'x'
\set model 'x'
SELECT engine, model, advisor, megapixels, prompt_tokens, measure_seconds, load_seconds, encode_seconds, prefill_seconds, generation_tokens, marks, tokens_per_second, seconds, created_at
FROM ( SELECT *, row_number() OVER ( PARTITION BY advisor, round(ln(greatest(megapixels, 0.001)))
ORDER BY id DESC) AS nth
FROM (SELECT *
FROM history
WHERE engine = :'engine' AND model = :'model'
ORDER BY id DESC LIMIT 5000) newest ) kinds
WHERE nth <= 20
ORDER BY id DESC;

