"""Uploads: a photo in a form, or the name of one in the source folder."""

from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.requests import Request

from mondrian.api.openapi import describe_errors, make_form_body, make_json_body
from mondrian.api.pages import redirect, wants_page
from mondrian.api.schemas import SubmitBody, UploadAnswer
from mondrian.api.uploads.multipart import read_json
from mondrian.api.uploads.receive import UploadDep

router = APIRouter(tags=["photos"], responses=describe_errors(408, 409, 413, 415, 429, 503, 507))


@router.post(
    "/upload",
    status_code=201,
    response_model=UploadAnswer,
    summary="Send a photo",
    openapi_extra=make_form_body(),
)
async def upload(upload_request: UploadDep) -> Any:
    """Check a photo, store it upright and without GPS, and queue its critique. A browser's form is
    redirected to the job's page."""
    job, _ = await upload_request.receive()
    if wants_page(upload_request.request.scope):
        return redirect(upload_request.request.scope, f"/jobs/{job.id}")
    return UploadAnswer.of(job, upload_request.links)


def _make_submit_body() -> dict[str, Any]:
    by_name, by_form = make_json_body(SubmitBody), make_form_body()
    by_name["requestBody"]["content"] |= by_form["requestBody"]["content"]
    return by_name


@router.post(
    "/submit",
    summary="Name a photo of the source folder, or send one",
    openapi_extra=_make_submit_body(),
)
async def submit(request: Request, upload_request: UploadDep) -> UploadAnswer:
    """JSON names a file in the folder `MONDRIAN_SOURCE`; a form is an upload."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        job, _ = await upload_request.receive()
        return UploadAnswer.of(job, upload_request.links)
    intake = upload_request.services.intake
    with upload_request.count_outcome():
        body = await read_json(request, SubmitBody, upload_request.services.limits)
        options = upload_request.parse_options(_make_fields(body))
        content, name = await to_thread.run_sync(intake.read_source, body.filename)
        job = await upload_request.add(lambda: content, name, options)
    return UploadAnswer.of(job, upload_request.links)


def _make_fields(body: SubmitBody) -> dict[str, str]:
    return {
        "advisor": ",".join(body.advisors),
        "mode": body.mode,
        "enable_rag": str(body.enable_rag),
        "auto_analyze": str(body.auto_analyze),
        "callback_url": body.callback_url,
        "intent": body.intent,
        "genre": body.genre,
    }
