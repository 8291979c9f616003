-- What the photographer meant, in words of their own and as a genre; empty where nothing was said.

ALTER TABLE jobs
    ADD COLUMN IF NOT EXISTS intent text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS genre text NOT NULL DEFAULT '';
