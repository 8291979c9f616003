"""OpenAI's chat completions and models: an advisor critiques the photo of a message."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import Request

from mondrian.api.chat import ChatBody, ChatText, Completion, make_model, receive_chat
from mondrian.api.chat.answers import (
    DONE,
    encode_comment,
    encode_event,
    find_finish_reason,
    make_error,
)
from mondrian.api.chat.request import find_photo
from mondrian.api.dependencies import Services, ServicesDep
from mondrian.api.following import WaitingClient, follow, make_stream_scope
from mondrian.api.openapi import describe_content, describe_errors, make_json_body
from mondrian.api.results import read_reports
from mondrian.api.schemas import ChatProblem
from mondrian.api.uploads.receive import Upload, UploadDep
from mondrian.client.decoder import StreamEvent
from mondrian.errors import (
    EngineError,
    JobConflict,
    MondrianError,
    ServerUnavailable,
    UnknownAdvisor,
    find_error,
    printable,
)
from mondrian.jobs.job import Job, Status
from mondrian.reports import Report

router = APIRouter(tags=["OpenAI"])
_describe_errors = partial(describe_errors, model=ChatProblem)

_BEGUN = int(time.time())
_PHOTO_NAME = "photo.jpg"


@router.get("/v1/models", summary="The advisors as models", responses=_describe_errors())
async def list_models(services: ServicesDep) -> dict[str, Any]:
    """Return every advisor as a model."""
    found = [make_model(each.id, each.name, _BEGUN) for each in services.advisors.values()]
    return {"object": "list", "data": found}


@router.get("/v1/models/{model}", summary="One of them", responses=_describe_errors(404))
async def read_model(model: str, services: ServicesDep) -> Any:
    """Return an advisor as a model."""
    if model not in services.advisors:
        return _answer_unknown(model)
    return make_model(model, services.advisors[model].name, _BEGUN)


@router.post(
    "/v1/chat/completions",
    summary="Critique the photo of a message",
    responses={
        200: describe_content("text/event-stream", model=dict[str, Any]),
        **_describe_errors(404, 408, 409, 413, 415, 429, 502, 503, 507),
    },
    openapi_extra=make_json_body(ChatBody),
)
async def complete_chat(request: Request, upload: UploadDep) -> Response:
    """Make the same job as an upload, and answer with its critique as Markdown, waited for or
    streamed. A client that leaves does not cancel the job."""
    services = upload.services
    async with receive_chat(request, services.limits) as body:
        try:
            with upload.count_outcome():
                job = await _add_job(upload, body)
        except UnknownAdvisor:
            return _answer_unknown(body.model)
    made = Completion(
        job_id=job.id, model=body.model or job.advisors[0], created=int(job.created_at.timestamp())
    )
    if body.stream:
        chunks = _stream(request, services, job, made, includes_usage=body.includes_usage)
        return StreamingResponse(chunks, media_type="text/event-stream", headers=_STREAM_HEADERS)
    client = WaitingClient(request.receive)
    scope = make_stream_scope(request.scope, job)
    await services.streams(scope, client.receive, client.send)
    return await to_thread.run_sync(_make_answer, services, job, made)


_STREAM_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-cache, no-transform"}


async def _add_job(upload: Upload, body: ChatBody) -> Job:
    photo = find_photo(body)
    options = upload.parse_options({"advisor": body.model, "intent": photo.text})
    max_bytes = upload.services.limits.max_photo_bytes
    return await upload.add(lambda: photo.read_bytes(max_bytes), _PHOTO_NAME, options)


def _answer_unknown(model: str) -> JSONResponse:
    message = f"There is no advisor {printable(model, 100)!r}. GET /v1/models lists them."
    return JSONResponse(make_error(404, "model_not_found", message), 404)


def _make_answer(services: Services, job: Job, made: Completion) -> Response:
    job = services.store.read(job.id)
    if job.status is Status.ERROR:
        status, answer = _describe_failure(job.error or {})
        return JSONResponse(answer, status)
    if job.status is Status.CANCELLED:
        raise JobConflict("The job was cancelled.")
    reports = read_reports(services, job)
    if not reports:
        raise ServerUnavailable(
            f"The job cannot be followed at the moment. It goes on: see /jobs/{job.id}."
        )
    text = ChatText(_name_advisors(services, job)).finish(reports)
    return JSONResponse(made.make_answer(text, reports))


def _describe_failure(error: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON for the error of a failed job."""
    code, message = str(error.get("code")), str(error.get("message"))
    status = (find_error(code) or EngineError).http_status
    return status, make_error(status, code, message)


def _name_advisors(services: Services, job: Job) -> dict[str, str]:
    known = services.advisors
    return {name: known[name].name if name in known else name for name in job.advisors}


async def _stream(
    request: Request, services: Services, job: Job, made: Completion, *, includes_usage: bool
) -> AsyncGenerator[bytes]:
    """Yield the chunks of a streamed answer.

    Updates are sent as ``reasoning_content`` until the text begins: chats show it, and others skip
    it. From then on they are comments, since a chat would open a new box for each.
    """
    text = ChatText(_name_advisors(services, job))
    yield made.encode_delta(role="assistant", content="")
    is_begun = False
    try:
        events = follow(services.streams, request.scope, job, include="report")
        async with aclosing(events):
            async for event in events:
                if event.type == "thinking_update":
                    yield _encode_update(made, event, is_begun=is_begun)
                elif added := _read_text(text, event):
                    is_begun = True
                    yield made.encode_delta(content=added)
                elif event.type == "error":
                    yield encode_event(_describe_failure(event.fields["error"])[1])
                    return
        job = await to_thread.run_sync(services.store.read, job.id)
        reports: list[Report] = await to_thread.run_sync(read_reports, services, job)
    except MondrianError as exc:
        yield encode_event(make_error(exc.http_status, exc.code, exc.message))
        return
    yield made.encode_delta(content=text.finish(reports))
    yield made.encode_delta(finish_reason=find_finish_reason(reports))
    if includes_usage:
        yield made.encode_usage(reports)
    yield DONE


def _encode_update(made: Completion, event: StreamEvent, *, is_begun: bool) -> bytes:
    thinking = str(event.fields["thinking"])
    if is_begun:
        return encode_comment(thinking)
    return made.encode_delta(reasoning_content=f"{thinking}\n")


def _read_text(text: ChatText, event: StreamEvent) -> str:
    """Return what an event adds to the text."""
    match event.type:
        case "report_partial":
            return text.add_part(event.fields)
        case "attempt" | "reset":
            return text.begin_again()
    return ""
