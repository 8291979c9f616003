"""Photos are read for requests: off the event loop, in turn, and as long as the client waits."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from mondrian.errors import InvalidRequest
from mondrian.photos.readers import PhotoReaders
from mondrian.process.pool import Unwanted

T = TypeVar("T")


class RequestReaders:
    """Has ``readers`` read photos for requests; as many at once as they are, first come first
    served. The others wait, and hold no thread and no photo in memory meanwhile."""

    def __init__(self, readers: PhotoReaders) -> None:
        self._readers = readers
        self._limiter = CapacityLimiter(readers.size)

    async def run(
        self,
        request: Request,
        function: Callable[..., T],
        load: Callable[[], bytes],
        **arguments: Any,
    ) -> T:
        """Return what ``function`` makes, in a child, of the photo that ``load`` returns.

        The body of ``request`` must have been read. When its client leaves, the child is ended.
        Raise what ``PhotoReaders.run`` and ``load`` raise, and ``InvalidRequest`` if the client
        left.
        """
        left = threading.Event()

        def read() -> T:
            run = partial(self._readers.run, function, is_wanted=lambda: not left.is_set())
            return run(load(), **arguments)

        watching = asyncio.create_task(_wait_until_left(request))
        watching.add_done_callback(lambda _: left.set())
        try:
            return await to_thread.run_sync(read, limiter=self._limiter, abandon_on_cancel=True)
        except Unwanted as exc:
            raise InvalidRequest("The photo is no longer wanted: its client left.") from exc
        finally:
            watching.cancel()


async def _wait_until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
