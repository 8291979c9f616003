-- What tells that the log went back: with PostgreSQL's own marks it makes the log's epoch, which is
-- part of each cursor. Where the marks stay the same, the word is renewed.

CREATE TABLE IF NOT EXISTS log_epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    word text NOT NULL DEFAULT md5(random()::text || clock_timestamp()::text)
);

INSERT INTO log_epoch DEFAULT VALUES ON CONFLICT DO NOTHING;
