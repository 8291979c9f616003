"""One attempt of a job: a critique by each advisor in turn, written to the job's log."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from mondrian.advisors import Advisor
from mondrian.critiques.history import TimingRecord
from mondrian.critiques.pacing import Update
from mondrian.critiques.panel import run_panel
from mondrian.engines.base import Basis, Phase
from mondrian.engines.watched import WatchedEngine
from mondrian.errors import AttemptSuperseded, PhotoStoreUnavailable, StorageError
from mondrian.jobs.events import AdvisorEvents, build_complete_fields
from mondrian.jobs.job import Entry, EventType, Status, StepPhase
from mondrian.jobs.store import Answer
from mondrian.measurements.reading import MeasuredPhoto, read_measured
from mondrian.photos import PhotoStore
from mondrian.photos.readers import PhotoReaders
from mondrian.process.pool import Unwanted
from mondrian.reports import Report
from mondrian.worker.advisors import JobAdvisors
from mondrian.worker.job_log import JobLog

log = logging.getLogger(__name__)

PAUSES_SECONDS = (0.0, 1.0, 10.0)
"""The pause before the next attempt, by the number of failures: a server may be restarting."""

RENEWED_PAUSES_SECONDS = (0.0, 0.0, 1.0)
"""The same for a job whose engine or worker is a new one."""

_OTHER_WORKER = ("worker lost", "worker stopped")

PHOTO_PATIENCE_SECONDS = 60.0
"""How long the photo store may be unavailable without costing an attempt. (If only this photo
cannot be read, the job must not block the others forever.)"""


def run_attempt(
    job_log: JobLog,
    photos: PhotoStore,
    readers: PhotoReaders,
    engine: WatchedEngine,
    advisors: JobAdvisors,
    home: Path,
) -> None:
    """Run the attempt of ``job_log`` to its end. ``home`` is the folder of the subject model.

    Raise ``AttemptSuperseded`` if the claim is lost or the worker stops, and all that a critique
    raises.
    """
    chosen = job_log.held.retry(lambda: advisors.find(job_log.job))
    _announce_attempt(job_log)
    if engine.mode_used != job_log.job.mode_used:
        job_log.append([], mode_used=engine.mode_used)
    job = job_log.job
    events = [AdvisorEvents(name, attempt=job_log.attempt) for name in job.advisors]
    panel = run_panel(
        partial(_read_photo, job_log, photos, readers, home),
        chosen,
        engine,
        interval_seconds=job_log.tick_seconds,
        purpose=job.purpose,
        megapixels=job.width * job.height / 1e6,
        history=_read_history(job_log, engine),
    )
    reports = list[Report]()
    with closing(panel) as items:
        for place, item in items:
            job_log.held.check()
            if isinstance(item, TimingRecord):
                with suppress(StorageError):  # a critique is worth more than its timing
                    job_log.store.record_history(item)
                continue
            entries = list(events[place - 1].encode(item)) if place else []
            if isinstance(item, Update):
                _report_update(job_log, item, chosen, place)
            else:
                job_log.append(entries)
            if isinstance(item, Report):
                reports.append(item)
    _finish(job_log, reports, [each.text for each in events])


def _announce_attempt(job_log: JobLog) -> None:
    """Write why there is another attempt, and pause before it for the engine's sake."""
    job, store = job_log.job, job_log.store
    if job.attempt == 1:
        return
    types = [EventType.ATTEMPT]
    *_, event = job_log.held.retry(lambda: store.read_events(job.id, 0, types=types))
    reason = json.loads(event.payload)["reason"]
    again = Update(
        phase=Phase.WAITING,
        thinking=f"{reason[:1].upper()}{reason[1:]}, trying again (attempt {job.attempt})",
        elapsed_seconds=0.0,
        percent=0,
        basis=Basis.UNKNOWN,
    )
    job_log.write_update(again, {})
    is_renewed = job.is_suspect or reason in _OTHER_WORKER
    pauses = RENEWED_PAUSES_SECONDS if is_renewed else PAUSES_SECONDS
    until = time.monotonic() + pauses[job.failures]
    while (left := until - time.monotonic()) > 0:
        job_log.held.pause(min(left, job_log.tick_seconds))
        job_log.update(again)


def _read_history(job_log: JobLog, engine: WatchedEngine) -> list[TimingRecord]:
    """Return the timing records of this model, none if they cannot be read."""
    with suppress(StorageError):
        return job_log.store.read_history(engine.url, engine.model)
    return []


def _read_photo(
    job_log: JobLog,
    photos: PhotoStore,
    readers: PhotoReaders,
    home: Path,
    is_wanted: Callable[[], bool],
) -> MeasuredPhoto:
    """Fetch, read and measure the photo."""
    encoded, name = _fetch(job_log, photos), job_log.job.filename
    try:
        return readers.run(
            read_measured, encoded, is_wanted=is_wanted, is_urgent=False, name=name, home=home
        )
    except Unwanted as exc:
        raise AttemptSuperseded from exc


def _fetch(job_log: JobLog, photos: PhotoStore) -> bytes:
    """Return the stored photo; wait while its store is unavailable."""
    until = time.monotonic() + PHOTO_PATIENCE_SECONDS
    while True:
        try:
            return photos.get(job_log.job.photo_key)
        except PhotoStoreUnavailable as exc:
            if time.monotonic() > until:
                raise
            log.warning("job %s waits for its photo: %s", job_log.job.id, exc)
        job_log.held.pause(1.0)


def _report_update(
    job_log: JobLog, update: Update, advisors: Sequence[Advisor], place: int
) -> None:
    """Write ``update`` of the advisor in that ``place`` (0 before the first), with the job's
    state."""
    if place == 0:
        job_log.update(update)
        return
    total = len(advisors)
    if update.phase is Phase.FINALIZING and place < total:
        return  # the next advisor begins at once
    advisor = advisors[place - 1]
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


def _finish(job_log: JobLog, reports: Sequence[Report], texts: Sequence[str]) -> None:
    complete = Entry(EventType.ANALYSIS_COMPLETE, build_complete_fields(reports))
    answers = [
        Answer(advisor=report.advisor, report=report.model_dump(mode="json"), text=text)
        for report, text in zip(reports, texts, strict=True)
    ]
    job_log.finish([complete], answers)
