"""Access: keys, hosts and origins."""

import time
from http.client import HTTPConnection
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from mondrian.api.guesses import FREE, Tally, compute_delay, find_network
from mondrian.errors import SettingsError
from mondrian.settings import Settings
from support.service import ADMIN_KEY, KEY, OTHER_KEY, Service, another, bearer
from support.uploads import assert_problem, jpeg


def asked_by(service: Service, *hosts: str, path: str = "/jobs", **more: str) -> int:
    """The status for a request with any ``Host`` fields, and more headers."""
    connection = HTTPConnection(service.client.base_url.host, service.client.base_url.port or 0)
    connection.putrequest("GET", path, skip_host=True)
    for host in hosts:
        connection.putheader("Host", host)
    for name, value in more.items():
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


def test_there_is_one_host(service: Service, locked: Service) -> None:
    assert asked_by(service) == asked_by(service, "localhost", "localhost") == 400
    assert asked_by(locked, "a.example", "b.example", **bearer()) == 400


def test_without_a_key_strangers_are_refused(service: Service) -> None:
    # uvicorn believes this header of a proxy on the same machine
    assert asked_by(service, "localhost", **{"X-Forwarded-For": "192.168.1.7"}) == 403


def test_an_open_server_answers_to_all(service: Service) -> None:
    with another(service, open=True) as opened:
        assert asked_by(opened, "photos.local", **{"X-Forwarded-For": "192.168.1.7"}) == 200


@pytest.mark.parametrize("more", [{}, {"open": True}, {"key": KEY}])
def test_names_that_were_set_are_checked_in_every_mode(
    service: Service, more: dict[str, object]
) -> None:
    with another(service, hosts=("photos.example",), **more) as named:
        for host, status in (("Photos.example:80", 200), ("localhost", 200), ("evil.example", 403)):
            assert asked_by(named, host, **bearer()) == status


def test_foreign_pages_change_nothing(service: Service, locked: Service) -> None:
    job_id, evil = service.send(), {"Origin": "https://evil.example"}
    for origin in ("https://evil.example", "null", service.url.replace("http", "https")):
        answer = service.client.post(f"/jobs/{job_id}/cancel", headers={"Origin": origin})
        assert_problem(answer, 403, "foreign_request")
    assert locked.client.post(f"/jobs/{job_id}/cancel", headers=evil | bearer()).status_code == 403
    own = {"Origin": service.url}
    assert service.client.post(f"/jobs/{job_id}/cancel", headers=own).status_code == 200


def test_a_key_is_needed_where_there_is_one(locked: Service) -> None:
    get = locked.client.get
    for path in ("/jobs", f"/status/{uuid4()}", f"/stream/{uuid4()}", "/metrics", "/nowhere"):
        answer = get(path)
        assert_problem(answer, 401, "not_allowed")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert get(path, headers=bearer()).status_code != 401
    assert get("/jobs", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert get(f"/jobs?token={KEY}").status_code == 401
    for path in ("/", "/health", "/openapi.json"):
        assert get(path).status_code == 200
    assert get("/jobs", headers=bearer(OTHER_KEY)).status_code == 200
    assert get("/jobs", headers=bearer(ADMIN_KEY)).status_code == 200
    assert asked_by(locked, "photos.example", **bearer()) == 200


def test_full_data_takes_a_key_where_there_is_one(locked: Service) -> None:
    path = f"/job/{locked.send(KEY)}/full-data"
    assert locked.client.get(path).status_code == 401
    assert locked.client.get(path, headers=bearer()).status_code == 200


def test_other_pages_may_read_where_that_is_set(service: Service) -> None:
    friend = {"Origin": "https://friend.example"}
    assert "access-control-allow-origin" not in service.client.get("/jobs", headers=friend).headers
    with another(service, cors_origins=(friend["Origin"],)) as opened:
        client, job_id = opened.client, service.send()
        for path in ("/jobs", "/nowhere", f"/stream/{uuid4()}"):
            headers = client.get(path, headers=friend).headers
            assert headers["access-control-allow-origin"] == friend["Origin"]
        assert client.post(f"/jobs/{job_id}/cancel", headers=friend).status_code == 200
        asked = friend | {"Access-Control-Request-Method": "DELETE"}
        assert client.options("/jobs", headers=asked).status_code == 200
        evil = {"Origin": "https://evil.example"}
        assert "access-control-allow-origin" not in client.get("/jobs", headers=evil).headers


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["", " ", ",", "short", f"{KEY},", f"{KEY},short", "fifteen letters", "a b" * 9, "ß" * 20],
)
@pytest.mark.parametrize("name", ["key", "admin_key"])
def test_keys_that_are_easily_guessed_are_refused(key: str, name: str) -> None:
    settings = Settings.read(**{name: key})
    with pytest.raises(SettingsError, match="16 characters") as caught:
        assert settings.keys + settings.admin_keys
    assert not key.strip(" ,") or key not in caught.value.message


