"""A photo goes in and a report comes out: over HTTP, and by the command line with and without a
server. Each line of the flow is what a person or a program does first."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mondrian.answers import DIMENSIONS, show_name
from support.processes import run, started
from support.working import jpeg, recording


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    with started("serve", "--port", 0, "--home", home, "--engine", recording(home)) as (_, address):
        yield address


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "boats.jpg"
    path.write_bytes(jpeg())
    return path


def test_over_http(server: str, photo: Path) -> None:
    with httpx.Client(base_url=server, timeout=60) as client:
        sent = client.post(
            "/upload", files={"image": photo.read_bytes()}, data={"advisor": "weston"}
        )
        assert sent.status_code == 201
        job = sent.json()
        with client.stream("GET", job["stream_url"], params={"include": "tokens"}) as stream:
            wire = stream.read().decode()
        events = re.findall(r"^event: (\w+)$", wire, re.MULTILINE)
        assert (events[0], events[-2:]) == ("connected", ["analysis_complete", "done"])
        assert {"thinking_update", "token"} <= set(events)
        report = client.get(f"/report/{job['job_id']}").json()
        assert [each["name"] for each in report["dimensions"]] == list(DIMENSIONS)
        assert (report["advisor"], report["advisor_name"]) == ("weston", "Edward Weston")
        assert client.get(f"/status/{job['job_id']}").json()["status"] == "done"
        assert "Edward Weston" in client.get(job["analysis_url"]).text
        assert client.get(f"/report/{job['job_id']}?format=pdf").content.startswith(b"%PDF")
        assert client.get(f"/photo/{job['job_id']}.jpg").content.startswith(b"\xff\xd8")


def test_by_the_command_line_with_a_server(server: str, photo: Path) -> None:
    job = run("submit", photo, "--advisor", "weston", "--server", server).stdout.strip()
    watched = run("watch", job, "--server", server)
    assert watched.returncode == 0, watched.stderr
    assert "Edward Weston" in watched.stdout
    assert all(show_name(name) in watched.stdout for name in DIMENSIONS)


def test_by_the_command_line_alone(photo: Path, tmp_path: Path) -> None:
    engine, page = recording(tmp_path), tmp_path / "critique.html"
    done = run("critique", photo, "-a", "weston", "-e", engine, "--json", "--html", page)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    [complete] = [each for each in events if each["type"] == "analysis_complete"]
    assert [each["name"] for each in complete["report"]["dimensions"]] == list(DIMENSIONS)
    assert (events[-1]["type"], events[-1]["status"]) == ("done", "done")
    assert "Edward Weston" in page.read_text(encoding="utf-8")
