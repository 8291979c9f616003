"""The API as its clients see it: the phone's flow, jobs, results, errors."""

import io
import json
import logging
import re
import threading
import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from PIL import Image

from mondrian.errors import EngineCrashed
from support.servers import without_database
from support.service import Service
from support.uploads import assert_problem, jpeg

NOBODY = UUID(int=1)
HOSTILE = "<script>alert(1)</script>"


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
        "score": None,
        "intent": "",
        "genre": "",
        "retry_of": None,
        "status": "queued",
        "current_step": "Waiting in queue",
        "step_phase": "queued",
        "progress_percentage": 0,
        "progress": 0,
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
        assert not re.findall(r"<script(?! type=\"module\" src=\"/web/)", page.text)


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
    events = service.store.read_events(UUID(job_id), 0)
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
        lines = [line for line in stream.iter_lines() if line.startswith("event: ")]
    assert lines[-1] == "event: done"


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
        # with "no-referrer" our own forms would come from nowhere
        assert headers["referrer-policy"] == ("same-origin" if path == "/" else "no-referrer")
    policy = service.client.get("/advisor/ansel").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
