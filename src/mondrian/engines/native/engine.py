"""A native engine in a child process, at the other end of a pipe.

1. Native code may abort, hang, or hold Python's lock for seconds. In the child it can do none of
   that to the parent, whose clock, store and server go on.
2. The child starts with the first request and is kept; after a crash or a kill a new one takes its
   place.
3. The parent never waits for the child without a time-out: ``process/parent.py`` tells when it
   kills it.
4. One request loads the model; others come beside it when that is done. ``load`` has no turn of
   its own: a request that comes while it lasts waits in the child, and is the one that watches it.
"""

import threading
from collections.abc import Generator, Mapping
from typing import Any

from mondrian.engines.base import Output, Phase, Progress, Request, Token
from mondrian.engines.native.slots import Turns
from mondrian.errors import (
    EngineClosed,
    EngineCrashed,
    EngineFailed,
    EngineStalled,
    MondrianError,
)
from mondrian.process.child import Ended
from mondrian.process.parent import Child, ChildEnded, ChildRequest

HEARTBEAT_SECONDS = 0.2
STOP_SECONDS = 5.0


class HostedEngine:
    """An ``Engine`` whose work is done by a ``Handler`` in a child process.

    ``native`` names it as ``module:Class``; ``options`` are its keyword arguments. It is given
    ``slots`` requests at once.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        sees: bool,
        native: str,
        options: Mapping[str, Any],
        slots: int = 1,
        has_adapter: bool = False,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.url = url
        self.model = model
        self.sees = sees
        self.slots = slots
        self.has_adapter = has_adapter
        self._native = native
        self._options = options
        self._stop_seconds = stop_seconds
        self._error: MondrianError | None = None
        self._child: Child | None = None
        self._starting = threading.Lock()
        self._turns = Turns(slots, lambda: self._child is not None and self._child.is_shareable)
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """The child's process id, ``None`` while there is no child."""
        child = self._child
        return child.pid if child and not child.is_gone else None

    @property
    def status(self) -> str:
        """See ``Engine.status``."""
        child = self._child
        if self._error:
            return f"error: {self._error.message}"
        if child is None or child.is_gone:
            return "unloaded"
        if child.is_loaded:
            return "ready"
        return "loading" if child.is_busy else "unloaded"

    def load(self) -> None:
        """See ``Engine.load``."""
        for _ in self._ask(None):
            pass

    def stream(self, request: Request) -> Generator[Output, None, None]:
        """See ``Engine.stream``."""
        turn = self._turns.ask(alone=request.alone)
        try:
            while not self._turns.begin(turn, HEARTBEAT_SECONDS):
                yield Progress(phase=Phase.WAITING)
            yield from self._ask(request)
        finally:
            self._turns.end(turn)

    def close(self) -> None:
        """See ``Engine.close``."""
        self._is_closed = True
        with self._starting:
            if self._child:
                self._child.close()

    def _ask(self, request: Request | None) -> Generator[Output, None, None]:
        has_stalled = False
        try:
            while (running := (child := self._living_child()).ask(request)) is None:
                pass  # it went in this moment
            try:
                yield from self._items(child, running)
            except EngineStalled:
                has_stalled = True
                raise
            finally:
                running.close(self._stop_seconds, has_stalled=has_stalled)
        except MondrianError as exc:
            if isinstance(exc, EngineCrashed) and self._is_closed:
                raise EngineClosed from None
            self._error = exc
            raise

    def _items(self, child: Child, running: ChildRequest) -> Generator[Output, None, None]:
        """Yield what the child says of the request; the last progress again in its silences."""
        last: Progress | None = None
        tokens = 0
        while True:
            try:
                item = running.receive(HEARTBEAT_SECONDS)
            except ChildEnded as exc:
                loading = None if child.is_loaded else Phase.LOADING
                raise _crash(exc, last.phase if last else loading, tokens) from None
            if isinstance(item, Ended) and item.error:
                raise _failure(item.error)
            self._error = None
            if isinstance(item, Ended):
                return
            if isinstance(item, Token):
                last, tokens = Progress(phase=Phase.GENERATING), item.generation_tokens
            elif item:
                last = item
            yield item or last or Progress(phase=Phase.LOADING)

    def _living_child(self) -> Child:
        with self._starting:
            if self._is_closed:
                raise EngineClosed
            if self._child is None or self._child.is_gone:
                self._error = None
                self._child = self._start()
            return self._child

    def _start(self) -> Child:
        try:
            return Child(
                "mondrian.engines",
                self.url,
                handler=self._native,
                options=self._options,
                slots=self.slots,
            )
        except OSError as exc:
            raise EngineFailed(
                f"The engine's process cannot be started ({exc.strerror or exc}). "
                "Free some memory, or close other programs, and try again."
            ) from exc


def _failure(error: MondrianError | str) -> MondrianError:
    """Return what a request ended with as an error of ours."""
    if isinstance(error, MondrianError):
        return error
    return EngineFailed(f"The engine failed: {error}. Try again, or try another model.")


def _crash(end: ChildEnded, phase: Phase | None, tokens: int) -> EngineCrashed:
    """Return the error that says how the process ended; what it last printed is a note on it."""
    doing = f" while {phase.doing}" if phase else ""
    after = f" (after {tokens} tokens)" if tokens else ""
    error = EngineCrashed(
        f"The engine's process {end.how}{doing}{after}. It starts anew with the next photo."
    )
    if end.last_words:
        error.add_note(f"The engine's last words:\n{end.last_words}")
    return error
