"""One attempt at a job: a critique by each advisor in turn, told in the job's log."""

import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from mondrian.advisors import Advisor, find_advisor
from mondrian.critiques import critique
from mondrian.engines.base import Basis, Phase, Progress
from mondrian.errors import StorageError
from mondrian.events import complete_fields, text_fields
from mondrian.history import Figures
from mondrian.jobs import Entry, EventType, Status, StepPhase
from mondrian.measurements import Measurements, measure
from mondrian.pacing import Text, Update, pace
from mondrian.photos import Photo, PhotoStore, read_photo
from mondrian.report import DIMENSIONS, Report, analysis_fragment, read_partial
from mondrian.report import Answer as ReadAnswer
from mondrian.store import Answer
from mondrian.worker.journal import Journal
from mondrian.worker.watching import WatchedEngine

_PARTIAL_SECONDS = 0.5


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
    elif update.phase is Phase.GENERATING or place > 1:
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
    """One advisor's words as they come: each portion is logged, and what can be read of the
    report so far at most twice a second."""

    def __init__(self, journal: Journal, advisor: str) -> None:
        self.text = ""
        self._journal = journal
        self._advisor = advisor
        self._read = time.monotonic()
        self._told: set[str] = set()

    def take(self, text: Text) -> None:
        """Log the next portion."""
        attempt = self._journal.attempt
        self.text += text.text
        fields = text_fields(text, advisor=self._advisor, attempt=attempt)
        entries = [Entry(EventType.TOKEN, fields)]
        if time.monotonic() - self._read >= _PARTIAL_SECONDS:
            self._read = time.monotonic()
            if part := self._next_part():
                head = {"advisor": self._advisor, "attempt": attempt}
                entries.append(Entry(EventType.REPORT_PARTIAL, head | part))
        self._journal.append(entries)

    def _next_part(self) -> dict[str, Any] | None:
        """What has not been told of the report: a part that is complete, or what grows now."""
        answer = read_partial(self.text)
        growing = None if isinstance(answer, ReadAnswer) else answer.growing
        if answer.image_description and answer.dimensions and self._is_new("image_description"):
            return {"image_description": answer.image_description}
        for n, dimension in enumerate(answer.dimensions, start=1):
            if self._is_new(dimension.name):
                return {
                    "n": n,
                    "m": len(DIMENSIONS),
                    "dimension": dimension.model_dump(mode="json"),
                }
        if growing is None:
            return None
        n = len(answer.dimensions) + 1
        return {"n": n, "m": len(DIMENSIONS), "dimension": growing.model_dump(mode="json")}

    def _is_new(self, part: str) -> bool:
        is_new = part not in self._told
        self._told.add(part)
        return is_new


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
    fragments = [
        analysis_fragment(report, advisor.name)
        for report, advisor in zip(reports, advisors, strict=True)
    ]
    complete = Entry(EventType.ANALYSIS_COMPLETE, complete_fields(reports, "\n".join(fragments)))
    answers = [
        Answer(advisor=report.advisor, report=report.model_dump(mode="json"), text=text)
        for report, text in critiques
    ]
    hold = journal.hold
    hold.insist(lambda: journal.store.finish(hold.claim, [complete], reports=answers))
