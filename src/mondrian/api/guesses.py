"""Wrong keys: each is counted and logged, and who sends many waits longer for each answer."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

FREE = 5
"""So many wrong keys in a row are answered at once: people mistype."""

MAX_SECONDS = 5.0
_FIRST_SECONDS = 0.25
_FORGET_SECONDS = 600.0
_MAX_NETWORKS = 10_000

_log = logging.getLogger(__name__)


def network(address: str) -> str:
    """Return what one client has of addresses: itself, or for IPv6 its network of 64 bits."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ip_network((found, 64), strict=False).network_address)
    return str(found)


class Tally:
    """Counts what clients do, by their network; forgets those that have been quiet for ten
    minutes, and the quietest of more than 10,000."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._now = now

    def add(self, address: str) -> int:
        """Count one more, and return how many there were."""
        key = network(address)
        count, last = self._counts.pop(key, (0, 0.0))
        count = 1 if self._now() - last > _FORGET_SECONDS else count + 1
        self._counts[key] = (count, self._now())
        if len(self._counts) > _MAX_NETWORKS:
            self._counts.popitem(last=False)
        return count


class Guesses:
    """Slows clients that guess keys. Right keys are never slowed, also beside guesses."""

    def __init__(self) -> None:
        self.count = 0
        self._tally = Tally()

    async def slow(self, address: str) -> None:
        """Count a wrong key from ``address``, log the first of ten times as many, and wait."""
        self.count += 1
        wrong = self._tally.add(address)
        if str(wrong).strip("0") == "1":
            _log.warning("wrong key from %s, for the %s. time", network(address), wrong)
        await asyncio.sleep(pause(wrong))


def pause(wrong: int) -> float:
    """Return the seconds to wait at the n-th wrong key in a row."""
    return 0.0 if wrong <= FREE else min(MAX_SECONDS, _FIRST_SECONDS * 2.0 ** (wrong - FREE - 1))
