"""The timing records of critiques."""

from dataclasses import asdict

from mondrian.critiques.history import TimingRecord
from mondrian.jobs.sql import history as sql
from mondrian.jobs.store.base import Connected


class TimingHistory(Connected):
    """Timing records, from which the time of the next critiques is estimated."""

    def record_history(self, figures: TimingRecord) -> None:
        """Store the timing record of one advisor's critique."""
        self._run(sql.RECORD_HISTORY, **asdict(figures) | {"marks": list(figures.marks)})

    def read_history(self, engine: str, model: str) -> list[TimingRecord]:
        """Return the newest records of a model on an engine, of each kind (advisor and approximate
        size of the photo), newest first; without any, those on other engines (two round trips)."""
        for of_others in (False, True):
            statement = sql.select_history(of_others=of_others)
            if rows := self._run(statement, engine=engine, model=model):
                break
        return [TimingRecord(**row) for row in rows]

    def read_usual_seconds(self) -> dict[str | None, float]:
        """Return the median seconds of a critique by each advisor on a loaded model, of the newest
        of each kind on the engine and model of the last one; under ``None`` that of all together.
        Empty if there was none."""
        rows = self._run(sql.USUAL_SECONDS)
        return {row["advisor"]: row["seconds"] for row in rows if row["seconds"] is not None}
