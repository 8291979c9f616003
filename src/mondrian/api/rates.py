"""How often one owner may do something."""

import time
from collections import OrderedDict
from collections.abc import Callable

_MAX_OWNERS = 10_000


class Rate:
    """Lets each owner do something ``per_second`` times on average, ``burst`` times at once.

    (A token bucket. Of more than 10,000 owners the quietest are forgotten.)
    """

    def __init__(
        self, per_second: float, burst: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, owner: str) -> bool:
        """Return whether ``owner`` may do it once more, now."""
        now = self._now()
        left, before = self._left.pop(owner, (float(self._burst), now))
        left = min(float(self._burst), left + (now - before) * self._per_second)
        is_free = left >= 1
        self._left[owner] = (left - is_free, now)
        if len(self._left) > _MAX_OWNERS:
            self._left.popitem(last=False)
        return is_free
