"""What the page of a job shows: each advisor's part, done or still growing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mondrian.answers import DIMENSIONS, read_partial
from mondrian.api.auth import Visitor
from mondrian.api.dependencies import Services
from mondrian.jobs.job import Job, Status
from mondrian.jobs.store import Snapshot
from mondrian.reports import Report, provenance

MAX_SAME_PHOTO = 50

OVERLAYS = {
    "subject": "Subject and thirds",
    "level": "Level line",
    "highlights": "Lost highlights",
    "shadows": "Lost shadows",
    "sharpness": "Sharpness",
    "palette": "Palette",
}
"""What can be drawn on the photo, and what it is called."""

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
    """One dimension. ``state`` is ``waiting``, ``growing`` or ``done``; ``shows`` names what it
    speaks of on the photo."""

    name: str
    state: str
    score: float | None = None
    comment: str = ""
    recommendation: str = ""
    evidence: Sequence[str] = ()

    @property
    def shows(self) -> str:
        """The overlays that belong to the dimension."""
        return _SHOWN.get(self.name, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One advisor's part of a job. ``report`` is there when all is done, ``text`` is what the model
    has written where the job ended without one."""

    advisor: str
    name: str
    is_begun: bool
    cards: Sequence[Card]
    description: str = ""
    report: Report | None = None
    provenance: Sequence[str] = ()
    text: str = ""


def photo_name(job: Job) -> str:
    """Return the photo's name as it was sent."""
    return job.filename.removeprefix(f"{job.id.hex[:8]}-")


def list_same_photo(services: Services, visitor: Visitor, job: Job) -> list[Job]:
    """Return ``job`` and those of the visitor's own, at most 50, that have the same photo, the
    oldest first. Raises ``StorageError``."""
    found = services.store.list_jobs(
        MAX_SAME_PHOTO, photo_sha256=job.photo_sha256, owner=visitor.listed_owner
    )
    jobs = {each.id: each for each in [*found, job]}
    return sorted(jobs.values(), key=lambda each: each.created_at)


def advisor_names(services: Services) -> Mapping[str, str]:
    """Return the advisors' names, by id."""
    return {advisor.id: advisor.name for advisor in services.advisors.values()}


def read_parts(services: Services, snapshot: Snapshot) -> list[Part]:
    """Return each advisor's part of the job in ``snapshot``. Raises ``StorageError``."""
    job = snapshot.job
    reports: dict[str, Report] = {}
    if job.status is Status.DONE:
        answers = services.store.reports(job.id)
        reports = {each.advisor: Report.model_validate(each.report) for each in answers}
    return [_part(services, snapshot, name, reports.get(name)) for name in job.advisors]


def _part(services: Services, snapshot: Snapshot, advisor: str, report: Report | None) -> Part:
    known = services.advisors.get(advisor)
    name = known.name if known else advisor
    if report is not None:
        return Part(
            advisor=advisor,
            name=name,
            is_begun=True,
            cards=[_card(each, "done") for each in report.dimensions],
            description=report.image_description,
            report=report,
            provenance=provenance(report),
        )
    text = snapshot.texts.get(advisor, "")
    read = read_partial(text) if text else None
    done = {each.name: _card(each, "done") for each in read.dimensions} if read else {}
    growing = getattr(read, "growing", None)
    if growing is not None:
        done.setdefault(growing.name, _card(growing, "growing"))
    return Part(
        advisor=advisor,
        name=name,
        is_begun=bool(text),
        cards=[done.get(name) or Card(name=name, state="waiting") for name in DIMENSIONS],
        description=read.image_description if read else "",
        text=text if snapshot.job.is_ended else "",
    )


def _card(dimension: Any, state: str) -> Card:
    return Card(
        name=dimension.name,
        state=state,
        score=dimension.score,
        comment=dimension.comment,
        recommendation=dimension.recommendation,
        evidence=getattr(dimension, "evidence", ()),
    )


def drawing(job: Job, reports: Sequence[Report], root: str) -> Mapping[str, Any]:
    """Return what is drawn on the photo of ``job``, from what was measured of it: in thousandths of
    its width, as the overlay's picture has them."""
    measured: Mapping[str, Any] = reports[0].measurements if reports else {}
    height = round(1000 * job.height / job.width) if job.width else 667
    masks = {
        name: f"{root}/photo/{job.id}/mask/{name}.png"
        for name in ("highlights", "shadows", "sharpness")
    }
    return {
        "height": height,
        "subject": _box(measured.get("subject"), height),
        "tilt": (measured.get("horizon") or {}).get("tilt_degrees"),
        "masks": masks if measured else {},
        "palette": _palette(measured.get("colour"), height),
        "exposure": measured.get("exposure") or {},
    }


def _box(subject: Mapping[str, Any] | None, height: int) -> Mapping[str, float] | None:
    """The subject's box and centre; ``None`` where no clear subject was found."""
    if not subject or (subject.get("confidence") or 0) < 0.3:
        return None
    try:
        left, right = 1000 * subject["left"], 1000 * subject["right"]
        top, bottom = height * subject["top"], height * subject["bottom"]
        x, y = 1000 * subject["x"], height * subject["y"]
    except (KeyError, TypeError):
        return None
    return {"x": left, "y": top, "w": right - left, "h": bottom - top, "cx": x, "cy": y}


def _palette(colour: Mapping[str, Any] | None, height: int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for each in (colour or {}).get("dominant") or ():
        place = each.get("x"), each.get("y")
        has_place = None not in place
        found.append(
            {
                "hex": each["hex"],
                "name": each["name"],
                "share": each["share"],
                "cx": 1000 * place[0] if has_place else None,
                "cy": height * place[1] if has_place else None,
            }
        )
    return found
