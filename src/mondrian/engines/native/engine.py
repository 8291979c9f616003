"""A native engine in a child process, connected by a pipe.

1. Native code may abort, hang, or hold the GIL for seconds. In the child it cannot do that to the
   parent, whose clock, store and server go on.
2. The child starts with the first request and is reused; after a crash or a kill a new one starts.
3. The parent never waits for the child without a timeout: ``process/parent.py`` documents when it
   kills it.
4. One request loads the model; others start when that is done. ``load`` takes no slot: a request
   that arrives meanwhile waits in the child and reports the load's progress.
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
    """An ``Engine`` that runs a ``Handler`` in a child process.

    ``native`` is the handler's ``module:Class``, ``options`` its keyword arguments, ``slots`` the
    most requests that it gets at once.
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
        """Return the child's process id, ``None`` without a child."""
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
        turn = self._turns.enqueue(alone=request.alone)
        try:
            while not self._turns.begin(turn, HEARTBEAT_SECONDS):
                yield Progress(phase=Phase.WAITING, is_reserved=self._turns.is_reserved)
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
            while (running := (child := self._ensure_child()).ask(request)) is None:
                pass  # the child ended just now
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
        """Yield the child's items for the request, and the last progress again while it is
        silent."""
        last: Progress | None = None
        tokens = 0
        while True:
            try:
                item = running.receive(HEARTBEAT_SECONDS)
            except ChildEnded as exc:
                loading = None if child.is_loaded else Phase.LOADING
                raise _make_crash(exc, last.phase if last else loading, tokens) from None
            if isinstance(item, Ended) and item.error:
                raise _make_failure(item.error)
            self._error = None
            if isinstance(item, Ended):
                return
            if isinstance(item, Token):
                last, tokens = Progress(phase=Phase.GENERATING), item.generation_tokens
            elif item:
                last = item
            yield item or last or Progress(phase=Phase.LOADING)

    def _ensure_child(self) -> Child:
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


def _make_failure(error: MondrianError | str) -> MondrianError:
    """Return the error of a failed request as a ``MondrianError``."""
    if isinstance(error, MondrianError):
        return error
    return EngineFailed(f"The engine failed: {error}. Try again, or try another model.")


def _make_crash(end: ChildEnded, phase: Phase | None, tokens: int) -> EngineCrashed:
    """Return an error that says how the process ended, with its last output as a note."""
    doing = f" while {phase.doing}" if phase else ""
    after = f" (after {tokens} tokens)" if tokens else ""
    error = EngineCrashed(
        f"The engine's process {end.how}{doing}{after}. It starts anew with the next photo."
    )
    if end.last_words:
        error.add_note(f"The engine's last output:\n{end.last_words}")
    return error
