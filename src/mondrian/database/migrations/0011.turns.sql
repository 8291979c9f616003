-- The owners whose jobs wait, in the order of their turns, so that a claim costs the same however
-- many they are. Kept by triggers, so that programs of before keep it too.
--
-- A row may outlast the last waiting job of its owner (readers look), and is never missing while
-- one waits: whoever queues a job holds the row (FOR KEY SHARE, shared with others who do) until
-- the commit, and whoever removes it holds it alone, and looks again after that. No claim waits
-- for a row: one that is locked is being changed to much the same by another claim.

CREATE TABLE IF NOT EXISTS turns (
    owner text PRIMARY KEY,
    served timestamptz NOT NULL,
    since timestamptz NOT NULL
);

COMMENT ON COLUMN turns.served IS 'when a job of the owner was last begun; -infinity if never';
COMMENT ON COLUMN turns.since IS 'when its oldest waiting job came';

CREATE INDEX IF NOT EXISTS turns_next ON turns (served, since, owner);

CREATE OR REPLACE FUNCTION enter_turns() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        PERFORM FROM turns WHERE owner = NEW.owner FOR KEY SHARE;
        EXIT WHEN FOUND;
        INSERT INTO turns
        SELECT NEW.owner, coalesce(max(started_at), '-infinity'), NEW.created_at
        FROM jobs WHERE owner = NEW.owner AND started_at IS NOT NULL
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION clear_turn(of_owner text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM jobs WHERE owner = of_owner AND status = 'queued') THEN
        RETURN false;
    END IF;
    PERFORM FROM turns WHERE owner = of_owner FOR UPDATE SKIP LOCKED;
    DELETE FROM turns WHERE FOUND AND owner = of_owner
        AND NOT EXISTS (SELECT FROM jobs WHERE owner = of_owner AND status = 'queued');
    RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION leave_turns() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF clear_turn(OLD.owner) OR TG_OP = 'DELETE' OR NEW.started_at IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM FROM turns WHERE owner = NEW.owner AND served < NEW.started_at
        FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE turns SET served = NEW.started_at WHERE owner = NEW.owner;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER jobs_enter_turns AFTER INSERT OR UPDATE OF status ON jobs FOR EACH ROW
    WHEN (NEW.status = 'queued') EXECUTE FUNCTION enter_turns();

CREATE OR REPLACE TRIGGER jobs_leave_turns AFTER UPDATE OF status ON jobs FOR EACH ROW
    WHEN (OLD.status = 'queued' AND NEW.status <> 'queued') EXECUTE FUNCTION leave_turns();

CREATE OR REPLACE TRIGGER jobs_delete_turns AFTER DELETE ON jobs FOR EACH ROW
    WHEN (OLD.status = 'queued') EXECUTE FUNCTION leave_turns();

INSERT INTO turns
SELECT owner, coalesce(max(started_at), '-infinity'), min(created_at) FILTER (WHERE status = 'queued')
FROM jobs GROUP BY owner HAVING bool_or(status = 'queued')
ON CONFLICT DO NOTHING;
