"""Removal of old logs, jobs, photos and idempotency keys."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import psycopg

from mondrian.database.postgres import translate_errors
from mondrian.jobs.sql import retention as sql
from mondrian.jobs.store.base import Connected


class Retention(Connected):
    """Remove what is no longer kept."""

    def delete_finished(self, owner: str | None = None) -> int:
        """Remove all ended jobs, or those of ``owner``, and discard their photos. Return how many
        jobs."""
        [row] = self._run(sql.DELETE_FINISHED, owner=owner)
        return int(row["jobs"])

    def delete_oldest(
        self, max_bytes: int, limit: int | None = None, *, is_trial: bool = False
    ) -> tuple[int, int]:
        """Remove the oldest ended jobs, at most ``limit``, until the photos of all jobs fit in
        ``max_bytes``, and discard their photos. Owners below an equal share lose none. A trial
        removes nothing. Return the number of jobs and the bytes of their photos."""
        statement = sql.COUNT_OVERFLOW if is_trial else sql.DELETE_OVERFLOW
        [row] = self._run(statement, max_bytes=max_bytes, limit=limit)
        return row["jobs"], row["bytes"]

    def find_abandoned(self, limit: int) -> list[UUID]:
        """Return the jobs that have been pending for a day, the first ``limit`` of them."""
        return [row["id"] for row in self._run(sql.ABANDONED, limit=limit)]

    def expect_photo(self, photo_key: str) -> None:
        """Record that a photo will be stored. It is discarded after a day without a job."""
        self._run(sql.EXPECT_PHOTO, photo_key=photo_key)

    def list_discarded(self) -> list[str]:
        """Return the keys of photos without a job that are still to be deleted."""
        return [row["photo_key"] for row in self._run(sql.DISCARDED)]

    def forget_discarded(self, *photo_keys: str) -> None:
        """Record that the photos are deleted."""
        self._run(sql.FORGET_DISCARDED, photo_keys=list(photo_keys))

    def prune(
        self, days: float, limit: int | None = None, *, is_trial: bool = False
    ) -> tuple[int, int]:
        """Remove the events, except the closing ones, of at most ``limit`` jobs that ended over
        ``days`` ago. The jobs and their reports stay; ``pruned_seq`` is the last event removed. A
        trial removes nothing. Return the numbers of jobs and events."""
        statement = sql.COUNT_OLD if is_trial else sql.PRUNE
        [row] = self._run(statement, seconds=days * 86_400, limit=limit)
        return row["jobs"], row["events"]

    def forget_old(self) -> None:
        """Forget the idempotency keys that are older than 24 hours, the workers that were not heard
        of for a week, and the turns of owners for whom nothing waits (two round trips)."""
        self._run(sql.FORGET_OLD)
        self._run(sql.CLEAR_TURNS)

    @contextmanager
    def try_lock(self, lock: int) -> Iterator[bool]:
        """Try to take the advisory ``lock`` for the time of the ``with``; yield whether it was
        free.

        It takes one connection with a transaction that does nothing else: behind a pooler a lock of
        the session would not be released.
        """
        with translate_errors(), self._pool.connection() as connection:
            connection.execute("BEGIN")
            [row] = connection.execute(sql.TRY_LOCK, {"lock": lock}).fetchall()
            try:
                yield row["is_ours"]
            finally:
                with suppress(psycopg.OperationalError):  # it goes with its connection too
                    connection.execute("ROLLBACK")
