-- A job at which the engine crashed: from then on nothing else may run beside it in an engine.

ALTER TABLE jobs ADD COLUMN IF NOT EXISTS is_suspect boolean NOT NULL DEFAULT false;
