"""Rate limits for each owner."""

import time
from collections import OrderedDict
from collections.abc import Callable

_MAX_OWNERS = 10_000


class Rate:
    """A token bucket for each owner: ``per_second`` times on average, ``burst`` times at once.

    Of more than 10,000 owners the least recently active are dropped.
    """

    def __init__(
        self, per_second: float, burst: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, owner: str) -> bool:
        """Return whether ``owner`` is within the limit, and count this use."""
        now = self._now()
        left, before = self._left.pop(owner, (float(self._burst), now))
        left = min(float(self._burst), left + (now - before) * self._per_second)
        is_free = left >= 1
        self._left[owner] = (left - is_free, now)
        if len(self._left) > _MAX_OWNERS:
            self._left.popitem(last=False)
        return is_free
