"""What ``mondrian serve`` and ``mondrian worker`` build, and how they take it down.

1. What may be refused comes first: the address, the engine, the port. Then the database, the
   workers, and last the server accepts connections and its address is printed. The model
   loads beside all that.
2. Signals are ours, not uvicorn's: running jobs go back to the queue, streams are told to come
   back, connections end, and the embedded PostgreSQL is stopped after its last user.
3. Nothing on the way out waits without a limit: all is down in less than five seconds. What is
   stuck for longer is not waited for (``signals``).
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing

from mondrian.engines import Engine, open_engine
from mondrian.server.database import leave_database, opening_database
from mondrian.server.signals import leave_on_signal
from mondrian.server.socket import check_exposure, listen
from mondrian.settings import Settings


def serve(
    settings: Settings,
    announce: Callable[[str], None],
    invite: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` gets the address once it answers.

    Where other devices reach the server, ``invite`` then gets the address for them. On a server
    with a key it logs one browser in, once, within a quarter of an hour: show it, do not log it.

    Raises ``SettingsError`` for an address that cannot be served, and what engine, database and
    photo store raise when they are opened.
    """
    check_exposure(settings)
    _keep_private()
    with ExitStack() as stack:
        leaving = stack.enter_context(leave_on_signal())
        engine = stack.enter_context(closing(_open_engine(settings))) if settings.worker else None
        sockets = stack.enter_context(listen(settings))
        opening = stack.enter_context(opening_database(settings, _concurrency(settings, engine)))
        leaving.close = lambda: leave_database(opening)
        from mondrian.server.processes import run_server

        run_server(settings, opening, engine, sockets, leaving, announce, invite)


def work(settings: Settings, announce: Callable[[str], None]) -> None:
    """Work at the queue, without a server, until SIGTERM or SIGINT; ``announce`` gets the worker's
    name.

    Raises what engine, database and photo store raise when they are opened.
    """
    _keep_private()
    with ExitStack() as stack:
        leaving = stack.enter_context(leave_on_signal())
        engine = stack.enter_context(closing(_open_engine(settings)))
        opening = stack.enter_context(opening_database(settings, _concurrency(settings, engine)))
        leaving.close = lambda: leave_database(opening)
        from mondrian.server.processes import run_worker

        run_worker(settings, opening, engine, leaving, announce)


def _keep_private() -> None:
    """Whatever this process and its children write from now on is for its user alone."""
    os.umask(0o077)


def _open_engine(settings: Settings) -> Engine:
    return open_engine(settings.engine, home=settings.home, adapter=settings.adapter)


def _concurrency(settings: Settings, engine: Engine | None) -> int:
    """How many jobs are worked at here at once."""
    return settings.concurrency or engine.slots if engine else 0
