"""The contents of a job's page: each advisor's part, done or still growing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mondrian.answers import DIMENSIONS, read_partial
from mondrian.api.auth import Visitor
from mondrian.api.dependencies import Services
from mondrian.jobs.job import Job, Status
from mondrian.jobs.store import Snapshot
from mondrian.reports import Report, describe_provenance
from mondrian.reports.drawing import find_height, make_drawing

MAX_SAME_PHOTO = 50

OVERLAYS = {
    "subject": "Subject and thirds",
    "level": "Level line",
    "highlights": "Lost highlights",
    "shadows": "Lost shadows",
    "sharpness": "Sharpness",
    "palette": "Palette",
}
"""The overlays of the photo and their labels."""

_SHOWN = {
    "Composition": "subject level",
    "Lighting": "highlights shadows",
    "Focus & Sharpness": "sharpness",
    "Color Harmony": "palette",
    "Subject Isolation": "subject",
    "Depth & Perspective": "sharpness",
    "Visual Balance": "subject",
    "Emotional Impact": "palette",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One dimension. ``state`` is ``waiting``, ``growing`` or ``done``; ``shows`` names its
    overlays."""

    name: str
    state: str
    score: float | None = None
    comment: str = ""
    recommendation: str = ""
    evidence: Sequence[str] = ()

    @property
    def shows(self) -> str:
        """Return the overlays of the dimension, separated by spaces."""
        return _SHOWN.get(self.name, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One advisor's part of a job. ``report`` is set when the job is done; ``text`` is the model's
    output if the job ended without a report."""

    advisor: str
    name: str
    is_begun: bool
    cards: Sequence[Card]
    description: str = ""
    report: Report | None = None
    provenance: Sequence[str] = ()
    text: str = ""


def photo_name(job: Job) -> str:
    """Return the photo's uploaded name."""
    return job.filename.removeprefix(f"{job.id.hex[:8]}-")


def list_same_photo(services: Services, visitor: Visitor, job: Job) -> list[Job]:
    """Return ``job`` and at most 50 of the visitor's jobs with the same photo, oldest first. Raise
    ``StorageError``."""
    if not job.photo_sha256:  # imported without its photo
        return [job]
    found = services.store.list_jobs(
        MAX_SAME_PHOTO, photo_sha256=job.photo_sha256, owner=visitor.listed_owner
    )
    jobs = {each.id: each for each in [*found, job]}
    return sorted(jobs.values(), key=lambda each: each.created_at)


def map_advisor_names(services: Services) -> Mapping[str, str]:
    """Return the advisors' names, by id."""
    return {advisor.id: advisor.name for advisor in services.advisors.values()}


def read_parts(services: Services, snapshot: Snapshot) -> list[Part]:
    """Return each advisor's part of the job in ``snapshot``. Raise ``StorageError``."""
    job = snapshot.job
    reports: dict[str, Report] = {}
    if job.status is Status.DONE:
        answers = services.store.read_reports(job.id)
        reports = {each.advisor: Report.model_validate(each.report) for each in answers}
    return [_make_part(services, snapshot, name, reports.get(name)) for name in job.advisors]


def _make_part(services: Services, snapshot: Snapshot, advisor: str, report: Report | None) -> Part:
    known = services.advisors.get(advisor)
    name = known.name if known else advisor
    if report is not None:
        return Part(
            advisor=advisor,
            name=name,
            is_begun=True,
            cards=[_make_card(each, "done") for each in report.dimensions],
            description=report.image_description,
            report=report,
            provenance=describe_provenance(report),
        )
    text = snapshot.texts.get(advisor, "")
    read = read_partial(text) if text else None
    done = {each.name: _make_card(each, "done") for each in read.dimensions} if read else {}
    growing = getattr(read, "growing", None)
    if growing is not None:
        done.setdefault(growing.name, _make_card(growing, "growing"))
    return Part(
        advisor=advisor,
        name=name,
        is_begun=bool(text),
        cards=[done.get(name) or Card(name=name, state="waiting") for name in DIMENSIONS],
        description=read.image_description if read else "",
        text=text if snapshot.job.is_ended else "",
    )


def _make_card(dimension: Any, state: str) -> Card:
    return Card(
        name=dimension.name,
        state=state,
        score=dimension.score,
        comment=dimension.comment,
        recommendation=dimension.recommendation,
        evidence=getattr(dimension, "evidence", ()),
    )


def draw_photo(job: Job, reports: Sequence[Report], root: str) -> Mapping[str, Any]:
    """Return the overlays of the photo of ``job``, from its measurements, in thousandths of the
    photo's width."""
    measured: Mapping[str, Any] = reports[0].measurements if reports else {}
    masks = {
        name: f"{root}/photo/{job.id}/mask/{name}.png"
        for name in ("highlights", "shadows", "sharpness")
    }
    return make_drawing(measured, find_height(job.width, job.height)) | {
        "masks": masks if measured else {},
        "exposure": measured.get("exposure") or {},
    }
