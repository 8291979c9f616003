"""Photos come in: sent, or named."""

from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.requests import Request

from mondrian.api.openapi import form_body, json_body, refusals
from mondrian.api.pages import lead_on, wants_page
from mondrian.api.schemas import SubmitBody, UploadAnswer
from mondrian.api.uploads.multipart import read_json
from mondrian.api.uploads.receive import UploadDep

router = APIRouter(tags=["photos"], responses=refusals(408, 409, 413, 415, 429, 503, 507))


@router.post(
    "/upload",
    status_code=201,
    response_model=UploadAnswer,
    summary="Send a photo",
    openapi_extra=form_body(),
)
async def upload(arrival: UploadDep) -> Any:
    """Check a photo, keep it upright and without its place, and queue its critique. A browser's
    form is led on to the job's page."""
    job, _ = await arrival.receive()
    if wants_page(arrival.request.scope):
        return lead_on(arrival.request.scope, f"/jobs/{job.id}")
    return UploadAnswer.of(job, arrival.links)


def _submit_body() -> dict[str, Any]:
    by_name, by_form = json_body(SubmitBody), form_body()
    by_name["requestBody"]["content"] |= by_form["requestBody"]["content"]
    return by_name


@router.post(
    "/submit",
    summary="Name a photo of the source folder, or send one",
    openapi_extra=_submit_body(),
)
async def submit(request: Request, arrival: UploadDep) -> UploadAnswer:
    """JSON names a file in the folder that `MONDRIAN_SOURCE` says; a form is an upload."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        job, _ = await arrival.receive()
        return UploadAnswer.of(job, arrival.links)
    intake = arrival.services.intake
    with arrival.counted():
        body = await read_json(request, SubmitBody, arrival.services.limits)
        options = arrival.parse_options(_fields(body))
        content, name = await to_thread.run_sync(intake.read_source, body.filename)
        job = await arrival.add(lambda: content, name, options)
    return UploadAnswer.of(job, arrival.links)


def _fields(body: SubmitBody) -> dict[str, str]:
    return {
        "advisor": ",".join(body.advisors),
        "mode": body.mode,
        "enable_rag": str(body.enable_rag),
        "auto_analyze": str(body.auto_analyze),
    }
