-- The folder that a photo was handed in with, whose contact sheet is a page.

ALTER TABLE jobs ADD COLUMN IF NOT EXISTS folder text NOT NULL DEFAULT '';

CREATE INDEX IF NOT EXISTS jobs_folder ON jobs (folder, owner, created_at) WHERE folder <> '';
