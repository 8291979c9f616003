"""Record the timing of critiques, and read it."""

from dataclasses import fields

from mondrian.critiques.history import NEWEST, TimingRecord
from mondrian.jobs.sql.shared import compact

FIGURES = tuple(field.name for field in fields(TimingRecord))


def _select_newest_figures(condition: str) -> str:
    """Return SQL for the newest records of each kind (advisor and approximate size of the photo)
    among the newest 5,000 that meet ``condition``, so that rare kinds are kept."""
    return f"""(
        SELECT *, row_number() OVER (
            PARTITION BY advisor, round(ln(greatest(megapixels, 0.001))) ORDER BY id DESC) AS nth
        FROM (SELECT * FROM history WHERE {condition} ORDER BY id DESC LIMIT 5000) newest
    ) kinds WHERE nth <= {NEWEST}"""


_LATEST = "(engine, model) = (SELECT engine, model FROM history ORDER BY id DESC LIMIT 1)"

USUAL_SECONDS = compact(f"""
    SELECT advisor, percentile_cont(0.5) WITHIN GROUP (ORDER BY
        seconds - coalesce(load_seconds, 0) + coalesce(measure_seconds, 0)) AS seconds
    FROM {_select_newest_figures(_LATEST)}
    GROUP BY ROLLUP (advisor)""")

RECORD_HISTORY = compact(
    f"INSERT INTO history ({', '.join(FIGURES)}) "
    f"VALUES ({', '.join(f'%({name})s' for name in FIGURES)})"
)


def select_history(*, of_others: bool) -> bytes:
    """Return the newest figures of a model on an engine, or on all others, of each kind."""
    is_of = "<>" if of_others else "="
    condition = f"engine {is_of} %(engine)s AND model = %(model)s"
    return compact(f"""
        SELECT {", ".join(FIGURES)} FROM {_select_newest_figures(condition)} ORDER BY id DESC""")
