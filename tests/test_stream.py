"""Streams over a real uvicorn, driven through the database as a worker in another process would."""

import json
import random
import time
from collections.abc import Sequence
from contextlib import nullcontext
from threading import Thread
from uuid import UUID, uuid4

import httpx
import pytest

from mondrian.jobs.job import Claim, Event
from mondrian.jobs.store import Store
from support.streaming import (
    COMPLETE,
    DEADLINE,
    DROPS,
    EVERYTHING,
    PARTIAL,
    Seen,
    Services,
    claim_new,
    decode,
    events,
    finished,
    names,
    new_job,
    next_of,
    serving,
    text_of,
    thinking,
    token,
    told,
    until,
    wire,
)


def test_a_client_gets_the_present_then_what_follows_then_the_end(
    services: Services, store: Store
) -> None:
    job = store.add(new_job())
    with services.get(job.id) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-accel-buffering"] == "no"
        seen = events(response)
        opening = [next(seen), next(seen)]
        store.cancel(job.id)
        rest = list(seen)
    assert told(opening[0]) == (None, "connected", {"type": "connected", "job_id": str(job.id)})
    assert (opening[1].id, opening[1].data["job_data"]["status"]) == ("1", "queued")
    assert [told(each) for each in rest] == [wire(each) for each in store.read_events(job.id, 1)]
    assert (rest[-1].event, rest[-1].data["status"]) == ("done", "cancelled")


def test_a_stream_begins_with_the_time_to_wait_before_coming_back(
    services: Services, store: Store
) -> None:
    with services.get(finished(store)) as response:
        assert next(response.iter_raw()).startswith(b"retry: 2000\n\nevent: connected\n")


def test_only_the_last_opening_event_has_a_number(services: Services, store: Store) -> None:
    claim = claim_new(store)
    store.append(claim, [token("one "), token("two ")])
    seq = store.append(claim, [token("three", "okeefe")])
    with services.watch(claim.job.id, "include=tokens") as seen:
        opening = [next(seen) for _ in range(4)]
        store.append(claim, [token("four", "okeefe")])
        following = next(seen)
    assert names(opening) == ["connected", "status_update", "snapshot", "snapshot"]
    assert [each.id for each in opening] == [None, None, None, str(seq)]
    assert opening[2].data == {
        "type": "snapshot", "job_id": str(claim.job.id), "advisor": "ansel", "attempt": 1,
        "text": "one two ",
    }  # fmt: skip
    assert (following.id, following.data["text"]) == (str(seq + 1), "four")


def test_the_status_that_opens_a_stream_is_that_of_its_number(
    services: Services, store: Store
) -> None:
    claim = claim_new(store)
    job_id = claim.job.id

    def move() -> None:
        for number in range(1, 100):
            store.append(claim, [token("x")], progress=number)
        store.finish(claim, [COMPLETE])

    writer = Thread(target=move)
    writer.start()
    seen = list[Seen]()
    while writer.is_alive() or not seen:
        with services.watch(job_id) as stream:
            seen.append(next_of(stream, "status_update"))
    writer.join(DEADLINE)
    begun = store.read_events(job_id, 0)[1].seq  # it was claimed: tokens follow
    for each in seen:
        state, number = each.data["job_data"], int(each.id or 0)
        if state["status"] != "done":
            assert state["progress_percentage"] == number - begun


def test_a_finished_job_is_told_up_to_its_end(services: Services, store: Store) -> None:
    job_id = finished(store)
    last = store.read(job_id).last_seq
    seen = services.all(job_id, "include=tokens")
    assert names(seen) == ["connected", "status_update", "snapshot", "analysis_complete", "done"]
    assert [each.id for each in seen][2:] == [str(last - 2), str(last - 1), str(last)]
    assert text_of(seen) == "one two three"


@pytest.mark.parametrize("is_ended", [True, False])
def test_from_every_cursor_the_rest_arrives(
    services: Services, store: Store, is_ended: bool
) -> None:
    claim = claim_new(store)
    with nullcontext() if is_ended else services.crowd(claim.job.id, 1):
        for text in ("one ", "two "):
            store.append(claim, [thinking("Generating"), token(text), PARTIAL])
        if is_ended:
            store.finish(claim, [COMPLETE])
        log = store.read_events(claim.job.id, 0)
        for query in ("", "include=tokens", "include=report", EVERYTHING):
            wanted = [event for event in log if is_wanted(event, query)]
            for cursor in range(len(log) - is_ended + 1):
                rest = [wire(event) for event in wanted if event.seq > cursor]
                with services.watch(claim.job.id, f"{query}&after={cursor}") as seen:
                    assert next(seen).event == "connected"
                    assert [told(next(seen)) for _ in rest] == rest
                    assert not is_ended or next(seen, None) is None


def is_wanted(event: Event, query: str) -> bool:
    words = {"token": "tokens", "report_partial": "report"}
    return words.get(event.type, "") in query


def test_the_header_wins_over_the_address(services: Services, store: Store) -> None:
    job_id = finished(store)
    last = store.read(job_id).last_seq
    seen = services.all(job_id, "after=0", last_event_id=str(last - 1))
    assert names(seen) == ["connected", "done"]


def test_at_the_end_of_a_finished_log_there_is_nothing(services: Services, store: Store) -> None:
    job_id = finished(store)
    with services.get(job_id, f"after={store.read(job_id).last_seq}") as response:
        assert response.status_code == 204
        assert response.read() == b""


def test_a_cursor_that_leads_nowhere_resets(services: Services, store: Store) -> None:
    job_id = finished(store)
    for cursor in ("x", "-1", "1e3", "99", "9" * 40, "٣"):
        for seen in (
            services.all(job_id, f"after={cursor}"),
            services.all(job_id, "after=2", last_event_id=cursor.encode()),
        ):
            kinds = ["connected", "reset", "status_update", "analysis_complete", "done"]
            assert names(seen) == kinds


