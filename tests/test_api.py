"""The API as its clients see it: the phone's flow, access, errors, and what /openapi.json says."""

import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from mondrian.api.auth import COOKIE, Access
from mondrian.api.drawings import initials
from mondrian.api.schemas import JOB_ID
from mondrian.database.postgres import Pool, open_pool
from mondrian.errors import AttemptSuperseded, EngineCrashed, list_errors
from mondrian.jobs.job import Claim, Entry, EventType
from mondrian.jobs.store import Answer, Store
from mondrian.settings import Settings
from support.demo_reports import demo_report
from support.servers import fresh_database, make_app, running, without_database
from support.uploads import assert_problem, jpeg

NOBODY = UUID(int=1)
KEY = "a long secret"
BEARER = {"Authorization": f"Bearer {KEY}"}
HOSTILE = "<script>alert(1)</script>"


@dataclass
class Service:
    """A running server without workers: the tests do their work."""

    app: FastAPI
    client: httpx.Client
    store: Store
    pool: Pool
    database: str
    home: Path
    engine: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def send(self, **fields: str) -> str:
        answer = self.client.post("/upload", files={"image": ("p.jpg", jpeg())}, data=fields)
        return str(answer.json()["job_id"])

    def claim(self) -> Claim:
        claim = self.store.claim("worker", 60)
        assert claim
        return claim

    def finish(self, claim: Claim, *said: str) -> None:
        reports = [
            Answer(advisor=name, report=demo_report(*said, advisor=name).model_dump(mode="json"),
                   text=f"{name}'s words")
            for name in claim.job.advisors
        ]  # fmt: skip
        complete = Entry(EventType.ANALYSIS_COMPLETE, {"analysis_html": "", "report": None})
        self.store.finish(claim, [complete], reports=reports)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Somebody works at every job that comes."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(0.01):
                if claim := self.store.claim("worker", 60):
                    with suppress(AttemptSuperseded):
                        self.finish(claim)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join()

    def done(self, *said: str, **fields: str) -> str:
        """A job that is done."""
        job_id = self.send(**fields)
        claim = self.claim()
        assert str(claim.job.id) == job_id
        self.finish(claim, *said)
        return job_id


