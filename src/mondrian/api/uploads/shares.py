"""Room for uploads: refused before anybody else's photo has to go."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mondrian.errors import QuotaExceeded, TooManyRequests
from mondrian.jobs.store import Store
from mondrian.settings import Settings

_OPEN_SHARE = 4
"""On an open server one owner may have this part of the quota: a fourth."""


class Shares:
    """How much of the quota is taken, with what is being stored at this moment in this process."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._quota = settings.quota
        self._share = settings.share or find_share(settings)
        self._max_waiting = settings.waiting_per_owner
        self._lock = threading.Lock()
        self._bytes: Counter[str] = Counter()
        self._jobs: Counter[str] = Counter()

    @contextmanager
    def taken(self, owner: str, size: int) -> Iterator[None]:
        """Hold room for a job of ``owner`` whose photo has ``size`` bytes, until it is stored.

        Raise ``QuotaExceeded`` or ``TooManyRequests`` where there is none.
        """
        held_jobs, held_own, held_bytes = self._hold(owner, size)
        try:
            self._check_waiting(owner, held_jobs)
            if self._quota is not None:
                self._check_bytes(owner, self._quota, held_own, held_bytes)
            yield
        finally:
            self._release(owner, size)

    # What is held counts before the database is asked: what another request stores meanwhile is
    # found in one of both.

    def _hold(self, owner: str, size: int) -> tuple[int, int, int]:
        with self._lock:
            self._bytes[owner] += size
            self._jobs[owner] += 1
            return self._jobs[owner], self._bytes[owner], self._bytes.total()

    def _release(self, owner: str, size: int) -> None:
        with self._lock:
            self._bytes[owner] -= size
            self._jobs[owner] -= 1
            if not self._jobs[owner]:
                del self._bytes[owner], self._jobs[owner]

    def _check_waiting(self, owner: str, held: int) -> None:
        waiting = self._store.count_waiting(owner, self._max_waiting)
        if waiting + held > self._max_waiting:
            raise TooManyRequests(
                f"{waiting} of your photos wait already. Send more when some are critiqued, or "
                "cancel some."
            )

    def _check_bytes(self, owner: str, quota: int, held_own: int, held: int) -> None:
        used = self._store.read_usage(owner)
        if used.all_bytes + held > quota:
            raise QuotaExceeded
        if used.own_bytes + held_own > (self._share or quota):
            raise QuotaExceeded(
                "Your share of the room for photos is full. Delete some of your critiques, or ask "
                "the server's operator for a larger share."
            )


def find_share(settings: Settings) -> int | None:
    """Return how many bytes one owner may have where no share was set: all, where there is one
    owner; with several keys each its part, on an open server a fourth."""
    if settings.quota is None:
        return None
    if keys := len(settings.keys):
        return settings.quota // keys
    return settings.quota // _OPEN_SHARE if settings.open else int(settings.quota)
