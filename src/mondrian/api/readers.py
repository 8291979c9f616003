"""Reading photos for requests: off the event loop, in order, cancelled if the client leaves."""

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
    """Reads photos for requests with ``readers``, one at a time on each, first come first served.
    Waiting requests hold no thread and no photo in memory."""

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
        """Return the result of ``function``, run in a child process on the photo from ``load``.

        The body of ``request`` must have been read. If its client disconnects, the child is killed.
        Raise the errors of ``PhotoReaders.run`` and ``load``, and ``InvalidRequest`` if the client
        disconnected.
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
