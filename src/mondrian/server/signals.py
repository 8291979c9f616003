"""SIGTERM and SIGINT: the first one starts the shutdown, later ones are ignored. SIGUSR1 drains a
worker: it finishes its jobs, and claims no new ones.

Five seconds after the signal the process exits, whatever its threads do: a stuck thread cannot be
stopped otherwise. By then jobs have been released and the database closed, in a separate thread if
need be. (Engines and photo readers exit with their parent.)
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

CLOSE_SECONDS = 3.5
EXIT_SECONDS = 4.8
"""Seconds after the signal until the database is closed, and the process exits, if need be."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _do_nothing() -> None:
    pass


@dataclass(kw_only=True, slots=True)
class Shutdown:
    """The handler of the first signal.

    ``begin`` is called in the signal handler; by default it exits. In other threads ``release`` is
    called at once, and ``close`` after ``CLOSE_SECONDS``; the regular shutdown may call both again.
    """

    begin: Callable[[], Any] = sys.exit
    release: Callable[[], Any] = _do_nothing
    close: Callable[[], Any] = _do_nothing
    drain: Callable[[], Any] = _do_nothing
    is_asked: bool = False
    _changed: threading.Event = field(default_factory=threading.Event)

    def __call__(self, number: int, frame: object) -> None:
        """Handle the signal."""
        if not self.is_asked:
            self.is_asked = True
            self._changed.set()
            self.begin()

    def end_in_time(self) -> None:
        """Wait for the signal, and exit within ``EXIT_SECONDS`` of it."""
        self._changed.wait()
        if not self.is_asked:
            return
        overdue = threading.Event()  # never set: it only waits
        _run_in_thread(self.release)
        overdue.wait(CLOSE_SECONDS)
        _run_in_thread(self.close)
        overdue.wait(EXIT_SECONDS - CLOSE_SECONDS)
        log.warning("forced exit: a thread did not stop in time")
        os._exit(0)

    def forget(self) -> None:
        """Stop waiting, unless the signal was received."""
        self._changed.set()


def _run_in_thread(step: Callable[[], Any]) -> None:
    def do() -> None:
        with suppress(Exception):
            step()

    threading.Thread(target=do, daemon=True).start()


@contextmanager
def handle_signals() -> Iterator[Shutdown]:
    """Handle the signals within the ``with``, and yield their handler."""
    shutdown = Shutdown()
    threading.Thread(target=shutdown.end_in_time, name="shutdown", daemon=True).start()
    before = {each: signal.signal(each, shutdown) for each in _SIGNALS}
    before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda *_: shutdown.drain())
    try:
        yield shutdown
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        shutdown.forget()
