"""Make calls of several threads together.

A commit costs a round trip and a flush of the disk, whatever it writes. So a write is made at once
if no other is being made, and otherwise waits for those that are, to be made in one statement with
all that wait. The threads make them themselves: the first that waits is the next to do so.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 64
"""The most calls that are made together."""


@dataclass(eq=False, slots=True)
class _Call(Generic[T, R]):
    """One thread's call. ``turn`` is released when it is answered, or is to make those that wait;
    ``answer`` holds its result."""

    key: Hashable
    value: T
    turn: threading.Lock = field(default_factory=threading.Lock)
    answer: list[R] = field(default_factory=list)
    error: BaseException | None = None


class Gatherer(Generic[T, R]):
    """Calls of ``run``, which returns a result for each of the values that it is given.

    No two of them have the same key: those of one key are made one after the other, in their order.
    An error of ``run`` is raised by each of the calls that were made together. Thread-safe.
    """

    def __init__(self, run: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._waiting: list[_Call[T, R]] = []
        self._is_running = False

    def call(self, key: Hashable, value: T) -> R:
        """Return the result for ``value``, from ``run`` in this thread or in another."""
        with self._lock:
            call = _Call[T, R](key, value) if self._is_running else None
            if call:
                call.turn.acquire()
                self._waiting.append(call)
            self._is_running = True
        if call is None:
            try:
                return self._run([value])[0]
            finally:
                self._pass_on()
        call.turn.acquire()
        if not call.answer and call.error is None:
            self._run_waiting(call)
        if call.error is not None:
            raise call.error
        return call.answer[0]

    def _run_waiting(self, own: _Call[T, R]) -> None:
        """Make the calls that wait, ``own`` first."""
        with self._lock:
            of_key = dict[Hashable, _Call[T, R]]()
            for call in self._waiting[:MOST]:
                of_key.setdefault(call.key, call)
            calls = list(of_key.values())
            self._waiting = [call for call in self._waiting if call not in calls]
        try:
            results = self._run([call.value for call in calls])
            for call, result in zip(calls, results, strict=True):
                call.answer.append(result)
        except BaseException as exc:
            for call in calls:
                call.error = exc
        finally:
            self._pass_on()
            for call in calls:
                if call is not own:
                    call.turn.release()

    def _pass_on(self) -> None:
        """Let the next thread make the calls that have come meanwhile."""
        with self._lock:
            following = self._waiting[:1]
            self._is_running = bool(following)
        for call in following:
            call.turn.release()
