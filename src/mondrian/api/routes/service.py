"""The service itself: health, engine status, metrics, tokens, sessions."""

import asyncio
import re
import time
from typing import Annotated
from urllib.parse import parse_qs

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from fastapi.responses import RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request

from mondrian import __version__
from mondrian.api.dependencies import Services, ServicesDep, VisitorDep, find_job
from mondrian.api.openapi import describe_content, describe_errors, make_json_body
from mondrian.api.schemas import Health, ModelStatus, SessionBody, Token, TokenBody
from mondrian.api.signing import TOKEN_SECONDS
from mondrian.api.uploads.multipart import Limits, read_body, read_json
from mondrian.errors import DatabaseUnavailable, InvalidRequest, NotReady, StorageError
from mondrian.jobs.job import parse_job_id

router = APIRouter(tags=["service"])

_TIMEOUT_SECONDS = 1.0


class Probe:
    """Checks whether the database answers: single-flight for concurrent requests."""

    def __init__(self) -> None:
        self._checking: asyncio.Task[bool] | None = None

    async def is_up(self, services: Services) -> bool:
        """Return whether the database answers within a second."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(to_thread.run_sync(_check_database, services))
        checking = self._checking  # the next request may start another one
        done, _ = await asyncio.wait({checking}, timeout=_TIMEOUT_SECONDS)
        return bool(done) and checking.result()


def _check_database(services: Services) -> bool:
    try:
        services.store.list_jobs(limit=1)
    except StorageError as exc:
        # it answers with another error: then its schema does not match
        services.metrics.is_schema_bad = not isinstance(exc, DatabaseUnavailable)
        return False
    services.metrics.is_schema_bad = False
    return True


async def _get_probe(request: Request) -> Probe:
    probe: Probe = request.app.state.probe
    return probe


@router.get("/health", summary="Whether the server runs")
async def health(services: ServicesDep, probe: Annotated[Probe, Depends(_get_probe)]) -> Health:
    """Return 200 while the server runs; `database` is `up` or `down`."""
    status = services.engine_status()
    return Health(
        status="UP",
        service="mondrian",
        version=__version__,
        database="up" if await probe.is_up(services) else "down",
        update_interval=services.settings.update_interval,
        timestamp=time.time(),
        model=status.get("model"),
        device=status.get("device"),
        fine_tuned=bool(status.get("has_adapter")),
    )


@router.get("/health/live", summary="Whether the process runs")
async def live() -> dict[str, str]:
    """Return 200 always: a restart fixes no other fault."""
    return {"status": "UP"}


@router.get("/health/ready", summary="Whether it can take uploads", responses=describe_errors(503))
async def ready(
    services: ServicesDep, probe: Annotated[Probe, Depends(_get_probe)]
) -> dict[str, str | None]:
    """Return 200, or 503 with the reason: `draining`, `database` (does not answer) or `schema`
    (does not match this program)."""
    reason = None
    if services.streams.is_draining:
        reason = "draining"
    elif not await probe.is_up(services):
        reason = "schema" if services.metrics.is_schema_bad else "database"
    if reason:
        raise NotReady(f"The server is not ready: {reason}.")
    return {"status": "UP", "reason": None}


@router.get("/model-status", summary="What the engine is doing")
async def model_status(services: ServicesDep) -> ModelStatus:
    """Return `loading`, `ready`, `error`, `unloaded`, or `remote` if other processes work."""
    return ModelStatus.model_validate(services.engine_status())


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: describe_content("text/plain")},
)
def metrics(services: ServicesDep) -> Response:
    """Return jobs by status, the queue, stream clients, uploads, the engine."""
    return Response(services.metrics.render(), media_type=CONTENT_TYPE_LATEST)


@router.post(
    "/token",
    summary="A token for a job's addresses",
    responses=describe_errors(404, 408, 413, 503),
    openapi_extra=make_json_body(TokenBody, is_needed=False),
)
async def make_token(
    request: Request,
    services: ServicesDep,
    visitor: VisitorDep,
    job: Annotated[str, Query(description="The job's id, here or in the body.")] = "",
) -> Token:
    """Return a token for `?token=` on the stream, the pictures and the pages of one job, for
    clients that cannot send a header. Valid for an hour, read-only. 400 without keys."""
    name = job or (await read_json(request, TokenBody, services.limits, default={})).job
    if not name:
        raise InvalidRequest("Name the job that the token is for: POST /token?job=ID.")
    found = await to_thread.run_sync(find_job, parse_job_id(name), services, visitor)
    token, ends = services.access.make_token(visitor, found.id)
    return Token(token=token, expires_at=ends, expires_in=TOKEN_SECONDS)


@router.post(
    "/session",
    status_code=204,
    summary="Keep the key in a cookie",
    responses={
        303: {"description": "The same, where the key came in a page's form."},
        **describe_errors(408, 413),
    },
    openapi_extra=make_json_body(SessionBody, is_needed=False),
)
async def open_session(request: Request, services: ServicesDep, visitor: VisitorDep) -> Response:
    """Set a cookie that replaces the key for 30 days, hidden from scripts. The key is sent as
    always, or as `key` in the body, JSON or form. A form is redirected to its `next`."""
    body = await _read_session_body(request, services.limits)
    if body.key:
        visitor = await services.access.log_in(request, body.key)
    cookie, _ = services.access.new_session(request, visitor)
    is_page = _FORM in request.headers.get("content-type", "")
    answer = RedirectResponse(_check_path(body.next), 303) if is_page else Response(status_code=204)
    services.access.set_cookie(request, answer, cookie)
    return answer


@router.delete(
    "/session", status_code=204, summary="End the session", responses=describe_errors(503)
)
def close_session(services: ServicesDep, visitor: VisitorDep) -> Response:
    """End the session, also for copies of its cookie, and delete the cookie."""
    if visitor.session:
        services.access.end_session(visitor.session)
    answer = Response(status_code=204)
    services.access.delete_cookie(answer)
    return answer


_FORM = "application/x-www-form-urlencoded"


async def _read_session_body(request: Request, limits: Limits) -> SessionBody:
    if _FORM not in request.headers.get("content-type", ""):
        return await read_json(request, SessionBody, limits, default={})
    fields = parse_qs((await read_body(request, limits)).decode("utf-8", "replace"))
    return SessionBody(**{name: fields.get(name, [""])[-1] for name in SessionBody.model_fields})


def _check_path(path: str) -> str:
    """Return ``path`` if it is a path of this server, else ``/``."""
    return path if re.fullmatch(r"/(?![/\\])[!-~]*", path) else "/"
