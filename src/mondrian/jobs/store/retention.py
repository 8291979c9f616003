"""What need not be kept: logs, jobs, photos, idempotency keys."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import psycopg

from mondrian.database.postgres import translate_errors
from mondrian.jobs.sql import retention as sql
from mondrian.jobs.store.base import Connected


class Retention(Connected):
    """Removes what need not be kept."""

    def delete_finished(self, owner: str | None = None) -> int:
        """Remove all ended jobs, or those of ``owner``; their photos are then ``discarded``.
        Return how many."""
        [row] = self._run(sql.DELETE_FINISHED, owner=owner)
        return int(row["jobs"])

    def delete_oldest(
        self, max_bytes: int, limit: int | None = None, *, is_trial: bool = False
    ) -> tuple[int, int]:
        """Remove ended jobs, oldest first, until the photos of all jobs fit in ``max_bytes``, but
        not more than ``limit`` jobs, and of no owner who has no more than an equal part; their
        photos are then ``discarded``. In a trial nothing is removed. Return how many jobs, and how
        many bytes their photos have."""
        statement = sql.COUNT_OVERFLOW if is_trial else sql.DELETE_OVERFLOW
        [row] = self._run(statement, max_bytes=max_bytes, limit=limit)
        return row["jobs"], row["bytes"]

    def find_abandoned(self, limit: int) -> list[UUID]:
        """Return the jobs that have been pending for a day, the first ``limit`` of them."""
        return [row["id"] for row in self._run(sql.ABANDONED, limit=limit)]

    def expect_photo(self, photo_key: str) -> None:
        """A photo will be stored. If no job is added that has it, it is ``discarded`` in a day."""
        self._run(sql.EXPECT_PHOTO, photo_key=photo_key)

    def discarded(self) -> list[str]:
        """The keys of photos that have no job, or no longer, and are still to be deleted."""
        return [row["photo_key"] for row in self._run(sql.DISCARDED)]

    def forget_discarded(self, *photo_keys: str) -> None:
        """The photos are deleted."""
        self._run(sql.FORGET_DISCARDED, photo_keys=list(photo_keys))

    def prune(
        self, days: float, limit: int | None = None, *, is_trial: bool = False
    ) -> tuple[int, int]:
        """Remove the events of jobs that ended so long ago, but for the closing ones, of not more
        than ``limit`` jobs. The jobs and their reports stay, and ``pruned_seq`` tells what is gone.
        In a trial nothing is removed. Returns how many jobs, and how many events."""
        statement = sql.COUNT_OLD if is_trial else sql.PRUNE
        [row] = self._run(statement, seconds=days * 86_400, limit=limit)
        return row["jobs"], row["events"]

    def forget_old(self) -> None:
        """Forget the idempotency keys that are older than 24 hours, the workers that were not heard
        of for a week, and the turns of owners for whom nothing waits (two round trips)."""
        self._run(sql.FORGET_OLD)
        self._run(sql.CLEAR_TURNS)

    @contextmanager
    def alone(self, lock: int) -> Iterator[bool]:
        """Whether no other process is in such a ``with``, which then holds for its time. It takes
        one connection, with a transaction that does nothing else: a lock of the session would stay
        behind in a pooler."""
        with translate_errors(), self._pool.connection() as connection:
            connection.execute("BEGIN")
            [row] = connection.execute(sql.TRY_LOCK, {"lock": lock}).fetchall()
            try:
                yield row["is_ours"]
            finally:
                with suppress(psycopg.OperationalError):  # it goes with its connection too
                    connection.execute("ROLLBACK")
