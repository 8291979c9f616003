"""SIGTERM and SIGINT: the first one begins to leave, those after it change nothing. SIGUSR1 lets a
worker drain: it finishes what it has, and takes nothing new.

Five seconds later the process ends, whatever its threads do: a thread that is stuck can neither be
stopped nor left behind otherwise. Until then the jobs have been handed back and the database has
been left, by a thread of its own if need be. (Engines and the processes that read photos end with
their parent.)
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
"""So long after the signal the database is closed, and the process ended, if need be."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _nothing() -> None:
    pass


@dataclass(kw_only=True, slots=True)
class Leaving:
    """What the first signal begins.

    ``begin`` is called where the signal comes in: at first to exit, as soon as may be. From another
    thread ``release`` is called at once, and ``close`` after ``CLOSE_SECONDS``; both may be
    called again on the way that is usual.
    """

    begin: Callable[[], Any] = sys.exit
    release: Callable[[], Any] = _nothing
    close: Callable[[], Any] = _nothing
    drain: Callable[[], Any] = _nothing
    is_asked: bool = False
    _changed: threading.Event = field(default_factory=threading.Event)

    def __call__(self, number: int, frame: object) -> None:
        """Take the signal."""
        if not self.is_asked:
            self.is_asked = True
            self._changed.set()
            self.begin()

    def end_in_time(self) -> None:
        """Wait for the signal, and end the process in time after it."""
        self._changed.wait()
        if not self.is_asked:
            return
        overdue = threading.Event()  # never set: the process is to end before
        _do_beside(self.release)
        overdue.wait(CLOSE_SECONDS)
        _do_beside(self.close)
        overdue.wait(EXIT_SECONDS - CLOSE_SECONDS)
        log.warning("the process ends by itself: a thread did not stop in time")
        os._exit(0)

    def forget(self) -> None:
        """Wait no longer, unless the signal has come."""
        self._changed.set()


def _do_beside(step: Callable[[], Any]) -> None:
    def do() -> None:
        with suppress(Exception):
            step()

    threading.Thread(target=do, daemon=True).start()


@contextmanager
def leave_on_signal() -> Iterator[Leaving]:
    """The signals are ours for the time of the ``with``."""
    leaving = Leaving()
    threading.Thread(target=leaving.end_in_time, name="leaving", daemon=True).start()
    before = {each: signal.signal(each, leaving) for each in _SIGNALS}
    before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda *_: leaving.drain())
    try:
        yield leaving
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        leaving.forget()
