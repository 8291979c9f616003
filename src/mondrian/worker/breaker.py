"""A circuit breaker: a worker whose engine is down claims no jobs until the engine answers."""

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


def is_engine_down(error: MondrianError, *, has_text: bool) -> bool:
    """Return whether ``error`` means that the engine is down, rather than that it failed at this
    photo: it failed before its first token, and neither crashed nor hung."""
    is_at_photo = isinstance(error, EngineCrashed | EngineStalled | EngineClosed)
    return isinstance(error, EngineError) and not is_at_photo and not has_text


class Breaker:
    """Closed while ``engine`` can take jobs; ``reason`` says why it is open.

    An open breaker probes the engine by loading it until that succeeds, and then calls
    ``on_closed``. Thread-safe.
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
        """Whether the engine was down when it was last used."""
        return bool(self.reason)

    def open(self, error: MondrianError) -> None:
        """Record that the engine is down, and begin to probe it."""
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
                log.info("the engine is still down: %s", exc)
                continue
            with self._lock:
                self.reason = ""
            log.warning("the engine answers: jobs are claimed again")
            self._on_closed()
            return
