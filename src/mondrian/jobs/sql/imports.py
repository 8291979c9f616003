"""Bring ended jobs of an earlier system into the log."""

from mondrian.jobs.sql.jobs import ADD_COLUMNS
from mondrian.jobs.sql.shared import build_status_update, compact, insert_events, select_notice

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
            2 + cardinality(%(types)s::text[])
        ON CONFLICT (id) DO NOTHING RETURNING *
    ), claimed AS (
        DELETE FROM discarded USING moved WHERE discarded.photo_key = moved.photo_key
    ), {
    insert_events(
        ("status_update", build_status_update("moved"), "true"),
        more='''UNION ALL SELECT g.place, g.type, g.payload
            FROM unnest(%(types)s::text[], %(payloads)s::text[])
            WITH ORDINALITY g (type, payload, place)''',
    )
}, reported AS (
        INSERT INTO reports (job_id, advisor, place, report, text)
        SELECT moved.id, r.advisor, r.place, r.report, r.text
        FROM moved, unnest(%(report_advisors)s::text[], %(reports)s::json[], %(texts)s::text[])
            WITH ORDINALITY r (advisor, report, text, place)
    )
    SELECT moved.id, {select_notice()} FROM moved""")