@pytest.fixture(scope="module")
def one_service(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("service")
    engine = {"status": "ready", "engine": "replay:x", "model": "x", "tokens": 12}
    with fresh_database(postgres) as database, open_pool(database) as pool:
        store = Store(pool)
        app = make_app(store, database, home, engine_status=lambda: engine)
        with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
            yield Service(app, client, store, pool, database, home, engine)


@pytest.fixture
def service(one_service: Service) -> Service:
    """The one server of these tests, with no jobs in it."""
    for job in one_service.store.list_jobs(1000):
        one_service.store.delete(job.id)
    return one_service


@pytest.fixture(scope="module")
def locked(one_service: Service) -> Iterator[Service]:
    """The same behind a key, on the same store."""
    given = one_service
    app = make_app(given.store, given.database, given.home, key=f"{KEY},another")
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield Service(app, client, given.store, given.pool, given.database, given.home)


def test_the_phones_flow(service: Service) -> None:
    get = service.client.get
    assert get("/health").json()["status"] == "UP"
    assert "ansel" in [advisor["id"] for advisor in get("/advisors").json()["advisors"]]
    job = service.client.post(
        "/upload", files={"image": ("p.jpg", jpeg())}, data={"advisor": "ansel", "mode": "rag"}
    ).json()
    old_id = f"{job['job_id']}%20(rag)"
    with service.client.stream("GET", f"/stream/{old_id}") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert get(f"/status/{old_id}").json()["status"] == "queued"
        assert get(f"/summary/{old_id}").status_code == 202
        service.finish(service.claim())
        events = [line for line in stream.iter_lines() if line.startswith("event:")]
    assert events[0] == "event: connected"
    assert events[-2:] == ["event: analysis_complete", "event: done"]
    assert get(f"/status/{old_id}").json()["status"] == "done"
    assert get(f"/summary/{old_id}").text.count("recommendation-item") >= 3
    assert get("/advisor_image/ansel.jpg").content.startswith(b"\xff\xd8")
    assert 'data-advisor="ansel"' in get(f"/analysis/{old_id}").text
    assert "Ansel Adams" in get("/advisor/ansel").text


def test_a_status_has_every_key(service: Service) -> None:
    job_id = service.send(advisor="ansel,okeefe", mode="lora")
    status = service.client.get(f"/status/{job_id}").json()
    assert status == service.client.get(f"/jobs/{job_id}").json()
    assert status.pop("created_at")
    position = status["queue_position"]
    assert position >= 1
    assert re.fullmatch(r"[0-9a-f]{8}-p\.jpg", status.pop("filename"))
    assert status == {
        "job_id": job_id,
        "id": job_id,
        "advisor": "ansel,okeefe",
        "mode": "lora",
        "mode_used": "baseline",
        "enable_rag": False,
        "status": "queued",
        "current_step": "Waiting in queue",
        "step_phase": "queued",
        "progress_percentage": 0,
        "llm_thinking": f"Waiting in queue (position {position})",
        "current_advisor": 0,
        "total_advisors": 2,
        "attempt": 1,
        "error": None,
        "queue_position": position,
        "eta_seconds": None,
        "started_at": None,
        "completed_at": None,
        "status_url": f"{service.url}/status/{job_id}",
        "stream_url": f"{service.url}/stream/{job_id}",
        "analysis_url": f"{service.url}/analysis/{job_id}",
    }


@pytest.mark.parametrize(
    "path",
    ["/status/{}", "/jobs/{}", "/stream/{}", "/analysis/{}", "/summary/{}", "/report/{}",
     "/photo/{}.jpg", "/job/{}/full-data"],
)  # fmt: skip
@pytest.mark.parametrize("name", [str(NOBODY), f"{NOBODY} (rag)", "nonsense", "%00", "..%2f"])
def test_a_job_that_is_not_there(service: Service, path: str, name: str) -> None:
    answer = service.client.get(path.format(name))
    assert answer.status_code == 404
    assert answer.json()["code"] in ("job_not_found", "not_found")


def test_a_job_is_not_there_for_those_who_change_it(service: Service) -> None:
    job, client = uuid4(), service.client
    for answer in (
        client.post(f"/jobs/{job}/cancel"),
        client.post(f"/jobs/{job}/start"),
        client.delete(f"/jobs/{job}"),
        client.put(f"/job/{job}/thinking", json={"thinking": "x"}),
    ):
        assert_problem(answer, 404, "job_not_found")


def test_results_are_announced_until_they_are_there(service: Service) -> None:
    job_id = service.send()
    for path in ("analysis", "summary", "report"):
        answer = service.client.get(f"/{path}/{job_id}")
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        assert answer.headers["retry-after"]
    service.finish(service.claim())
    for path in ("analysis", "summary", "report"):
        assert service.client.get(f"/{path}/{job_id}").status_code == 200


def test_a_job_that_failed_has_no_results(service: Service) -> None:
    job_id = service.send()
    error = {"code": "engine_failed", "message": "It is broken.", "retryable": False}
    service.store.finish(service.claim(), error=error)
    for path in ("analysis", "summary", "report"):
        answer = service.client.get(f"/{path}/{job_id}")
        assert_problem(answer, 409, "job_conflict")
        assert "It is broken." in answer.json()["error"]
    assert service.client.get(f"/status/{job_id}").json()["error"] == error


def test_a_report_comes_in_all_forms(service: Service) -> None:
    job_id = service.done(advisor="ansel,okeefe")

    def get(query: str) -> httpx.Response:
        return service.client.get(f"/report/{job_id}?{query}")

    report = get("").json()
    assert report["advisor"] == "ansel"
    assert [each["advisor"] for each in report["reports"]] == ["ansel", "okeefe"]
    assert len(report["dimensions"]) == 8
    assert get("advisor=okeefe").json()["advisor"] == "okeefe"
    assert_problem(get("advisor=gehry"), 404, "not_found")
    assert get("format=md").headers["content-type"].startswith("text/markdown")
    assert get("format=md").text.count("Emotional Impact") >= 2
    assert get("format=pdf").content.startswith(b"%PDF")
    assert get("format=html").text.count('class="advisor-section"') == 2
    assert_problem(get("format=doc"), 400, "invalid_request")


def test_a_summary_names_the_three_lowest(service: Service) -> None:
    job_id = service.done()
    said = service.client.get(f"/summary/{job_id}?format=json").json()
    assert [each["score"] for each in said["recommendations"]] == [4.0, 5.5, 6.0]
    html = service.client.get(f"/summary/{job_id}").text
    assert len(re.findall(r'class="recommendation-item', html)) == 3


def test_a_page_shows_the_photo(service: Service) -> None:
    job_id = service.done()
    [url] = re.findall(r'<img src="([^"]+)"', service.client.get(f"/analysis/{job_id}").text)
    assert url == f"{service.url}/photo/{job_id}.jpg"
    with Image.open(io.BytesIO(service.client.get(url, params={"width": 32}).content)) as image:
        assert (image.format, image.size) == ("JPEG", (32, 24))


def test_words_of_models_and_people_are_escaped(service: Service) -> None:
    files = {"image": (HOSTILE.replace("/", "") + ".jpg", jpeg())}
    job_id = service.client.post("/upload", files=files).json()["job_id"]
    service.finish(service.claim(), HOSTILE)
    for path in (f"/analysis/{job_id}", f"/summary/{job_id}", "/jobs?format=html"):
        page = service.client.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert "&lt;script&gt;" in page.text
        assert "<script" not in page.text


def test_jobs_are_listed(service: Service) -> None:
    get = service.client.get
    sent = [service.send(advisor=advisor) for advisor in ("ansel", "okeefe", "ansel")]
    listed = get("/jobs").json()
    assert [job["job_id"] for job in listed["jobs"]] == sent[::-1]
    assert listed["count"] == 3
    assert abs(listed["timestamp"] - time.time()) < 60
    assert get("/jobs?format=array").json() == listed["jobs"]
    assert [job["job_id"] for job in get("/jobs?advisor=okeefe").json()["jobs"]] == [sent[1]]
    assert get("/jobs?status=done").json()["count"] == 0
    first = get("/jobs?limit=2").json()["jobs"]
    rest = get("/jobs", params={"limit": 2, "before": first[-1]["created_at"]}).json()["jobs"]
    assert [job["job_id"] for job in first + rest] == sent[::-1]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "before=yesterday", "status=lost", "advisor=a%00b",
     "format=xml"],
)  # fmt: skip
def test_a_list_is_asked_for_properly(service: Service, query: str) -> None:
    assert_problem(service.client.get(f"/jobs?{query}"), 400, "invalid_request")


