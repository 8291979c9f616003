"""What critiques took."""

from dataclasses import asdict

from mondrian.critiques.history import TimingRecord
from mondrian.jobs.sql import history as sql
from mondrian.jobs.store.base import Connected


class TimingHistory(Connected):
    """The timing of critiques, from which the next ones are estimated."""

    def record_history(self, figures: TimingRecord) -> None:
        """Keep what one advisor's critique took."""
        self._run(sql.RECORD_HISTORY, **asdict(figures) | {"marks": list(figures.marks)})

    def history(self, engine: str, model: str) -> list[TimingRecord]:
        """The newest figures of a model on an engine, of each kind (advisor and rough size of the
        photo), newest first; if there are none, those on other engines (two round trips)."""
        for of_others in (False, True):
            statement = sql.history(of_others=of_others)
            if rows := self._run(statement, engine=engine, model=model):
                break
        return [TimingRecord(**row) for row in rows]

    def usual_seconds(self) -> dict[str | None, float]:
        """The median seconds of a critique by each advisor on a loaded model, of the newest of each
        kind on the engine and model of the last one; under ``None`` that of all together. Empty if
        there was none."""
        rows = self._run(sql.USUAL_SECONDS)
        return {row["advisor"]: row["seconds"] for row in rows if row["seconds"] is not None}
