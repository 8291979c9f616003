"""Quotas of uploads: rejected before another owner's photo has to be deleted."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mondrian.errors import QuotaExceeded, TooManyRequests
from mondrian.jobs.store import Store
from mondrian.settings import Settings

_OPEN_SHARE = 4
"""The divisor of the quota for one owner of an open server: a fourth."""


class Shares:
    """The use of the quota, including uploads that this process is storing."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._quota = settings.quota
        self._share = settings.share or find_share(settings)
        self._max_waiting = settings.waiting_per_owner
        self._lock = threading.Lock()
        self._bytes: Counter[str] = Counter()
        self._jobs: Counter[str] = Counter()

    @contextmanager
    def reserve(self, owner: str, size: int) -> Iterator[None]:
        """Reserve quota for a job of ``owner`` with a photo of ``size`` bytes, until it is stored.

        Raise ``QuotaExceeded`` or ``TooManyRequests``.
        """
        held_jobs, held_own, held_bytes = self._add(owner, size)
        try:
            self._check_waiting(owner, held_jobs)
            if self._quota is not None:
                self._check_bytes(owner, self._quota, held_own, held_bytes)
            yield
        finally:
            self._remove(owner, size)

    # Reservations are counted before the database is queried, so that a concurrent upload is
    # found in at least one of both.

    def _add(self, owner: str, size: int) -> tuple[int, int, int]:
        with self._lock:
            self._bytes[owner] += size
            self._jobs[owner] += 1
            return self._jobs[owner], self._bytes[owner], self._bytes.total()

    def _remove(self, owner: str, size: int) -> None:
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
    """Return the bytes that one owner may use if no share is set: an equal part for each key, a
    fourth on an open server, else the whole quota. ``None`` without a quota."""
    if settings.quota is None:
        return None
    if keys := len(settings.keys):
        return settings.quota // keys
    return settings.quota // _OPEN_SHARE if settings.open else int(settings.quota)
