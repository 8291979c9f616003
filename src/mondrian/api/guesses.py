"""Wrong keys: counted, logged, and throttled with a growing delay."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

FREE = 5
"""Wrong keys in a row that are answered without delay: people mistype."""

MAX_SECONDS = 5.0
_FIRST_SECONDS = 0.25
_FORGET_SECONDS = 600.0
_MAX_NETWORKS = 10_000

_log = logging.getLogger(__name__)


def find_network(address: str) -> str:
    """Return the network of one client: its IPv4 address, or its IPv6 /64."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ip_network((found, 64), strict=False).network_address)
    return str(found)


class Tally:
    """Counts events by client network; drops those idle for ten minutes, and the least recently
    active of more than 10,000."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._now = now

    def add(self, address: str) -> int:
        """Count one event, and return the count."""
        key = find_network(address)
        count, last = self._counts.pop(key, (0, 0.0))
        count = 1 if self._now() - last > _FORGET_SECONDS else count + 1
        self._counts[key] = (count, self._now())
        if len(self._counts) > _MAX_NETWORKS:
            self._counts.popitem(last=False)
        return count


class Guesses:
    """Throttles clients that guess keys. Valid keys are never delayed."""

    def __init__(self) -> None:
        self.count = 0
        self._tally = Tally()

    async def slow(self, address: str) -> None:
        """Count a wrong key from ``address``, log the 1st, 10th, 100th, …, and wait."""
        self.count += 1
        wrong = self._tally.add(address)
        if str(wrong).strip("0") == "1":
            _log.warning("wrong key from %s, for the %s. time", find_network(address), wrong)
        await asyncio.sleep(compute_delay(wrong))


def compute_delay(wrong: int) -> float:
    """Return the delay in seconds after the n-th wrong key in a row, 0 to 5."""
    return 0.0 if wrong <= FREE else min(MAX_SECONDS, _FIRST_SECONDS * 2.0 ** (wrong - FREE - 1))
