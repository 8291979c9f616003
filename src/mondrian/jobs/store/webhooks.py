"""Webhooks: the receivers of a job's end, and the state of their deliveries."""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from mondrian.jobs.sql import webhooks as sql
from mondrian.jobs.store.base import Connected, clean


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A receiver of a job's end. ``base_url`` goes before the paths in the message (empty: the
    server's own URL); ``is_callback`` is true if the uploader named it, not the operator."""

    url: str
    host: str
    base_url: str = ""
    is_callback: bool = True


class Delivery(NamedTuple):
    """A claimed webhook: attempt ``attempts`` to tell ``url``, on ``host``, that ``job_id`` has
    ended."""

    id: UUID
    job_id: UUID
    url: str
    host: str
    base_url: str
    is_callback: bool
    attempts: int


class Callback(NamedTuple):
    """A job's own webhook, as its uploader sees it. ``status`` is ``waiting``, ``delivered`` or
    ``failed``, ``outcome`` what came of the last attempt."""

    url: str
    base_url: str
    status: str
    attempts: int
    outcome: str


class Webhooks(Connected):
    """The webhooks of all jobs."""

    def claim_webhook(self, lease_seconds: float) -> Delivery | None:
        """Return a webhook that is due, of a job that has ended, for no other caller until so many
        seconds have passed; ``None`` if there is none."""
        rows = self._run(sql.CLAIM_WEBHOOK, lease_seconds=lease_seconds)
        return Delivery(**rows[0]) if rows else None

    def finish_webhook(
        self, delivery: Delivery, status: str, outcome: str, delay_seconds: float = 0.0
    ) -> None:
        """Note what came of an attempt, and when the next is due if it is still ``waiting``."""
        self._run(
            sql.FINISH_WEBHOOK,
            id=delivery.id,
            attempt=delivery.attempts,
            status=status,
            outcome=clean(outcome),
            delay_seconds=delay_seconds,
        )

    def list_callbacks(self, job_id: UUID) -> list[Callback]:
        """Return the webhooks that the uploader of a job asked for."""
        return [Callback(**row) for row in self._run(sql.CALLBACKS, id=job_id)]

    def count_webhooks(self) -> dict[str, int]:
        """Return how many webhooks are ``waiting`` (for their job too) and how many ``failed``."""
        found = {row["status"]: row["webhooks"] for row in self._run(sql.COUNT_WEBHOOKS)}
        return {status: found.get(status, 0) for status in ("waiting", "failed")}
