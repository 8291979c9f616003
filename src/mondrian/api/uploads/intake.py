"""Make a job of a decoded photo: store the photo, then the job.

The photo is stored before the job, since a worker may claim the job at once. The intent is recorded
first, so that after a failure no photo without a job remains: it is deleted at once where it is
known to have no job, and otherwise by the daily prune.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

from anyio import to_thread

from mondrian.api.uploads.options import BASELINE, UploadOptions
from mondrian.api.uploads.shares import Shares
from mondrian.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    QuotaExceeded,
    StorageError,
    TooManyRequests,
)
from mondrian.jobs.job import Job, Status
from mondrian.jobs.log_context import logging_job
from mondrian.jobs.store import Store, Target
from mondrian.jobs.webhooks import read_webhook
from mondrian.photos import MAX_BYTES, PhotoStore, StoredPhoto
from mondrian.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadClient:
    """The client of an upload, and its ``Idempotency-Key``."""

    owner: str
    idempotency_key: str | None


class Intake:
    """Stores photos and their jobs. ``versions`` are those of the advisors by id, as the store
    keeps them."""

    def __init__(
        self, settings: Settings, store: Store, photos: PhotoStore, versions: Mapping[str, str]
    ) -> None:
        self._versions = versions
        self._source = settings.source
        self._webhook = read_webhook(settings)
        self._store = store
        self._photos = photos
        self._shares = Shares(settings, store)

    async def add(self, photo: StoredPhoto, options: UploadOptions, client: UploadClient) -> Job:
        """Store ``photo`` and its job, off the event loop.

        Return the job of an earlier upload with the same ``Idempotency-Key``. Raise
        ``JobConflict``, ``TooManyRequests``, ``QuotaExceeded`` and ``StorageError``; then neither
        photo nor job is stored, except that a lost database connection may hide that they are.
        """
        return await to_thread.run_sync(self._create, photo, options, client)

    async def add_again(self, job: Job, options: UploadOptions, client: UploadClient) -> Job:
        """Make a new job with a copy of the photo of ``job``. Raise ``JobNotFound`` if the photo
        was deleted, and the errors of ``add``."""
        return await to_thread.run_sync(self._create_again, job, options, client)

    def _create_again(self, job: Job, options: UploadOptions, client: UploadClient) -> Job:
        photo = StoredPhoto(
            encoded=self._photos.get(job.photo_key),
            sha256=job.photo_sha256,
            name=job.filename.removeprefix(f"{job.id.hex[:8]}-"),
            width=job.width,
            height=job.height,
        )
        return self._create(photo, options, client, retry_of=job.id)

    def read_source(self, filename: str) -> tuple[bytes, str]:
        """Return the bytes of the photo ``filename`` in the source folder, and its name without
        folders. Raise ``InvalidRequest`` without such a folder or file."""
        if self._source is None:
            raise InvalidRequest(
                "This server has no folder of photos. Set MONDRIAN_SOURCE, or send the photo."
            )
        try:
            folder = self._source.resolve()
            path = (folder / filename).resolve()
            if not path.is_relative_to(folder) or not path.is_file():
                raise FileNotFoundError
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1), path.name
        except (OSError, ValueError, RuntimeError) as exc:
            raise InvalidRequest("There is no such photo in the source folder.") from exc

    def _create(
        self,
        photo: StoredPhoto,
        options: UploadOptions,
        client: UploadClient,
        retry_of: UUID | None = None,
    ) -> Job:
        job = _make_job(photo, options, client, self._versions, retry_of)
        fingerprint = options.fingerprint(photo.sha256)
        try:
            with self._shares.reserve(job.owner, job.photo_bytes):
                targets = [each for each in (options.callback, self._webhook) if each]
                return self._store_both(job, photo, client, fingerprint, targets)
        except (QuotaExceeded, TooManyRequests):
            key = client.idempotency_key
            if key and (kept := self._store.find_repeated(job.owner, key, fingerprint)):
                return kept
            raise

    def _store_both(
        self,
        job: Job,
        photo: StoredPhoto,
        client: UploadClient,
        fingerprint: str,
        targets: Sequence[Target],
    ) -> Job:
        self._store.expect_photo(job.photo_key)
        try:
            self._photos.put(job.photo_key, photo.encoded)
            kept = self._add(job, client.idempotency_key, fingerprint, targets)
        except DatabaseUnavailable:  # the job may be stored
            raise
        except BaseException:
            self._discard(job.photo_key)
            raise
        if kept.id != job.id:
            self._discard(job.photo_key)
        with logging_job(kept.id):
            log.info("job %s was sent", kept.id)
        return kept

    def _add(
        self, job: Job, idempotency_key: str | None, fingerprint: str, targets: Sequence[Target]
    ) -> Job:
        try:
            return self._store.add(
                job, idempotency_key=idempotency_key, fingerprint=fingerprint, targets=targets
            )
        except DatabaseUnavailable as exc:
            # A connection lost at the wrong moment hides that the job was stored.
            try:
                return self._store.read(job.id)
            except Exception:
                raise exc from None

    def _discard(self, key: str) -> None:
        with suppress(StorageError):
            self._photos.delete(key)
            self._store.forget_discarded(key)


def _make_job(
    photo: StoredPhoto,
    options: UploadOptions,
    client: UploadClient,
    versions: Mapping[str, str],
    retry_of: UUID | None,
) -> Job:
    job_id = uuid4()
    return Job(
        id=job_id,
        owner=client.owner,
        filename=f"{job_id.hex[:8]}-{photo.name}",
        photo_key=f"{job_id}.jpg",
        photo_sha256=photo.sha256,
        photo_bytes=len(photo.encoded),
        width=photo.width,
        height=photo.height,
        advisors=options.advisors,
        advisor_versions=tuple(versions.get(name, "") for name in options.advisors),
        mode=options.mode,
        mode_used=BASELINE,
        enable_rag=options.enable_rag,
        intent=options.intent,
        genre=options.genre,
        retry_of=retry_of,
        folder=options.folder,
        status=Status.QUEUED if options.auto_analyze else Status.PENDING,
    )
