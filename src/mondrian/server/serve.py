"""The startup and shutdown of ``mondrian serve`` and ``mondrian worker``.

1. Check first what may be rejected: the address, the engine, the port. Then open the database,
   start the worker, and last accept connections and print the address. The model loads in the
   background.
2. Signals are handled here, not by uvicorn: running jobs are released, subscribers are asked to
   reconnect, connections are closed, and the embedded PostgreSQL stops after its last user.
3. Every wait of the shutdown has a timeout: it takes less than five seconds (``signals``).
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing

from mondrian.engines import Engine, open_engine
from mondrian.jobs.webhooks import check_settings
from mondrian.server.database import close_embedded, open_in_thread
from mondrian.server.signals import handle_signals
from mondrian.server.socket import check_exposure, listen
from mondrian.settings import Settings


def serve(
    settings: Settings,
    announce: Callable[[str], None],
    invite: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` gets the address once it answers.

    Where other devices reach the server, ``invite`` then gets its URL. On a server with a key that
    URL logs one browser in, once, within 15 minutes: show it, do not log it.

    Raise ``SettingsError`` for an address that cannot be served, and the errors of opening engine,
    database and photo store.
    """
    check_exposure(settings)
    check_settings(settings)
    _restrict_umask()
    with ExitStack() as stack:
        shutdown = stack.enter_context(handle_signals())
        engine = stack.enter_context(closing(_open_engine(settings))) if settings.worker else None
        sockets = stack.enter_context(listen(settings))
        opening = stack.enter_context(open_in_thread(settings, _count_slots(settings, engine)))
        shutdown.close = lambda: close_embedded(opening)
        from mondrian.server.processes import run_server

        run_server(settings, opening, engine, sockets, shutdown, announce, invite)


def work(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run a worker, without a server, until SIGTERM or SIGINT; ``announce`` gets its name.

    Raise the errors of opening engine, database and photo store.
    """
    _restrict_umask()
    with ExitStack() as stack:
        shutdown = stack.enter_context(handle_signals())
        engine = stack.enter_context(closing(_open_engine(settings)))
        opening = stack.enter_context(open_in_thread(settings, _count_slots(settings, engine)))
        shutdown.close = lambda: close_embedded(opening)
        from mondrian.server.processes import run_worker

        run_worker(settings, opening, engine, shutdown, announce)


def _restrict_umask() -> None:
    """Make new files of this process and its children private to its user."""
    os.umask(0o077)


def _open_engine(settings: Settings) -> Engine:
    return open_engine(settings.engine, home=settings.home, adapter=settings.adapter)


def _count_slots(settings: Settings, engine: Engine | None) -> int:
    """Return how many jobs run here at once."""
    return settings.concurrency or engine.slots if engine else 0
