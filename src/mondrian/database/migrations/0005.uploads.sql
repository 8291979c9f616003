-- Photos that are being uploaded are noted too, until a job comes with them: due a day later.

ALTER TABLE discarded ADD COLUMN IF NOT EXISTS due timestamptz NOT NULL DEFAULT now();
