"""One attempt at a job: a critique by each advisor in turn, told in the job's log."""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace

from mondrian.advisors import Advisor, find_advisor
from mondrian.critiques import critique
from mondrian.engines.base import Basis, Phase, Progress
from mondrian.errors import StorageError
from mondrian.events import Parts, complete_fields, text_fields
from mondrian.history import Figures
from mondrian.jobs import Entry, EventType, Status, StepPhase
from mondrian.measurements import Measurements, measure
from mondrian.pacing import Text, Update, pace
from mondrian.photos import Photo, PhotoStore, read_photo
from mondrian.report import Report
from mondrian.store import Answer
from mondrian.worker.journal import Journal
from mondrian.worker.watching import WatchedEngine


def work(
    journal: Journal, photos: PhotoStore, engine: WatchedEngine, advisors: Mapping[str, Advisor]
) -> None:
    """Do the job that ``journal`` holds, to its end.

    Raises ``AttemptSuperseded`` when the claim is lost or the worker stops, and whatever a critique
    raises.
    """
    chosen = [find_advisor(name, advisors) for name in journal.job.advisors]
    _explain(journal)
    photo, measurements = _prepare(journal, photos, engine)
    critiques = [
        _critique(journal, photo, measurements, engine, advisor, place)
        for place, advisor in enumerate(chosen, start=1)
    ]
    _finish(journal, chosen, critiques)


def _explain(journal: Journal) -> None:
    """Tell why there is another attempt, and after a second failure breathe first."""
    job, store = journal.job, journal.store
    if job.attempt == 1:
        return
    types = [EventType.ATTEMPT]
    *_, event = journal.hold.insist(lambda: store.events_after(job.id, 0, types=types))
    reason = json.loads(event.payload)["reason"]
    again = Update(
        phase=Phase.WAITING,
        thinking=f"{reason[:1].upper()}{reason[1:]}, trying again (attempt {job.attempt})",
        elapsed_seconds=0.0,
        percent=0,
        basis=Basis.UNKNOWN,
    )
    journal.tell(again, {})
    journal.hold.pause(max(0, job.failures - 1))


def _prepare(
    journal: Journal, photos: PhotoStore, engine: WatchedEngine
) -> tuple[Photo, Measurements]:
    """Fetch, read and measure the photo, once for all advisors, with updates meanwhile."""
    job = journal.job

    def steps() -> Generator[Progress | tuple[Photo, Measurements], None, None]:
        yield Progress(phase=Phase.MEASURING)
        photo = read_photo(photos.get(job.photo_key), name=job.filename)
        yield photo, measure(photo)

    paced = pace(steps(), interval_seconds=journal.tick_seconds, sees=engine.sees)
    with closing(paced) as items:
        for item in items:
            journal.hold.check()
            if isinstance(item, tuple):
                return item
            if isinstance(item, Update):
                journal.update(item, percent=item.percent)
    raise AssertionError("the photo was neither measured nor refused")


def _critique(
    journal: Journal,
    photo: Photo,
    measurements: Measurements,
    engine: WatchedEngine,
    advisor: Advisor,
    place: int,
) -> tuple[Report, str]:
    """The report of the advisor in that place (from 1), and the answer it was read from."""
    words = Words(journal, advisor.id)
    engine.spent.clear()
    running = critique(
        photo,
        advisor,
        engine,
        interval_seconds=journal.tick_seconds,
        measurements=measurements,
    )
    with closing(running) as items:
        for item in items:
            journal.hold.check()
            if isinstance(item, Update):
                words.note(item)
                _tell(journal, item, advisor, place)
            elif isinstance(item, Text):
                words.take(item)
            else:
                report = item
    _record(journal, report, engine, photo)
    return report, words.text


def _tell(journal: Journal, update: Update, advisor: Advisor, place: int) -> None:
    total = journal.job.total_advisors
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
    journal.update(
        update if is_last else replace(update, eta_seconds=None),
        percent=((place - 1) * 100 + update.percent) // total,
        status=status,
        step_phase=step_phase,
        current_advisor=place,
        current_step=current_step,
    )


class Words:
    """One advisor's words as they come, logged with what can be read of the report so far."""

    def __init__(self, journal: Journal, advisor: str) -> None:
        self._journal = journal
        self._advisor = advisor
        self._parts = Parts(advisor, attempt=journal.attempt)

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


def _record(journal: Journal, report: Report, engine: WatchedEngine, photo: Photo) -> None:
    """Keep what the critique took. That it cannot be kept is no reason to lose it."""
    waited = engine.spent.pop(Phase.WAITING, 0.0)
    figures = Figures(
        engine=report.engine.url,
        model=report.engine.model,
        advisor=report.advisor,
        megapixels=round(photo.width * photo.height / 1e6, 3),
        prompt_tokens=report.engine.prompt_tokens,
        load_seconds=engine.spent.get(Phase.LOADING, 0.0),
        prefill_seconds=sum(engine.spent.get(p, 0.0) for p in (Phase.ENCODING, Phase.PREFILL)),
        generation_tokens=report.engine.tokens,
        tokens_per_second=report.engine.tokens_per_second,
        seconds=max(0.0, report.engine.seconds - waited),
    )
    with suppress(StorageError):
        journal.store.record_history(figures)


def _finish(
    journal: Journal, advisors: Sequence[Advisor], critiques: Sequence[tuple[Report, str]]
) -> None:
    reports = [report for report, _ in critiques]
    names = [advisor.name for advisor in advisors]
    complete = Entry(EventType.ANALYSIS_COMPLETE, complete_fields(reports, names))
    answers = [
        Answer(advisor=report.advisor, report=report.model_dump(mode="json"), text=text)
        for report, text in critiques
    ]
    hold = journal.hold
    hold.insist(lambda: journal.store.finish(hold.claim, [complete], reports=answers))
