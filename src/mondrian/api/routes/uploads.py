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
async def upload(upload_request: UploadDep) -> Any:
    """Check a photo, keep it upright and without its place, and queue its critique. A browser's
    form is led on to the job's page."""
    job, _ = await upload_request.receive()
    if wants_page(upload_request.request.scope):
        return lead_on(upload_request.request.scope, f"/jobs/{job.id}")
    return UploadAnswer.of(job, upload_request.links)


def _submit_body() -> dict[str, Any]:
    by_name, by_form = json_body(SubmitBody), form_body()
    by_name["requestBody"]["content"] |= by_form["requestBody"]["content"]
    return by_name


@router.post(
    "/submit",
    summary="Name a photo of the source folder, or send one",
    openapi_extra=_submit_body(),
)
async def submit(request: Request, upload_request: UploadDep) -> UploadAnswer:
    """JSON names a file in the folder that `MONDRIAN_SOURCE` says; a form is an upload."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        job, _ = await upload_request.receive()
        return UploadAnswer.of(job, upload_request.links)
    intake = upload_request.services.intake
    with upload_request.counted():
        body = await read_json(request, SubmitBody, upload_request.services.limits)
        options = upload_request.parse_options(_fields(body))
        content, name = await to_thread.run_sync(intake.read_source, body.filename)
        job = await upload_request.add(lambda: content, name, options)
    return UploadAnswer.of(job, upload_request.links)


def _fields(body: SubmitBody) -> dict[str, str]:
    return {
        "advisor": ",".join(body.advisors),
        "mode": body.mode,
        "enable_rag": str(body.enable_rag),
        "auto_analyze": str(body.auto_analyze),
    }
