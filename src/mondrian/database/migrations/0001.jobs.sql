-- Jobs (the queue), their events (the log), reports, idempotency keys, and the history of figures.
-- Statements are repeatable: a process may die between a migration and the note that it was made.

CREATE TABLE IF NOT EXISTS jobs (
    id uuid PRIMARY KEY,
    owner text NOT NULL,
    filename text NOT NULL,
    photo_key text NOT NULL,
    photo_sha256 text NOT NULL,
    photo_bytes bigint NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    advisors text[] NOT NULL,
    mode text NOT NULL,
    mode_used text NOT NULL,
    enable_rag boolean NOT NULL,
    base_url text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'queued', 'processing', 'analyzing',
        'finalizing', 'done', 'error', 'cancelled')),
    step_phase text NOT NULL,
    current_step text NOT NULL,
    llm_thinking text NOT NULL DEFAULT '',
    current_advisor integer NOT NULL DEFAULT 0,
    progress integer NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    attempt integer NOT NULL DEFAULT 1,
    failures integer NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL,
    pruned_seq bigint NOT NULL DEFAULT 0,
    claimed_by text,
    lease_until timestamptz,
    error json,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    completed_at timestamptz
) WITH (fillfactor = 70);

-- The claim asks these three: whose jobs wait, how many of an owner run, when was it served last.
CREATE INDEX IF NOT EXISTS jobs_queued ON jobs (owner, created_at, id) WHERE status = 'queued';

CREATE INDEX IF NOT EXISTS jobs_running ON jobs (owner)
    WHERE status IN ('processing', 'analyzing', 'finalizing');

CREATE INDEX IF NOT EXISTS jobs_served ON jobs (owner, started_at) WHERE started_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS jobs_created ON jobs (created_at, id);

CREATE INDEX IF NOT EXISTS jobs_status ON jobs (status, created_at);

CREATE TABLE IF NOT EXISTS events (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    seq bigint NOT NULL,
    type text NOT NULL,
    attempt integer NOT NULL,
    payload text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, seq)
);

CREATE TABLE IF NOT EXISTS reports (
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    advisor text NOT NULL,
    place integer NOT NULL,
    report json NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (job_id, advisor)
);

CREATE TABLE IF NOT EXISTS idempotency (
    owner text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (owner, key)
);

CREATE INDEX IF NOT EXISTS idempotency_job ON idempotency (job_id);

CREATE TABLE IF NOT EXISTS history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    engine text NOT NULL,
    model text NOT NULL,
    advisor text NOT NULL,
    megapixels double precision NOT NULL,
    prompt_tokens integer,
    load_seconds double precision,
    prefill_seconds double precision,
    generation_tokens integer NOT NULL,
    tokens_per_second double precision,
    seconds double precision NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX IF NOT EXISTS history_kind ON history (engine, model, id);