def test_a_job_is_cancelled_for_good(service: Service) -> None:
    job_id = service.send()
    claim = service.claim()
    for _ in range(2):
        answer = service.client.post(f"/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    with pytest.raises(Exception, match="may write no more"):
        service.finish(claim)
    assert_problem(service.client.post(f"/jobs/{job_id}/start"), 409, "job_conflict")
    assert_problem(service.client.get(f"/analysis/{job_id}"), 409, "job_conflict")


def test_a_deleted_job_takes_its_photo_along(service: Service) -> None:
    job_id = service.send()
    photo = service.home / "photos" / f"{job_id}.jpg"
    assert photo.exists()
    with service.client.stream("GET", f"/stream/{job_id}") as stream:
        lines = stream.iter_lines()
        while "event: connected" not in next(lines):
            pass
        assert service.client.delete(f"/jobs/{job_id}").status_code == 204
        assert any('"cancelled"' in line for line in lines)
    assert not photo.exists()
    assert service.client.get(f"/status/{job_id}").status_code == 404


def test_an_outside_advisor_thinks_aloud(service: Service) -> None:
    job_id = service.send()
    path = f"/job/{job_id}/thinking"
    thought = "The light\0 is late."
    answer = service.client.put(path, json={"thinking": thought})
    assert answer.json()["llm_thinking"] == "The light\ufffd is late."
    events = service.store.events_after(UUID(job_id), 0)
    assert json.loads(events[-1].payload)["type"] == "thinking_update"
    for body in (b"", b"{}", b'{"thinking": 1}', b'{"thinking": "' + b"x" * 20_000 + b'"}'):
        answer = service.client.put(path, content=body)
        assert_problem(answer, 400, "invalid_request")
    service.store.cancel(UUID(job_id))
    assert_problem(service.client.put(path, json={"thinking": "x"}), 409, "job_conflict")


def test_everything_about_a_job(service: Service) -> None:
    job_id = service.done(advisor="ansel,okeefe")
    everything = service.client.get(f"/job/{job_id}/full-data").json()
    assert everything["prompt"].startswith("You critique photographs as Ansel Adams")
    assert list(everything["prompts"]) == ["ansel", "okeefe"]
    assert [each["text"] for each in everything["outputs"]] == ["ansel's words", "okeefe's words"]
    assert everything["photo"]["width"] == 64


def test_advisors_have_what_the_app_shows(service: Service) -> None:
    listed = service.client.get("/advisors").json()
    assert listed["count"] == len(listed["advisors"]) >= 9
    ansel = service.client.get("/advisors/ansel").json()
    assert ansel in listed["advisors"]
    assert set(ansel["focus_areas"][0]) == {"title", "description"}
    for url in (ansel["image_url"], *(work["url"] for work in ansel["artworks"])):
        assert url.startswith(service.url)
        assert service.client.get(url).headers["content-type"] == "image/jpeg"
    page = service.client.get("/advisor/okeefe").text
    assert "Georgia O&#39;Keeffe" in page
    assert '<img class="portrait"' in page


@pytest.mark.parametrize(
    "path",
    ["/advisors/nobody", "/advisor/nobody", "/advisor_image/nobody.jpg", "/advisor_artwork/x/1",
     "/advisor_artwork/ansel/0", "/advisor_artwork/ansel/99.jpg", "/advisor_image/%00"],
)  # fmt: skip
def test_an_advisor_that_is_not_there(service: Service, path: str) -> None:
    assert_problem(service.client.get(path), 404, "not_found")


def test_portraits_are_the_same_each_time(service: Service) -> None:
    first = service.client.get("/advisor_image/ansel")
    again = service.client.get("/advisor_image/ansel.jpeg")
    assert first.content == again.content
    assert first.content != service.client.get("/advisor_image/okeefe").content
    png = service.client.get("/advisor_image/ansel.png")
    assert png.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(png.content)) as image:
        assert image.size == (512, 512)
        assert {(212, 41, 31), (29, 79, 163), (242, 194, 27)} <= {
            colour for _, colour in image.getcolors(1 << 20) or []
        }


