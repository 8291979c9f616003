"""The reports of a finished job, and their renderings."""

from fastapi.responses import JSONResponse

from mondrian.answers import show_name
from mondrian.api.dependencies import Services
from mondrian.api.links import Links
from mondrian.api.schemas import JobState
from mondrian.errors import JobConflict, JobNotFound
from mondrian.jobs.job import Job, Status
from mondrian.reports import Report, render_document, render_fragment


def read_reports(services: Services, job: Job) -> list[Report]:
    """Return the reports of ``job`` in the order of its advisors; none while it is unfinished.

    Raise ``JobConflict`` if it ended without any, ``JobNotFound`` if it was deleted.
    """
    if not job.is_ended:
        return []
    if job.status is not Status.DONE:
        why = str((job.error or {}).get("message", job.current_step)).rstrip(".")
        raise JobConflict(f"The job ended without a report ({job.status}): {why}.")
    reports = [
        Report.model_validate(answer.report) for answer in services.store.read_reports(job.id)
    ]
    if not reports:
        raise JobNotFound
    return reports


def answer_under_way(job: Job, links: Links) -> JSONResponse:
    """Return 202 with the job's state, while there is no report."""
    state = JobState.of(job, links).model_dump(mode="json")
    return JSONResponse(state, 202, {"Retry-After": "5"})


def render_fragments(reports: list[Report]) -> str:
    """Return the reports as HTML for embedding in a page."""
    return "\n".join(map(render_fragment, reports))


def render_summary(report: Report) -> str:
    """Return the three recommendations of ``report``, one per line."""
    return "\n".join(
        f"{rank}. {show_name(each.name)}: {each.recommendation or each.comment}"
        for rank, each in enumerate(report.top_three, start=1)
    )


def render_analysis(links: Links, job: Job, reports: list[Report]) -> str:
    """Return the reports as an HTML document with the photo."""
    return render_document(reports, title=job.filename, photo_url=links.make_photo_url(job.id))
