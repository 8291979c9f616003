"""The photos of a folder that was handed in, as a contact sheet, and how far they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mondrian.api.auth import Visitor
from mondrian.api.dependencies import Services
from mondrian.api.job_page import photo_name
from mondrian.catalogue import Judgement, PhotoFile, rank
from mondrian.catalogue.sheet import Card
from mondrian.jobs.job import Job, Status
from mondrian.jobs.queue import Place, describe_time
from mondrian.jobs.store import Store

MAX_JOBS = 1000
_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How many of the ``photos`` of a folder are ``done``, how many failed or were cancelled, and
    the seconds until the last one ends, ``None`` if not known."""

    photos: int
    done: int
    failed: int
    seconds: float | None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.done + self.failed == self.photos

    def __str__(self) -> str:
        failed = f", {self.failed} without a critique" if self.failed else ""
        if self.is_over:
            return f"{self.done} of {self.photos}{failed}"
        left = f", {describe_time(self.seconds)}" if self.seconds is not None else ""
        return f"{self.done} of {self.photos}{failed}{left}"


def list_folder(services: Services, visitor: Visitor, folder: str) -> list[Job]:
    """Return the newest job of each photo of a folder that the visitor may list, and at most 1000.
    Raise ``StorageError``."""
    jobs = services.store.list_jobs(MAX_JOBS, folder=folder, owner=visitor.listed_owner)
    newest: dict[str, Job] = {}
    for job in jobs:
        newest.setdefault(job.photo_sha256 or str(job.id), job)
    return list(newest.values())


def measure_progress(services: Services, jobs: Sequence[Job]) -> Progress:
    """Return how far the jobs are. Raise ``StorageError``."""
    places = services.read_places(jobs)
    open_jobs = [job for job in jobs if not job.is_ended]
    usual = services.store.read_usual_seconds() if open_jobs else {}
    times = [_estimate(job, places.get(job.id), usual) for job in open_jobs]
    known = [each for each in times if each is not None]
    return Progress(
        photos=len(jobs),
        done=sum(job.status is Status.DONE for job in jobs),
        failed=sum(job.is_ended and job.status is not Status.DONE for job in jobs),
        seconds=max(known) if known and len(known) == len(times) else None,
    )


def make_cards(store: Store, jobs: Sequence[Job], root: str) -> list[Card]:
    """Return a card for each job that is done, the best first. Raise ``StorageError``."""
    done = [job for job in jobs if job.status is Status.DONE]
    rows = rank(_read_judgements(store, done))
    return [
        Card(
            row=row,
            url=f"{root}/jobs/{row.sha256}",
            picture=f"{root}/photo/{row.sha256}.jpg?width=400",
        )
        for row in rows
    ]


def _read_judgements(
    store: Store, jobs: Sequence[Job]
) -> Iterator[tuple[PhotoFile, list[Judgement]]]:
    """Yield each job as a judged photo, whose content is told by the job's id."""
    for start in range(0, len(jobs), _AT_ONCE):
        some = jobs[start : start + _AT_ONCE]
        reports = store.reports_of([job.id for job in some])
        for job in some:
            path = Path(photo_name(job))
            if found := reports.get(job.id):
                yield PhotoFile(path), [_make_judgement(job, each) for each in found]


def _make_judgement(job: Job, report: Mapping[str, Any]) -> Judgement:
    return Judgement(
        path=job.filename,
        size=job.photo_bytes,
        modified_ns=0,
        sha256=str(job.id),
        advisor=report["advisor"],
        engine="",
        version="",
        report=dict(report),
    )


def _estimate(job: Job, place: Place | None, usual: Mapping[str | None, float]) -> float | None:
    """Return the seconds until a job ends, as far as they can be known."""
    if place is None or place.eta_seconds is None:
        return None
    if place.position is None:
        return place.eta_seconds
    own = [usual.get(advisor, usual.get(None)) for advisor in job.advisors]
    known = [each for each in own if each is not None]
    return place.eta_seconds + sum(known) if len(known) == len(own) else None
