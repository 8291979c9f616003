"""A folder that was handed in, as a contact sheet of the server, and how far it is."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from mondrian.api.sheet import Progress, _estimate
from mondrian.jobs.job import Job
from mondrian.jobs.queue import Place
from support.service import Service
from support.working import jpeg

PAGE = {"Accept": "text/html"}


def hand_in(service: Service, seed: int, folder: str = "2026", name: str = "") -> str:
    files = {"image": (name or f"{seed}.jpg", jpeg(seed=seed))}
    fields = {"folder": folder, "advisor": "ansel"}
    answer = service.client.post("/upload", files=files, data=fields)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


def read(service: Service, folder: str = "2026") -> dict[str, object]:
    answer = service.client.get("/sheet", params={"folder": folder})
    assert answer.status_code == 200, answer.text
    read: dict[str, object] = answer.json()
    return read


def test_a_folder_is_a_sheet_and_says_how_far_it_is(service: Service) -> None:
    jobs = [hand_in(service, seed) for seed in (1, 2, 3)]
    hand_in(service, 4, folder="another")
    assert read(service)["words"] == "0 of 3"
    service.finish(service.claim())
    service.finish(service.claim())
    assert (read(service)["done"], read(service)["photos"]) == (2, 3)
    page = service.client.get("/sheet?folder=2026", headers=PAGE).text
    assert page.count("<article>") == 2
    assert f"/photo/{jobs[0]}.jpg?width=400" in page
    assert f"/jobs/{jobs[1]}" in page
    assert "2 of 3" in page
    assert "data-over" not in page
    assert 'class="sheet"' in page
    service.client.post(f"/jobs/{jobs[2]}/cancel")
    assert read(service)["words"] == "2 of 3, 1 without a critique"
    listed = service.client.get("/jobs?folder=2026").json()["jobs"]
    assert {job["job_id"] for job in listed} == set(jobs)
    assert "/sheet?folder=2026" in service.client.get("/jobs", headers=PAGE).text
    again = service.client.post(f"/jobs/{jobs[2]}/retry").json()["job_id"]
    assert read(service)["photos"] == 3, "it is the same photo"
    assert again in [
        job["job_id"] for job in service.client.get("/jobs?folder=2026").json()["jobs"]
    ]


def test_hostile_names_and_what_is_no_folder(service: Service) -> None:
    hostile = '"><script>alert(1)</script>'
    hand_in(service, 1, folder=hostile, name="<b>.jpg")
    service.finish(service.claim())
    page = service.client.get("/sheet", params={"folder": hostile}, headers=PAGE).text
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert service.client.get("/sheet?folder=none", headers=PAGE).status_code == 404
    assert read(service, "none")["photos"] == 0
    assert service.client.get("/sheet").status_code == 400
    files = {"image": ("a.jpg", jpeg())}
    refused = service.client.post("/upload", files=files, data={"folder": "x" * 201})
    assert (refused.status_code, "200 characters" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("done", "failed", "seconds", "words"),
    [
        (37, 0, 840.0, "37 of 210, about 14 minutes"),
        (37, 2, None, "37 of 210, 2 without a critique"),
        (210, 0, None, "210 of 210"),
    ],
)
def test_the_progress_of_the_whole(
    done: int, failed: int, seconds: float | None, words: str
) -> None:
    assert str(Progress(photos=210, done=done, failed=failed, seconds=seconds)) == words


def test_a_job_ends_after_its_turn_and_its_own_time() -> None:
    job = Job(
        id=uuid4(), owner="", filename="", photo_key="", advisors=("ansel", "okeefe"),
        created_at=datetime.now(UTC),
    )  # fmt: skip
    assert _estimate(job, Place(None, 5.0), {}) == 5.0
    assert _estimate(job, Place(3, 60.0), {"ansel": 10.0, None: 20.0}) == 90.0
    assert _estimate(job, Place(3, 60.0), {}) is None
    assert _estimate(job, Place(3, None), {None: 20.0}) is None
