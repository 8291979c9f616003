"""What holds of a job's log, over two real connections or more."""

import json
from threading import Event

import pytest

from mondrian.database.listen import Listener
from mondrian.database.postgres import Pool
from mondrian.errors import AttemptSuperseded, JobConflict
from mondrian.jobs.job import EventType, Status, StepPhase
from mondrian.jobs.sql import EVENTS_CHANNEL, JOBS_CHANNEL
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
)


def test_numbers_have_no_gaps_under_eight_writers(store: Store) -> None:
    claim = claim_new(store)

    def write() -> None:
        for _ in range(25):
            store.append(claim, [token(claim, "a"), token(claim, "b")])

    assert at_once(*[write] * 8) == [None] * 8
    assert len(log(store, claim.job.id)) == 2 + 8 * 25 * 2


def test_reader_with_a_cursor_misses_nothing(store: Store) -> None:
    claim = claim_new(store)

    def write() -> None:
        for _ in range(40):
            store.append(claim, [token(claim, "a")])

    def follow() -> list[int]:
        seqs = [0]
        while seqs[-1] < 2 + 4 * 40:
            seqs += [event.seq for event in store.read_events(claim.job.id, seqs[-1])]
        return seqs

    *_, seqs = at_once(*[write] * 4, follow)
    assert seqs == list(range(2 + 4 * 40 + 1))


def test_snapshot_and_what_follows_are_the_whole_text(store: Store) -> None:
    claim = claim_new(store)
    text = [f"{place}." for place in range(150)]
    is_over = Event()

    def write() -> None:
        for piece in text:
            store.append(claim, [token(claim, piece)], current_advisor=1)
        is_over.set()

    def look() -> None:
        while not is_over.is_set():
            seen = store.read_snapshot(claim.job.id)
            rest = store.read_events(claim.job.id, seen.seq, types=[EventType.TOKEN])
            joined = seen.texts.get("ansel", "") + "".join(
                json.loads(event.payload)["text"] for event in rest
            )
            assert "".join(text).startswith(joined)
            assert joined.count(".") >= seen.seq - 3

    assert at_once(write, look, look) == [None] * 3
    assert store.read_snapshot(claim.job.id).texts == {"ansel": "".join(text)}


def test_status_update_comes_only_with_a_change(store: Store) -> None:
    claim = claim_new(store)
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
    old = claim_new(store)
    expire(pool, old)
    new = store.claim("other", LEASE)
    before = store.read(old.job.id)
    for write in (
        lambda: store.append(old, [token(old, "late")]),
        lambda: store.append(old, [token(old, "late")], status=Status.ANALYZING),
        lambda: store.finish(old),
        lambda: store.release(old),
        lambda: store.retry(old, LEASE, "late", FAILED),
    ):
        with pytest.raises(AttemptSuperseded):
            write()
    assert store.renew([old], LEASE) == set()
    assert store.read(old.job.id) == before
    assert new is not None
    store.finish(new)


def test_text_of_any_kind_is_kept(store: Store) -> None:
    claim = claim_new(store)
    odd = "\0\ud800\u2028\U0001f4f7\r\n\\u0000"
    store.append(claim, [token(claim, odd)], llm_thinking=odd)
    store.finish(claim, reports=[Answer(advisor="ansel", report={"text": "\0"}, text=odd)])
    assert store.read_snapshot(claim.job.id).texts == {"ansel": odd}
    assert store.read_reports(claim.job.id)[0].report == {"text": "\0"}


def test_notice_comes_with_what_it_tells_of(store: Store, database: str) -> None:
    listener = Listener(database, EVENTS_CHANNEL, JOBS_CHANNEL)
    assert listener.wait(1.0) == []  # it listens from now on
    claim = claim_new(store)

    def write() -> None:
        for _ in range(100):
            store.append(claim, [token(claim, "a")])

    def follow() -> set[str]:
        channels, seq = set(), 0
        while seq < 102:
            for notice in listener.wait(5.0):
                channels.add(notice.channel)
                job_id, _, number = notice.payload.partition("\n")[0].partition(" ")
                seq = max(seq, told := int(number or 0))
                assert job_id == str(claim.job.id)
                assert store.read(claim.job.id).last_seq >= told
                found = store.read_events(claim.job.id, told - 1, limit=1)
                assert [event.seq for event in found] == [told or 1]
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
