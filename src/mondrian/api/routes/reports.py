"""Results: the analysis, its summary, the report in all formats, and the photo."""

from contextlib import suppress
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Path, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mondrian.api.caching import KEPT, make_etag, not_modified
from mondrian.api.dependencies import JobDep, LinksDep, Services, ServicesDep, VisitorDep
from mondrian.api.openapi import describe_content, describe_errors
from mondrian.api.results import answer_under_way, read_reports, render_analysis
from mondrian.api.schemas import JobState, ReportAnswer, Summary
from mondrian.errors import JobNotFound
from mondrian.jobs.job import Job
from mondrian.photos.thumbnail import make_thumbnail
from mondrian.reports import Report, make_summary, render_markdown, render_pdf, render_summary

router = APIRouter(
    tags=["reports"],
    responses={
        202: {"model": JobState, "description": "The job is under way."},
        **describe_errors(404, 409, 503),
    },
)

PHOTO_WIDTH = 1320


AdvisorName = Annotated[str | None, Query(description="Of several, this one's.")]


@router.get(
    "/analysis/{job}",
    response_class=HTMLResponse,
    summary="The analysis, as a page",
)
def show_analysis(job: JobDep, services: ServicesDep, links: LinksDep) -> Response:
    """Return a dark page without JavaScript. 202 with the state until it is done."""
    if reports := read_reports(services, job):
        return HTMLResponse(render_analysis(links, job, reports))
    return answer_under_way(job, links)


@router.get(
    "/summary/{job}",
    summary="The top three recommendations",
    responses={200: describe_content("text/html", model=Summary)},
)
def show_summary(
    job: JobDep,
    services: ServicesDep,
    links: LinksDep,
    advisor: AdvisorName = None,
    format_: Annotated[Literal["html", "json"], Query(alias="format")] = "html",
) -> Response:
    """Return the three dimensions with the lowest scores."""
    reports = read_reports(services, job)
    if not reports:
        return answer_under_way(job, links)
    report = _find_report(advisor, reports)
    if format_ == "html":
        return HTMLResponse(render_summary(report))
    return JSONResponse({"job_id": str(job.id), **make_summary(report)})


@router.get(
    "/report/{job}",
    summary="The report",
    responses={
        200: describe_content("text/markdown", "application/pdf", "text/html", model=ReportAnswer)
    },
)
async def show_report(
    request: Request,
    job: JobDep,
    services: ServicesDep,
    links: LinksDep,
    advisor: AdvisorName = None,
    format_: Annotated[Literal["json", "md", "pdf", "html"], Query(alias="format")] = "json",
) -> Response:
    """Return the report as JSON, Markdown, PDF, or the page of `/analysis`."""

    def answer(photo: bytes | None) -> Response:
        reports = read_reports(services, job)
        if not reports:
            return answer_under_way(job, links)
        if advisor is not None:
            reports = [_find_report(advisor, reports)]
        match format_:
            case "html":
                return HTMLResponse(render_analysis(links, job, reports))
            case "md":
                return _answer_markdown(job, reports)
            case "pdf":
                return _answer_pdf(job, reports, photo)
        return JSONResponse(ReportAnswer.of_reports(job.id, reports).model_dump(mode="json"))

    photo = None
    if format_ == "pdf":
        with suppress(JobNotFound):
            photo = await _make_thumbnail(request, services, job, PHOTO_WIDTH)
    return await to_thread.run_sync(answer, photo)


@router.get(
    "/photo/{job}.jpg",
    response_class=Response,
    summary="The photo",
    responses={200: describe_content("image/jpeg")},
)
async def show_photo(
    request: Request,
    job: JobDep,
    services: ServicesDep,
    width: Annotated[
        int, Query(ge=16, le=8192, description="The greatest width in pixels.")
    ] = PHOTO_WIDTH,
) -> Response:
    """Return the photo as analyzed: upright, without EXIF."""
    return await _show_photo(request, services, job, width)


@router.get(
    "/image/{file}",
    response_class=Response,
    summary="The photo, by its file name",
    responses={200: describe_content("image/jpeg")},
)
async def show_image(
    request: Request,
    file: Annotated[str, Path(description="The `filename` of a job's state.")],
    services: ServicesDep,
    visitor: VisitorDep,
) -> Response:
    """Return the same as `/photo/{job}.jpg`, for older clients. Requires the same rights."""
    job = await to_thread.run_sync(services.store.find_file, file)
    if job is None or not visitor.owns(job):
        raise JobNotFound
    return await _show_photo(request, services, job, PHOTO_WIDTH)


async def _show_photo(request: Request, services: Services, job: Job, width: int) -> Response:
    etag = make_etag(job.photo_sha256, str(width))
    if unchanged := not_modified(request, etag):
        return unchanged
    photo = await _make_thumbnail(request, services, job, width)
    return Response(photo, media_type="image/jpeg", headers={**KEPT, "ETag": etag})


async def _make_thumbnail(request: Request, services: Services, job: Job, max_width: int) -> bytes:
    def load() -> bytes:
        return services.photos.get(job.photo_key)

    return await services.readers.run(
        request, make_thumbnail, load, is_urgent=False, max_width=max_width
    )


@router.get(
    "/photo/{job}/mask/{name}.png",
    response_class=Response,
    summary="Where something is in the photo",
    responses={200: describe_content("image/png")},
)
async def show_mask(
    request: Request,
    job: JobDep,
    services: ServicesDep,
    name: Literal["highlights", "shadows", "sharpness", "subject"],
) -> Response:
    """Return a grey PNG in the photo's proportions, at most 320 pixels long, as an overlay: 255
    where highlights or shadows are clipped, where it is sharp, or where the main subject is."""
    masks = await services.masks.make(request, job)
    return Response(masks[name], media_type="image/png", headers=KEPT)


def _find_report(advisor: str | None, reports: list[Report]) -> Report:
    """Return that advisor's report, by default the first."""
    for report in reports:
        if advisor in (None, report.advisor):
            return report
    raise HTTPException(404, "That advisor did not critique this photo.")


def _answer_markdown(job: Job, reports: list[Report]) -> Response:
    texts = "\n".join(map(render_markdown, reports))
    return Response(texts, media_type="text/markdown", headers=_make_headers(job, "md"))


def _answer_pdf(job: Job, reports: list[Report], photo: bytes | None) -> Response:
    printed = render_pdf(reports, photo, title=job.filename)
    return Response(printed, media_type="application/pdf", headers=_make_headers(job, "pdf"))


def _make_headers(job: Job, ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'inline; filename="critique-{job.id.hex[:8]}.{ending}"'}
