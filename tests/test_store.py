"""Each guarantee of the store, over two real connections or more."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest

from mondrian.database.postgres import Pool
from mondrian.errors import AttemptSuperseded, JobConflict, JobNotFound
from mondrian.jobs.job import Claim, Entry, EventType, Job, Status
from mondrian.jobs.store import Answer, Store
from support.store import (
    FAILED,
    LEASE,
    at_once,
    claim_new,
    expire,
    log,
    new_job,
    token,
    working,
)

# --- adding


def test_added_job_is_queued_and_its_log_begins(store: Store) -> None:
    job = store.add(new_job())
    assert job == store.read(job.id)
    [(name, payload)] = log(store, job.id)
    assert name == "status_update"
    assert payload["job_data"] | {"status": "queued", "total_advisors": 2} == payload["job_data"]
    assert payload["job_data"]["analysis_url"] == f"http://host:5005/analysis/{job.id}"


def test_pending_job_waits_for_its_start(store: Store) -> None:
    job = store.add(new_job(status=Status.PENDING))
    assert store.claim("worker", LEASE) is None
    assert store.start(job.id).status is Status.QUEUED
    assert store.start(job.id).last_seq == 2
    assert store.claim("worker", LEASE) is not None
    store.cancel(job.id)
    with pytest.raises(JobConflict):
        store.start(job.id)


def test_fifty_adds_with_one_key_make_one_job(store: Store) -> None:
    def add() -> UUID:
        return store.add(new_job(), idempotency_key="key", fingerprint="photo").id

    ids = at_once(*[add] * 50)
    assert len(set(ids)) == 1, ids
    assert len(store.list_jobs()) == 1


def test_key_belongs_to_its_owner_and_its_upload(store: Store) -> None:
    first = store.add(new_job("anna"), idempotency_key="key", fingerprint="photo")
    other = store.add(new_job("ben"), idempotency_key="key", fingerprint="another")
    assert first.id != other.id
    with pytest.raises(JobConflict):
        store.add(new_job("anna"), idempotency_key="key", fingerprint="another")


def test_key_is_forgotten_after_a_day(store: Store, pool: Pool) -> None:
    first = store.add(new_job(), idempotency_key="key", fingerprint="photo")
    with pool.connection() as connection:
        connection.execute("UPDATE idempotency SET created_at = now() - interval '25 hours'")
    second = store.add(new_job(), idempotency_key="key", fingerprint="another")
    assert second.id != first.id
    assert store.add(new_job(), idempotency_key="key", fingerprint="another").id == second.id


# --- the end


def test_end_commits_report_status_and_events_together(store: Store) -> None:
    claim = claim_new(store)
    answers = [
        Answer(advisor="okeefe", report={"grade": "A"}, text="one"),
        Answer(advisor="ansel", report={"grade": "B"}, text="two"),
    ]
    complete = Entry(EventType.ANALYSIS_COMPLETE, {"analysis_html": "<p>"})
    last = store.finish(claim, [complete], reports=answers)
    job = store.read(claim.job.id)
    assert (job.status, job.progress, job.last_seq) == (Status.DONE, 100, last)
    assert store.read_reports(job.id) == answers
    assert [name for name, _ in log(store, job.id)][-3:] == [
        "status_update", "analysis_complete", "done"
    ]  # fmt: skip
    following = store.read_events(job.id, store.read_snapshot(job.id).seq)
    assert [event.type for event in following] == ["analysis_complete", "done"]
    with pytest.raises(AttemptSuperseded):
        store.finish(claim)


def test_failed_job_says_why(store: Store) -> None:
    claim = claim_new(store)
    store.finish(claim, error=FAILED)
    job = store.read(claim.job.id)
    assert (job.status, job.current_step, job.error) == (Status.ERROR, FAILED["message"], FAILED)
    closing = log(store, job.id)[-3:]
    assert [name for name, _ in closing] == ["status_update", "error", "done"]
    assert closing[0][1]["job_data"]["current_step"] == FAILED["message"]
    assert closing[2][1]["status"] == "error"


def test_cancel_ends_a_job_in_any_state_once(store: Store, pool: Pool) -> None:
    running = claim_new(store)
    store.append(running, [token(running, "part")])
    lost = claim_new(store)
    expire(pool, lost)
    queued, pending = store.add(new_job()), store.add(new_job(status=Status.PENDING))
    for job_id in (running.job.id, lost.job.id, queued.id, pending.id):
        assert store.cancel(job_id).status is Status.CANCELLED
        assert store.cancel(job_id) == store.read(job_id)
        assert [name for name, _ in log(store, job_id)][-2:] == ["status_update", "done"]
    assert store.claim("other", LEASE) is None
    assert store.read_snapshot(running.job.id).texts == {"ansel": "part"}
    done = claim_new(store)
    store.finish(done)
    assert store.cancel(done.job.id).status is Status.DONE


def test_a_thousand_races_of_cancel_against_finish_end_once(store: Store, pool: Pool) -> None:
    claims = working(store, pool, 1000)
    barrier = Barrier(2)

    def run(end: Callable[[Claim], Any]) -> Iterator[bool]:
        for claim in claims:
            barrier.wait()
            try:
                end(claim)
                yield True
            except AttemptSuperseded:
                yield False

    def cancel(claim: Claim) -> Job:
        return store.cancel(claim.job.id)

    _, finished = at_once(lambda: list(run(cancel)), lambda: list(run(store.finish)))
    jobs = {job.id: job.status for job in store.list_jobs(limit=2000)}
    wanted = [Status.DONE if won else Status.CANCELLED for won in finished]  # type: ignore[union-attr]
    assert [jobs[claim.job.id] for claim in claims] == wanted
    with pool.connection() as connection:
        ends = connection.execute("SELECT job_id, payload FROM events WHERE type = 'done'")
        told = {row["job_id"]: json.loads(row["payload"])["status"] for row in ends}
        assert ends.rowcount == len(told) == 1000
    assert told == jobs
    assert len(Counter(wanted)) == 2, "one side won every race: they did not race"
    log(store, claims[0].job.id)


# --- reading, removing


def test_unknown_job_is_not_found(store: Store) -> None:
    for ask in (store.read, store.cancel, store.delete, store.read_snapshot, store.start):
        with pytest.raises(JobNotFound):
            ask(uuid4())
    assert store.read_events(uuid4(), 0) == []


def test_jobs_are_listed_newest_first(store: Store) -> None:
    jobs = [store.add(new_job(advisors=(advisor,))) for advisor in ("ansel", "okeefe", "ansel")]
    newest_first = [job.id for job in reversed(jobs)]
    assert [job.id for job in store.list_jobs()] == newest_first
    [last] = store.list_jobs(1)
    assert [job.id for job in store.list_jobs(before=last.created_at)] == newest_first[1:]
    assert [job.id for job in store.list_jobs(advisor="okeefe")] == [jobs[1].id]
    store.cancel(jobs[0].id)
    assert [job.id for job in store.list_jobs(status=Status.CANCELLED)] == [jobs[0].id]
    assert store.count_by_status()[Status.QUEUED] == 2


def test_deleted_job_leaves_nothing(store: Store, pool: Pool) -> None:
    job = store.add(new_job(), idempotency_key="key")
    claim = store.claim("worker", LEASE)
    assert claim is not None
    assert store.delete(job.id) == job.photo_key
    with pytest.raises(AttemptSuperseded):
        store.append(claim, [token(claim, "late")])
    with pool.connection() as connection:
        for table in ("jobs", "events", "idempotency"):
            assert not connection.execute(f"SELECT FROM {table}".encode()).fetchall()


def test_only_ended_jobs_are_swept(store: Store) -> None:
    ended, running = claim_new(store, photo_bytes=60), claim_new(store, photo_bytes=60)
    store.finish(ended)
    assert store.delete_oldest(120) == (0, 0)
    assert store.delete_oldest(10, is_trial=True) == (1, 60)
    assert store.delete_oldest(10) == (1, 60)
    assert store.list_discarded() == [ended.job.photo_key]
    store.forget_discarded(ended.job.photo_key)
    store.cancel(running.job.id)
    assert store.delete_finished() == 1
    assert store.list_discarded() == [running.job.photo_key]


def test_pruned_log_keeps_its_end(store: Store) -> None:
    claim = claim_new(store)
    store.append(claim, [token(claim, "a")])
    store.finish(claim, [Entry(EventType.ANALYSIS_COMPLETE, {})])
    assert store.prune(1) == (0, 0)
    assert store.prune(0, is_trial=True) == (1, 4)
    assert store.prune(0) == (1, 4)
    assert store.prune(0) == (0, 0)
    assert store.read(claim.job.id).pruned_seq == store.read_snapshot(claim.job.id).seq == 4
    assert [event.type for event in store.read_events(claim.job.id, 0)] == [
        "analysis_complete", "done"
    ]  # fmt: skip
