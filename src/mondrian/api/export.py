"""Many critiques in one ZIP: a folder each, with the report in every form and the photo."""

import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import IO

from anyio import to_thread
from starlette.requests import Request

from mondrian.api.dependencies import Services
from mondrian.api.job_page import photo_name
from mondrian.errors import JobNotFound
from mondrian.jobs.job import Job
from mondrian.photos.thumbnail import make_thumbnail
from mondrian.reports import Report, encode_data_url, render_document, render_markdown

_PHOTO_WIDTH = 1320
_MEMORY_BYTES = 2**23


async def write_archive(request: Request, services: Services, jobs: Sequence[Job]) -> IO[bytes]:
    """Return the ZIP of these jobs, open at its start; the caller closes it. Jobs without a report
    are skipped.

    Raise ``JobNotFound`` if none has a report, and ``StorageError``.
    """
    file = SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for job in jobs:
            photo = await _read_photo(request, services, job)
            await to_thread.run_sync(_add_job, archive, services, job, photo)
        if not archive.namelist():
            raise JobNotFound("None of these critiques has a report to export.")
    file.seek(0)
    return file


async def _read_photo(request: Request, services: Services, job: Job) -> bytes | None:
    def load() -> bytes:
        return services.photos.get(job.photo_key)

    with suppress(JobNotFound):
        return await services.readers.run(
            request, make_thumbnail, load, is_urgent=False, max_width=_PHOTO_WIDTH
        )
    return None


def _add_job(archive: zipfile.ZipFile, services: Services, job: Job, photo: bytes | None) -> None:
    reports = [Report.model_validate(each.report) for each in services.store.read_reports(job.id)]
    if not reports:
        return
    folder = _name_folder(job)
    if photo is not None:
        archive.writestr(f"{folder}/photo.jpg", photo, zipfile.ZIP_STORED)
    url = encode_data_url(photo) if photo is not None else None
    html = render_document(reports, title=photo_name(job), photo_url=url)
    archive.writestr(f"{folder}/critique.html", html)
    archive.writestr(f"{folder}/critique.md", "\n".join(map(render_markdown, reports)))
    archive.writestr(
        f"{folder}/critique.json", f"[{','.join(r.model_dump_json() for r in reports)}]"
    )


def _name_folder(job: Job) -> str:
    stem = re.sub(r"[^\w.-]+", "-", photo_name(job).rpartition(".")[0] or "photo").strip(".-")
    return f"{stem[:60] or 'photo'}-{job.id.hex[:8]}"
