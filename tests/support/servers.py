"""Real servers for tests: uvicorn on a free port, in a thread with its own event loop."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import uvicorn
from fastapi import FastAPI
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mondrian.advisors import Advisor, load_advisors
from mondrian.api import Limits, create_app
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.photos.readers import PhotoReaders
from mondrian.server.connections import Connections
from mondrian.server.protocol import configure
from mondrian.settings import Settings
from mondrian.stream import Streams
from support.readers import photo_readers

START_SECONDS = 20.0
STOP_SECONDS = 10.0


class _Server(uvicorn.Server):
    def __init__(self, app: Any, room: Connections | None) -> None:
        super().__init__(configure(app, room))
        self.is_settled = threading.Event()  # it is open, or will never be

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_settled.set()

    def run_in_thread(self, door: socket.socket) -> None:
        try:
            self.run([door])
        finally:
            self.is_settled.set()


@contextmanager
def running(app: Any, room: Connections | None = None) -> Iterator[str]:
    """Serve an ASGI app on a free port of this machine. Gives its URL, without a slash at the end.

    Leaving waits until the app's lifespan is over.
    """
    server = _Server(app, room)
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        thread = threading.Thread(target=server.run_in_thread, args=[door], daemon=True)
        thread.start()
        try:
            assert server.is_settled.wait(START_SECONDS)
            assert server.started, "the app did not start"
            yield url
        finally:
            server.should_exit = True
            thread.join(STOP_SECONDS)
            assert not thread.is_alive(), "the app did not stop"


def make_app(
    store: Store,
    database: str,
    home: Path,
    *,
    engine_status: Callable[[], dict[str, Any]] = lambda: {"status": "ready"},
    limits: Limits | None = None,
    readers: PhotoReaders | None = None,
    **settings: Any,
) -> FastAPI:
    """The API on ``store``, which is at ``database``, with photos in ``home/photos``."""
    read = Settings(home=home, **settings)
    return create_app(
        settings=read,
        store=store,
        photos=PhotoStore.open((home / "photos").as_uri()),
        readers=readers or photo_readers(),
        streams=Streams(
            store,
            listen_url=database,
            interval_seconds=read.update_interval,
            lease_seconds=read.lease,
        ),
        engine_status=engine_status,
        advisors=_advisors(),
        limits=limits,
    )


@contextmanager
def fresh_database(postgres: str) -> Iterator[str]:
    """An empty database with our schema, for as long as that is needed; ``postgres`` is the
    fixture."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        new = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template").format(new))
        yield make_conninfo(postgres, dbname=name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(new))


@contextmanager
def without_database(postgres: str, database: str) -> Iterator[None]:
    """The database is away for a while: connections end, and none can be made."""
    name = str(conninfo_to_dict(database)["dbname"])
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.Literal(True)))


@cache
def _advisors() -> Mapping[str, Advisor]:
    return load_advisors()
