"""The advisors of jobs."""

from mondrian.jobs.sql.shared import compact

KEEP = compact("""
    INSERT INTO advisors (version, advisor)
    SELECT * FROM unnest(%(versions)s::text[], %(encoded)s::text[]) ON CONFLICT DO NOTHING""")

READ = compact("SELECT advisor FROM advisors WHERE version = %(version)s")
