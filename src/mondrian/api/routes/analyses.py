"""Uploads that wait for the critique, or stream it."""

from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from mondrian.api.dependencies import Services
from mondrian.api.errors import make_problem
from mondrian.api.following import WaitingClient, make_stream_scope
from mondrian.api.openapi import describe_content, describe_errors, make_form_body
from mondrian.api.results import (
    answer_under_way,
    read_reports,
    render_analysis,
    render_fragments,
    render_summary,
)
from mondrian.api.schemas import AnalysisAnswer, JobState
from mondrian.api.uploads.receive import Upload, UploadDep
from mondrian.errors import EngineError, JobConflict, find_error
from mondrian.jobs.job import Job, Status

router = APIRouter(
    tags=["photos"], responses=describe_errors(404, 408, 409, 413, 415, 429, 502, 503, 507)
)

_FORMAT = {"type": "string", "enum": ["json", "html", "sse"], "default": "json"}


@router.post(
    "/analyze",
    summary="Send a photo and wait for its critique",
    responses={
        200: describe_content("text/html", "text/event-stream", model=AnalysisAnswer),
        202: {"model": JobState, "description": "It cannot be waited for, but goes on."},
    },
    openapi_extra=make_form_body(response_format=_FORMAT),
)
async def analyze(request: Request, upload_request: UploadDep) -> Response:
    """Return JSON, a page, or events. Disconnecting does not cancel the job."""
    job, options = await upload_request.receive(is_waited_for=True)
    if options.response_format == "sse":
        return _StreamResponse(upload_request.services, job)
    client = WaitingClient(request.receive)
    await upload_request.services.streams(
        make_stream_scope(request.scope, job), client.receive, client.send
    )
    return await to_thread.run_sync(_make_answer, upload_request, job, options.response_format)


@router.post(
    "/analyze_stream",
    summary="Send a photo and follow its critique",
    response_class=Response,
    responses={200: describe_content("text/event-stream")},
    openapi_extra=make_form_body(),
)
async def analyze_stream(upload_request: UploadDep) -> Response:
    """Upload, and return the events of `/stream/{job}` in the same response."""
    job, _ = await upload_request.receive(is_waited_for=True)
    return _StreamResponse(upload_request.services, job)


class _StreamResponse(Response):
    """Answers with the stream of a job."""

    def __init__(self, services: Services, job: Job) -> None:
        super().__init__()
        self._services = services
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._services.streams(make_stream_scope(scope, self._job), receive, send)


def _make_answer(upload_request: Upload, job: Job, format_: str) -> Response:
    services, links = upload_request.services, upload_request.links
    job = services.store.read(job.id)
    if job.status is Status.ERROR:
        return _answer_failure(job.error or {})
    if job.status is Status.CANCELLED:
        raise JobConflict("The job was cancelled.")
    reports = read_reports(services, job)
    if not reports:  # the stream ended early: the server drains, or its database is unavailable
        return answer_under_way(job, links)
    if format_ == "html":
        return HTMLResponse(render_analysis(links, job, reports))
    answer = AnalysisAnswer(
        **dict(JobState.of(job, links)),
        report=reports[0],
        reports=reports,
        analysis_html=render_fragments(reports),
        analysis=render_fragments(reports),
        summary=render_summary(reports[0]),
    )
    return JSONResponse(answer.model_dump(mode="json"))


def _answer_failure(error: dict[str, Any]) -> JSONResponse:
    """Return the response for a failed job: its error's own status, else 502."""
    code, message = str(error.get("code")), str(error.get("message"))
    return make_problem((find_error(code) or EngineError).http_status, code, message)
