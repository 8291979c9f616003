-- Append events to the logs of running jobs, and announce them: one round trip for two transactions.
-- The notice follows the commit, since PostgreSQL locks the whole server for the commit of a
-- transaction with a NOTIFY until it is on disk. It is left out while so few are read that sending
-- one could fail: readers also poll. Nothing is appended if another attempt has begun, or the log
-- does not reach number `seen`: then the job is missing in the answer.
--
-- To change a procedure, add one with another name: processes of the version before call this one.

-- One job, at half the price: `last` is the last number in its log, or null.
CREATE OR REPLACE PROCEDURE append_events(
    of_job uuid, of_attempt integer, new_thinking text, new_progress integer, seen bigint,
    types text, payloads text, lines text, INOUT last bigint
) LANGUAGE plpgsql AS $$
DECLARE
    each_type CONSTANT text[] := string_to_array(types, ',');
BEGIN
    WITH moved AS (
        UPDATE jobs SET
            llm_thinking = coalesce(new_thinking, llm_thinking),
            progress = greatest(progress, new_progress),
            last_seq = last_seq + cardinality(each_type)
        WHERE id = of_job AND attempt = of_attempt AND last_seq >= seen
            AND status IN ('processing', 'analyzing', 'finalizing')
        RETURNING last_seq
    ), logged AS (
        INSERT INTO events (job_id, seq, type, attempt, payload)
        SELECT of_job, moved.last_seq - cardinality(each_type) + g.place, g.type, of_attempt,
            g.payload
        FROM moved, unnest(each_type, string_to_array(payloads, chr(10)))
            WITH ORDINALITY g (type, payload, place)
    )
    SELECT last_seq INTO last FROM moved;
    IF last IS NULL THEN
        RETURN;
    END IF;
    COMMIT;
    IF pg_notification_queue_usage() < 0.9 THEN
        PERFORM pg_notify('mondrian_events', of_job || ' ' || last || lines);
    END IF;
END $$;

-- Several jobs: `last` has the last number by job. What locks several running jobs does so in the
-- order of their ids: no two statements wait for each other.
CREATE OR REPLACE PROCEDURE append_all_events(appends json, INOUT last json)
LANGUAGE plpgsql AS $$
DECLARE
    notices text[];
BEGIN
    WITH given AS MATERIALIZED (
        SELECT *, string_to_array(types, ',') AS each_type FROM json_to_recordset(appends)
            AS a (id uuid, attempt int, seen bigint, llm_thinking text, progress int, types text,
                payloads text, lines text)
    ), held AS (
        SELECT jobs.id, given.llm_thinking, given.progress, each_type, payloads, lines
        FROM given JOIN jobs ON jobs.id = given.id AND jobs.attempt = given.attempt
        WHERE status IN ('processing', 'analyzing', 'finalizing') AND last_seq >= seen
        ORDER BY jobs.id FOR UPDATE OF jobs
    ), moved AS (
        UPDATE jobs SET
            llm_thinking = coalesce(held.llm_thinking, jobs.llm_thinking),
            progress = greatest(jobs.progress, held.progress),
            last_seq = last_seq + cardinality(each_type)
        FROM held WHERE jobs.id = held.id
        RETURNING jobs.id, attempt, last_seq, each_type, payloads, lines
    ), logged AS (
        INSERT INTO events (job_id, seq, type, attempt, payload)
        SELECT id, last_seq - cardinality(each_type) + g.place, g.type, attempt, g.payload
        FROM moved, unnest(each_type, string_to_array(payloads, chr(10)))
            WITH ORDINALITY g (type, payload, place)
    )
    SELECT coalesce(json_object_agg(id, last_seq), '{}'), array_agg(id || ' ' || last_seq || lines)
    INTO last, notices FROM moved;
    IF notices IS NULL THEN
        RETURN;
    END IF;
    COMMIT;
    IF pg_notification_queue_usage() < 0.9 THEN
        PERFORM pg_notify('mondrian_events', notice) FROM unnest(notices) notice;
    END IF;
END $$;
