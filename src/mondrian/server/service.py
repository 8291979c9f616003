"""What ``mondrian serve`` and ``mondrian worker`` build, and how they take it down.

1. What may be refused comes first: the address, the engine, the port. Then the database, the
   workers, and last the door opens and the address is told. The model loads beside all that.
2. Signals are ours, not uvicorn's: running jobs go back to the queue, streams are told to come
   back, connections end, and the embedded PostgreSQL is stopped after its last user.
3. Nothing on the way out waits without a limit: all is down in less than five seconds.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from mondrian.advisors import Advisor, load_advisors
from mondrian.engines import Engine, open_engine
from mondrian.errors import EngineClosed, MondrianError
from mondrian.measurements import prepare
from mondrian.photos import PhotoStore
from mondrian.postgres import Database, Listener, open_database
from mondrian.retention import prune_daily
from mondrian.server.door import Server, address, bound, check_exposure
from mondrian.server.leaving import Leaving, leaving_by_signal
from mondrian.settings import Settings
from mondrian.statements import JOBS_CHANNEL
from mondrian.store import Store
from mondrian.stream import Streams
from mondrian.worker import Worker

log = logging.getLogger(__name__)

_API_CONNECTIONS = 10
_WORKER_SECONDS = 3.0
_REVIVE_SECONDS = 1.0


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` gets the address once it answers.

    Raises ``SettingsError`` for an address that cannot be served, and what engine, database and
    photo store raise when they are opened.
    """
    check_exposure(settings)
    with ExitStack() as stack:
        leaving = stack.enter_context(leaving_by_signal())
        engine = None
        if settings.worker:
            engine = stack.enter_context(closing(_open_engine(settings)))
        door = stack.enter_context(bound(settings))
        opening = stack.enter_context(_opening(settings, _concurrency(settings, engine)))
        from mondrian.api import create_app  # takes long, and PostgreSQL starts meanwhile

        rooms = _enter(settings, opening.result())
        streams = Streams(
            rooms.store, conninfo=rooms.database.url, interval_seconds=settings.update_interval
        )
        app = create_app(
            settings=settings,
            store=rooms.store,
            photos=rooms.photos,
            streams=streams,
            engine_status=lambda: engine_status(settings, engine, worker),
        )
        worker = rooms.worker(engine, app.state.house.advisors) if engine else None
        if worker:
            stack.enter_context(_working(worker))

        def open_door() -> None:
            announce(address(settings.host, door))
            if engine:
                _load(engine)

        stack.enter_context(_pruning(rooms))
        server = Server(app, open_door)
        # uvicorn's own choice of loop is uvloop where there is one: half the lateness of asyncio's
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(server, door, streams, worker, leaving))


async def _serve(
    server: Server,
    door: socket.socket,
    streams: Streams,
    worker: Worker | None,
    leaving: Leaving,
) -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    leaving.begin = lambda: loop.call_soon_threadsafe(asked.set)
    serving, asking = asyncio.create_task(server.serve([door])), asyncio.create_task(asked.wait())
    await asyncio.wait({serving, asking}, return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    if worker:
        worker.stop()
    await streams.drain()
    server.should_exit = True
    await serving


def work(settings: Settings, announce: Callable[[str], None]) -> None:
    """Work at the queue, without a server, until SIGTERM or SIGINT; ``announce`` gets the worker's
    name.

    Raises what engine, database and photo store raise when they are opened.
    """
    with ExitStack() as stack:
        leaving = stack.enter_context(leaving_by_signal())
        engine = stack.enter_context(closing(_open_engine(settings)))
        opening = stack.enter_context(_opening(settings, _concurrency(settings, engine)))
        advisors = load_advisors(settings.home)
        rooms = _enter(settings, opening.result())
        worker = rooms.worker(engine, advisors)
        stack.enter_context(_pruning(rooms))
        leaving.begin = worker.stop
        announce(worker.name)
        _load(engine)
        worker.run()


def _open_engine(settings: Settings) -> Engine:
    return open_engine(settings.engine, home=settings.home, adapter=settings.adapter)


def engine_status(
    settings: Settings, engine: Engine | None, worker: Worker | None
) -> dict[str, Any]:
    """What ``/model-status`` tells: ``remote`` where the work is done by other processes."""
    if engine is None or worker is None:
        return {"status": "remote", "engine": settings.engine}
    status, _, error = engine.status.partition(": ")
    return {
        "status": status,
        "error": error or None,
        "engine": engine.url,
        "model": engine.model,
        "sees": engine.sees,
        "tokens": worker.meter.tokens,
        "tokens_per_second": worker.meter.tokens_per_second,
        "peak_memory_gb": worker.meter.peak_memory_gb,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Rooms:
    """What every process of the service opens."""

    settings: Settings
    database: Database
    store: Store
    photos: PhotoStore

    def worker(self, engine: Engine, advisors: Mapping[str, Advisor]) -> Worker:
        """A worker on ``engine`` for ``advisors``."""
        return Worker(
            self.store,
            self.photos,
            engine,
            listener=Listener(self.database.url, JOBS_CHANNEL),
            advisors=advisors,
            settings=self.settings,
        )


def _enter(settings: Settings, database: Database) -> Rooms:
    return Rooms(
        settings=settings,
        database=database,
        store=Store(database.pool),
        photos=PhotoStore.open(settings.photos_url),
    )


def _concurrency(settings: Settings, engine: Engine | None) -> int:
    """How many jobs are worked at here at once."""
    return settings.concurrency or engine.slots if engine else 0


@contextmanager
def _opening(settings: Settings, concurrency: int) -> Iterator["Future[Database]"]:
    """The database, which opens in a thread, and is closed at the end."""

    def open_() -> Database:
        connections = _API_CONNECTIONS + concurrency
        return open_database(settings.database, settings.home, max_connections=connections)

    left = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        opening = threads.submit(open_)
        threading.Thread(target=_revive, args=[opening, left], daemon=True).start()
        try:
            yield opening
        finally:
            left.set()
            if not opening.exception():
                opening.result().close()


def _revive(opening: "Future[Database]", left: threading.Event) -> None:
    """Start the embedded PostgreSQL again whenever it dies, until it is to be stopped."""
    server = None if opening.exception() else opening.result().server
    while server and not left.wait(_REVIVE_SECONDS):
        if not psutil.pid_exists(server.pid):
            log.warning("the embedded PostgreSQL is gone: it is started again")
            with suppress(Exception):  # it is tried again
                server.revive()


def _load(engine: Engine) -> None:
    """Load the model, and what measuring needs, in threads."""

    def load() -> None:
        try:
            engine.load()
        except EngineClosed:
            pass
        except MondrianError as exc:  # /model-status tells it, and so does each job
            log.error("the model cannot be loaded: %s", exc)

    threading.Thread(target=prepare, name="prepare", daemon=True).start()
    threading.Thread(target=load, name="load", daemon=True).start()


@contextmanager
def _pruning(rooms: Rooms) -> Iterator[None]:
    """What need not be kept is removed once a day, in a thread."""
    left = threading.Event()
    given = (rooms.store, rooms.photos, rooms.settings, left)
    threading.Thread(target=prune_daily, args=given, name="prune", daemon=True).start()
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
