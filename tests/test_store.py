"""Each guarantee of the store, over two real connections or more."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from mondrian.critiques.history import NEWEST, TimingRecord, find_typical
from mondrian.database.postgres import Listener, Pool
from mondrian.engines.base import Basis
from mondrian.errors import AttemptSuperseded, JobConflict, JobNotFound
from mondrian.jobs.job import (
    MAX_ATTEMPTS,
    MOVES,
    Claim,
    Entry,
    EventType,
    Job,
    Status,
    StepPhase,
)
from mondrian.jobs.queue import Queue
from mondrian.jobs.sql import EVENTS_CHANNEL, JOBS_CHANNEL
from mondrian.jobs.store import Answer, Store

LEASE = 60.0
FAILED = {"code": "engine_crashed", "message": "The engine crashed.", "retryable": True}

T = TypeVar("T")


def new_job(owner: str = "anna", **fields: Any) -> Job:
    fields = {"advisors": ("ansel", "okeefe"), "base_url": "http://host:5005"} | fields
    return Job(id=uuid4(), owner=owner, filename="p.jpg", photo_key=f"{uuid4()}.jpg", **fields)


def claimed(store: Store, **fields: Any) -> Claim:
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
    events = store.events_after(job_id, 0)
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


# --- claiming


def test_no_job_is_claimed_twice(store: Store) -> None:
    jobs = {store.add(new_job()).id for _ in range(60)}

    def claim_all() -> list[UUID]:
        return [claim.job.id for claim in iter(lambda: store.claim("worker", LEASE), None)]

    found = [job for claims in at_once(*[claim_all] * 4) for job in claims]  # type: ignore[union-attr]
    assert len(found) == len(jobs)
    assert set(found) == jobs


def test_claim_is_logged_and_held(store: Store) -> None:
    claim = claimed(store)
    assert (claim.attempt, claim.job.status) == (1, Status.PROCESSING)
    assert claim.job.claimed_by == "worker"
    assert statuses(store, claim.job.id) == ["queued", "processing"]


def test_one_owners_hundred_do_not_hold_up_anothers_first(store: Store) -> None:
    for _ in range(100):
        store.add(new_job("anna"))
    store.claim("worker", LEASE)
    first, second = store.add(new_job("ben")), store.add(new_job("ben"))
    assert Queue(store).read()[first.id].position == 1
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
    lost = claimed(store)
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
    assert store.snapshot(lost.job.id).texts == {}


def test_renewed_lease_is_not_taken_over(store: Store, pool: Pool) -> None:
    claim = claimed(store)
    expire(pool, claim)
    store.renew(claim, LEASE)
    assert store.claim("other", LEASE) is None


def test_lost_three_times_the_job_fails_and_keeps_its_text(store: Store, pool: Pool) -> None:
    claim: Claim | None = claimed(store)
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
    assert store.snapshot(job.id).texts == {"ansel": "so far"}


def test_retry_keeps_the_worker_and_gives_up_in_the_end(store: Store) -> None:
    first = claimed(store)
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
    claim = claimed(store)
    for attempt in range(2, 2 + MAX_ATTEMPTS + 1):
        store.release(claim)
        assert log(store, claim.job.id)[-2][1]["attempt"] == attempt
        again = store.claim("other", LEASE)
        assert again is not None
        claim = again
        assert (claim.attempt, claim.job.failures) == (attempt, 0)


# --- the log


def test_numbers_have_no_gaps_under_eight_writers(store: Store) -> None:
    claim = claimed(store)

    def write() -> None:
        for _ in range(25):
            store.append(claim, [token(claim, "a"), token(claim, "b")])

    assert at_once(*[write] * 8) == [None] * 8
    assert len(log(store, claim.job.id)) == 2 + 8 * 25 * 2


def test_reader_with_a_cursor_misses_nothing(store: Store) -> None:
    claim = claimed(store)

    def write() -> None:
        for _ in range(40):
            store.append(claim, [token(claim, "a")])

    def follow() -> list[int]:
        seqs = [0]
        while seqs[-1] < 2 + 4 * 40:
            seqs += [event.seq for event in store.events_after(claim.job.id, seqs[-1])]
        return seqs

    *_, seqs = at_once(*[write] * 4, follow)
    assert seqs == list(range(2 + 4 * 40 + 1))


def test_snapshot_and_what_follows_are_the_whole_text(store: Store) -> None:
    claim = claimed(store)
    text = [f"{place}." for place in range(150)]
    is_over = Event()

    def write() -> None:
        for piece in text:
            store.append(claim, [token(claim, piece)], current_advisor=1)
        is_over.set()

    def look() -> None:
        while not is_over.is_set():
            seen = store.snapshot(claim.job.id)
            rest = store.events_after(claim.job.id, seen.seq, types=[EventType.TOKEN])
            joined = seen.texts.get("ansel", "") + "".join(
                json.loads(event.payload)["text"] for event in rest
            )
            assert "".join(text).startswith(joined)
            assert joined.count(".") >= seen.seq - 3

    assert at_once(write, look, look) == [None] * 3
    assert store.snapshot(claim.job.id).texts == {"ansel": "".join(text)}


def test_status_update_comes_only_with_a_change(store: Store) -> None:
    claim = claimed(store)
    store.append(claim, [], status=Status.ANALYZING, step_phase=StepPhase.ADVISOR_ANALYSIS)
    store.append(claim, [], status=Status.ANALYZING, llm_thinking="Hm", progress=10)
    store.append(claim, [token(claim, "a")], current_advisor=1, progress=120)
    store.append(claim, [], progress=20)
    assert [name for name, _ in log(store, claim.job.id)][2:] == [
        "status_update", "status_update", "token"
    ]  # fmt: skip
    job = store.read(claim.job.id)
    assert (job.llm_thinking, job.progress, job.current_advisor) == ("Hm", 99, 1)


def test_old_attempt_can_write_nothing(store: Store, pool: Pool) -> None:
    old = claimed(store)
    expire(pool, old)
    new = store.claim("other", LEASE)
    before = store.read(old.job.id)
    for write in (
        lambda: store.append(old, [token(old, "late")]),
        lambda: store.append(old, [token(old, "late")], status=Status.ANALYZING),
        lambda: store.finish(old),
        lambda: store.renew(old, LEASE),
        lambda: store.release(old),
        lambda: store.retry(old, LEASE, "late", FAILED),
    ):
        with pytest.raises(AttemptSuperseded):
            write()
    assert store.read(old.job.id) == before
    assert new is not None
    store.finish(new)


def test_text_of_any_kind_is_kept(store: Store) -> None:
    claim = claimed(store)
    odd = "\0\ud800\u2028\U0001f4f7\r\n\\u0000"
    store.append(claim, [token(claim, odd)], llm_thinking=odd)
    store.finish(claim, reports=[Answer(advisor="ansel", report={"text": "\0"}, text=odd)])
    assert store.snapshot(claim.job.id).texts == {"ansel": odd}
    assert store.reports(claim.job.id)[0].report == {"text": "\0"}


def test_notice_comes_with_what_it_tells_of(store: Store, database: str) -> None:
    listener = Listener(database, EVENTS_CHANNEL, JOBS_CHANNEL)
    assert listener.wait(1.0) == []  # it listens from now on
    claim = claimed(store)

    def write() -> None:
        for _ in range(100):
            store.append(claim, [token(claim, "a")])

    def follow() -> set[str]:
        channels, seq = set(), 0
        while seq < 102:
            for notice in listener.wait(5.0):
                channels.add(notice.channel)
                seq = max(seq, notice.seq)
                assert notice.job_id == claim.job.id
                assert store.read(claim.job.id).last_seq >= notice.seq
                found = store.events_after(claim.job.id, notice.seq - 1, limit=1)
                assert [event.seq for event in found] == [notice.seq or 1]
        return channels

    assert at_once(write, follow) == [None, {EVENTS_CHANNEL, JOBS_CHANNEL}]
    listener.close()


def test_outside_thinking_is_logged(store: Store) -> None:
    job = store.add(new_job())
    store.add_thinking(job.id, "A thought")
    assert store.read(job.id).llm_thinking == "A thought"
    assert log(store, job.id)[-1][1]["thinking"] == "A thought"
    store.cancel(job.id)
    with pytest.raises(JobConflict):
        store.add_thinking(job.id, "Too late")


# --- the end


def test_end_commits_report_status_and_events_together(store: Store) -> None:
    claim = claimed(store)
    answers = [
        Answer(advisor="okeefe", report={"grade": "A"}, text="one"),
        Answer(advisor="ansel", report={"grade": "B"}, text="two"),
    ]
    complete = Entry(EventType.ANALYSIS_COMPLETE, {"analysis_html": "<p>"})
    last = store.finish(claim, [complete], reports=answers)
    job = store.read(claim.job.id)
    assert (job.status, job.progress, job.last_seq) == (Status.DONE, 100, last)
    assert store.reports(job.id) == answers
    assert [name for name, _ in log(store, job.id)][-3:] == [
        "status_update", "analysis_complete", "done"
    ]  # fmt: skip
    following = store.events_after(job.id, store.snapshot(job.id).seq)
    assert [event.type for event in following] == ["analysis_complete", "done"]
    with pytest.raises(AttemptSuperseded):
        store.finish(claim)


def test_failed_job_says_why(store: Store) -> None:
    claim = claimed(store)
    store.finish(claim, error=FAILED)
    job = store.read(claim.job.id)
    assert (job.status, job.current_step, job.error) == (Status.ERROR, FAILED["message"], FAILED)
    closing = log(store, job.id)[-3:]
    assert [name for name, _ in closing] == ["status_update", "error", "done"]
    assert closing[0][1]["job_data"]["current_step"] == FAILED["message"]
    assert closing[2][1]["status"] == "error"


def test_cancel_ends_a_job_in_any_state_once(store: Store, pool: Pool) -> None:
    running = claimed(store)
    store.append(running, [token(running, "part")])
    lost = claimed(store)
    expire(pool, lost)
    queued, pending = store.add(new_job()), store.add(new_job(status=Status.PENDING))
    for job_id in (running.job.id, lost.job.id, queued.id, pending.id):
        assert store.cancel(job_id).status is Status.CANCELLED
        assert store.cancel(job_id) == store.read(job_id)
        assert [name for name, _ in log(store, job_id)][-2:] == ["status_update", "done"]
    assert store.claim("other", LEASE) is None
    assert store.snapshot(running.job.id).texts == {"ansel": "part"}
    done = claimed(store)
    store.finish(done)
    assert store.cancel(done.job.id).status is Status.DONE


def working(store: Store, pool: Pool, jobs: int) -> list[Claim]:
    """So many claims at once, without the round trips."""
    first = claimed(store)
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
    for ask in (store.read, store.cancel, store.delete, store.snapshot, store.start):
        with pytest.raises(JobNotFound):
            ask(uuid4())
    assert store.events_after(uuid4(), 0) == []


def test_jobs_are_listed_newest_first(store: Store) -> None:
    jobs = [store.add(new_job(advisors=(advisor,))) for advisor in ("ansel", "okeefe", "ansel")]
    newest_first = [job.id for job in reversed(jobs)]
    assert [job.id for job in store.list_jobs()] == newest_first
    [last] = store.list_jobs(1)
    assert [job.id for job in store.list_jobs(before=last.created_at)] == newest_first[1:]
    assert [job.id for job in store.list_jobs(advisor="okeefe")] == [jobs[1].id]
    store.cancel(jobs[0].id)
    assert [job.id for job in store.list_jobs(status=Status.CANCELLED)] == [jobs[0].id]
    assert store.counts()[Status.QUEUED] == 2


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
    ended, running = claimed(store, photo_bytes=60), claimed(store, photo_bytes=60)
    store.finish(ended)
    assert store.delete_oldest(120) == (0, 0)
    assert store.delete_oldest(10, is_trial=True) == (1, 60)
    assert store.delete_oldest(10) == (1, 60)
    assert store.discarded() == [ended.job.photo_key]
    store.forget_discarded(ended.job.photo_key)
    store.cancel(running.job.id)
    assert store.delete_finished() == 1
    assert store.discarded() == [running.job.photo_key]


def test_pruned_log_keeps_its_end(store: Store) -> None:
    claim = claimed(store)
    store.append(claim, [token(claim, "a")])
    store.finish(claim, [Entry(EventType.ANALYSIS_COMPLETE, {})])
    assert store.prune(1) == (0, 0)
    assert store.prune(0, is_trial=True) == (1, 4)
    assert store.prune(0) == (1, 4)
    assert store.prune(0) == (0, 0)
    assert store.read(claim.job.id).pruned_seq == store.snapshot(claim.job.id).seq == 4
    assert [event.type for event in store.events_after(claim.job.id, 0)] == [
        "analysis_complete", "done"
    ]  # fmt: skip


def test_history_is_kept_per_engine_and_model(store: Store) -> None:
    for tokens in (100, 200):
        store.record_history(
            TimingRecord(
                engine="replay:x",
                model="m",
                advisor="ansel",
                megapixels=12.2,
                generation_tokens=tokens,
                seconds=2.5,
            )
        )
    assert [found.generation_tokens for found in store.history("replay:x", "m")] == [200, 100]
    assert store.history("replay:x", "other") == []


def test_a_kind_that_is_done_seldom_is_not_forgotten(store: Store) -> None:
    def took(advisor: str, megapixels: float, seconds: float) -> None:
        figures = TimingRecord(
            engine="e", model="m", advisor=advisor, megapixels=megapixels, generation_tokens=100,
            load_seconds=0.0, seconds=seconds, measure_seconds=0.0,
        )  # fmt: skip
        store.record_history(figures)

    for _ in range(5):
        took("ansel", 0.0, 100.0)
    for _ in range(NEWEST + 5):
        took("ansel", 12.0, 50.0)
        took("gogh", 12.0, 10.0)
    found = store.history("e", "m")
    assert Counter((each.advisor, each.seconds) for each in found) == {
        ("ansel", 100.0): 5, ("ansel", 50.0): NEWEST, ("gogh", 10.0): NEWEST
    }  # fmt: skip
    usual = find_typical(found, engine="e", advisor="ansel", megapixels=0.0)
    assert usual
    assert (usual.basis, usual.seconds()) == (Basis.MEASURED, 100.0)
    assert store.usual_seconds() == {"ansel": 50.0, "gogh": 10.0, None: 50.0}
