"""Upload requests: from the form to the job, counted by outcome."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import Depends
from starlette.requests import Request

from mondrian.api.dependencies import IdempotencyKey, LinksDep, Services, ServicesDep, VisitorDep
from mondrian.api.links import Links
from mondrian.api.uploads.intake import UploadClient
from mondrian.api.uploads.multipart import read_fields, receive_form
from mondrian.api.uploads.options import UploadOptions, parse_options
from mondrian.errors import InvalidRequest, JobConflict, MondrianError
from mondrian.jobs.job import Job
from mondrian.jobs.store import Target
from mondrian.jobs.webhooks import read_target
from mondrian.photos import prepare_photo


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """An upload request and its client. A failed upload leaves nothing behind."""

    request: Request
    services: Services
    links: Links
    client: UploadClient

    async def receive(self, *, is_waited_for: bool = False) -> tuple[Job, UploadOptions]:
        """Receive the form and make its job; one that ``is_waited_for`` is queued at once."""
        with self.count_outcome():
            async with receive_form(self.request, self.services.limits) as form:
                options = self.parse_options(form.fields)
                options = replace(options, auto_analyze=options.auto_analyze or is_waited_for)
                job = await self.add(form.read_photo_bytes, form.photo_name, options)
        return job, options

    async def retry(self, job: Job) -> Job:
        """Make a new job with the photo and fields of ``job``; a field ``advisor`` in the request's
        form replaces its advisors, ``intent`` and ``genre`` what was meant."""
        with self.count_outcome():
            fields = await read_fields(self.request, self.services.limits)
            if not (fields.get("advisor") or job.is_ended):
                raise JobConflict("The job is still under way. Cancel it first, or ask another.")
            asked = {"advisor": ",".join(job.advisors), "mode": job.mode, "folder": job.folder}
            asked |= {"intent": job.intent, "genre": job.genre} | fields
            options = self.parse_options(asked | {"enable_rag": str(job.enable_rag)})
            if not options.callback:
                options = replace(options, callback=await self._find_callback(job))
            return await self.services.intake.add_again(job, options, self.client)

    async def add(self, load: Callable[[], bytes], name: str, options: UploadOptions) -> Job:
        """Make a job of the photo ``name``, whose bytes ``load`` returns."""
        read = partial(self.services.readers.run, self.request, prepare_photo)
        return await self.services.intake.add(await read(load, name=name), options, self.client)

    def parse_options(self, fields: dict[str, str]) -> UploadOptions:
        """Return the options in ``fields``."""
        settings = self.services.settings
        options = parse_options(fields, self.services.advisors, settings.advisor)
        callback_url = fields.get("callback_url", "").strip()
        if callback_url and not settings.webhook_secret:
            raise InvalidRequest(
                "This server sends no webhooks. Its operator sets MONDRIAN_WEBHOOK_SECRET, with "
                "which they are signed, to allow callback_url."
            )
        if callback_url:
            target = read_target(callback_url, settings.webhook_networks, base_url=self.links.base)
            options = replace(options, callback=target)
        return options

    async def _find_callback(self, job: Job) -> Target | None:
        """Return where the end of ``job`` is told, by its uploader's wish."""
        found = await to_thread.run_sync(self.services.store.list_callbacks, job.id)
        if not (found and self.services.settings.webhook_secret):
            return None
        networks = self.services.settings.webhook_networks
        return read_target(found[0].url, networks, base_url=self.links.base)

    @contextmanager
    def count_outcome(self) -> Iterator[None]:
        """Count the upload by its outcome."""
        outcome = "internal_error"
        try:
            yield
            outcome = "accepted"
        except MondrianError as exc:
            outcome = exc.code
            raise
        finally:
            self.services.metrics.count_upload(outcome)


async def _make_upload(
    request: Request,
    services: ServicesDep,
    visitor: VisitorDep,
    links: LinksDep,
    idempotency_key: IdempotencyKey = None,
) -> Upload:
    client = UploadClient(owner=visitor.owner, idempotency_key=idempotency_key)
    return Upload(request=request, services=services, links=links, client=client)


UploadDep = Annotated[Upload, Depends(_make_upload)]