def test_a_card_is_found_by_number_and_by_title(service: Service) -> None:
    work = service.client.get("/advisors/ansel").json()["artworks"][1]
    by_title = service.client.get(f"/advisor_artwork/ansel/{work['title']}.jpg")
    assert by_title.content == service.client.get(work["url"]).content


def test_initials() -> None:
    assert [initials(name) for name in ("Ansel Adams", "Vincent van Gogh", "Nadar", " ")] == [
        "AA",
        "VG",
        "N",
        "?",
    ]


def test_the_engine_and_the_figures_are_told(service: Service) -> None:
    assert service.client.get("/model-status").json() == service.engine
    service.send()
    said = service.client.get("/metrics").text
    for line in (
        'mondrian_jobs{status="queued"} 1.0',
        "mondrian_queue_length 1.0",
        "mondrian_stream_clients 0.0",
        'mondrian_uploads_total{outcome="accepted"}',
        "mondrian_engine_tokens 12.0",
        "mondrian_database_up 1.0",
    ):
        assert line in said


def test_the_server_is_there_without_its_database(service: Service, postgres: str) -> None:
    service.pool.timeout = 0.3
    with without_database(postgres, service.database):
        health = service.client.get("/health")
        assert_problem(service.client.get(f"/status/{uuid4()}"), 503, "database_unavailable")
        assert "mondrian_database_up 0.0" in service.client.get("/metrics").text
    service.pool.timeout = 10.0
    assert (health.status_code, health.json()["status"]) == (200, "UP")
    assert health.json()["database"] == "down"
    assert service.client.get("/jobs").status_code == 200


def test_a_critique_is_waited_for(service: Service) -> None:
    for format_, start in (("json", "{"), ("html", "<!DOCTYPE html>"), ("sse", "retry:")):
        with service.working():
            answer = service.client.post(
                "/analyze",
                files={"image": ("p.jpg", jpeg())},
                data={"response_format": format_, "auto_analyze": "false"},
            )
        assert answer.status_code == 200
        assert answer.text.startswith(start)
        if format_ == "json":
            assert answer.json()["status"] == "done"
            assert answer.json()["report"]["advisor"] == "ansel"
            assert 'class="advisor-section"' in answer.json()["analysis_html"]


