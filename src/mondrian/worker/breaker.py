"""A circuit breaker: a worker whose engine is gone takes no jobs until the engine answers."""

import logging
import threading
from collections.abc import Callable

from mondrian.engines.base import Engine
from mondrian.errors import (
    EngineClosed,
    EngineCrashed,
    EngineError,
    EngineStalled,
    MondrianError,
)

log = logging.getLogger(__name__)

PROBE_SECONDS = (1.0, 2.0, 5.0, 10.0)
"""The pauses before each probe; the last one again and again."""


def is_gone(error: MondrianError, *, has_text: bool) -> bool:
    """Return whether ``error`` says that the engine cannot work, rather than that it failed at this
    photo: it failed before its first token, and neither crashed nor hung."""
    is_at_photo = isinstance(error, EngineCrashed | EngineStalled | EngineClosed)
    return isinstance(error, EngineError) and not is_at_photo and not has_text


class Breaker:
    """Whether ``engine`` may be given jobs. ``reason`` is why not, empty while it may.

    Once open it probes the engine, by loading it, until that succeeds; then ``on_closed`` is
    called. For any number of threads.
    """

    def __init__(
        self, engine: Engine, stopping: threading.Event, on_closed: Callable[[], None]
    ) -> None:
        self.reason = ""
        self._engine = engine
        self._stopping = stopping
        self._on_closed = on_closed
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the engine is gone, for all that is known."""
        return bool(self.reason)

    def open(self, error: MondrianError) -> None:
        """Take note that the engine is gone."""
        with self._lock:
            is_probing, self.reason = self.is_open, error.message
        if not is_probing:
            log.warning("no job is claimed until the engine answers: %s", error)
            threading.Thread(target=self._probe, name="probe", daemon=True).start()

    def _probe(self) -> None:
        probes = 0
        while not self._stopping.wait(PROBE_SECONDS[min(probes, len(PROBE_SECONDS) - 1)]):
            probes += 1
            try:
                self._engine.load()
            except MondrianError as exc:
                log.info("the engine is still gone: %s", exc)
                continue
            with self._lock:
                self.reason = ""
            log.warning("the engine answers: jobs are claimed again")
            self._on_closed()
            return
