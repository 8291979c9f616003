"""Jobs and claims for tests of the store, and what holds of every log."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar
from uuid import UUID, uuid4

from mondrian.database.postgres import Pool
from mondrian.jobs.job import ENDED, Claim, Entry, EventType, Job, Status
from mondrian.jobs.store import Store

MOVES: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.QUEUED: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.ANALYZING, Status.FINALIZING, Status.QUEUED}) | ENDED,
    Status.ANALYZING: frozenset({Status.FINALIZING, Status.QUEUED}) | ENDED,
    Status.FINALIZING: frozenset({Status.QUEUED}) | ENDED,
    Status.DONE: frozenset(),
    Status.ERROR: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""From each status, those that may follow. A move from a running one to ``queued`` happens only
together with an ``attempt`` event, which says that older text is void."""

LEASE = 60.0
FAILED = {"code": "engine_crashed", "message": "The engine crashed.", "retryable": True}

T = TypeVar("T")


def new_job(owner: str = "anna", **fields: Any) -> Job:
    fields = {"advisors": ("ansel", "okeefe"), "base_url": "http://host:5005"} | fields
    return Job(id=uuid4(), owner=owner, filename="p.jpg", photo_key=f"{uuid4()}.jpg", **fields)


def claim_new(store: Store, **fields: Any) -> Claim:
    job = store.add(new_job(**fields))
    claim = store.claim("worker", LEASE)
    assert claim is not None
    assert claim.job.id == job.id
    return claim


def token(claim: Claim, text: str, advisor: str = "ansel") -> Entry:
    return Entry(
        EventType.TOKEN, {"advisor": advisor, "text": text, "offset": 0, "attempt": claim.attempt}
    )


def log(store: Store, job_id: UUID) -> list[tuple[str, Any]]:
    """Types and payloads, after checking what holds of every log."""
    events = store.read_events(job_id, 0)
    assert [event.seq for event in events] == list(range(1, store.read(job_id).last_seq + 1))
    payloads = [json.loads(event.payload) for event in events]
    for event, payload in zip(events, payloads, strict=True):
        assert (payload["type"], payload["job_id"]) == (event.type, str(job_id))
    check_moves(
        [(EventType(event.type), payload) for event, payload in zip(events, payloads, strict=True)]
    )
    return [(event.type, payload) for event, payload in zip(events, payloads, strict=True)]


def check_moves(entries: Sequence[tuple[EventType, Any]]) -> None:
    status: Status | None = None
    was_raised = False
    for name, payload in entries:
        if name is EventType.STATUS_UPDATE:
            following = Status(payload["job_data"]["status"])
            if status not in (None, following):
                assert following in MOVES[status]
                assert following is not Status.QUEUED or was_raised or status is Status.PENDING
            status, was_raised = following, False
        was_raised = was_raised or name is EventType.ATTEMPT


def statuses(store: Store, job_id: UUID) -> list[str]:
    return [p["job_data"]["status"] for name, p in log(store, job_id) if name == "status_update"]


def expire(pool: Pool, claim: Claim) -> None:
    with pool.connection() as connection:
        connection.execute("UPDATE jobs SET lease_until = now() WHERE id = %s", (claim.job.id,))


def at_once(*calls: Callable[[], T]) -> list[T | Exception]:
    """What the calls return or raise, begun together in threads."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T | Exception:
        barrier.wait()
        try:
            return call()
        except Exception as exc:
            return exc

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def working(store: Store, pool: Pool, jobs: int) -> list[Claim]:
    """So many claims at once, without the round trips."""
    first = claim_new(store)
    with pool.connection() as connection:
        connection.execute(
            """WITH copies AS (
                INSERT INTO jobs SELECT (jsonb_populate_record(
                    jobs, jsonb_build_object('id', gen_random_uuid()))).*
                FROM jobs, generate_series(2, %s) RETURNING id
            ) INSERT INTO events (job_id, seq, type, attempt, payload)
            SELECT copies.id, seq, type, attempt, replace(payload, %s, copies.id::text)
            FROM copies, events""",
            (jobs, str(first.job.id)),
        )
    return [Claim(job=job, worker="worker") for job in store.list_jobs(jobs)]