def test_keys_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\n\n{OTHER_KEY}\n")
    assert Settings.read(key_file=path).keys == (KEY, OTHER_KEY)
    path.write_text("\n")
    for refused in (path, tmp_path / "none"):
        with pytest.raises(SettingsError):
            assert Settings.read(key_file=refused).keys


def test_guesses_are_slowed_counted_and_logged(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with another(service, key=KEY) as locked:
        for number in range(FREE + 3):
            answer = locked.client.get("/jobs", headers=bearer(f"guess-{number}"))
            assert answer.status_code == 401
        begun = time.monotonic()
        answer = locked.client.get("/jobs", headers=bearer("the last guess"))
        assert time.monotonic() - begun >= compute_delay(FREE + 4)
        begun = time.monotonic()
        said = locked.client.get("/metrics", headers=bearer()).text
        assert time.monotonic() - begun < compute_delay(FREE + 4)  # a right key is not slowed
    assert f"mondrian_wrong_keys_total {FREE + 4}.0" in said
    assert [record.message for record in caplog.records if "wrong key" in record.message] == [
        "wrong key from 127.0.0.1, for the 1. time"
    ]
    assert "guess-0" not in caplog.text


def test_a_forged_cookie_or_token_is_a_guess_too(service: Service) -> None:
    with another(service, key=KEY) as locked:
        httpx.get(f"{locked.url}/jobs", cookies={"mondrian_key": "forged"})
        httpx.get(f"{locked.url}/analysis/{uuid4()}?token=forged")
        said = locked.client.get("/metrics", headers=bearer()).text
    assert "mondrian_wrong_keys_total 2.0" in said


def test_a_guesser_is_known_by_its_network_and_forgotten() -> None:
    assert (
        find_network("2001:db8::1:2")
        == find_network("2001:db8::9")
        != find_network("2001:db8:0:1::9")
    )
    assert find_network("::ffff:10.0.0.1") == find_network("10.0.0.1") == "10.0.0.1"
    now = [0.0]
    tally = Tally(lambda: now[0])
    assert [tally.add("10.0.0.1") for _ in range(3)] == [1, 2, 3]
    assert tally.add("10.0.0.2") == 1
    now[0] = 1000.0
    assert tally.add("10.0.0.1") == 1
    assert (
        compute_delay(FREE)
        == 0
        < compute_delay(FREE + 1)
        < compute_delay(FREE + 2)
        < compute_delay(1000)
    )


def test_an_admin_key_alone_closes_nothing(service: Service) -> None:
    with another(service, admin_key=ADMIN_KEY) as watched:
        job_id = watched.done()
        assert watched.client.get(f"/status/{job_id}").status_code == 200
        assert_problem(watched.client.delete("/jobs"), 401, "not_allowed")
        assert watched.client.delete("/jobs", headers=bearer(ADMIN_KEY)).json() == {"deleted": 1}


def test_uploads_of_two_keys_never_share_an_idempotency_key(locked: Service) -> None:
    jobs = set()
    for key in (KEY, OTHER_KEY):
        headers = bearer(key) | {"Idempotency-Key": "same"}
        answer = locked.client.post("/upload", files={"file": ("p", jpeg())}, headers=headers)
        jobs.add(answer.json()["job_id"])
    assert len(jobs) == 2
