"""Claims: taking, holding and losing them, over two real connections or more."""

from uuid import UUID

import pytest

from mondrian.database.postgres import Pool
from mondrian.errors import AttemptSuperseded
from mondrian.jobs.job import MAX_ATTEMPTS, Claim, Status
from mondrian.jobs.queue import Place, Queue
from mondrian.jobs.store import Store
from support.store import FAILED, LEASE, at_once, claim_new, expire, log, new_job, statuses, token


def test_no_job_is_claimed_twice(store: Store) -> None:
    jobs = {store.add(new_job()).id for _ in range(60)}

    def claim_all() -> list[UUID]:
        return [claim.job.id for claim in iter(lambda: store.claim("worker", LEASE), None)]

    found = [job for claims in at_once(*[claim_all] * 4) for job in claims]  # type: ignore[union-attr]
    assert len(found) == len(jobs)
    assert set(found) == jobs


def test_claim_is_logged_and_held(store: Store) -> None:
    claim = claim_new(store)
    assert (claim.attempt, claim.job.status) == (1, Status.PROCESSING)
    assert claim.job.claimed_by == "worker"
    assert statuses(store, claim.job.id) == ["queued", "processing"]


def test_one_owners_hundred_do_not_hold_up_anothers_first(store: Store) -> None:
    for _ in range(100):
        store.add(new_job("anna"))
    store.claim("worker", LEASE)
    first, second = store.add(new_job("ben")), store.add(new_job("ben"))
    assert Queue(store).read_places().get(first.id) == Place(1, None)
    owners = [store.claim("worker", LEASE).job.owner for _ in range(5)]  # type: ignore[union-attr]
    assert owners == ["ben", "anna", "ben", "anna", "anna"]
    assert store.read(second.id).status is Status.PROCESSING


def test_owner_served_least_recently_goes_first(store: Store) -> None:
    for owner in ("anna", "anna", "ben", "ben", "cleo"):
        store.add(new_job(owner))
    served = []
    while claim := store.claim("worker", LEASE):
        store.finish(claim)
        served.append(claim.job.owner)
    assert served == ["anna", "ben", "cleo", "anna", "ben"]


def test_lost_job_gets_a_new_attempt_before_all_others(store: Store, pool: Pool) -> None:
    lost = claim_new(store)
    store.append(lost, [token(lost, "void")], status=Status.ANALYZING, progress=60)
    store.add(new_job("ben"))
    expire(pool, lost)
    assert store.claim("other", LEASE, take_over=False).job.owner == "ben"  # type: ignore[union-attr]
    again = store.claim("other", LEASE)
    assert again is not None
    assert (again.job.id, again.attempt, again.job.progress) == (lost.job.id, 2, 0)
    assert [name for name, _ in log(store, lost.job.id)][-3:] == [
        "attempt", "status_update", "status_update"
    ]  # fmt: skip
    assert statuses(store, lost.job.id)[-2:] == ["queued", "processing"]
    assert store.read_snapshot(lost.job.id).texts == {}


def test_renewed_lease_is_not_taken_over(store: Store, pool: Pool) -> None:
    claim = claim_new(store)
    expire(pool, claim)
    assert store.renew([claim], LEASE) == {claim.job.id}
    assert store.claim("other", LEASE) is None


def test_lost_three_times_the_job_fails_and_keeps_its_text(store: Store, pool: Pool) -> None:
    claim: Claim | None = claim_new(store)
    for _ in range(MAX_ATTEMPTS):
        assert claim is not None
        store.append(claim, [token(claim, "so far")])
        expire(pool, last := claim)
        claim = store.claim("worker", LEASE)
    assert claim is None
    job = store.read(last.job.id)
    assert (job.status, job.failures) == (Status.ERROR, MAX_ATTEMPTS)
    assert job.error is not None
    entries = log(store, job.id)
    assert [name for name, _ in entries][-3:] == ["status_update", "error", "done"]
    assert entries[-2][1]["error"] == job.error
    assert store.read_snapshot(job.id).texts == {"ansel": "so far"}


def test_retry_keeps_the_worker_and_gives_up_in_the_end(store: Store) -> None:
    first = claim_new(store)
    second = store.retry(first, LEASE, "engine crashed", FAILED)
    assert second is not None
    assert (second.attempt, second.job.claimed_by) == (2, "worker")
    with pytest.raises(AttemptSuperseded):
        store.retry(first, LEASE, "engine crashed", FAILED)
    third = store.retry(second, LEASE, "engine crashed", FAILED)
    assert third is not None
    assert store.retry(third, LEASE, "engine crashed", FAILED) is None
    assert store.read(first.job.id).error == FAILED
    reasons = [p["reason"] for name, p in log(store, first.job.id) if name == "attempt"]
    assert reasons == ["engine crashed", "engine crashed"]


def test_hand_back_counts_no_failure_and_is_announced(store: Store) -> None:
    claim = claim_new(store)
    for attempt in range(2, 2 + MAX_ATTEMPTS + 1):
        store.release(claim)
        assert log(store, claim.job.id)[-2][1]["attempt"] == attempt
        again = store.claim("other", LEASE)
        assert again is not None
        claim = again
        assert (claim.attempt, claim.job.failures) == (attempt, 0)
