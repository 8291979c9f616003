"""The running service: the API, or a worker alone, with their threads.

Importing this takes half a second, so ``serve`` does it while the database opens.
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
from mondrian.errors import EngineClosed, MondrianError, PhotoStoreUnavailable, without_secrets
from mondrian.jobs.retention import prune_hourly
from mondrian.jobs.sql import JOBS_CHANNEL
from mondrian.jobs.store import Store
from mondrian.jobs.webhooks import Deliverer
from mondrian.measurements import prepare
from mondrian.models import pull_subject_network
from mondrian.photos import PhotoStore
from mondrian.photos.readers import PhotoReaders
from mondrian.server.connections import Connections, make_connections
from mondrian.server.health import WorkerMetrics, serve_health
from mondrian.server.network import find_network_url
from mondrian.server.protocol import configure
from mondrian.server.signals import Shutdown
from mondrian.server.socket import BACKLOG, make_url
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
    shutdown: Shutdown,
    announce: Callable[[str], None],
    invite: Callable[[str], None],
) -> None:
    """Serve at ``sockets``, and work on ``engine`` if there is one, until a signal."""
    with ExitStack() as stack:
        services = stack.enter_context(_open_services(settings, opening))
        streams = Streams(
            services.store,
            listen_url=services.database.listen_url,
            interval_seconds=settings.update_interval,
            lease_seconds=settings.lease,
        )
        app = create_app(
            settings=settings,
            store=services.store,
            photos=services.photos,
            readers=services.readers,
            streams=streams,
            engine_status=lambda: engine_status(settings, engine, worker),
        )
        worker = services.make_worker(engine, app.state.services.advisors) if engine else None
        if worker:
            app.state.services.metrics.add(WorkerMetrics(worker))
            shutdown.release, shutdown.drain = worker.stop, worker.drain
            stack.enter_context(_start_worker(worker))

        def announce_address() -> None:
            announce(make_url(settings.host, sockets[0]))
            if url := find_network_url(settings, sockets[0].getsockname()[1]):
                access = app.state.services.access
                invite(f"{url}/login?code={access.make_login_code()}" if access.has_keys else url)
            if engine:
                _load(engine)

        stack.enter_context(_start_pruning(services))
        stack.enter_context(_start_delivering(services, sockets[0]))
        server = Server(app, announce_address, make_connections(settings))
        # uvicorn chooses uvloop where available: half the latency of asyncio's loop
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(server, sockets, streams, worker, shutdown))


async def _serve(
    server: "Server",
    sockets: list[socket.socket],
    streams: Streams,
    worker: Worker | None,
    shutdown: Shutdown,
) -> None:
    loop, stop_event = asyncio.get_running_loop(), asyncio.Event()
    shutdown.begin = lambda: loop.call_soon_threadsafe(stop_event.set)
    serving = asyncio.create_task(server.serve(sockets))
    waiting = asyncio.create_task(stop_event.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if worker:
        worker.stop()
    await streams.drain()
    server.should_exit = True
    await serving


def run_worker(
    settings: Settings,
    opening: "Future[Database]",
    engine: Engine,
    shutdown: Shutdown,
    announce: Callable[[str], None],
) -> None:
    """Work on ``engine`` until a signal."""
    advisors = load_advisors(settings.home)
    with _open_services(settings, opening) as services, _start_pruning(services):
        worker = services.make_worker(engine, advisors)
        shutdown.begin = shutdown.release = worker.stop
        shutdown.drain = worker.drain
        with serve_health(worker, engine, settings.health_port):
            announce(worker.name)
            _load(engine)
            worker.run()


class Server(uvicorn.Server):
    """uvicorn without signal handlers, with a callback when it accepts connections."""

    def __init__(
        self, app: Any, on_open: Callable[[], None], room: Connections | None = None
    ) -> None:
        super().__init__(configure(app, room, backlog=BACKLOG))
        self._on_open = on_open

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Capture no signals."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self._on_open()


def engine_status(
    settings: Settings, engine: Engine | None, worker: Worker | None
) -> dict[str, Any]:
    """Return the answer of ``/model-status``: ``remote`` if other processes do the work."""
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
    """The resources of every process of the service."""

    settings: Settings
    database: Database
    store: Store
    photos: PhotoStore
    readers: PhotoReaders

    def make_worker(self, engine: Engine, advisors: Mapping[str, Advisor]) -> Worker:
        """Return a worker on ``engine`` for ``advisors``."""
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
def _open_services(settings: Settings, opening: "Future[Database]") -> Iterator[Services]:
    """Open the services, and start the photo readers in the background."""
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
    """Fetch the subject network unless it is installed, in a thread."""
    fetch = partial(pull_subject_network, home, log.info)
    threading.Thread(target=fetch, name="network", daemon=True).start()


def _open_photos(settings: Settings) -> PhotoStore:
    """Open and check the photo store. One that is unavailable for now is logged, and does not
    prevent the start."""
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
        except MondrianError as exc:  # /model-status and each job report it too
            log.error("the model cannot be loaded: %s", exc)

    threading.Thread(target=load, name="load", daemon=True).start()


@contextmanager
def _start_pruning(services: Services) -> Iterator[None]:
    """Run ``prune_hourly`` in a thread, and stop it at the end."""
    left = threading.Event()
    given = (services.store, services.photos, services.settings, left)
    threading.Thread(target=prune_hourly, args=given, name="prune", daemon=True).start()
    try:
        yield
    finally:
        left.set()


@contextmanager
def _start_delivering(services: Services, door: socket.socket) -> Iterator[None]:
    """Deliver webhooks in a thread, and stop it at the end."""
    settings, left = services.settings, threading.Event()
    base_url = find_network_url(settings, door.getsockname()[1]) or make_url(settings.host, door)
    deliverer = Deliverer(services.store, settings, base_url=base_url)
    threading.Thread(target=deliverer.run, args=[left], name="webhooks", daemon=True).start()
    try:
        yield
    finally:
        left.set()


@contextmanager
def _start_worker(worker: Worker) -> Iterator[None]:
    """Run the worker in a thread, and stop it at the end."""
    thread = threading.Thread(target=worker.run, name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(_WORKER_SECONDS)
