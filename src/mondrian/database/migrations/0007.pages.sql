-- Scores to sort by, the job whose photo another took over, and the jobs of one photo.

ALTER TABLE jobs
    ADD COLUMN IF NOT EXISTS score real,
    ADD COLUMN IF NOT EXISTS retry_of uuid;

-- Once, of what is there: as text, since a report may hold what json cannot be read with.
UPDATE jobs SET score = told.score FROM (
    SELECT job_id, round(avg(substring(report::text
        from '"overall_score": ?([0-9]{1,2}[.]?[0-9]{0,3})')::real)::numeric, 1) AS score
    FROM reports GROUP BY job_id
) told WHERE told.job_id = jobs.id AND jobs.score IS NULL;

CREATE INDEX IF NOT EXISTS jobs_score ON jobs (score, created_at) WHERE score IS NOT NULL;

CREATE INDEX IF NOT EXISTS jobs_photo ON jobs (photo_sha256);