def test_a_critique_that_failed_is_an_error(service: Service) -> None:
    def work(error: dict[str, Any] | None) -> None:
        deadline = time.monotonic() + 20
        while (claim := service.store.claim("worker", 60)) is None:
            assert time.monotonic() < deadline
        if error:
            service.store.finish(claim, error=error)
        else:
            service.store.cancel(claim.job.id)

    crashed = EngineCrashed()
    error = {"code": crashed.code, "message": crashed.message, "retryable": True}
    for told, status, code in ((error, 502, "engine_crashed"), (None, 409, "job_conflict")):
        worker = threading.Thread(target=work, args=[told])
        worker.start()
        answer = service.client.post("/analyze", files={"image": ("p.jpg", jpeg())})
        worker.join()
        assert_problem(answer, status, code)


def test_who_stops_waiting_does_not_cancel(service: Service) -> None:
    with pytest.raises(httpx.ReadTimeout):
        service.client.post("/analyze", files={"image": ("p.jpg", jpeg())}, timeout=0.5)
    assert not service.claim().job.is_ended


def test_a_critique_is_followed_at_once(service: Service) -> None:
    with service.client.stream(
        "POST", "/analyze_stream", files={"image": ("p.jpg", jpeg())}
    ) as stream:
        assert stream.status_code == 200
        service.finish(service.claim())
        assert [line for line in stream.iter_lines() if line][-2] == "event: done"


def test_addresses_are_those_that_were_set(service: Service) -> None:
    app = make_app(
        service.store, service.database, service.home, base_url="https://photos.example/m/"
    )
    job_id = service.done()
    with running(app) as url:
        status = httpx.get(f"{url}/status/{job_id}").json()
        page = httpx.get(f"{url}/analysis/{job_id}")
    assert status["analysis_url"] == f"https://photos.example/m/analysis/{job_id}"
    assert f'src="https://photos.example/m/photo/{job_id}.jpg"' in page.text
    assert "https://photos.example" in page.headers["content-security-policy"]


# --- errors ---------------------------------------------------------------------------------------


def test_errors_have_one_shape(service: Service) -> None:
    client = service.client
    assert_problem(client.get("/nowhere"), 404, "not_found")
    assert_problem(client.get("/stream/a/b"), 404, "not_found")
    answer = client.put("/upload")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    assert_problem(client.get("/report/x?format=1"), 404, "job_not_found")


def test_nothing_shows_its_inside(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise RuntimeError("the inside")

    service.app.add_api_route("/broken", broken)
    with caplog.at_level(logging.ERROR):
        answer = service.client.get("/broken")
    service.app.router.routes.pop()
    assert_problem(answer, 500, "internal_error")
    assert "inside" not in answer.text
    deadline = time.monotonic() + 10
    while "the inside" not in caplog.text:  # it is logged after it is answered
        assert time.monotonic() < deadline
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_headers_tell_browsers_to_be_careful(service: Service) -> None:
    for path in ("/", "/health", "/nowhere", "/advisor/ansel", f"/stream/{uuid4()}"):
        headers = service.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    policy = service.client.get("/advisor/ansel").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy


# --- access ---------------------------------------------------------------------------------------


def asked_by(service: Service, host: str, path: str = "/jobs", **more: str) -> int:
    """The status for a request with any ``Host``, and more headers."""
    connection = HTTPConnection(service.client.base_url.host, service.client.base_url.port or 0)
    connection.putrequest("GET", path, skip_host=True)
    for name, value in {"Host": host, **more}.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:5005", 200),
        ("[::1]:80", 200),
        ("LOCALHOST:1", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1", 403),
        ("", 400),
        ("a b", 400),
        ("localhost@evil.example", 400),
    ],
)
def test_without_a_key_only_this_machine_is_answered(
    service: Service, host: str, status: int
) -> None:
    assert asked_by(service, host) == status
    assert asked_by(service, host, path=f"/stream/{uuid4()}") in (status, 404)


def test_without_a_key_strangers_are_refused(service: Service) -> None:
    # uvicorn believes this header of a proxy on the same machine
    assert asked_by(service, "localhost", **{"X-Forwarded-For": "192.168.1.7"}) == 403


def test_an_open_server_answers_to_all(service: Service) -> None:
    app = make_app(service.store, service.database, service.home, open=True)
    with running(app) as url, httpx.Client(base_url=url) as client:
        opened = Service(app, client, service.store, service.pool, service.database, service.home)
        assert asked_by(opened, "photos.local", **{"X-Forwarded-For": "192.168.1.7"}) == 200


