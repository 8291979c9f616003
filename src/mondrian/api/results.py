"""What has become of a job that is done: its reports, and what shows them."""

from fastapi.responses import JSONResponse

from mondrian.api.dependencies import Services
from mondrian.api.links import Links
from mondrian.api.schemas import JobState
from mondrian.errors import JobConflict, JobNotFound
from mondrian.jobs.job import Job, Status
from mondrian.reports import Report, analysis_document, analysis_fragment


def read_reports(services: Services, job: Job) -> list[Report]:
    """The reports of ``job``, its advisors' in their order; none while it is under way.

    Raises ``JobConflict`` if it ended without any, ``JobNotFound`` if it is gone by now.
    """
    if not job.is_ended:
        return []
    if job.status is not Status.DONE:
        why = str((job.error or {}).get("message", job.current_step)).rstrip(".")
        raise JobConflict(f"The job ended without a report ({job.status}): {why}.")
    reports = [Report.model_validate(answer.report) for answer in services.store.reports(job.id)]
    if not reports:
        raise JobNotFound
    return reports


def under_way(job: Job, links: Links) -> JSONResponse:
    """The answer while there is nothing to show: how far the job is."""
    state = JobState.of(job, links).model_dump(mode="json")
    return JSONResponse(state, 202, {"Retry-After": "5"})


def fragments(reports: list[Report]) -> str:
    """Return the reports as HTML to be put into a page."""
    return "\n".join(map(analysis_fragment, reports))


def summary_text(report: Report) -> str:
    """Return the three recommendations of ``report``, a line each."""
    return "\n".join(
        f"{rank}. {each.name}: {each.recommendation or each.comment}"
        for rank, each in enumerate(report.top_three, start=1)
    )


def document(links: Links, job: Job, reports: list[Report]) -> str:
    """Return the reports as a whole HTML document, with the photo."""
    return analysis_document(reports, title=job.filename, photo_url=links.photo(job.id))
