"""SIGTERM and SIGINT: the first one begins to leave, those after it change nothing."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(kw_only=True, slots=True)
class Leaving:
    """What the first signal begins: at first to exit, as soon as may be."""

    begin: Callable[[], Any] = sys.exit
    is_asked: bool = False

    def __call__(self, number: int, frame: object) -> None:
        """Take the signal."""
        if not self.is_asked:
            self.is_asked = True
            self.begin()


@contextmanager
def leaving_by_signal() -> Iterator[Leaving]:
    """The signals are ours for the time of the ``with``."""
    leaving = Leaving()
    before = {each: signal.signal(each, leaving) for each in _SIGNALS}
    try:
        yield leaving
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
