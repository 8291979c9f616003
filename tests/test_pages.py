"""The pages' routes as programs see them: retries, lists, masks, forms, where a page goes on."""

import io
import json
import re
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from mondrian.jobs.job import Claim, Entry, EventType
from support.service import OTHER_KEY, Service, bearer
from support.uploads import assert_problem

PAGE = {"Accept": "text/html"}


def jobs_of(service: Service, **query: Any) -> list[str]:
    answer = service.client.get("/jobs", params={"format": "array", **query})
    assert answer.status_code == 200, answer.text
    return [job["job_id"] for job in answer.json()]


def write(service: Service, claim: Claim, *comments: str) -> None:
    """Log a part of a report for each comment."""
    for comment in comments:
        dimension = {"name": "Composition", "score": None, "comment": comment, "recommendation": ""}
        fields = {"advisor": "ansel", "attempt": 1, "n": 1, "m": 8, "dimension": dimension}
        service.store.append(claim, [Entry(EventType.REPORT_PARTIAL, fields)])


# Retry


def test_a_retry_is_a_new_job_of_the_same_photo_and_fields(service: Service) -> None:
    old = service.done(advisor="ansel,okeefe", mode="lora")
    answer = service.client.post(f"/jobs/{old}/retry")
    assert answer.status_code == 201
    new = service.client.get(f"/jobs/{answer.json()['job_id']}").json()
    assert (new["retry_of"], new["advisor"], new["mode"]) == (old, "ansel,okeefe", "lora")
    assert new["status"] == "queued"
    assert service.client.get(f"/jobs/{old}").json()["status"] == "done"
    photos = [service.client.get(f"/photo/{job}.jpg").content for job in (old, new["job_id"])]
    assert photos[0] == photos[1]


def test_the_photo_of_a_retry_outlives_the_job_that_it_came_from(service: Service) -> None:
    old = service.done()
    new = service.client.post(f"/jobs/{old}/retry").json()["job_id"]
    service.client.delete(f"/jobs/{old}").raise_for_status()
    assert service.client.get(f"/photo/{new}.jpg").status_code == 200


def test_a_retry_by_other_advisors_needs_no_end(service: Service) -> None:
    running = service.send(advisor="ansel")
    refused = service.client.post(f"/jobs/{running}/retry")
    assert_problem(refused, 409, "job_conflict")
    asked = service.client.post(f"/jobs/{running}/retry", data={"advisor": ["weston", "gogh"]})
    assert asked.json()["advisors_used"] == ["weston", "gogh"]


def test_a_form_is_led_to_the_new_job(service: Service) -> None:
    old = service.done()
    answer = service.client.post(f"/jobs/{old}/retry", headers=PAGE)
    assert answer.status_code == 303
    assert re.fullmatch(r"/jobs/[0-9a-f-]{36}", answer.headers["location"])
    assert answer.headers["location"] != f"/jobs/{old}"


def test_a_retry_of_another_owners_job_is_not_there(locked: Service) -> None:
    other = locked.send(OTHER_KEY)
    answer = locked.client.post(f"/jobs/{other}/retry", headers=bearer())
    assert_problem(answer, 404, "job_not_found")


# Lists


@pytest.fixture
def scored(service: Service) -> list[str]:
    """Five jobs that are done; the scores of two are the same."""
    jobs = [service.done(advisor="ansel" if n % 2 else "weston") for n in range(5)]
    service.pool.wait()
    with service.pool.connection() as connection:
        for n, (job, score) in enumerate(zip(jobs, (4.0, 9.0, 6.5, 6.5, 8.0), strict=True)):
            connection.execute(
                "UPDATE jobs SET score = %s, filename = %s WHERE id = %s",
                [score, f"{job[:8]}-Photo 100%_{n}.jpg", job],
            )
    return jobs


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("sort", ["newest", "score"])
def test_pages_by_score_and_by_time_have_each_job_once(
    service: Service, scored: list[str], sort: str, limit: int
) -> None:
    path, seen = f"/jobs?sort={sort}&limit={limit}", list[str]()
    while path:
        page = service.client.get(path, headers=PAGE).text
        seen += re.findall(r'<li data-job="([^"]+)"', page)
        more = re.search(r'id="more"[^>]* href="([^"]+)"', page)
        path = more[1].replace("&amp;", "&") if more else ""
    assert sorted(seen) == sorted(scored)
    jobs = [service.client.get(f"/jobs/{job}").json() for job in seen]
    key = "score" if sort == "score" else "created_at"
    assert all(a[key] >= b[key] for a, b in pairwise(jobs))


