"""Jobs: read, list, start, cancel, retry, delete."""

import logging
import time
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from mondrian.api.dependencies import JobDep, LinksDep, Services, ServicesDep, VisitorDep
from mondrian.api.job_page import (
    OVERLAYS,
    draw_photo,
    list_same_photo,
    map_advisor_names,
    photo_name,
    read_parts,
)
from mondrian.api.links import Links
from mondrian.api.openapi import describe_content, describe_errors, make_json_body, make_retry_body
from mondrian.api.pages import redirect, render_page, wants_page
from mondrian.api.schemas import (
    Deleted,
    FullJob,
    JobFilter,
    JobList,
    JobState,
    Output,
    ThinkingBody,
    UploadAnswer,
)
from mondrian.api.uploads.multipart import read_json
from mondrian.api.uploads.receive import UploadDep
from mondrian.errors import NotAllowed, StorageError, TooManyRequests
from mondrian.jobs.job import Job, name_log
from mondrian.jobs.retention import delete_discarded
from mondrian.reports import Report, render_markdown

router = APIRouter(tags=["jobs"])

_log = logging.getLogger(__name__)


@router.get("/status/{job}", summary="How far a job is", responses=describe_errors(404, 503))
@router.get("/job/{job}", summary="How far a job is", responses=describe_errors(404, 503))
def read_status(job: JobDep, services: ServicesDep, links: LinksDep) -> JobState:
    """Return the job's state, without prompt and report."""
    state = JobState.of(job, links, services.read_place(job))
    return state.with_done_status(services.settings.done_status)


@router.get(
    "/jobs/{job}",
    summary="How far a job is",
    response_model=JobState,
    responses={200: describe_content("text/html", model=JobState), **describe_errors(404, 503)},
)
def read_job(
    job: JobDep, request: Request, services: ServicesDep, links: LinksDep, visitor: VisitorDep
) -> Any:
    """Return the same as `/status`; a browser gets the job's live page."""
    if not wants_page(request.scope):
        return read_status(job, services, links)
    log = name_log(services.store.read_epoch(), job.id)
    snapshot = services.store.read_snapshot(job.id)
    job, parts = snapshot.job, read_parts(services, snapshot)
    reports = [part.report for part in parts if part.report]
    known = services.advisors.values()
    return render_page(
        request.scope,
        "job",
        title=photo_name(job),
        job=job,
        name=photo_name(job),
        state=JobState.of(job, links, services.read_place(job)),
        parts=parts,
        cursor=f"{log}{snapshot.seq}",
        drawing=draw_photo(job, reports, request.state.root),
        overlays=OVERLAYS,
        others=[each for each in known if each.id not in job.advisors],
        same_photo=list_same_photo(services, visitor, job),
        names=map_advisor_names(services),
        interval=services.settings.update_interval,
    )


@router.get(
    "/jobs",
    summary="Jobs, the newest first",
    responses={
        200: describe_content("text/html", model=JobList | list[JobState]),
        **describe_errors(404, 503),
    },
)
def list_jobs(
    request: Request,
    services: ServicesDep,
    links: LinksDep,
    visitor: VisitorDep,
    wanted: Annotated[JobFilter, Query()],
) -> Response:
    """Return an object, a bare array, or a page."""
    conditions = wanted.make_conditions() | {"owner": visitor.listed_owner}
    one_more = services.store.list_jobs(wanted.limit + 1, **conditions)
    found = one_more[: wanted.limit]
    places = services.read_places(found)
    word = services.settings.done_status
    jobs = [JobState.of(job, links, places.get(job.id)).with_done_status(word) for job in found]
    if wanted.format == "html" or (wanted.format is None and wants_page(request.scope)):
        return render_page(
            request.scope,
            "jobs",
            title="History",
            jobs=[(state, photo_name(job)) for state, job in zip(jobs, found, strict=True)],
            wanted=wanted,
            more=wanted.make_next_query(found[-1]) if one_more[wanted.limit :] else "",
            advisors=list(services.advisors.values()),
            names=map_advisor_names(services),
            folders=services.store.list_folders(visitor.listed_owner),
        )
    if wanted.format == "array":
        return JSONResponse(jsonable_encoder(jobs))
    listed = JobList(jobs=jobs, count=len(jobs), timestamp=time.time())
    return JSONResponse(listed.model_dump(mode="json"))


@router.post(
    "/jobs/{job}/start", summary="Queue a pending job", responses=describe_errors(404, 409, 503)
)
def start_job(job: JobDep, services: ServicesDep, links: LinksDep) -> JobState:
    """Queue a job that was uploaded with `auto_analyze=false`. A queued or running job is
    left as it is; an ended one is a conflict (409)."""
    return JobState.of(services.store.start(job.id), links)


