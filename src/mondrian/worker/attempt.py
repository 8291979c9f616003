"""One attempt at a job: a critique by each advisor in turn, told in the job's log."""

import json
import logging
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from mondrian.advisors import Advisor, find_advisor
from mondrian.critiques.history import TimingRecord
from mondrian.critiques.job_progress import JobProgress
from mondrian.critiques.pacing import Text, Update, pace
from mondrian.critiques.single import critique
from mondrian.engines.base import Basis, Phase, Progress
from mondrian.engines.watched import WatchedEngine
from mondrian.errors import PhotoStoreUnavailable, StorageError
from mondrian.jobs.events import Parts, complete_fields, text_fields
from mondrian.jobs.job import Entry, EventType, Status, StepPhase
from mondrian.jobs.store import Answer
from mondrian.measurements import Measurements, measure
from mondrian.photos import Photo, PhotoStore, read_photo
from mondrian.reports import Report
from mondrian.worker.job_log import JobLog

log = logging.getLogger(__name__)

PAUSES_SECONDS = (0.0, 1.0, 10.0)
"""What is waited after so many failures: a server that restarts needs its time."""

RENEWED_PAUSES_SECONDS = (0.0, 0.0, 1.0)
"""The same for a job whose engine is already another one, or whose worker is."""

_OTHER_WORKER = ("worker lost", "handed back")

PHOTO_PATIENCE_SECONDS = 60.0
"""So long may the photo store be away and cost no attempt. (If only this photo cannot be read, it
must not hold up the others for ever.)"""


def work(
    job_log: JobLog, photos: PhotoStore, engine: WatchedEngine, advisors: Mapping[str, Advisor]
) -> None:
    """Do the job that ``job_log`` holds, to its end.

    Raises ``AttemptSuperseded`` when the claim is lost or the worker stops, and whatever a critique
    raises.
    """
    chosen = [find_advisor(name, advisors) for name in job_log.job.advisors]
    _explain(job_log)
    if engine.mode_used != job_log.job.mode_used:
        job_log.append([], mode_used=engine.mode_used)
    job = job_log.job
    megapixels = job.width * job.height / 1e6
    job_progress = JobProgress(job.advisors, megapixels, engine, _recall(job_log, engine))
    prepared = _prepare(job_log, photos, engine, job_progress)
    critiques = [
        _critique(job_log, prepared, engine, advisor, place, job_progress)
        for place, advisor in enumerate(chosen, start=1)
    ]
    _finish(job_log, chosen, critiques)


def _explain(job_log: JobLog) -> None:
    """Tell why there is another attempt, and leave the engine some time before it."""
    job, store = job_log.job, job_log.store
    if job.attempt == 1:
        return
    types = [EventType.ATTEMPT]
    *_, event = job_log.held.insist(lambda: store.events_after(job.id, 0, types=types))
    reason = json.loads(event.payload)["reason"]
    again = Update(
        phase=Phase.WAITING,
        thinking=f"{reason[:1].upper()}{reason[1:]}, trying again (attempt {job.attempt})",
        elapsed_seconds=0.0,
        percent=0,
        basis=Basis.UNKNOWN,
    )
    job_log.tell(again, {})
    is_renewed = job.is_suspect or reason in _OTHER_WORKER
    pauses = RENEWED_PAUSES_SECONDS if is_renewed else PAUSES_SECONDS
    until = time.monotonic() + pauses[job.failures]
    while (left := until - time.monotonic()) > 0:
        job_log.held.pause(min(left, job_log.tick_seconds))
        job_log.update(again)


def _recall(job_log: JobLog, engine: WatchedEngine) -> list[TimingRecord]:
    """What earlier critiques on this model took. Not to know it is no reason to fail."""
    with suppress(StorageError):
        return job_log.store.history(engine.url, engine.model)
    return []


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """The photo of a job and what was measured in it, which took so many ``seconds``."""

    photo: Photo
    measurements: Measurements
    seconds: float


def _prepare(
    job_log: JobLog, photos: PhotoStore, engine: WatchedEngine, job_progress: JobProgress
) -> Prepared:
    """Fetch, read and measure the photo, once for all advisors, with updates meanwhile."""
    job = job_log.job

    def steps() -> Generator[Progress | Prepared, None, None]:
        started = time.monotonic()
        yield Progress(phase=Phase.MEASURING)
        photo = read_photo(_fetch(job_log, photos), name=job.filename)
        measurements = measure(photo)
        seconds = time.monotonic() - started
        yield Prepared(photo=photo, measurements=measurements, seconds=seconds)

    paced = pace(steps(), interval_seconds=job_log.tick_seconds, sees=engine.sees)
    with closing(paced) as items:
        for item in items:
            job_log.held.check()
            if isinstance(item, Prepared):
                return item
            if isinstance(item, Update):
                job_log.update(job_progress.whole(item, 0))
    raise AssertionError("the photo was neither measured nor refused")


