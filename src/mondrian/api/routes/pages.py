"""Pages for a browser, their assets and forms. Not in /openapi.json: programs use JSON routes."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mondrian.api.auth import Visitor
from mondrian.api.comparison import compare
from mondrian.api.dependencies import JobDep, Services, ServicesDep, VisitorDep
from mondrian.api.drawings import draw_icon
from mondrian.api.export import write_archive
from mondrian.api.job_page import list_same_photo, photo_name
from mondrian.api.pages import redirect, render_page, wants_page
from mondrian.api.sheet import list_folder, make_cards, measure_progress
from mondrian.api.uploads.multipart import read_fields
from mondrian.api.uploads.options import MAX_FOLDER
from mondrian.catalogue.sheet import list_advisors
from mondrian.errors import InvalidRequest, JobNotFound
from mondrian.jobs.job import Job, parse_job_id
from mondrian.photos import MAX_BYTES
from mondrian.purpose import GENRES, MAX_INTENT
from mondrian.reports import Report
from mondrian.web import asset_url, find_asset

router = APIRouter(include_in_schema=False)

MAX_COMPARED = 12
MAX_CHOSEN = 200
_CHUNK_BYTES = 2**18
_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
_ONE_DAY = {"Cache-Control": "public, max-age=86400"}


@router.get("/")
def show_home(request: Request, services: ServicesDep, visitor: VisitorDep) -> Response:
    """Return the upload page, or the login form without a required key."""
    if services.access.has_keys and not visitor.has_key:
        status = 401 if wants_page(request.scope) else 200  # programs probe the server here
        return render_page(
            request.scope, "login", title="Log in", status=status, next="/", message=""
        )
    jobs = services.store.list_jobs(6, owner=visitor.listed_owner)
    return render_page(
        request.scope,
        "home",
        title="Mondrian",
        advisors=list(services.advisors.values()),
        chosen=services.settings.advisor,
        jobs=[(job, photo_name(job)) for job in jobs],
        max_bytes=MAX_BYTES,
        max_intent=MAX_INTENT,
        genres=list(GENRES),
    )


@router.get("/jobs/{job}/compare")
def show_comparison(
    job: JobDep, request: Request, services: ServicesDep, visitor: VisitorDep
) -> Response:
    """Return the page that compares several advisors' reports of one photo."""
    same = list_same_photo(services, visitor, job)
    reports: dict[str, Report] = {}
    for each in [*same, job]:  # the job's own reports replace older ones
        for answer in services.store.read_reports(each.id):
            reports[answer.advisor] = Report.model_validate(answer.report)
    return render_page(
        request.scope,
        "compare",
        title=f"{photo_name(job)}, compared",
        job=job,
        name=photo_name(job),
        comparison=compare(list(reports.values())[:MAX_COMPARED]),
    )


@router.get("/sheet")
def show_sheet(
    request: Request,
    services: ServicesDep,
    visitor: VisitorDep,
    folder: Annotated[str, Query(min_length=1, max_length=MAX_FOLDER)],
) -> Response:
    """Return the contact sheet of a folder's photos; how far they are, where no page is wanted."""
    jobs = list_folder(services, visitor, folder)
    progress = measure_progress(services, jobs)
    if not wants_page(request.scope):
        return JSONResponse({**asdict(progress), "words": str(progress)})
    if not jobs:
        raise JobNotFound("There is no photo of that folder. Hand it in: mondrian submit FOLDER -r")
    cards = make_cards(services.store, jobs, request.state.root)
    return render_page(
        request.scope,
        "sheet",
        title=folder,
        progress=progress,
        cards=cards,
        advisors=list_advisors([card.row for card in cards]),
    )


@router.post("/jobs/{job}/delete")
def delete_job(job: JobDep, request: Request, services: ServicesDep) -> Response:
    """Delete a job, as ``DELETE /jobs/{job}`` does, for a form."""
    _delete(services, [job])
    return redirect(request.scope, "/jobs")


