"""What clients that were not written for Mondrian need, beside the phone's flow in test_api.py."""

import http.client
import re
import socket
from datetime import datetime
from urllib.parse import urlsplit

import pytest

from support.service import Service, another, bearer
from support.uploads import assert_problem


def connect(service: Service) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=60)


def test_the_id_is_the_last_line_of_an_event_and_retry_stands_alone(service: Service) -> None:
    """eventsource 2 and fetch-event-source move their cursor when they see the id."""
    job = service.done()
    answer = service.client.get(f"/stream/{job}?after=0")
    assert "connection" not in answer.headers
    first, *blocks = answer.text.rstrip("\n").split("\n\n")
    assert re.fullmatch(r"retry: \d+", first)
    numbered = [block.splitlines() for block in blocks if re.search("^id:", block, re.MULTILINE)]
    assert numbered
    assert all(lines[-1].startswith("id: ") for lines in numbered)


def test_a_cursor_may_stand_in_the_address(service: Service) -> None:
    """event-source-polyfill and reconnecting-eventsource send no header."""
    job = service.done()
    wire = service.client.get(f"/stream/{job}").text
    last = re.findall(r"^id: (.*)$", wire, re.MULTILINE)[-1]
    assert service.client.get(f"/stream/{job}?lastEventId={last}").status_code == 204
    at_start = service.client.get(f"/stream/{job}?lastEventId={last}&after=0")
    assert at_start.status_code == 204  # as the header would, it wins


@pytest.mark.parametrize("path", ["/health", "/", "/advisors", "/advisor_image/ansel.jpg"])
def test_head_answers_as_get_without_a_body(service: Service, path: str) -> None:
    shown, asked = service.client.get(path), service.client.head(path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-type"] == shown.headers["content-type"]


def test_head_of_a_stream_ends(service: Service) -> None:
    asked = service.client.head(f"/stream/{service.send()}")
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-type"] == "text/event-stream"


def test_a_probe_without_a_host_is_answered(service: Service) -> None:
    """HAProxy's ``option httpchk`` speaks HTTP/1.0."""
    address = urlsplit(service.url)
    for path, status in ((b"/health", b"200"), (b"/jobs", b"400")):
        with socket.create_connection((address.hostname, address.port), timeout=60) as line:
            line.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path)
            assert line.recv(400).split()[1] == status


def test_pictures_are_not_sent_twice(service: Service) -> None:
    job = service.done()
    for path in ("/advisor_image/ansel.jpg", f"/photo/{job}.jpg", "/advisor_artwork/ansel/1.png"):
        tag = service.client.get(path).headers["etag"]
        again = service.client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert service.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_advisors_are_decoded_by_phones(service: Service) -> None:
    get = service.client.get
    assert datetime.fromisoformat(get("/advisors").json()["timestamp"])
    detail = get("/advisors/ansel").json()
    assert datetime.fromisoformat(detail["timestamp"])
    assert detail["advisor"].items() <= detail.items()
    assert detail["wikipedia_url"].startswith("https://en.wikipedia.org/wiki/")
    assert detail["commons_url"].startswith("https://commons.wikimedia.org/")
    page = get("/advisor/ansel", headers={"Accept": "text/html,application/json"})
    assert page.headers["content-type"].startswith("text/html")
    shown = get("/advisor/ansel", headers={"Accept": "application/json"}).json()
    assert shown["advisor"] == detail["advisor"]


def test_old_ids_of_advisors_are_known(service: Service) -> None:
    for path in ("/advisors/vangogh", "/advisor/vangogh", "/advisor_image/vangogh.jpg"):
        assert service.client.get(path).status_code == 200
    assert_problem(service.client.get("/advisors/nobody"), 404, "not_found")


def test_a_photo_is_found_by_its_file_name(service: Service, locked: Service) -> None:
    job = service.done()
    name = service.client.get(f"/job/{job}").json()["filename"]
    assert service.client.get(f"/image/{name}").headers["content-type"] == "image/jpeg"
    for other in ("x.jpg", f"{'0' * 8}-p.jpg", f"{name}x", "%00"):
        assert service.client.get(f"/image/{other}").status_code == 404
    assert locked.client.get(f"/image/{name}", headers=bearer()).status_code == 404


def test_everything_is_there_by_the_old_names(service: Service) -> None:
    job = service.done("Said.")
    full = service.client.get(f"/job/{job}/full-data").json()
    assert full["prompt_length"] == len(full["prompt"]) > 0
    assert full["llm_outputs"] == {"ansel": "ansel's words"}
    assert full["analysis_markdown"].startswith("# Critique by")
    assert set(full["timestamps"]) == {"created_at", "started_at", "completed_at"}


def test_done_may_be_called_completed(service: Service) -> None:
    job = service.done()
    with another(service, done_status="completed") as other:
        get = other.client.get
        for path in (f"/status/{job}", f"/jobs/{job}"):
            assert get(path).json()["status"] == "completed"
        for query in ("", "?status=completed", "?status=done"):
            assert [each["status"] for each in get(f"/jobs{query}").json()["jobs"]] == ["completed"]
        assert '"status":"done"' in get(f"/stream/{job}?after=0").text
    assert service.client.get(f"/status/{job}").json()["status"] == "done"


def test_a_preflight_may_name_cache_control_and_a_refusal_has_our_shape(service: Service) -> None:
    with another(service, cors_origins=("http://app.example",)) as other:
        asked = {
            "Origin": "http://app.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,cache-control,last-event-id",
        }
        assert other.client.options("/jobs", headers=asked).status_code == 200
        asked["Origin"] = "http://evil.example"
        assert_problem(other.client.options("/jobs", headers=asked), 400, "foreign_request")
