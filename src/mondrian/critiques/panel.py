"""A panel: one photo before several advisors, without a server or a database.

1. The photo is read and measured once. Percent and time are of the whole panel.
2. Whatever takes time is done under a clock: reading the photo and writing files too.
3. An engine that is stuck is ended when a worker would end it.
"""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from mondrian.advisors import Advisor
from mondrian.critiques.history import TimingRecord
from mondrian.critiques.job_progress import JobProgress
from mondrian.critiques.pacing import Text, Update, pace
from mondrian.critiques.single import critique
from mondrian.engines.base import Engine, Phase, Progress
from mondrian.engines.watched import Meter, WatchedEngine
from mondrian.measurements import Measurements, measure
from mondrian.photos import Photo, read_photo
from mondrian.reports import Report

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """``photo`` is where the photo lies; ``open`` opens the engine, once the photo has been read.
    ``write``, if there is something to write, is handed the photo and the reports at the end. Times
    are in seconds."""

    photo: Path
    advisors: Sequence[Advisor]
    open: Callable[[], Engine]
    write: Callable[[Photo, Sequence[Report]], None] | None
    interval: float
    stall: float

    def run(self) -> Generator[Update | Text | Report, None, None]:
        """Updates and text as ``critique`` yields them, and each advisor's report in turn. Closing
        the generator stops the work and closes the engine. Raises what each step raises."""
        started = time.monotonic()
        with closing(self._steps()) as events:
            for event in events:
                if isinstance(event, Update):
                    elapsed = round(time.monotonic() - started, 3)
                    event = replace(event, elapsed_seconds=elapsed)
                yield event

    def _steps(self) -> Generator[Update | Text | Report, None, None]:
        photo, measurements = yield from self._do(Phase.MEASURING, self._look)
        reports = yield from self._critique(photo, measurements)
        if self.write:
            yield from self._do(Phase.FINALIZING, partial(self.write, photo, reports))

    def _do(self, phase: Phase, step: Callable[[], T]) -> Generator[Update, None, T]:
        """What ``step`` returns, with updates until it does."""

        def work() -> Generator[Progress | list[T], None, None]:
            yield Progress(phase=phase)
            yield [step()]

        results = list[T]()
        with closing(pace(work(), interval_seconds=self.interval, sees=False)) as items:
            for item in items:
                if isinstance(item, Update):
                    yield item
                elif isinstance(item, list):
                    results = item
        return results[0]

    def _look(self) -> tuple[Photo, Measurements]:
        photo = read_photo(self.photo)
        return photo, measure(photo)

    def _critique(
        self, photo: Photo, measurements: Measurements
    ) -> Generator[Update | Text | Report, None, list[Report]]:
        """Each advisor's critique, on the engine that is opened for them."""
        reports, megapixels = list[Report](), photo.width * photo.height / 1e6
        with closing(self.open()) as opened:
            engine = WatchedEngine(
                opened, Meter(), lambda: None, stall_seconds=self.stall, mode="lora"
            )
            job_progress = JobProgress(
                [advisor.id for advisor in self.advisors], megapixels, engine, []
            )
            for place, advisor in enumerate(self.advisors, start=1):
                engine.spent.clear()
                estimator = job_progress.begin(place)
                run = partial(critique, measurements=measurements, estimator=estimator)
                with closing(run(photo, advisor, engine, interval_seconds=self.interval)) as events:
                    reports.append((yield from _told(events, job_progress, place)))
                figures = TimingRecord.of(
                    reports[-1],
                    engine.spent,
                    megapixels=megapixels,
                    marks=estimator.marks,
                    measure_seconds=0.0 if place == 1 else None,
                )
                job_progress.add(figures)
        return reports


def _told(
    events: Iterable[Update | Text | Report], job_progress: JobProgress, place: int
) -> Generator[Update | Text | Report, None, Report]:
    """``events`` of the advisor in that place, with percent and time of the whole. Returns the
    report, which is their last."""
    for event in events:
        if not isinstance(event, Update):
            yield event
        elif event.phase is not Phase.MEASURING or place == 1:  # else over at once: it is measured
            yield job_progress.whole(event, place)
    assert isinstance(event, Report)
    return event
