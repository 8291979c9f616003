"""Attacks on whose things are whose: keys, tokens, sessions, hosts, quota, words, files."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from faults.conftest import Attacking
from mondrian.database.embedded import is_root
from support.attacks import Attack, Target, attacked, started_plain
from support.processes import run
from support.service import ADMIN_KEY, KEY, OTHER_KEY, bearer
from support.uploads import jpeg
from support.working import recording, wait_for

EVIL = {"Host": "evil.example"}


def refused(status: int, method: str, path: str, key: str = "", **more: object) -> Attack:
    """Ask, and look whether it is refused with ``status``."""

    def ask(target: Target) -> str:
        answer = target.request(method, path, key, **more)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error", "code"}
        return f"{status} {answer.json()['code']}"

    return ask


def refused_of_job(method: str, path: str, **more: object) -> Attack:
    """The same about a job of another key, which must not be there."""

    def ask(target: Target) -> str:
        job = target.upload(auto_analyze="false")
        filename = target.get(f"/status/{job}").json()["filename"]
        full = path.format(job=job, filename=filename)
        came = refused(404, method, full, OTHER_KEY, **more)(target)
        assert target.get(f"/status/{job}").json()["status"] == "pending"
        return came

    return ask


OF_ANOTHER = {
    "read another's job": ("GET", "/status/{job}"),
    "follow another's job": ("GET", "/stream/{job}?after=0"),
    "see another's photo": ("GET", "/photo/{job}.jpg"),
    "see another's photo by its file's name": ("GET", "/image/{filename}"),
    "read another's report": ("GET", "/report/{job}"),
    "read another's prompts": ("GET", "/job/{job}/full-data"),
    "start another's job": ("POST", "/jobs/{job}/start"),
    "cancel another's job": ("POST", "/jobs/{job}/cancel"),
    "critique another's photo again": ("POST", "/jobs/{job}/retry"),
    "delete another's job": ("DELETE", "/jobs/{job}"),
    "a token for another's job": ("POST", "/token?job={job}"),
}


def speak_for_another(target: Target) -> str:
    said = refused_of_job("PUT", "/job/{job}/thinking", json={"thinking": "x"})
    return said(target)


def list_anothers(target: Target) -> str:
    job = target.upload()
    listed = target.get("/jobs?limit=1000", OTHER_KEY).json()["jobs"]
    assert job not in [each["job_id"] for each in listed]
    return f"{len(listed)} jobs, none of others"


def delete_anothers(target: Target) -> str:
    job = target.upload()
    wait_for(lambda: target.get(f"/status/{job}").json()["status"] == "done", 60)
    target.request("DELETE", "/jobs", OTHER_KEY)
    assert target.get(f"/report/{job}").status_code == 200
    return "one's own only"


def guess(target: Target) -> str:
    seconds = []
    for number in range(9):
        begun = time.monotonic()
        assert target.get("/jobs", f"guess-{number}-of-a-key").status_code == 401
        seconds.append(time.monotonic() - begun)
    assert seconds[-1] > 1
    said = target.get("/metrics").text
    assert "mondrian_wrong_keys_total" in said
    return f"401, the ninth after {seconds[-1]:.1f} s"


def token_of(target: Target, job: str) -> str:
    return str(target.request("POST", f"/token?job={job}").json()["token"])


def use_token_elsewhere(target: Target) -> str:
    one, other = target.upload(), target.upload()
    token = token_of(target, one)
    assert target.get(f"/stream/{one}?token={token}", "").status_code == 200
    for path, status in ((f"/stream/{other}", 404), (f"/photo/{other}.jpg", 404), ("/jobs", 401),
                         (f"/status/{one}", 401), (f"/job/{one}/full-data", 401)):  # fmt: skip
        assert target.get(f"{path}?token={token}", "").status_code == status, path
    assert target.request("DELETE", f"/jobs/{one}?token={token}", "").status_code == 401
    return "401, 404"


def swap_tokens(target: Target) -> str:
    job = target.upload()
    token = token_of(target, job)
    cookie = target.request("POST", "/session").cookies["mondrian_key"]
    assert target.get("/jobs", "", headers={"Cookie": f"mondrian_key={token}"}).status_code == 401
    assert target.get(f"/analysis/{job}?token={cookie}", "").status_code == 401
    return "401"


def change_token(target: Target) -> str:
    job = target.upload()
    token = token_of(target, job)
    payload, signature = token.rsplit(".", 1)
    for forged in (f"{payload}x.{signature}", f"{payload}.{signature[::-1]}", payload, "a.b", "."):
        assert target.get(f"/analysis/{job}?token={forged}", "").status_code == 401
    return "401"


def keep_an_ended_session(target: Target) -> str:
    cookie = target.request("POST", "/session").headers["set-cookie"]
    value = {"Cookie": cookie.partition(";")[0]}
    assert target.get("/jobs", "", headers=value).status_code == 200
    assert target.request("DELETE", "/session", "", headers=value).status_code == 204
    assert target.get("/jobs", "", headers=value).status_code == 401
    return "401"


def poison_the_host(target: Target) -> str:
    files = {"image": ("p.jpg", jpeg())}
    answer = target.request("POST", "/upload", files=files, headers=EVIL)
    job = answer.json()["job_id"]
    wait_for(lambda: target.get(f"/status/{job}").json()["status"] == "done", 60)
    for path in (f"/stream/{job}?after=0", f"/stream/{job}", f"/status/{job}", "/jobs"):
        assert "evil.example" not in target.get(path).text
    return "nowhere to be found"


def lead_elsewhere(target: Target) -> str:
    for path in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"):
        answer = target.request("POST", "/session", "", data={"key": KEY, "next": path})
        assert answer.headers["location"] == "/"
    return "to /"


def send_hostile_names(target: Target) -> str:
    for name in (
        "../../x.jpg",
        "\x1b]0;pwned\x07.jpg",
        "\u202egpj.exe",
        "<script>.jpg",
        "a\r\nB: c",
    ):
        answer = target.request("POST", "/upload", files={"image": (name, jpeg())})
        kept = answer.json()["filename"]
        assert kept.isprintable()
        assert "/" not in kept
    return "cleaned"


KEYED: dict[str, Attack] = {
    "no key": refused(401, "GET", "/jobs"),
    "nine guesses of a key": guess,
    "a key in the address": refused(401, "GET", f"/jobs?token={KEY}&key={KEY}"),
    "a key as Basic": refused(401, "GET", "/jobs", headers={"Authorization": f"Basic {KEY}"}),
    "a key, but for its last letter": refused(401, "GET", "/jobs", KEY[:-1]),
    "/metrics without a key": refused(401, "GET", "/metrics"),
    "a page without a key": refused(401, "GET", "/nowhere"),
    "X-Forwarded-For: 127.0.0.1": refused(
        401, "GET", "/jobs", headers={"X-Forwarded-For": "127.0.0.1"}
    ),
    "another page's form": refused(
        403, "POST", "/session", KEY, headers={"Origin": "https://evil.example"}
    ),
    "a form from a sandbox": refused(403, "DELETE", "/jobs", KEY, headers={"Origin": "null"}),
    **{name: refused_of_job(*what) for name, what in OF_ANOTHER.items()},
    "speak for another's advisor": speak_for_another,
    "list another's jobs": list_anothers,
    "delete another's finished jobs": delete_anothers,
    "a token for another job": use_token_elsewhere,
    "a token as a session, a session as a token": swap_tokens,
    "a token that was changed": change_token,
    "a cookie after the session's end": keep_an_ended_session,
    "a Host that others would follow": poison_the_host,
    "a login that leads elsewhere": lead_elsewhere,
    "hostile file names": send_hostile_names,
    "a way out of the source folder": refused(
        400, "POST", "/submit", KEY, json={"filename": "../../etc/passwd"}
    ),
}


@pytest.mark.parametrize("name", KEYED)
def test_with_keys(name: str, target: Target, attack: Attacking) -> None:
    attack(name, target, KEYED[name])


# --- servers of other kinds -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    options = ("--open", "--admin-key", ADMIN_KEY)
    with started_plain(tmp_path_factory.mktemp("opened"), *options) as target:
        yield target


def list_as_a_stranger(target: Target) -> str:
    job = target.upload("")
    assert job not in target.get("/jobs?limit=1000", "").text
    assert job not in target.get("/jobs?limit=1000", "", headers={"Accept": "text/html"}).text
    return "an empty list"


OPENED: dict[str, Attack] = {
    "list the jobs of an open server": list_as_a_stranger,
    "delete all jobs of an open server": refused(401, "DELETE", "/jobs"),
    "look at the workers of an open server": lambda target: _look_at_workers(target),
}


def _look_at_workers(target: Target) -> str:
    answer = target.get("/workers", "")
    assert answer.status_code in (401, 404)
    return str(answer.status_code)


@pytest.mark.parametrize("name", OPENED)
def test_open_servers(name: str, opened: Target, attack: Attacking) -> None:
    attack(name, opened, OPENED[name])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with started_plain(tmp_path_factory.mktemp("plain")) as target:
        yield target


PLAIN: dict[str, Attack] = {
    "a name that resolves to 127.0.0.1": refused(403, "GET", "/jobs", headers=EVIL),
    "an address of another machine": refused(
        403, "GET", "/jobs", headers={"X-Forwarded-For": "192.168.1.7"}
    ),
    "127.0.0.1.evil.example": refused(
        403, "GET", "/jobs", headers={"Host": "127.0.0.1.evil.example"}
    ),
    "delete everything without a key": refused(401, "DELETE", "/jobs"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_servers_without_a_key(name: str, plain: Target, attack: Attacking) -> None:
    attack(name, plain, PLAIN[name])


def is_done(target: Target, job: str) -> bool:
    return bool(target.get(f"/status/{job}").json()["status"] == "done")


def fill_the_quota(target: Target) -> str:
    done = [target.upload() for _ in range(3)]
    for job in done:
        wait_for(partial(is_done, target, job), 60)
    big, answers = jpeg(4000, 3000), list[int]()
    while 507 not in answers:
        answer = target.request("POST", "/upload", OTHER_KEY, files={"image": ("p.jpg", big)},
                                data={"auto_analyze": "false"})  # fmt: skip
        answers.append(answer.status_code)
    pruned = run("prune", "--max-bytes", "300kB", "--home", target.home)
    assert pruned.returncode == 0, pruned.stderr
    for job in done:
        assert target.get(f"/report/{job}").status_code == 200
    return f"507 after {len(answers) - 1}, all critiques there"


def queue_without_end(target: Target) -> str:
    answers = [0]
    while answers[-1] != 429 and len(answers) < 60:
        answer = target.request("POST", "/upload", OTHER_KEY, files={"image": ("p.jpg", jpeg())},
                                data={"auto_analyze": "false"})  # fmt: skip
        answers.append(answer.status_code)
    assert answers[-1] == 429
    target.upload()
    return f"429 after {len(answers) - 2}, others go on"


def think_without_end(target: Target) -> str:
    job, said = target.upload(auto_analyze="false"), list[int]()
    words = {"thinking": "x" * 10_000}
    with httpx.Client(base_url=target.url, headers=bearer(), timeout=60) as client:
        begun = time.monotonic()
        while said.count(429) < 20 and time.monotonic() - begun < 60:
            said.append(client.put(f"/job/{job}/thinking", json=words).status_code)
    assert 429 in said
    target.request("POST", f"/jobs/{job}/cancel")
    assert len(target.get(f"/stream/{job}?after=0").content) < 1_300_000
    return f"429 after {said.index(429)}"


@pytest.mark.parametrize(
    ("name", "options", "how"),
    [
        ("fill the quota with what never ends", ("--quota", "500kB"), fill_the_quota),
        ("queue without end", ("--waiting-per-owner", 20), queue_without_end),
        ("updates without end", (), think_without_end),
    ],
)
def test_room(
    name: str, options: tuple[object, ...], how: Attack, tmp_path: Path, attack: Attacking
) -> None:
    with attacked(tmp_path, *options) as target:
        attack(name, target, how)


# --- words, files and what is refused at the start ------------------------------------------------

Row = Callable[[str], list[str]]


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """Begin a row of an attack that needs no server."""

    def begin(name: str) -> list[str]:
        cells = [name, "IT FELL", "-", "-", "-"]
        request.node.user_properties.append(("attack", cells))
        return cells

    return begin


def test_words_of_an_engine_in_the_terminal(tmp_path: Path, row: Row) -> None:
    cells = row("an engine's words that move the cursor")
    photo, path = tmp_path / "p.jpg", tmp_path / "r.jsonl"
    photo.write_bytes(jpeg())
    hostile = r"boom \u001b]0;pwned\u0007\u001b[2J\u202e\nmondrian: done"
    path.write_text(f'{{"error":"{hostile}"}}\n')
    done = run("critique", photo, "--engine", f"replay:{path}")
    assert done.returncode == 70
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stderr + done.stdout)
    assert "\nmondrian: done" not in done.stderr
    cells[1] = "one line of plain words"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("--key ,", ("--key", ",")),
        ("a blank key", ("--key", " ")),
        ("a short key", ("--key", "s3cret")),
        ("0.0.0.0 without a key", ("--host", "0.0.0.0")),
        ("a base URL without a key", ("--base-url", "https://photos.example")),
        ("a database URL with a mistake", ("--database", "mysql://u:s3cret@h/db")),
    ],
)
def test_what_does_not_start(name: str, options: tuple[str, str], tmp_path: Path, row: Row) -> None:
    cells = row(f"serve with {name}")
    begun = time.monotonic()
    home = ("--home", tmp_path, "--port", 0, "--engine", recording(tmp_path))
    done = run("serve", *home, *options)
    assert done.returncode == 78
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr
    cells[1:3] = [f"refused, exit {done.returncode}", f"{time.monotonic() - begun:.1f}"]


@pytest.mark.skipif(not is_root(), reason="only root can be somebody else")
def test_another_user_of_the_machine(target: Target, row: Row) -> None:
    cells = row("another user reads the photos")
    target.upload()
    [photo, *_] = (target.home / "photos").iterdir()
    assert stat.S_IMODE(photo.stat().st_mode) == 0o600
    read = "import os, pathlib, sys; os.setuid(65534); pathlib.Path(sys.argv[1]).read_bytes()"
    for path in (photo, target.home / "postgres" / "PG_VERSION"):
        done = subprocess.run(
            [sys.executable, "-I", "-c", read, str(path)],
            capture_output=True, text=True, cwd="/",
        )  # fmt: skip
        assert "PermissionError" in done.stderr, done.stderr
    assert os.geteuid() == 0
    cells[1] = "PermissionError"


def look_for_secrets(target: Target) -> str:
    for path in ("/health", "/openapi.json", "/"):
        text = httpx.get(target.url + path, timeout=60).text
        assert not [each for each in (KEY, OTHER_KEY, ADMIN_KEY, str(target.home)) if each in text]
    return "none"


def test_what_is_public_is_harmless(target: Target, attack: Attacking) -> None:
    attack("look for secrets where no key is asked for", target, look_for_secrets)
