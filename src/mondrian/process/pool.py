"""A pool of warm children that answer one question each at a time, under limits.

1. A child that passes a limit, or whose answer is no longer wanted, is killed. Another one is
   started at once, so that the next question finds a warm one.
2. The thread that waits for the answer is the one that watches: at most as many children work as
   the pool has, and no other process is needed to end one.
3. Limits count from the moment when the handler is loaded: what is hostile comes after that.
4. A question that is not urgent leaves one child, where there are several, to those that are.
5. A child that keeps much memory after its answer is replaced by a new one.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from mondrian.errors import MondrianError
from mondrian.process.child import Ended
from mondrian.process.limits import Limits, Watch, resident_bytes
from mondrian.process.parent import Child, ChildRequest

LOAD_LIMITS = Limits(seconds=120.0, memory_bytes=2 * 10**9)
"""What loading a handler may take."""

_WATCH_SECONDS = 0.05


class Unwanted(Exception):
    """Nobody waits for the answer any more."""


class HandlerFailed(Exception):
    """The handler raised an error that is not one of ours; its words are those of that one."""


class Pool:
    """``size`` children on the handler ``module:Class`` with these ``options``.

    One that has more than ``kept_bytes`` of memory resident after an answer is replaced. ``label``
    stands in the command line. May be used from any thread.
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
        """The process ids of all children."""
        with self._changing:
            return [child.pid for child in self._children]

    def warm(self) -> None:
        """Start all children, which load in the background. Raise ``OSError`` if that cannot be."""
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
        """Return the last thing that the handler emits about ``question``.

        ``limits`` of ``None`` are what it may take in all, unless those of a thing that it emits
        replace them.
        Raise ``Unwanted`` soon after ``is_wanted`` says so, ``LimitPassed``, ``ChildEnded``, what
        of ours the handler raises, ``HandlerFailed`` for anything else, and ``OSError`` where no
        process can be started.
        """
        with ExitStack() as turns:
            for turn in (self._free,) if is_urgent else (self._shared, self._free):
                while not turn.acquire(timeout=_WATCH_SECONDS):
                    if self._is_closed or not is_wanted():
                        raise Unwanted
                turns.callback(turn.release)
            return self._ask(question, limits, is_wanted)

    def close(self) -> None:
        """End all children, at once. What is asked for meanwhile and later raises ``Unwanted``."""
        with self._changing:
            self._is_closed = True
            children = list(self._children)
        for child in children:
            child.close()

    def _ask(
        self,
        question: object,
        limits: Callable[[object], Limits | None],
        is_wanted: Callable[[], bool],
    ) -> Any:
        child, request = self._begin(question)
        try:
            return _answer(child, request, limits, is_wanted)
        except (MondrianError, HandlerFailed):
            raise
        except BaseException as exc:
            child.close()
            if self._is_closed:
                raise Unwanted from exc
            raise
        finally:
            self._put_back(child)

    def _begin(self, question: object) -> tuple[Child, ChildRequest]:
        """Give ``question`` to an idle child, or to a new one."""
        while True:
            with self._changing:
                self._idle.sort(key=lambda each: each.is_loaded)
                child = self._idle.pop() if self._idle else None
            child = child or self._start()
            if request := child.ask(question):
                return child, request
            self._forget(child)

    def _start(self) -> Child:
        """Start a child, and have it load."""
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
        """Keep ``child`` for the next question, or another one in its place."""
        if child.is_gone or resident_bytes(child.pid) > self._kept_bytes:
            child.close()
            self._forget(child)
            with suppress(OSError, Unwanted):  # then the next question starts one, or says why not
                self._idle.append(self._start())
        else:
            self._idle.append(child)

    def _forget(self, child: Child) -> None:
        with self._changing:
            self._children.remove(child)


def _answer(
    child: Child,
    request: ChildRequest,
    limits: Callable[[object], Limits | None],
    is_wanted: Callable[[], bool],
) -> Any:
    is_loaded, allowed, watch, answer = False, LOAD_LIMITS, Watch(child.pid), None
    while True:
        item = request.receive(_WATCH_SECONDS)
        if child.is_loaded and not is_loaded:
            is_loaded, allowed, watch = True, limits(None) or LOAD_LIMITS, Watch(child.pid)
        if isinstance(item, Ended):
            if item.error is None:
                return answer
            raise HandlerFailed(item.error) if isinstance(item.error, str) else item.error
        if item is not None:
            answer, allowed = item, limits(item) or allowed
        if not is_wanted():
            raise Unwanted
        watch.check(allowed)
