"""Dependencies of routes: the services of a running server, and values of the request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Path
from starlette.requests import Request

from mondrian.advisors import Advisor
from mondrian.api.auth import Access, Right, Visitor
from mondrian.api.links import Links
from mondrian.api.masks import Masks
from mondrian.api.metrics import Metrics
from mondrian.api.rates import Rate
from mondrian.api.readers import RequestReaders
from mondrian.api.schemas import JOB_ID
from mondrian.api.uploads.intake import Intake
from mondrian.api.uploads.multipart import Limits
from mondrian.errors import JobNotFound
from mondrian.jobs.job import RUNNING, Job, Status, parse_job_id
from mondrian.jobs.queue import Place, Places
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.settings import Settings
from mondrian.stream import Streams


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The services of a running server. ``advisors`` is by id."""

    settings: Settings
    store: Store
    photos: PhotoStore
    streams: Streams
    engine_status: Callable[[], dict[str, Any]]
    advisors: Mapping[str, Advisor]
    access: Access
    intake: Intake
    limits: Limits
    readers: RequestReaders
    metrics: Metrics
    thoughts: Rate
    masks: Masks

    def read_place(self, job: Job) -> Place | None:
        """Return the place of ``job`` in the queue or at work, if any. Raise ``StorageError``."""
        has_place = job.status is Status.QUEUED or job.status in RUNNING
        return self.streams.queue.find_place(job.id) if has_place else None

    def read_places(self, jobs: Sequence[Job]) -> Places:
        """Return the places of jobs, from a recent snapshot. Skip the query if all have ended."""
        return Places() if all(job.is_ended for job in jobs) else self.streams.queue.read_places()


# These are coroutines, though they await nothing: FastAPI runs plain functions in threads.


async def _get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _get_visitor(request: Request) -> Visitor:
    visitor: Visitor = request.state.visitor
    return visitor


async def _make_links(request: Request) -> Links:
    services: Services = request.app.state.services
    visitor: Visitor = request.state.visitor

    def sign(job_id: UUID | None) -> str:
        if visitor.right is Right.ONE:  # keep the expiry of the token that was sent
            return request.query_params["token"]
        is_needed = services.access.has_keys and visitor.has_key
        return services.access.make_token(visitor, job_id)[0] if is_needed else ""

    return Links(base=request.state.base, sign=sign)


async def _parse_job_id(
    job: Annotated[
        str,
        Path(description="The job's id; `<id> (<mode>)` is understood too.", examples=[JOB_ID]),
    ],
) -> UUID:
    return parse_job_id(job)


def find_job(
    job_id: Annotated[UUID, Depends(_parse_job_id)],
    services: Annotated[Services, Depends(_get_services)],
    visitor: Annotated[Visitor, Depends(_get_visitor)],
) -> Job:
    """Return a job that ``visitor`` may access. Raise ``JobNotFound`` for all others."""
    job = services.store.read(job_id)
    if not visitor.may_access(job):
        raise JobNotFound
    return job


ServicesDep = Annotated[Services, Depends(_get_services)]
VisitorDep = Annotated[Visitor, Depends(_get_visitor)]
LinksDep = Annotated[Links, Depends(_make_links)]
JobDep = Annotated[Job, Depends(find_job)]
"""The job of the path, if the visitor may access it. Every route about a job uses it."""
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="For 24 hours the same key with the same photo and fields gives the same job.",
        pattern=r"^[!-~]{1,255}$",
    ),
]
