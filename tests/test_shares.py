"""Room for photos: refused before anybody else's has to go."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mondrian.api.rates import Rate
from mondrian.api.uploads.shares import find_share
from mondrian.jobs.job import Status
from mondrian.jobs.retention import prune
from mondrian.photos import PhotoStore
from mondrian.settings import Settings
from support.service import KEY, OTHER_KEY, Service, another, bearer
from support.uploads import assert_problem, jpeg

PHOTO = jpeg(400, 300, "#112233")


@pytest.fixture
def size(service: Service) -> int:
    """The bytes that ``PHOTO`` takes when it is stored."""
    send(service, "").raise_for_status()
    [job] = service.store.list_jobs()
    service.store.delete(job.id)
    return job.photo_bytes


def send(service: Service, key: str = KEY, **more: Any) -> httpx.Response:
    headers = {**(bearer(key) if key else {}), **more.pop("headers", {})}
    files = {"image": ("p.jpg", PHOTO)}
    return service.client.post("/upload", files=files, data=more, headers=headers)


@pytest.fixture
def full(service: Service, size: int) -> Iterator[Service]:
    """A server with two keys and room for four photos, two for each."""
    quota = 4 * size + size // 2
    with another(service, key=f"{KEY},{OTHER_KEY}", quota=quota) as full:
        yield full


def test_an_owner_has_a_share(full: Service) -> None:
    kept = [send(full).status_code for _ in range(2)]
    assert kept == [201, 201]
    refused = send(full)
    assert_problem(refused, 507, "quota_exceeded")
    assert "share" in refused.json()["error"]
    assert send(full, OTHER_KEY).status_code == 201
    [job, *_] = full.client.get("/jobs", headers=bearer()).json()["jobs"]
    assert full.client.delete(f"/jobs/{job['job_id']}", headers=bearer()).status_code == 204
    assert send(full).status_code == 201


def test_the_quota_is_everybodys(service: Service, size: int) -> None:
    room = {"quota": 3 * size, "share": 3 * size}
    with another(service, key=f"{KEY},{OTHER_KEY}", **room) as full:
        assert [send(full).status_code for _ in range(3)] == [201] * 3
        assert_problem(send(full, OTHER_KEY), 507, "quota_exceeded")


def test_a_refused_photo_leaves_nothing(full: Service) -> None:
    before = {path.name for path in (full.home / "photos").iterdir()}
    kept = [send(full).json()["job_id"] for _ in range(2)]
    assert send(full).status_code == 507
    after = {path.name for path in (full.home / "photos").iterdir()}
    assert after - before == {f"{job}.jpg" for job in kept}
    assert full.store.list_discarded() == []


def test_uploads_at_once_stay_within_the_quota(full: Service) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: send(full), range(8)))
    kept = [answer for answer in answers if answer.status_code == 201]
    assert 0 < len(kept) <= 2
    assert {answer.status_code for answer in answers} == {201, 507}


def test_a_repeated_upload_is_answered_though_there_is_no_room(full: Service) -> None:
    once: Any = {"headers": {"Idempotency-Key": "once"}}
    first = send(full, **once).json()
    assert send(full).status_code == 201
    assert send(full).status_code == 507
    assert send(full, **once).json() == first
    assert send(full, advisor="okeefe", **once).status_code == 507


def test_nobodys_critiques_go_for_what_others_keep_pending(full: Service) -> None:
    done = [full.done(key=KEY) for _ in range(3)]
    for _ in range(2):
        assert send(full, OTHER_KEY, auto_analyze="false").status_code == 201
    photos = PhotoStore.open((full.home / "photos").as_uri())
    pruned = prune(full.store, photos, days=30, max_bytes=5000)
    assert sum(job.photo_bytes for job in full.store.list_jobs()) > 5000
    assert pruned.jobs == 0
    for job in done:
        assert full.client.get(f"/report/{job}", headers=bearer()).status_code == 200


def test_who_has_more_than_a_part_gives_first(service: Service, size: int) -> None:
    with another(service, key=f"{KEY},{OTHER_KEY}") as locked:
        big = []
        for key in (OTHER_KEY, OTHER_KEY, KEY, OTHER_KEY, OTHER_KEY):
            big.append(send(locked, key).json()["job_id"])
            locked.finish(locked.claim())
        photos = PhotoStore.open((locked.home / "photos").as_uri())
        assert prune(locked.store, photos, days=30, max_bytes=3 * size).jobs == 2
        left = [str(job.id) for job in locked.store.list_jobs()]
        assert left == [big[4], big[3], big[2]]


def test_what_stays_pending_for_a_day_is_cancelled(service: Service) -> None:
    old, new = service.send(auto_analyze="false"), service.send(auto_analyze="false")
    with service.pool.connection() as connection:
        connection.execute(
            "UPDATE jobs SET created_at = now() - interval '25 hours' WHERE id = %s", [old]
        )
    prune(service.store, PhotoStore.open((service.home / "photos").as_uri()), days=30)
    status = {str(job.id): job.status for job in service.store.list_jobs()}
    assert status == {old: Status.CANCELLED, new: Status.PENDING}
    assert '"status":"cancelled"' in service.client.get(f"/stream/{old}?after=0").text


def test_photos_of_one_owner_that_wait_are_bounded(service: Service) -> None:
    with another(service, key=f"{KEY},{OTHER_KEY}", waiting_per_owner=3) as locked:
        jobs = [send(locked).json()["job_id"] for _ in range(2)]
        assert send(locked, auto_analyze="false").status_code == 201
        refused = send(locked)
        assert_problem(refused, 429, "too_many_requests")
        assert refused.headers["retry-after"]
        assert send(locked, OTHER_KEY).status_code == 201
        locked.client.post(f"/jobs/{jobs[0]}/cancel", headers=bearer())
        assert send(locked).status_code == 201


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, 100),
        ({"key": KEY}, 100),
        ({"key": f"{KEY},{OTHER_KEY}"}, 50),
        ({"open": True}, 25),
        ({"quota": None}, None),
    ],
)
def test_shares_that_were_not_set(settings: dict[str, Any], share: int | None) -> None:
    assert find_share(Settings(**{"quota": 100, **settings})) == share


# --- what outside advisors say --------------------------------------------------------------------


def test_updates_from_outside_are_bounded_in_bytes(service: Service) -> None:
    job_id = service.send(auto_analyze="false")
    with service.pool.connection() as connection:
        connection.execute("UPDATE jobs SET outside_bytes = 995000 WHERE id = %s", [job_id])

    def say(words: str) -> httpx.Response:
        return service.client.put(f"/job/{job_id}/thinking", json={"thinking": words})

    assert say("x" * 5000).status_code == 200
    assert_problem(say("x"), 429, "too_many_requests")
    [job] = service.store.list_jobs()
    assert json.loads(service.store.read_events(job.id, 0)[-1].payload)["thinking"] == "x" * 5000


def test_updates_from_outside_are_bounded_in_time(service: Service) -> None:
    job_id = service.send(auto_analyze="false")
    said = [
        service.client.put(f"/job/{job_id}/thinking", json={"thinking": "x"}).status_code
        for _ in range(120)
    ]
    assert said[0] == 200
    assert 429 in said


def test_a_rate_is_each_owners_own() -> None:
    now = [0.0]
    rate = Rate(per_second=2, burst=3, now=lambda: now[0])
    assert [rate.allow("anna") for _ in range(4)] == [True, True, True, False]
    assert rate.allow("ben")
    now[0] = 0.5
    assert [rate.allow("anna") for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [rate.allow("anna") for _ in range(4)] == [True, True, True, False]
