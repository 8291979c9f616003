"""Ownership of jobs by key, by a browser's session or by their id; tokens for one job."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from mondrian.api.auth import COOKIE
from mondrian.api.signing import Signer
from support.service import ADMIN_KEY, KEY, OTHER_KEY, Service, another, bearer
from support.uploads import assert_problem

READS = ["/status/{}", "/jobs/{}", "/stream/{}?after=0", "/analysis/{}", "/summary/{}",
         "/report/{}", "/report/{}?format=pdf", "/photo/{}.jpg", "/job/{}/full-data"]  # fmt: skip
WRITES = [("POST", "/jobs/{}/start"), ("POST", "/jobs/{}/cancel"), ("DELETE", "/jobs/{}"),
          ("PUT", "/job/{}/thinking"), ("POST", "/token?job={}")]  # fmt: skip
PAGE = {"Accept": "text/html"}


@pytest.mark.parametrize("path", READS)
def test_a_job_of_another_is_not_there(locked: Service, path: str) -> None:
    path = path.format(locked.done(key=KEY))
    assert_problem(locked.client.get(path, headers=bearer(OTHER_KEY)), 404, "job_not_found")
    for key in (KEY, ADMIN_KEY):
        assert locked.client.get(path, headers=bearer(key)).status_code == 200


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_job_of_another_stays_as_it_is(locked: Service, method: str, path: str) -> None:
    job_id = locked.send(KEY, auto_analyze="false")
    before = locked.client.get(f"/status/{job_id}", headers=bearer()).json()

    def ask(key: str) -> httpx.Response:
        said = {"thinking": "x"} if method == "PUT" else None
        return locked.client.request(method, path.format(job_id), json=said, headers=bearer(key))

    assert_problem(ask(OTHER_KEY), 404, "job_not_found")
    assert locked.client.get(f"/status/{job_id}", headers=bearer()).json() == before
    assert ask(KEY).is_success


def test_a_list_holds_ones_own(locked: Service, service: Service) -> None:
    mine, other = locked.send(KEY), locked.send(OTHER_KEY)

    def listed(key: str) -> list[str]:
        jobs = locked.client.get("/jobs?format=array", headers=bearer(key)).json()
        return [job["job_id"] for job in jobs]

    assert (listed(KEY), listed(OTHER_KEY)) == ([mine], [other])
    assert listed(ADMIN_KEY) == [other, mine]
    assert service.client.get("/jobs").json()["count"] == 2  # loopback without keys: everybody


def test_ones_own_ended_jobs_are_deleted(service: Service, locked: Service) -> None:
    mine, other, waiting = locked.done(key=KEY), locked.done(key=OTHER_KEY), locked.send(KEY)
    assert_problem(service.client.delete("/jobs"), 401, "not_allowed")
    assert locked.client.delete("/jobs", headers=bearer()).json() == {"deleted": 1}
    assert service.client.get(f"/status/{mine}").status_code == 404
    left = {path.name for path in (service.home / "photos").iterdir()}
    assert f"{mine}.jpg" not in left
    assert {f"{other}.jpg", f"{waiting}.jpg"} <= left
    assert locked.client.delete("/jobs", headers=bearer(ADMIN_KEY)).json() == {"deleted": 1}
    assert service.client.get(f"/status/{waiting}").status_code == 200


# --- open servers ---------------------------------------------------------------------------------


@pytest.fixture
def opened(service: Service) -> Iterator[Service]:
    with another(service, open=True, admin_key=ADMIN_KEY) as opened:
        yield opened


def test_on_an_open_server_the_id_is_the_right(opened: Service) -> None:
    job_id = opened.done()
    with httpx.Client(base_url=opened.url) as stranger:
        for path in READS:
            assert stranger.get(path.format(job_id)).status_code == 200
        assert stranger.get("/jobs").json()["jobs"] == []
        assert_problem(stranger.delete("/jobs"), 401, "not_allowed")
        admin = stranger.get("/jobs", headers=bearer(ADMIN_KEY)).json()
        assert [job["job_id"] for job in admin["jobs"]] == [job_id]
        assert stranger.delete(f"/jobs/{job_id}").status_code == 204


def test_a_browser_on_an_open_server_lists_its_own_jobs(opened: Service) -> None:
    with httpx.Client(base_url=opened.url) as one, httpx.Client(headers=PAGE) as other:
        said = one.get("/", headers=PAGE).headers["set-cookie"]
        assert "HttpOnly" in said
        assert "set-cookie" not in one.get("/", headers=PAGE).headers
        mine = Service(opened.app, one, opened.store, opened.pool, opened.database, opened.home)
        job_id = mine.send()
        assert [job["job_id"] for job in one.get("/jobs").json()["jobs"]] == [job_id]
        assert other.get(f"{opened.url}/jobs?format=json").json()["jobs"] == []


def test_sessions_for_nothing_have_an_end(opened: Service) -> None:
    with httpx.Client(base_url=opened.url) as client:
        for _ in range(100):
            assert client.post("/session").status_code == 204
            client.cookies.clear()
        assert client.post("/session").status_code == 401


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_reads_one_job(locked: Service) -> None:
    job_id, other = locked.done(key=KEY), locked.done(key=KEY)
    token = locked.client.post(f"/token?job={job_id}", headers=bearer()).json()["token"]

    def get(path: str, token: str = token) -> int:
        return locked.client.get(path, params={"token": token}).status_code

    page = locked.client.get(f"/analysis/{job_id}", params={"token": token}).text
    [photo] = re.findall(r'<img src="([^"]+)"', page)
    assert locked.client.get(photo).status_code == 200
    assert get("/advisor_image/ansel.jpg") == get(f"/stream/{job_id}") == 200
    assert get("/jobs") == get(f"/status/{job_id}") == get(f"/job/{job_id}/full-data") == 401
    assert get(f"/analysis/{other}") == get(f"/stream/{other}") == 404
    assert get(f"/photo/{other}.jpg") == 404
    forged = token[:-9] + token[-9:].swapcase()
    assert forged != token
    assert get(f"/analysis/{job_id}", forged) == 401
    assert locked.client.delete(f"/jobs/{job_id}", params={"token": token}).status_code == 401
    assert httpx.get(f"{locked.url}/jobs", cookies={COOKIE: token}).status_code == 401


def test_a_token_is_asked_for_by_who_may_see_the_job(locked: Service) -> None:
    job_id = locked.send(KEY)
    post = locked.client.post
    assert_problem(post(f"/token?job={job_id}"), 401, "not_allowed")
    assert_problem(post("/token", headers=bearer()), 400, "invalid_request")
    for name in ("job", "job_id"):
        said = post("/token", headers=bearer(), json={name: job_id}).json()
        assert said["expires_in"] == 3600
        assert locked.client.get(f"/analysis/{job_id}?token={said['token']}").status_code == 202


def test_no_key_no_tokens(service: Service) -> None:
    answer = service.client.post(f"/token?job={service.send()}")
    assert_problem(answer, 400, "invalid_request")


def test_a_page_opened_with_a_key_shows_its_pictures(locked: Service) -> None:
    job_id = locked.done(key=KEY)
    page = locked.client.get(f"/analysis/{job_id}", headers=bearer()).text
    [photo] = re.findall(r'<img src="([^"]+)"', page)
    assert locked.client.get(photo).status_code == 200
    advisor = locked.client.get("/advisors/ansel", headers=bearer()).json()
    for url in (advisor["image_url"], advisor["artworks"][0]["url"]):
        assert locked.client.get(url).status_code == 200
        token = url.split("?")[1]
        assert locked.client.get(f"/analysis/{job_id}?{token}").status_code == 401


def test_tokens_and_sessions_end() -> None:
    moment = [1000.0]
    signer = Signer("secret", lambda: moment[0])
    token, ends = signer.make_token(None)
    cookie, session = signer.make_session("key:1")
    assert (ends, signer.read_token(token), signer.read_session(cookie)) == (
        4600,
        (None, 4600),
        session,
    )
    assert signer.read_session(token) is None
    assert signer.read_token(cookie) is None
    assert Signer("another", lambda: 0.0).read_token(token) is None
    moment[0] = 4601.0
    assert signer.read_token(token) is None
    assert signer.is_ours(token)
    moment[0] = session.ends + 1.0
    assert signer.read_session(cookie) is None


def test_no_key_signs_anything(locked: Service, service: Service) -> None:
    """The same key has another token in another database, so a token reveals nothing about it."""
    with locked.pool.connection() as connection:
        [row] = connection.execute("SELECT value FROM secrets").fetchall()
    assert len(row["value"]) == 64
    with another(service, key=KEY) as again:
        job_id = locked.send(KEY)
        token = locked.client.post(f"/token?job={job_id}", headers=bearer()).json()["token"]
        assert again.client.get(f"/analysis/{job_id}?token={token}").status_code == 202


# --- sessions -------------------------------------------------------------------------------------


def test_a_session_is_a_cookie_until_it_is_ended(locked: Service) -> None:
    job_id = locked.send(KEY)
    answer = locked.client.post("/session", headers=bearer())
    assert answer.status_code == 204
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "samesite=strict" in said.lower()
    assert "secure" not in said.lower()
    assert KEY not in said
    locked.client.cookies.clear()
    with httpx.Client(base_url=locked.url, cookies=dict(answer.cookies)) as page:
        assert [job["job_id"] for job in page.get("/jobs").json()["jobs"]] == [job_id]
        copy = dict(page.cookies)
        assert page.delete("/session").status_code == 204
        assert page.get("/jobs").status_code == 401
    with httpx.Client(base_url=locked.url, cookies=copy) as thief:
        assert thief.get("/jobs").status_code == 401


def test_an_ended_session_is_over_at_every_server(locked: Service, service: Service) -> None:
    cookies = dict(locked.client.post("/session", headers=bearer()).cookies)
    locked.client.cookies.clear()
    assert httpx.delete(f"{locked.url}/session", cookies=cookies).status_code == 204
    with another(service, key=KEY) as elsewhere:
        assert httpx.get(f"{elsewhere.url}/jobs", cookies=cookies).status_code == 401


def test_a_session_ends_with_its_key(locked: Service, service: Service) -> None:
    cookies = dict(locked.client.post("/session", headers=bearer(OTHER_KEY)).cookies)
    locked.client.cookies.clear()
    with another(service, key=KEY) as without:
        assert httpx.get(f"{without.url}/jobs", cookies=cookies).status_code == 401


def test_a_form_logs_in(locked: Service) -> None:
    with httpx.Client(base_url=locked.url) as page:
        answer = page.post("/session", data={"key": KEY, "next": "/jobs?limit=2"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs?limit=2")
        assert page.get("/jobs").status_code == 200
        for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb"):
            answer = page.post("/session", data={"key": KEY, "next": elsewhere})
            assert answer.headers["location"] == "/"
    with httpx.Client(base_url=locked.url) as page:
        assert page.post("/session", json={"key": KEY}).status_code == 204
        assert_problem(page.post("/session", data={"key": "wrong"}), 401, "not_allowed")
        page.cookies.clear()
        assert_problem(page.post("/session"), 401, "not_allowed")


def test_nobody_needs_a_session_on_loopback(service: Service) -> None:
    assert_problem(service.client.post("/session"), 400, "invalid_request")


@pytest.mark.parametrize(
    ("settings", "headers", "secure", "path"),
    [
        ({"base_url": "https://photos.example/m/"}, {}, True, "/m"),
        ({"base_url": "http://photos.example"}, {}, False, "/"),
        ({}, {"X-Forwarded-Proto": "https"}, True, "/"),
    ],
)
def test_a_cookie_is_for_https_and_this_path_alone(
    service: Service, settings: dict[str, str], headers: dict[str, str], secure: bool, path: str
) -> None:
    with another(service, key=KEY, **settings) as locked:
        answer = locked.client.post("/session", headers=bearer() | headers)
        said = answer.headers["set-cookie"].lower().split("; ")
    assert ("secure" in said) == secure
    assert f"path={path}" in said


# --- addresses ------------------------------------------------------------------------------------


def test_a_host_that_one_client_named_reaches_no_other(locked: Service) -> None:
    job_id = locked.send(KEY, auto_analyze="false")
    evil = bearer() | {"Host": "evil.example"}
    locked.client.post(f"/jobs/{job_id}/start", headers=evil)
    locked.finish(locked.claim())
    for query in ("", "?after=0", "?include=tokens"):
        text = locked.client.get(f"/stream/{job_id}{query}", headers=bearer()).text
        assert f'"status_url":"{locked.url}/status/{job_id}"' in text
        assert "evil.example" not in text
        other = locked.client.get(f"/stream/{job_id}{query}", headers=evil).text
        assert f'"analysis_url":"http://evil.example/analysis/{job_id}"' in other
        assert locked.url not in other


def test_readers_at_two_addresses_follow_one_job(locked: Service) -> None:
    job_id = locked.send(KEY)
    streams = [
        locked.client.stream("GET", f"/stream/{job_id}", headers=bearer() | {"Host": host})
        for host in ("one.example", "two.example")
    ]
    with streams[0] as one, streams[1] as two:
        lines = [each.iter_lines() for each in (one, two)]
        for each in lines:
            while "event: status_update" not in next(each):
                pass
        locked.finish(locked.claim())
        for each, host in zip(lines, ("one.example", "two.example"), strict=True):
            said = [json.loads(line[6:]) for line in each if line.startswith("data: {")]
            states = [event["job_data"] for event in said if event["type"] == "status_update"]
            assert {state["stream_url"] for state in states} == {f"http://{host}/stream/{job_id}"}


def test_addresses_are_those_that_were_set(service: Service) -> None:
    with another(service, base_url="https://photos.example/m/") as proxied:
        job_id = proxied.done()
        status = proxied.client.get(f"/status/{job_id}").json()
        page = proxied.client.get(f"/analysis/{job_id}")
        text = proxied.client.get(f"/stream/{job_id}?after=0").text
    assert status["analysis_url"] == f"https://photos.example/m/analysis/{job_id}"
    assert f'"analysis_url":"https://photos.example/m/analysis/{job_id}"' in text
    assert f'src="https://photos.example/m/photo/{job_id}.jpg"' in page.text
    assert "https://photos.example" in page.headers["content-security-policy"]
