"""Whose turn it is at an engine: first come, first served, as many at once as there are slots."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class Turn:
    """One request's place. One that wants to be ``alone`` begins when nothing else is under way,
    and while it lasts nothing else begins."""

    alone: bool


class Turns:
    """The turns at one engine. ``may_share`` tells whether more than one may be under way now; it
    is asked anew each time."""

    def __init__(self, slots: int, may_share: Callable[[], bool]) -> None:
        self._slots = slots
        self._may_share = may_share
        self._changed = threading.Condition()
        self._waiting: deque[Turn] = deque()
        self._under_way: list[Turn] = []

    def ask(self, *, alone: bool) -> Turn:
        """Take a place at the end of the queue. ``end`` gives it up, begun or not."""
        turn = Turn(alone)
        with self._changed:
            self._waiting.append(turn)
        return turn

    def begin(self, turn: Turn, timeout_seconds: float) -> bool:
        """Begin ``turn`` as soon as may be. Returns whether it could in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._may_begin(turn), timeout_seconds):
                return False
            self._waiting.popleft()
            self._under_way.append(turn)
            self._changed.notify_all()
            return True

    def end(self, turn: Turn) -> None:
        """Let the next begin."""
        with self._changed:
            (self._under_way if turn in self._under_way else self._waiting).remove(turn)
            self._changed.notify_all()

    def _may_begin(self, turn: Turn) -> bool:
        if self._waiting[0] is not turn:
            return False
        if not self._under_way:
            return True
        is_room = len(self._under_way) < self._slots
        is_alone = turn.alone or self._under_way[0].alone
        return is_room and not is_alone and self._may_share()
