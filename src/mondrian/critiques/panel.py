"""Critique one photo by several advisors: read and measure it once, then run each in turn.

1. Percent and ETA are of the whole panel, not of the current step.
2. Every slow step yields updates: reading the photo and writing files too.
3. A worker runs a job with ``run_panel``. ``Panel`` runs it without a server or a database.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias, TypeVar

from mondrian.advisors import Advisor
from mondrian.critiques.history import TimingRecord
from mondrian.critiques.job_progress import JobProgress
from mondrian.critiques.pacing import Text, Update, pace
from mondrian.critiques.single import critique
from mondrian.engines.base import Engine, Phase, Progress
from mondrian.engines.watched import Meter, WatchedEngine
from mondrian.measurements.reading import MeasuredPhoto
from mondrian.purpose import NO_PURPOSE, Purpose
from mondrian.reports import Report

T = TypeVar("T")

Look: TypeAlias = Callable[[Callable[[], bool]], MeasuredPhoto]
"""Reads and measures a photo. Its argument returns whether the result is still wanted."""

PanelItem: TypeAlias = tuple[int, Update | Text | Report | TimingRecord]
"""An item and the step that it belongs to: 0 is the photo, from 1 the advisors."""


def run_panel(
    look: Look,
    advisors: Sequence[Advisor],
    engine: WatchedEngine,
    *,
    interval_seconds: float,
    purpose: Purpose = NO_PURPOSE,
    megapixels: float = 0.0,
    history: Sequence[TimingRecord] = (),
) -> Generator[PanelItem, None, None]:
    """Critique one photo by each of ``advisors`` in turn.

    Yield updates in every phase, and for each advisor text, the report and its timing. Closing the
    generator stops the work. ``purpose`` is what the photographer meant, ``megapixels`` the size of
    the photo if it is known before ``look`` returns; ``history`` holds timings of earlier critiques
    on the engine's model, newest first. Raise the errors of ``look`` and ``critique``.
    """
    started = time.monotonic()
    progress = JobProgress([advisor.id for advisor in advisors], megapixels, engine, history)
    run = partial(critique, interval_seconds=interval_seconds, purpose=purpose)
    with closing(_run_steps(look, advisors, engine, progress, run, interval_seconds)) as items:
        for place, item in items:
            if isinstance(item, Update):
                elapsed = round(time.monotonic() - started, 3)
                item = replace(progress.scale_to_job(item, place), elapsed_seconds=elapsed)
            yield place, item


def _run_steps(
    look: Look,
    advisors: Sequence[Advisor],
    engine: WatchedEngine,
    progress: JobProgress,
    run: Callable[..., Generator[Update | Text | Report, None, None]],
    interval_seconds: float,
) -> Generator[PanelItem, None, None]:
    started = time.monotonic()
    photo = yield from _run_step(0, Phase.MEASURING, look, interval_seconds)
    measure_seconds = time.monotonic() - started
    progress.megapixels = photo.width * photo.height / 1e6
    for place, advisor in enumerate(advisors, start=1):
        engine.spent.clear()
        estimator = progress.begin(place)
        with closing(run(photo, advisor, engine, estimator=estimator)) as items:
            for item in items:
                # the photo is measured already
                if not isinstance(item, Update) or item.phase is not Phase.MEASURING:
                    yield place, item
                if isinstance(item, Report):  # an update may be due after it
                    report = item
        timing = TimingRecord.of(
            report,
            engine.spent,
            megapixels=progress.megapixels,
            marks=estimator.marks,
            measure_seconds=measure_seconds if place == 1 else None,
        )
        progress.add(timing)
        yield place, timing


def _run_step(
    place: int, phase: Phase, step: Callable[[Callable[[], bool]], T], interval_seconds: float
) -> Generator[PanelItem, None, T]:
    """Yield updates until ``step`` returns, and return its result. Its argument is a function that
    returns whether the result is still wanted."""
    abandoned = threading.Event()

    def work() -> Generator[Progress | list[T], None, None]:
        yield Progress(phase=phase)
        yield [step(lambda: not abandoned.is_set())]

    results = list[T]()
    with closing(pace(work(), interval_seconds=interval_seconds, sees=False)) as items:
        try:
            for item in items:
                if isinstance(item, Update):
                    yield place, item
                elif isinstance(item, list):
                    results = item
        finally:
            abandoned.set()
    return results[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """A panel without a server or a database.

    ``look`` reads and measures the photo. The engine may be reused by later panels. ``write``, if
    given, is called with the photo and the reports at the end. ``purpose`` is what the photographer
    meant. Times are in seconds.
    """

    look: Look
    advisors: Sequence[Advisor]
    engine: Engine
    write: Callable[[MeasuredPhoto, Sequence[Report]], None] | None
    interval: float
    stall: float
    purpose: Purpose = NO_PURPOSE

    def run(self) -> Generator[Update | Text | Report, None, None]:
        """Yield updates and text as ``critique`` does, and each advisor's report in turn.

        Closing the generator stops the work. Raise the errors of each step.
        """
        started = time.monotonic()
        with closing(self._run()) as items:
            for _, item in items:
                if isinstance(item, Update):
                    elapsed = round(time.monotonic() - started, 3)
                    yield replace(item, elapsed_seconds=elapsed)
                elif not isinstance(item, TimingRecord):
                    yield item

    def _run(self) -> Generator[PanelItem, None, None]:
        photo = yield from _run_step(0, Phase.MEASURING, self.look, self.interval)
        reports = list[Report]()
        engine = WatchedEngine(
            self.engine, Meter(), lambda: None, stall_seconds=self.stall, mode="lora"
        )
        run = partial(run_panel, interval_seconds=self.interval, purpose=self.purpose)
        with closing(run(lambda _: photo, self.advisors, engine)) as items:
            for place, item in items:
                if isinstance(item, Report):
                    reports.append(item)
                if place:
                    yield place, item
        if self.write:
            write = partial(self.write, photo, reports)
            yield from _run_step(len(reports), Phase.FINALIZING, lambda _: write(), self.interval)
