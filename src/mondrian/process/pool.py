"""A pool of warm child processes that run one request each at a time, under limits.

1. A child that exceeds a limit is killed, and another one is started at once, so that the next
   request finds a warm one. So is one whose result is no longer wanted; but where there are
   several it may finish for a second, because to start another takes longer, and the next request
   would wait for it.
2. The thread that waits for a result also checks the limits: no other thread or process is needed
   to kill a child.
3. Limits count from when the handler is loaded: untrusted input is only read after that.
4. A request that is not urgent leaves one child, if there are several, to those that are.
5. A child that holds much memory after a request is replaced by a new one.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from mondrian.errors import MondrianError
from mondrian.process.child import Ended
from mondrian.process.limits import Limits, Watch, resident_bytes
from mondrian.process.parent import Child, ChildRequest

LOAD_LIMITS = Limits(seconds=120.0, memory_bytes=2 * 10**9)
"""The limits of loading a handler."""

_WATCH_SECONDS = 0.05
_GRACE_SECONDS = 1.0


class Unwanted(Exception):
    """The result is no longer wanted, or the pool was closed."""


class _FinishedUnwanted(Unwanted):
    """The same, after the child has finished."""


class HandlerFailed(Exception):
    """The handler raised an error that is not a ``MondrianError``; the message is that error's."""


class Pool:
    """``size`` children on the handler ``module:Class`` with these ``options``.

    A child with more than ``kept_bytes`` of resident memory after a request is replaced. ``label``
    is shown in the command line. Thread-safe.
    """

    def __init__(
        self, size: int, *, label: str, handler: str, options: Mapping[str, Any], kept_bytes: int
    ) -> None:
        self.size = size
        self._label = label
        self._handler = handler
        self._options = options
        self._kept_bytes = kept_bytes
        self._free = threading.Semaphore(size)
        self._shared = threading.Semaphore(max(1, size - 1))
        self._changing = threading.Lock()
        self._children: list[Child] = []
        self._idle: list[Child] = []
        self._is_closed = False

    @property
    def pids(self) -> list[int]:
        """Return the process ids of all children."""
        with self._changing:
            return [child.pid for child in self._children]

    def warm(self) -> None:
        """Start all children; they load in the background. Raise ``OSError`` if one cannot be
        started."""
        for _ in range(self.size - len(self.pids)):
            self._put_back(self._start())

    def ask(
        self,
        question: object,
        limits: Callable[[object], Limits | None],
        is_wanted: Callable[[], bool] = lambda: True,
        *,
        is_urgent: bool = True,
    ) -> Any:
        """Return the last item that the handler emits for ``question``.

        ``limits(None)`` are the initial limits; ``limits(item)`` of an emitted item replace them.
        Raise ``Unwanted`` soon after ``is_wanted`` returns false, ``LimitPassed``, ``ChildEnded``,
        a ``MondrianError`` of the handler, ``HandlerFailed`` for any other of its errors, and
        ``OSError`` if no process can be started.
        """
        with ExitStack() as turns:
            for turn in (self._free,) if is_urgent else (self._shared, self._free):
                while not turn.acquire(timeout=_WATCH_SECONDS):
                    if self._is_closed or not is_wanted():
                        raise Unwanted
                turns.callback(turn.release)
            return self._run_request(question, limits, is_wanted)

    def close(self) -> None:
        """Kill all children. Running and later calls of ``ask`` raise ``Unwanted``."""
        with self._changing:
            self._is_closed = True
            children = list(self._children)
        for child in children:
            child.close()

    def _run_request(
        self,
        question: object,
        limits: Callable[[object], Limits | None],
        is_wanted: Callable[[], bool],
    ) -> Any:
        child, request = self._begin(question)
        try:
            grace_seconds = _GRACE_SECONDS if self.size > 1 else 0.0
            return _wait_for_result(child, request, limits, is_wanted, grace_seconds)
        except (MondrianError, HandlerFailed, _FinishedUnwanted):
            raise
        except BaseException as exc:
            child.close()
            if self._is_closed:
                raise Unwanted from exc
            raise
        finally:
            self._put_back(child)

    def _begin(self, question: object) -> tuple[Child, ChildRequest]:
        """Send ``question`` to an idle child, or to a new one."""
        while True:
            with self._changing:
                self._idle.sort(key=lambda each: each.is_loaded)
                child = self._idle.pop() if self._idle else None
            child = child or self._start()
            if request := child.ask(question):
                return child, request
            self._forget(child)

    def _start(self) -> Child:
        """Start a child and load its handler."""
        with self._changing:
            if self._is_closed:
                raise Unwanted
            child = Child(
                "mondrian.process", self._label, handler=self._handler, options=self._options
            )
            self._children.append(child)
        child.ask(None)
        return child

    def _put_back(self, child: Child) -> None:
        """Return ``child`` to the pool, or replace it if it is gone or holds much memory."""
        if child.is_gone or resident_bytes(child.pid) > self._kept_bytes:
            child.close()
            self._forget(child)
            with suppress(OSError, Unwanted):  # the next request starts one, or raises the error
                self._idle.append(self._start())
        else:
            self._idle.append(child)

    def _forget(self, child: Child) -> None:
        with self._changing:
            self._children.remove(child)


def _wait_for_result(
    child: Child,
    request: ChildRequest,
    limits: Callable[[object], Limits | None],
    is_wanted: Callable[[], bool],
    grace_seconds: float,
) -> Any:
    end = math.inf
    is_loaded, allowed, watch, result = False, LOAD_LIMITS, Watch(child.pid), None
    while True:
        item = request.receive(_WATCH_SECONDS)
        if child.is_loaded and not is_loaded:
            is_loaded, allowed, watch = True, limits(None) or LOAD_LIMITS, Watch(child.pid)
        if isinstance(item, Ended):
            if end < math.inf:
                raise _FinishedUnwanted
            if item.error is None:
                return result
            raise HandlerFailed(item.error) if isinstance(item.error, str) else item.error
        if item is not None:
            result, allowed = item, limits(item) or allowed
        if end == math.inf and not is_wanted():
            end = time.monotonic() + grace_seconds
        if time.monotonic() >= end:
            raise Unwanted
        watch.check(allowed)