@router.post(
    "/jobs/{job}/cancel",
    summary="Cancel a job",
    response_model=JobState,
    responses=describe_errors(404, 503),
)
def cancel_job(job: JobDep, request: Request, services: ServicesDep, links: LinksDep) -> Any:
    """Cancel a job, also while a worker has it. An ended job is left as it is."""
    cancelled = services.store.cancel(job.id)
    if wants_page(request.scope):
        return redirect(request.scope, f"/jobs/{job.id}")
    return JobState.of(cancelled, links)


@router.post(
    "/jobs/{job}/retry",
    status_code=201,
    response_model=UploadAnswer,
    summary="Critique a photo once more",
    responses=describe_errors(404, 408, 409, 413, 429, 503, 507),
    openapi_extra=make_retry_body(),
)
async def retry_job(job: JobDep, upload: UploadDep) -> Any:
    """Make a new job of the same photo and fields, without a new upload; its `retry_of` is the
    old job, which is left as it is. A form's `advisor` replaces the advisors. Without one, the job
    must have ended (409)."""
    new = await upload.retry(job)
    if wants_page(upload.request.scope):
        return redirect(upload.request.scope, f"/jobs/{new.id}")
    return UploadAnswer.of(new, upload.links)


@router.delete(
    "/jobs/{job}", status_code=204, summary="Delete a job", responses=describe_errors(404, 503)
)
def delete_job(job: JobDep, services: ServicesDep) -> Response:
    """Cancel a job, then remove it with its events, its report and its photo."""
    job = services.store.cancel(job.id)
    # The photo first: while the row exists, an interrupted client can retry.
    services.photos.delete(job.photo_key)
    services.store.delete(job.id)
    return Response(status_code=204)


@router.delete("/jobs", summary="Delete the jobs that have ended", responses=describe_errors(503))
def delete_ended_jobs(services: ServicesDep, visitor: VisitorDep) -> Deleted:
    """Delete the key's own ended jobs with their photos, or all for the admin's key. Requires a
    key, also on a server without one."""
    _require_key(visitor.has_key)
    count = services.store.delete_finished(None if visitor.is_admin else visitor.owner)
    try:
        delete_discarded(services.store, services.photos)
    except StorageError as exc:
        _log.warning("Photos of deleted jobs stay until the next prune: %s", exc.message)
    return Deleted(deleted=count)


@router.put(
    "/job/{job}/thinking",
    summary="Say what an outside advisor is thinking",
    responses=describe_errors(404, 408, 409, 413, 429, 503),
    openapi_extra=make_json_body(ThinkingBody),
)
async def think(
    job: JobDep, request: Request, services: ServicesDep, links: LinksDep, visitor: VisitorDep
) -> JobState:
    """Store the update, and publish it to all subscribers as a `thinking_update`."""
    if not services.thoughts.allow(visitor.owner):
        raise TooManyRequests("Updates are too frequent. Send at most five a second.")
    body = await read_json(request, ThinkingBody, services.limits)
    job = await to_thread.run_sync(services.store.add_thinking, job.id, body.thinking)
    return JobState.of(job, links)


@router.get(
    "/job/{job}/full-data", summary="Everything about a job", responses=describe_errors(404, 503)
)
def read_everything(
    job: JobDep, services: ServicesDep, links: LinksDep, visitor: VisitorDep
) -> FullJob:
    """Return the job with prompts and the models' answers; a read token is not enough."""
    if services.access.has_keys:
        _require_key(visitor.has_key)
    return _read_full_job(job, services, links)


def _read_full_job(job: Job, services: Services, links: Links) -> FullJob:
    known = services.advisors
    prompts = {name: known[name].prompt for name in job.advisors if name in known}
    prompt = prompts.get(job.advisors[0], "")
    outputs = [
        Output(advisor=each.advisor, text=each.text, report=Report.model_validate(each.report))
        for each in services.store.read_reports(job.id)
    ]
    return FullJob(
        **dict(JobState.of(job, links)),
        prompt=prompt,
        prompt_length=len(prompt),
        prompts=prompts,
        outputs=outputs,
        llm_outputs={each.advisor: each.text for each in outputs},
        analysis_markdown="\n".join(render_markdown(each.report) for each in outputs),
        timestamps={
            "created_at": job.created_at,
            "started_at": job.started_at,
            "completed_at": job.completed_at,
        },
        photo={
            "sha256": job.photo_sha256,
            "bytes": job.photo_bytes,
            "width": job.width,
            "height": job.height,
            "url": links.make_photo_url(job.id),
        },
        webhooks=[
            {name: value for name, value in each._asdict().items() if name != "base_url"}
            for each in services.store.list_callbacks(job.id)
        ],
    )


def _require_key(has_key: bool) -> None:
    if not has_key:
        raise NotAllowed
