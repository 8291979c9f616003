"""What runs while the service runs: the API or a worker alone, with all that is beside them.

Importing this takes half a second. So ``service`` does it when the database is opening.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from mondrian.advisors import Advisor, load_advisors
from mondrian.api import create_app
from mondrian.database.listen import Listener
from mondrian.database.postgres import Database
from mondrian.engines import Engine
from mondrian.engines.openai.connection import without_secrets
from mondrian.errors import EngineClosed, MondrianError, PhotoStoreUnavailable
from mondrian.jobs.retention import prune_hourly
from mondrian.jobs.sql import JOBS_CHANNEL
from mondrian.jobs.store import Store
from mondrian.measurements import prepare
from mondrian.models import pull_subject_network
from mondrian.photos import PhotoStore
from mondrian.photos.readers import PhotoReaders
from mondrian.server.connections import Connections, open_room
from mondrian.server.health import serving_health
from mondrian.server.network import find_network_url
from mondrian.server.protocol import configure
from mondrian.server.signals import Leaving
from mondrian.server.socket import BACKLOG, address
from mondrian.settings import Settings
from mondrian.stream import Streams
from mondrian.worker import Worker

log = logging.getLogger(__name__)

_WORKER_SECONDS = 3.0


def run_server(
    settings: Settings,
    opening: "Future[Database]",
    engine: Engine | None,
    sockets: list[socket.socket],
    leaving: Leaving,
    announce: Callable[[str], None],
    invite: Callable[[str], None],
) -> None:
    """Serve at ``sockets``, and work on ``engine`` if there is one, until asked to leave."""
    with ExitStack() as stack:
        rooms = stack.enter_context(_opened(settings, opening))
        streams = Streams(
            rooms.store,
            listen_url=rooms.database.listen_url,
            interval_seconds=settings.update_interval,
        )
        app = create_app(
            settings=settings,
            store=rooms.store,
            photos=rooms.photos,
            readers=rooms.readers,
            streams=streams,
            engine_status=lambda: engine_status(settings, engine, worker),
        )
        worker = rooms.worker(engine, app.state.services.advisors) if engine else None
        if worker:
            leaving.release, leaving.drain = worker.stop, worker.drain
            stack.enter_context(_working(worker))

        def announce_address() -> None:
            announce(address(settings.host, sockets[0]))
            if url := find_network_url(settings, sockets[0].getsockname()[1]):
                access = app.state.services.access
                invite(f"{url}/login?code={access.make_login_code()}" if access.has_keys else url)
            if engine:
                _load(engine)

        stack.enter_context(_pruning(rooms))
        server = Server(app, announce_address, open_room(settings))
        # uvicorn's own choice of loop is uvloop where there is one: half the lateness of asyncio's
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(server, sockets, streams, worker, leaving))


async def _serve(
    server: "Server",
    sockets: list[socket.socket],
    streams: Streams,
    worker: Worker | None,
    leaving: Leaving,
) -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    leaving.begin = lambda: loop.call_soon_threadsafe(asked.set)
    serving, asking = asyncio.create_task(server.serve(sockets)), asyncio.create_task(asked.wait())
    await asyncio.wait({serving, asking}, return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    if worker:
        worker.stop()
    await streams.drain()
    server.should_exit = True
    await serving


def run_worker(
    settings: Settings,
    opening: "Future[Database]",
    engine: Engine,
    leaving: Leaving,
    announce: Callable[[str], None],
) -> None:
    """Work on ``engine`` until asked to leave."""
    advisors = load_advisors(settings.home)
    with _opened(settings, opening) as rooms, _pruning(rooms):
        worker = rooms.worker(engine, advisors)
        leaving.begin = leaving.release = worker.stop
        leaving.drain = worker.drain
        with serving_health(worker, settings.health_port):
            announce(worker.name)
            _load(engine)
            worker.run()


class Server(uvicorn.Server):
    """uvicorn, that leaves signals to us and tells when it accepts connections."""

    def __init__(
        self, app: Any, on_open: Callable[[], None], room: Connections | None = None
    ) -> None:
        super().__init__(configure(app, room, backlog=BACKLOG))
        self._on_open = on_open

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Nothing is captured."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self._on_open()


def engine_status(
    settings: Settings, engine: Engine | None, worker: Worker | None
) -> dict[str, Any]:
    """What ``/model-status`` tells: ``remote`` where the work is done by other processes."""
    if engine is None or worker is None:
        return {"status": "remote", "engine": without_secrets(settings.engine)}
    status, _, error = engine.status.partition(": ")
    return {
        "status": status,
        "error": error or None,
        "engine": engine.url,
        "model": engine.model,
        "sees": engine.sees,
        "has_adapter": engine.has_adapter,
        "tokens": worker.meter.tokens,
        "tokens_per_second": worker.meter.tokens_per_second,
        "peak_memory_gb": worker.meter.peak_memory_gb,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What every process of the service opens."""

    settings: Settings
    database: Database
    store: Store
    photos: PhotoStore
    readers: PhotoReaders

    def worker(self, engine: Engine, advisors: Mapping[str, Advisor]) -> Worker:
        """A worker on ``engine`` for ``advisors``."""
        return Worker(
            self.store,
            self.photos,
            self.readers,
            engine,
            listener=Listener(self.database.listen_url, JOBS_CHANNEL),
            advisors=advisors,
            settings=self.settings,
        )


@contextmanager
def _opened(settings: Settings, opening: "Future[Database]") -> Iterator[Services]:
    """The parts, with the processes that read photos, which load beside all else."""
    with closing(PhotoReaders(settings.readers, prepare=prepare)) as readers:
        readers.warm()
        if settings.worker and not settings.offline:
            _fetch_subject_network(settings.home)
        database = opening.result()
        yield Services(
            settings=settings,
            database=database,
            store=Store(database.pool),
            photos=_open_photos(settings),
            readers=readers,
        )


def _fetch_subject_network(home: Path) -> None:
    """Fetch the network that finds a photo's subject unless it is there, in a thread."""
    fetch = partial(pull_subject_network, home, log.info)
    threading.Thread(target=fetch, name="network", daemon=True).start()


def _open_photos(settings: Settings) -> PhotoStore:
    """Open the photo store, and say at once what is the matter with it. One that is away only for
    now does not keep the service from its start."""
    photos = PhotoStore.open(settings.photos_url)
    try:
        photos.check()
    except PhotoStoreUnavailable as exc:
        log.warning("%s", exc)
    return photos


def _load(engine: Engine) -> None:
    """Load the model, in a thread."""

    def load() -> None:
        try:
            engine.load()
        except EngineClosed:
            pass
        except MondrianError as exc:  # /model-status tells it, and so does each job
            log.error("the model cannot be loaded: %s", exc)

    threading.Thread(target=load, name="load", daemon=True).start()


@contextmanager
def _pruning(rooms: Services) -> Iterator[None]:
    """What need not be kept is removed once a day, in a thread."""
    left = threading.Event()
    given = (rooms.store, rooms.photos, rooms.settings, left)
    threading.Thread(target=prune_hourly, args=given, name="prune", daemon=True).start()
    try:
        yield
    finally:
        left.set()


@contextmanager
def _working(worker: Worker) -> Iterator[None]:
    """The worker works, in a thread."""
    thread = threading.Thread(target=worker.run, name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(_WORKER_SECONDS)
