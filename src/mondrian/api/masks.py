"""The masks of photos, made when they are first asked for, and kept for a while."""

from collections import OrderedDict
from collections.abc import Mapping
from uuid import UUID

from anyio import Lock
from starlette.requests import Request

from mondrian.api.readers import RequestReaders
from mondrian.jobs.job import Job
from mondrian.measurements.masks import make_masks
from mondrian.photos import PhotoStore

_KEPT_JOBS = 32


class Masks:
    """Has the masks of stored photos made, one photo at a time, and keeps those of the last 32."""

    def __init__(self, photos: PhotoStore, readers: RequestReaders) -> None:
        self._photos = photos
        self._readers = readers
        self._turn = Lock()
        self._made: OrderedDict[UUID, Mapping[str, bytes]] = OrderedDict()

    async def of(self, request: Request, job: Job) -> Mapping[str, bytes]:
        """Return the masks of the job's photo, by name. Raise ``JobNotFound``, ``StorageError`` and
        what ``RequestReaders.run`` raises."""

        def load() -> bytes:
            return self._photos.get(job.photo_key)

        async with self._turn:
            if job.id not in self._made:
                self._made[job.id] = await self._readers.run(request, make_masks, load)
            self._made.move_to_end(job.id)
            while len(self._made) > _KEPT_JOBS:
                self._made.popitem(last=False)
            return self._made[job.id]