def test_foreign_pages_change_nothing(service: Service, locked: Service) -> None:
    job_id, evil = service.send(), {"Origin": "https://evil.example"}
    answer = service.client.post(f"/jobs/{job_id}/cancel", headers=evil)
    assert_problem(answer, 403, "foreign_request")
    assert service.client.post(f"/jobs/{job_id}/cancel", headers={"Origin": "null"}).is_error
    assert locked.client.post(f"/jobs/{job_id}/cancel", headers=evil | BEARER).status_code == 403
    own = {"Origin": service.url}
    assert service.client.post(f"/jobs/{job_id}/cancel", headers=own).status_code == 200


def test_a_key_is_needed_where_there_is_one(locked: Service) -> None:
    get = locked.client.get
    for path in ("/jobs", f"/status/{uuid4()}", f"/stream/{uuid4()}", "/metrics", "/nowhere"):
        answer = get(path)
        assert_problem(answer, 401, "not_allowed")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert get(path, headers=BEARER).status_code != 401
        assert get(f"{path}?token={KEY}").status_code == 401
    for path in ("/", "/health", "/openapi.json"):
        assert get(path).status_code == 200
    assert get("/jobs", headers={"Authorization": "Bearer another"}).status_code == 200
    assert get("/jobs", headers={"Cookie": f"{COOKIE}={KEY.replace(' ', '%20')}"}).is_error
    assert asked_by(locked, "photos.example", Authorization=f"Bearer {KEY}") == 200


def test_jobs_belong_to_keys(locked: Service, service: Service) -> None:
    for key in (KEY, "another"):
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "same"}
        answer = locked.client.post("/upload", files={"file": ("p", jpeg())}, headers=headers)
        assert answer.status_code == 201
    owners = {job.owner for job in service.store.list_jobs()}
    assert len(owners) == 2
    assert all(re.fullmatch(r"key:[0-9a-f]{16}", owner) for owner in owners)


def test_a_token_reads_pages_and_pictures(locked: Service, service: Service) -> None:
    job_id = service.done()
    assert locked.client.post("/token").status_code == 401
    token = locked.client.post("/token", headers=BEARER).json()["token"]

    def get(path: str, token: str = token) -> int:
        return locked.client.get(path, params={"token": token}).status_code

    page = locked.client.get(f"/analysis/{job_id}", params={"token": token}).text
    [photo] = re.findall(r'<img src="([^"]+)"', page)
    assert locked.client.get(photo).status_code == 200
    assert get("/advisor_image/ansel.jpg") == get(f"/stream/{job_id}") == 200
    assert get("/jobs") == get(f"/status/{job_id}") == get(f"/job/{job_id}/full-data") == 401
    assert get(f"/analysis/{job_id}", token[:-1] + "x") == 401
    assert get(f"/analysis/{job_id}", token.replace("read", "session")) == 401
    scope, ends, signature = token.split(".")
    assert get(f"/analysis/{job_id}", f"{scope}.{int(ends) + 1}.{signature}") == 401
    assert locked.client.delete(f"/jobs/{job_id}", params={"token": token}).status_code == 401


def test_a_page_opened_with_a_key_shows_its_pictures(locked: Service, service: Service) -> None:
    job_id = service.done()
    page = locked.client.get(f"/analysis/{job_id}", headers=BEARER).text
    [photo] = re.findall(r'<img src="([^"]+)"', page)
    assert locked.client.get(photo).status_code == 200


def test_a_token_ends() -> None:
    from starlette.requests import Request

    moment = [1000.0]
    access = Access(Settings(key=KEY), now=lambda: moment[0])
    scope = {"type": "http", "method": "GET", "path": "/photo/x", "headers": [(b"host", b"h")]}
    token, ends = access.make_token(Request(scope), "read", 60)
    asked = Request(scope | {"query_string": f"token={token}".encode(), "client": None})
    assert ends == 1060
    moment[0] = 1060.0
    assert not access.admit(asked).has_key
    moment[0] = 1061.0
    with pytest.raises(Exception, match="key"):
        access.admit(asked)


def test_a_session_is_a_cookie(locked: Service) -> None:
    answer = locked.client.post("/session", headers=BEARER)
    assert answer.status_code == 204
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "samesite=strict" in said.lower()
    assert KEY not in said
    with httpx.Client(base_url=locked.url, cookies=dict(answer.cookies)) as page:
        assert page.get("/jobs").status_code == 200
        assert page.delete("/session").status_code == 204
    locked.client.cookies.clear()
    assert locked.client.get("/jobs").status_code == 401


