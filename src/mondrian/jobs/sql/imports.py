"""Bring ended jobs of an earlier system into the log."""

from mondrian.jobs.sql.jobs import ADD_COLUMNS
from mondrian.jobs.sql.shared import (
    GIVEN_EVENTS,
    TYPES,
    build_status_update,
    compact,
    insert_events,
    insert_reports,
    select_notice,
)

IMPORT_COLUMNS = (
    *ADD_COLUMNS,
    *("llm_thinking", "current_advisor", "progress", "attempt", "score"),
    *("created_at", "started_at", "completed_at"),
)

# Number 1 is not there, as if it had been pruned: it stands for the log of before, which was not
# kept. So the retention, which goes by the time of the end, leaves the events written here.
IMPORT = compact(f"""
    WITH moved AS (
        INSERT INTO jobs ({", ".join(IMPORT_COLUMNS)}, error, pruned_seq, last_seq)
        SELECT {", ".join(f"%({name})s" for name in IMPORT_COLUMNS)}, %(error)s::json, 1,
            2 + cardinality({TYPES})
        ON CONFLICT (id) DO NOTHING RETURNING *
    ), claimed AS (
        DELETE FROM discarded USING moved WHERE discarded.photo_key = moved.photo_key
    ), {
    insert_events(
        ("status_update", build_status_update("moved"), "true"),
        more=GIVEN_EVENTS,
    )
}, {insert_reports("%(report_advisors)s")}
    SELECT moved.id, {select_notice()} FROM moved""")