@router.post("/jobs/delete")
async def delete_jobs(request: Request, services: ServicesDep, visitor: VisitorDep) -> Response:
    """Delete the jobs that a form names."""
    jobs = await _read_chosen(request, services, visitor)
    await to_thread.run_sync(_delete, services, jobs)
    return redirect(request.scope, "/jobs")


@router.post("/jobs/export")
async def export_jobs(request: Request, services: ServicesDep, visitor: VisitorDep) -> Response:
    """Return the reports of the jobs that a form names, in one ZIP."""
    jobs = await _read_chosen(request, services, visitor)
    archive = await write_archive(request, services, jobs)
    headers = {"Content-Disposition": 'attachment; filename="critiques.zip"'}
    return StreamingResponse(
        iter(lambda: archive.read(_CHUNK_BYTES), b""),
        media_type="application/zip",
        headers=headers,
        background=BackgroundTask(archive.close),
    )


@router.get("/login")
async def show_login(
    request: Request,
    services: ServicesDep,
    code: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Return the login form. A valid ``code`` from the terminal logs this browser in, once."""
    if not code:
        return render_page(request.scope, "login", title="Log in", next="/", message="")
    visitor = await services.access.use_login_code(request, code)
    answer = redirect(request.scope, "/")
    services.access.set_cookie(request, answer, services.access.new_session(request, visitor)[0])
    return answer


@router.get("/web/{file}")
async def show_asset(file: Annotated[str, Path(max_length=100)]) -> Response:
    """Return a script or a style."""
    asset = find_asset(file)
    if asset is None:
        raise HTTPException(404, "There is no such file. Reload the page.")
    return Response(asset.content, media_type=asset.media_type, headers=_IMMUTABLE)


@router.get("/icon-{size}.png")
def show_icon(size: Annotated[int, Path(ge=16, le=512)]) -> Response:
    """Return the icon as a PNG."""
    return Response(draw_icon(size), media_type="image/png", headers=_ONE_DAY)


@router.get("/favicon.ico")
def show_favicon() -> Response:
    """Return the icon at the default path of browsers."""
    return show_icon(48)


@router.get("/manifest.webmanifest")
async def show_manifest(request: Request) -> Response:
    """Return the web app manifest, which makes the page installable."""
    root = request.scope.get("state", {}).get("root", "")
    icons: list[dict[str, str]] = [
        {"src": f"{root}/icon-{size}.png", "sizes": f"{size}x{size}", "type": "image/png"}
        for size in (192, 512)
    ]
    icons[1]["purpose"] = "any maskable"
    icons.append({"src": root + asset_url("icon.svg"), "sizes": "any", "type": "image/svg+xml"})
    manifest: dict[str, Any] = {
        "name": "Mondrian",
        "short_name": "Mondrian",
        "description": "Photographs, critiqued.",
        "id": f"{root}/",
        "start_url": f"{root}/",
        "scope": f"{root}/",
        "display": "standalone",
        "background_color": "#131419",
        "theme_color": "#131419",
        "icons": icons,
    }
    return JSONResponse(manifest, media_type="application/manifest+json", headers=_ONE_DAY)


async def _read_chosen(request: Request, services: Services, visitor: Visitor) -> list[Job]:
    """Return the jobs that a form names and the visitor may access."""
    fields = await read_fields(request, services.limits)
    chosen = [parse_job_id(text) for text in fields.get("job", "").split(",") if text]
    if not chosen:
        raise InvalidRequest("No critique was chosen. Tick those that you mean.")
    if len(chosen) > MAX_CHOSEN:
        raise InvalidRequest(f"Choose at most {MAX_CHOSEN} critiques at once.")

    def read() -> list[Job]:
        found = services.store.list_jobs(MAX_CHOSEN, ids=chosen)
        return [job for job in found if visitor.may_access(job)]

    return await to_thread.run_sync(read)


def _delete(services: Services, jobs: Sequence[Job]) -> None:
    for job in jobs:
        with suppress(JobNotFound):  # another request was faster
            services.store.cancel(job.id)
            # The photo first: while the row exists, an interrupted client can retry.
            services.photos.delete(job.photo_key)
            services.store.delete(job.id)