def test_no_key_no_tokens(service: Service) -> None:
    assert_problem(service.client.post("/token"), 400, "invalid_request")


def test_deleting_all_takes_a_key_always(service: Service, locked: Service) -> None:
    ended, waiting = service.done(), service.send()
    assert_problem(service.client.delete("/jobs"), 401, "not_allowed")
    assert locked.client.delete("/jobs", headers=BEARER).json() == {"deleted": 1}
    assert service.client.get(f"/status/{ended}").status_code == 404
    assert service.client.get(f"/status/{waiting}").status_code == 200
    left = {path.name for path in (service.home / "photos").iterdir()}
    assert f"{ended}.jpg" not in left
    assert f"{waiting}.jpg" in left


def test_full_data_takes_a_key_where_there_is_one(locked: Service, service: Service) -> None:
    path = f"/job/{service.send()}/full-data"
    assert locked.client.get(path).status_code == 401
    assert locked.client.get(path, headers=BEARER).status_code == 200


def test_other_pages_may_read_where_that_is_set(service: Service) -> None:
    friend = {"Origin": "https://friend.example"}
    assert "access-control-allow-origin" not in service.client.get("/jobs", headers=friend).headers
    app = make_app(service.store, service.database, service.home, cors_origins=(friend["Origin"],))
    with running(app) as url, httpx.Client(base_url=url) as client:
        job_id = service.send()
        for path in ("/jobs", "/nowhere", f"/stream/{uuid4()}"):
            headers = client.get(path, headers=friend).headers
            assert headers["access-control-allow-origin"] == friend["Origin"]
        assert client.post(f"/jobs/{job_id}/cancel", headers=friend).status_code == 200
        asked = friend | {"Access-Control-Request-Method": "DELETE"}
        assert client.options("/jobs", headers=asked).status_code == 200
        evil = {"Origin": "https://evil.example"}
        assert "access-control-allow-origin" not in client.get("/jobs", headers=evil).headers


# --- what /openapi.json says ----------------------------------------------------------------------


def test_openapi_tells_every_route_and_refusal(service: Service) -> None:
    schema = service.client.get("/openapi.json").json()
    operations = {
        (method, path): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    assert ("get", "/stream/{job}") in operations
    assert ("post", "/upload") in operations
    for (method, path), operation in operations.items():
        assert operation["summary"], path
        assert {"400", "401", "403", "500"} <= set(operation["responses"]), (method, path)
        assert "422" not in operation["responses"]
    assert "HTTPValidationError" not in json.dumps(schema)
    shapes = schema["components"]["schemas"]
    assert shapes["UploadAnswer"]["examples"][0]["status"] == "queued"
    refused = operations["post", "/upload"]["responses"]
    assert {"408", "409", "413", "415", "503", "507"} <= set(refused)


def test_everything_is_documented(service: Service) -> None:
    docs = (Path(__file__).parent.parent / "docs" / "http.md").read_text(encoding="utf-8")
    for path, methods in service.client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in docs
    for error in list_errors():
        row = rf"^\| {error.http_status} \|.*`{error().code}`"
        assert re.search(row, docs, re.MULTILINE), error


@pytest.mark.parametrize("shape", ["JobState", "UploadAnswer", "Problem", "AdvisorEntry"])
def test_examples_are_what_they_show(shape: str) -> None:
    from mondrian.api import schemas

    model = getattr(schemas, shape)
    [example] = model.model_config["json_schema_extra"]["examples"]
    assert set(model.model_validate(example).model_dump()) == set(example)


def test_what_openapi_says_is_so(service: Service, tmp_path: Path) -> None:
    """schemathesis sends what the schema allows and what it does not, to a job that is there."""
    example = UUID(JOB_ID)
    service.store.add(replace(service.store.read(UUID(service.send())), id=example))
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,"
    checks += "response_headers_conformance,response_schema_conformance,unsupported_method"
    command = [str(Path(sys.executable).with_name("schemathesis")), "run"]
    command += [f"{service.url}/openapi.json", "--checks", checks, "--max-examples=3"]
    command += ["--phases=examples,coverage,fuzzing", "--seed=1", "--no-color", "--no-shrink"]
    with service.working():
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