def _fetch(job_log: JobLog, photos: PhotoStore) -> bytes:
    """The photo, as soon as its store is there."""
    until = time.monotonic() + PHOTO_PATIENCE_SECONDS
    while True:
        try:
            return photos.get(job_log.job.photo_key)
        except PhotoStoreUnavailable as exc:
            if time.monotonic() > until:
                raise
            log.warning("job %s waits for its photo: %s", job_log.job.id, exc)
        job_log.held.pause(1.0)


def _critique(
    job_log: JobLog,
    prepared: Prepared,
    engine: WatchedEngine,
    advisor: Advisor,
    place: int,
    job_progress: JobProgress,
) -> tuple[Report, str]:
    """The report of the advisor in that place (from 1), and the answer it was read from."""
    words, estimator = Words(job_log, advisor.id), job_progress.begin(place)
    engine.spent.clear()
    running = critique(
        prepared.photo,
        advisor,
        engine,
        interval_seconds=job_log.tick_seconds,
        measurements=prepared.measurements,
        estimator=estimator,
    )
    with closing(running) as items:
        for item in items:
            job_log.held.check()
            if isinstance(item, Update):
                words.note(item)
                _tell(job_log, job_progress.whole(item, place), advisor, place)
            elif isinstance(item, Text):
                words.take(item)
            else:
                report = item
                words.finish(report)
    figures = TimingRecord.of(
        report,
        engine.spent,
        megapixels=prepared.photo.width * prepared.photo.height / 1e6,
        marks=estimator.marks,
        measure_seconds=prepared.seconds if place == 1 else None,
    )
    job_progress.add(figures)
    with suppress(StorageError):  # that it cannot be kept is no reason to lose the critique
        job_log.store.record_history(figures)
    return report, words.text


def _tell(job_log: JobLog, update: Update, advisor: Advisor, place: int) -> None:
    total = job_log.job.total_advisors
    is_last = place == total
    if update.phase is Phase.MEASURING or (update.phase is Phase.FINALIZING and not is_last):
        return  # over at once: the photo is measured, and the next advisor begins
    of = f" ({place} of {total})" if total > 1 else ""
    status, step_phase = Status.ANALYZING, StepPhase.ADVISOR_PREPARATION
    current_step = f"{advisor.name} prepares{of}"
    if update.phase is Phase.FINALIZING:
        status, step_phase = Status.FINALIZING, StepPhase.FINALIZING
        current_step = "Writing the report"
    elif update.phase in (Phase.GENERATING, Phase.REPAIRING) or place > 1:
        step_phase, current_step = StepPhase.ADVISOR_ANALYSIS, f"{advisor.name} critiques{of}"
    job_log.update(
        update,
        status=status,
        step_phase=step_phase,
        current_advisor=place,
        current_step=current_step,
    )


class Words:
    """One advisor's words as they come, logged with what can be read of the report so far."""

    def __init__(self, job_log: JobLog, advisor: str) -> None:
        self._journal = job_log
        self._advisor = advisor
        self._parts = Parts(advisor, attempt=job_log.attempt)

    @property
    def text(self) -> str:
        """All of them so far."""
        return self._parts.text

    def note(self, update: Update) -> None:
        """Take note of an update."""
        self._parts.note(update)

    def take(self, text: Text) -> None:
        """Log the next portion."""
        fields = text_fields(text, advisor=self._advisor, attempt=self._journal.attempt)
        entries = [Entry(EventType.TOKEN, fields)]
        if part := self._parts.take(text):
            entries.append(Entry(EventType.REPORT_PARTIAL, part))
        self._journal.append(entries)

    def finish(self, report: Report) -> None:
        """Log what of ``report`` has not been told yet."""
        parts = self._parts.finish(report)
        self._journal.append([Entry(EventType.REPORT_PARTIAL, part) for part in parts])


def _finish(
    job_log: JobLog, advisors: Sequence[Advisor], critiques: Sequence[tuple[Report, str]]
) -> None:
    reports = [report for report, _ in critiques]
    names = [advisor.name for advisor in advisors]
    complete = Entry(EventType.ANALYSIS_COMPLETE, complete_fields(reports, names))
    answers = [
        Answer(advisor=report.advisor, report=report.model_dump(mode="json"), text=text)
        for report, text in critiques
    ]
    held = job_log.held
    held.insist(lambda: job_log.store.finish(held.claim, [complete], reports=answers))
