"""The queue: claim, renew, retry and release jobs, and list waiting and running ones."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from mondrian.errors import AttemptSuperseded
from mondrian.jobs.job import Claim
from mondrian.jobs.sql import claims as sql
from mondrian.jobs.store.base import Connected, clean, clean_error, identify, read_job

LOST = "The worker was lost while it worked at this photo, three times. Upload the photo again."


class Waiting(NamedTuple):
    """The queued jobs of an owner, oldest first: their ``ids``, of 16 bytes each, and the
    ``advisors`` of each, separated by commas. (There may be a hundred thousand jobs.)"""

    owner: str
    ids: Sequence[bytes]
    advisors: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A running job. ``latest_update`` is the payload of this attempt's newest update, if there is
    one, and ``update_seconds_ago`` its age, or else the time since the job was first claimed."""

    id: UUID
    owner: str
    advisors: tuple[str, ...]
    is_lost: bool
    latest_update: str | None
    update_seconds_ago: float


class Claims(Connected):
    """The claims on queued jobs."""

    def claim(self, worker: str, lease_seconds: float, *, take_over: bool = True) -> Claim | None:
        """Claim the next job, if there is one. No two claims get the same attempt of a job.

        Jobs whose lease expired come first (unless ``take_over`` is false: after a machine's sleep
        its other workers have had no chance to renew). Then the owner with the fewest running jobs
        is served, of these the one served least recently, with its oldest job. A reclaimed job gets
        a new attempt, with its events; at its third failure it ends with an error (one more round
        trip each).
        """
        while True:
            error = {"code": "worker_lost", "message": LOST, "retryable": True}
            claim = self._claim(
                sql.CLAIM, worker, lease_seconds, "worker lost", error, take_over=take_over
            )
            if claim is None or not claim.job.is_ended:
                return claim

    def retry(
        self,
        claim: Claim,
        lease_seconds: float,
        reason: str,
        error: Mapping[str, Any],
        *,
        is_suspect: bool = False,
    ) -> Claim | None:
        """Begin the next attempt of a job whose engine failed, on the same worker.

        With ``is_suspect`` the job is a suspected poison job from now on, on every worker. At the
        third failure the job ends with ``error`` (code, message, retryable) instead, and keeps its
        text; return ``None`` then. Raise ``AttemptSuperseded``.
        """
        next_claim = self._claim(
            sql.RETRY,
            claim.worker,
            lease_seconds,
            reason,
            error,
            is_suspect=is_suspect,
            **identify(claim),
        )
        if next_claim is None:
            raise AttemptSuperseded
        return None if next_claim.job.is_ended else next_claim

    def renew(self, claims: Collection[Claim], lease_seconds: float) -> set[UUID]:
        """Renew the claims for ``lease_seconds`` from now where a third of the lease is over.
        Return the jobs that are still held; the other claims are lost."""
        rows = self._run(
            sql.RENEW,
            ids=[claim.job.id for claim in claims],
            attempts=[claim.attempt for claim in claims],
            lease_seconds=lease_seconds,
        )
        return {row["id"] for row in rows}

    def release(self, claim: Claim) -> None:
        """Queue the job again in its old place without counting a failure, and wake another worker.

        The event of its next attempt is logged in the same statement (rule 4). Raise
        ``AttemptSuperseded``.
        """
        if not self._change(sql.RELEASE, **identify(claim)):
            raise AttemptSuperseded

    def give_to_others(self, claim: Claim, reason: str) -> bool:
        """Queue the job again for another worker without counting a failure. Return whether there
        is one: alive, not draining, and without a failure at this job. (If this attempt is
        superseded, return false.)"""
        parameters = {"worker": claim.worker, "reason": clean(reason), **identify(claim)}
        return bool(self._change(sql.GIVE_TO_OTHERS, **parameters))

    def list_waiting(self) -> list[Waiting]:
        """Return the queued jobs of each owner, in the order of their turns: of two owners with as
        many running jobs, the former is served first."""
        return [
            Waiting(row["owner"], _split(row["ids"]), row["advisors"].split(" "))
            for row in self._run(sql.WAITING, is_binary=True)
        ]

    def list_running(self) -> list[Running]:
        """Return the jobs that have a worker or lost it, in the order in which they began."""
        return [
            Running(**row | {"advisors": tuple(row["advisors"])})
            for row in self._run(sql.RUNNING_JOBS)
        ]

    def _claim(
        self,
        statement: bytes,
        worker: str,
        lease_seconds: float,
        reason: str,
        error: Mapping[str, Any],
        **more: Any,
    ) -> Claim | None:
        rows = self._change(
            statement,
            worker=worker,
            lease_seconds=lease_seconds,
            reason=clean(reason),
            error=json.dumps(clean_error(error)),
            **more,
        )
        if not rows:
            return None
        is_takeover = statement is sql.CLAIM and rows[0]["is_again"]
        return Claim(job=read_job(rows[0]), worker=worker, is_takeover=is_takeover)


def _split(ids: bytes) -> list[bytes]:
    return [ids[start : start + 16] for start in range(0, len(ids), 16)]
