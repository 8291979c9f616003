-- More of what a critique took: measuring, encoding apart from prefill, and how long each part of
-- the answer was.

ALTER TABLE history
    ADD COLUMN IF NOT EXISTS measure_seconds double precision,
    ADD COLUMN IF NOT EXISTS encode_seconds double precision,
    ADD COLUMN IF NOT EXISTS marks integer[] NOT NULL DEFAULT '{}';