@pytest.mark.parametrize("sort", ["newest", "score"])
def test_jobs_of_one_moment_are_paged_by_their_ids(
    service: Service, scored: list[str], sort: str
) -> None:
    with service.pool.connection() as connection:
        connection.execute("UPDATE jobs SET created_at = '2026-01-01', score = 5")
    newest = sorted(scored, reverse=True)
    seen, cursor = list[str](), dict[str, str]()
    while found := service.client.get("/jobs", params={"limit": 2, "sort": sort, **cursor}).json():
        if not found["jobs"]:
            break
        last = found["jobs"][-1]
        cursor = {"before": last["created_at"], "before_id": last["job_id"], "below": last["score"]}
        seen += [job["job_id"] for job in found["jobs"]]
    assert seen == newest
    del cursor["before_id"]
    assert jobs_of(service, **cursor) == []  # an older client's cursor: those created before


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"search": "photo 100%_3"}, [3]),
        ({"search": "PHOTO"}, [4, 3, 2, 1, 0]),
        ({"search": "%_"}, [4, 3, 2, 1, 0]),
        ({"search": "0%1"}, []),
        ({"search": "\\"}, []),
        ({"advisor": "ansel"}, [3, 1]),
        ({"advisor": "ansel", "sort": "score"}, [1, 3]),
        ({"status": "done", "search": "_4", "advisor": "weston"}, [4]),
        ({"status": "error"}, []),
        ({"status": "", "search": "", "advisor": "", "before": "", "below": ""}, [4, 3, 2, 1, 0]),
    ],
)
def test_a_list_is_filtered(
    service: Service, scored: list[str], query: dict[str, str], wanted: list[int]
) -> None:
    assert jobs_of(service, **query) == [scored[n] for n in wanted]


def test_a_list_of_ids_has_those_and_no_others(service: Service, scored: list[str]) -> None:
    assert jobs_of(service, ids=",".join([scored[1], scored[3]])) == [scored[3], scored[1]]
    assert jobs_of(service, ids="") == []
    assert service.client.get("/jobs?ids=nonsense").status_code == 404


# Masks


def test_masks_are_small_grey_and_true(service: Service) -> None:
    pixels = np.full((600, 1200, 3), 90, np.uint8)
    pixels[:, :300], pixels[:, 900:] = 255, 0
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    files = {"image": ("p.png", encoded.getvalue())}
    job = service.client.post("/upload", files=files).json()["job_id"]
    masks = {}
    for name in ("highlights", "shadows", "sharpness", "subject"):
        answer = service.client.get(f"/photo/{job}/mask/{name}.png")
        assert answer.headers["content-type"] == "image/png"
        masks[name] = Image.open(io.BytesIO(answer.content))
        assert (masks[name].mode, masks[name].size) == ("L", (320, 160))
    across = {name: np.asarray(mask)[80, [20, 160, 300]].tolist() for name, mask in masks.items()}
    assert across["highlights"] == [255, 0, 0]
    assert across["shadows"] == [0, 0, 255]


def test_a_mask_that_is_not_there(service: Service, locked: Service) -> None:
    job = service.send()
    assert_problem(service.client.get(f"/photo/{job}/mask/other.png"), 400, "invalid_request")
    other = locked.send(OTHER_KEY)
    answer = locked.client.get(f"/photo/{other}/mask/subject.png", headers=bearer())
    assert_problem(answer, 404, "job_not_found")


# A job's page


def test_a_page_goes_on_where_it_was_drawn(service: Service) -> None:
    job = service.send(advisor="ansel")
    claim = service.claim()
    write(service, claim, "before")
    page = service.client.get(f"/jobs/{job}", headers=PAGE).text
    [cursor] = re.findall(r'data-cursor="([^"]+)"', page)
    assert re.fullmatch(rf"[0-9a-z]+\.{job[:8]}\.\d+", cursor)
    write(service, claim, "after")
    service.finish(claim)
    stream = service.client.get(f"/stream/{job}?include=report&after={cursor}").text
    assert "event: reset" not in stream
    said = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
    parts = [each["dimension"]["comment"] for each in said if each["type"] == "report_partial"]
    assert parts == ["after"]
    assert said[-1]["type"] == "done"


def test_a_page_of_another_timeline_begins_anew(service: Service) -> None:
    job = service.send(advisor="ansel")
    page = service.client.get(f"/jobs/{job}", headers=PAGE).text
    [cursor] = re.findall(r'data-cursor="([^"]+)"', page)
    service.finish(service.claim())
    old = "0" * 8 + cursor[cursor.index(".") :]
    assert "event: reset" in service.client.get(f"/stream/{job}?after={old}").text


def test_only_a_running_jobs_page_refreshes_itself(service: Service) -> None:
    job = service.send()
    refresh = '<noscript><meta http-equiv="refresh"'
    assert refresh in service.client.get(f"/jobs/{job}", headers=PAGE).text
    service.finish(service.claim())
    assert refresh not in service.client.get(f"/jobs/{job}", headers=PAGE).text


def test_a_waiting_page_tells_its_place(service: Service) -> None:
    service.send()
    job = service.send()
    page = service.client.get(f"/jobs/{job}", headers=PAGE).text
    assert re.search(r'id="left"[^>]*>1 before yours', page)


@pytest.mark.parametrize("path", ["/nowhere", "/jobs/nonsense", "/report/nonsense?format=html"])
def test_errors_are_pages_for_browsers_and_json_for_programs(service: Service, path: str) -> None:
    page: httpx.Response = service.client.get(path, headers=PAGE)
    assert page.status_code == 404
    assert "<h1>Not Found</h1>" in page.text
    assert "docs/" not in page.text
    assert service.client.get(path).json().keys() == {"error", "code"}
