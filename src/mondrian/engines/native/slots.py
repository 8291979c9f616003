"""Assign an engine's slots to requests, first come, first served."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class Turn:
    """One request's place in the queue. If ``alone``, it begins when nothing else is running, and
    nothing else begins until it ends."""

    alone: bool


class Turns:
    """The queue of one engine. ``may_share`` returns whether more than one request may run now; it
    is called each time."""

    def __init__(self, slots: int, may_share: Callable[[], bool]) -> None:
        self._slots = slots
        self._may_share = may_share
        self._changed = threading.Condition()
        self._waiting: deque[Turn] = deque()
        self._under_way: list[Turn] = []

    def enqueue(self, *, alone: bool) -> Turn:
        """Append a turn to the queue and return it. ``end`` releases it, begun or not."""
        turn = Turn(alone)
        with self._changed:
            self._waiting.append(turn)
        return turn

    def begin(self, turn: Turn, timeout_seconds: float) -> bool:
        """Wait for a slot and begin ``turn``. Return whether it began in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._may_begin(turn), timeout_seconds):
                return False
            self._waiting.popleft()
            self._under_way.append(turn)
            self._changed.notify_all()
            return True

    def end(self, turn: Turn) -> None:
        """Release the turn's slot, or its place in the queue."""
        with self._changed:
            (self._under_way if turn in self._under_way else self._waiting).remove(turn)
            self._changed.notify_all()

    @property
    def is_reserved(self) -> bool:
        """Whether the request under way has the engine to itself."""
        with self._changed:
            return any(turn.alone for turn in self._under_way)

    def _may_begin(self, turn: Turn) -> bool:
        if self._waiting[0] is not turn:
            return False
        if not self._under_way:
            return True
        is_room = len(self._under_way) < self._slots
        is_alone = turn.alone or self._under_way[0].alone
        return is_room and not is_alone and self._may_share()