def test_a_cursor_whose_events_are_no_longer_kept_resets(services: Services, store: Store) -> None:
    job_id = finished(store)
    store.prune(0)
    kept = store.read(job_id).pruned_seq
    assert names(services.all(job_id, "after=0"))[:3] == ["connected", "reset", "status_update"]
    assert names(services.all(job_id, f"after={kept}")) == [
        "connected",
        "analysis_complete",
        "done",
    ]


def test_an_unknown_job_is_a_status_before_any_byte(services: Services) -> None:
    for job in (uuid4(), "nonsense", ""):
        with services.get(job) as response:
            assert response.status_code == 404
            assert json.loads(response.read())["code"] == "job_not_found"


def test_a_stream_can_only_be_read(services: Services) -> None:
    for method in ("POST", "DELETE"):
        response = services.request(method, uuid4())
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert services.request("HEAD", uuid4()).status_code == 404


def test_ids_of_the_old_form_are_understood(services: Services, store: Store) -> None:
    job_id = finished(store)
    assert services.all(f"{job_id}%20(rag)")[0].data["job_id"] == str(job_id)


def test_logs_of_two_jobs_never_mix(services: Services, store: Store) -> None:
    claims = [claim_new(store), claim_new(store)]
    with (
        services.watch(claims[0].job.id, "include=tokens") as first,
        services.watch(claims[1].job.id, "include=tokens") as second,
    ):
        next(first), next(second)
        for number in range(50):
            for claim in claims:
                store.append(claim, [token(f"{claim.job.id} {number} ")])
        for claim in claims:
            store.finish(claim)
        for claim, seen in zip(claims, (list(first), list(second)), strict=True):
            assert {each.data["job_id"] for each in seen} == {str(claim.job.id)}
            wanted = "".join(f"{claim.job.id} {number} " for number in range(50))
            assert text_of(seen) == wanted


def cut_off(response: httpx.Response, count: int) -> bytes:
    """The first so many bytes, or all."""
    received = b""
    for chunk in response.iter_raw():
        received += chunk
        if len(received) >= count:
            break
    return received[:count]


def drop_and_resume(
    services: Services, job_id: UUID, chance: random.Random
) -> tuple[list[Seen], int]:
    """All that a client has seen up to each cursor, which is cut off at random bytes until it has
    seen the end; and how often it was. It is cut off later each time until it has a cursor: the
    text so far is one event, and no shorter answer has any of it."""
    seen, cursor, drops = list[Seen](), "", 0
    while not seen or seen[-1].event != "done":
        query = EVERYTHING + chance.choice(("", f"&after={cursor}"))
        headers = {"Last-Event-ID": cursor} if cursor and "after" not in query else {}
        with services.get(job_id, query, **headers) as response:
            later = 0 if cursor else 400 * drops
            received = cut_off(
                response, chance.choice((200, 400, 2000)) + chance.randrange(800) + later
            )
        whole = [each for block in received.split(b"\n\n")[:-1] if (each := decode(block))]
        kept = max((place for place, each in enumerate(whole, 1) if each.id), default=0)
        seen += whole[:kept]
        cursor = (kept and whole[kept - 1].id) or cursor
        drops += 1
    return seen, drops


def test_drops_at_random_bytes_lose_and_double_nothing(services: Services, store: Store) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance, drops = random.Random(seed), 0
    while drops < DROPS:
        claim = claim_new(store)
        texts = [f"{number} é\u2028" * chance.randrange(1, 9) for number in range(120)]
        pause = chance.random() * 0.003
        writer = Thread(target=write_slowly, args=(store, claim, texts, pause))
        writer.start()
        seen, count = drop_and_resume(services, claim.job.id, chance)
        writer.join(DEADLINE)
        assert text_of(seen) == "".join(texts)
        numbers = [int(each.id) for each in seen if each.id]
        assert numbers == list(range(numbers[0], store.read(claim.job.id).last_seq + 1))
        drops += count


def write_slowly(store: Store, claim: Claim, texts: Sequence[str], seconds: float) -> None:
    for text in texts:
        store.append(claim, [token(text)])
        time.sleep(seconds)
    store.finish(claim, [COMPLETE])


def test_a_deleted_job_ends_its_stream(services: Services, store: Store) -> None:
    job = store.add(new_job())
    with services.watch(job.id) as seen:
        next(seen), next(seen)
        store.cancel(job.id)
        store.delete(job.id)
        assert list(seen)[-1].event == "done"


def test_a_job_that_vanishes_unseen_ends_its_stream(database: str, store: Store) -> None:
    job = store.add(new_job())
    with serving(database, store, interval=0.2) as services, services.watch(job.id) as seen:
        next(seen), next(seen)
        store.delete(job.id)
        assert (last := list(seen)[-1]).event == "done"
        assert last.id is None


def test_draining_tells_every_client_to_come_back(services: Services, store: Store) -> None:
    claim = claim_new(store)
    with services.crowd(claim.job.id, 20) as clients:
        services.call(services.streams.drain(retry_base_ms=300))
        told = [client.read().rsplit(b"retry: ", 1)[1] for client in clients]
    waits = {int(each) for each in told}
    assert min(waits) >= 300
    assert max(waits) < 600
    assert len(waits) > 5


def test_clients_who_leave_are_forgotten(services: Services, store: Store) -> None:
    claim = claim_new(store)
    with services.crowd(claim.job.id, 5):
        assert len(services.streams._topics) == 1
    until(lambda: services.streams.clients == 0 and not services.streams._topics)
