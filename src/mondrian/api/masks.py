"""The masks of photos, made on first request and cached."""

from collections import OrderedDict
from collections.abc import Mapping
from uuid import UUID

from anyio import Lock
from starlette.requests import Request

from mondrian.api.readers import RequestReaders
from mondrian.jobs.job import Job
from mondrian.measurements.masks import make_masks
from mondrian.photos import PhotoStore

_MAX_JOBS = 32


class Masks:
    """Makes the masks of stored photos, one photo at a time; caches the last 32 jobs' masks."""

    def __init__(self, photos: PhotoStore, readers: RequestReaders) -> None:
        self._photos = photos
        self._readers = readers
        self._lock = Lock()
        self._cached: OrderedDict[UUID, Mapping[str, bytes]] = OrderedDict()

    async def make(self, request: Request, job: Job) -> Mapping[str, bytes]:
        """Return the masks of the job's photo, by name. Raise ``JobNotFound``, ``StorageError`` and
        the errors of ``RequestReaders.run``."""

        def load() -> bytes:
            return self._photos.get(job.photo_key)

        async with self._lock:
            if job.id not in self._cached:
                self._cached[job.id] = await self._readers.run(request, make_masks, load)
            self._cached.move_to_end(job.id)
            while len(self._cached) > _MAX_JOBS:
                self._cached.popitem(last=False)
            return self._cached[job.id]
