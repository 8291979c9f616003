"""Two servers behind HAProxy, of which one is killed: its clients go on at the other."""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from fleet.conftest import find_program
from mondrian.client import Client
from support.ports import find_port
from support.processes import started, started_at_once
from support.working import answer, jpeg, recording, wait_for

KEY = "a-key-of-some-letters"
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


@contextmanager
def balanced(folder: Path, *addresses: str) -> Iterator[str]:
    """Run HAProxy before two servers, as docs/operations.md has it."""
    port = find_port()
    block = re.findall(r"```haproxy\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]
    for stated, real in zip(("10.0.0.1:5005", "10.0.0.2:5005"), addresses, strict=True):
        block = block.replace(stated, real.removeprefix("http://"))
    settings = folder / "haproxy.cfg"
    settings.write_text(block.replace("bind :80", f"bind 127.0.0.1:{port}"))
    with subprocess.Popen([find_program("haproxy"), "-q", "-f", str(settings)]) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").is_success
    except httpx.TransportError:
        return False


def follow(url: str, job: str) -> tuple[str, list[int]]:
    """Return the text of a job, and the offsets of what came."""
    text, offsets = "", list[int]()
    with Client(url, KEY) as client:
        for event in client.watch(job, include=("tokens",), after=0):
            if event.type == "token":
                offsets.append(event.fields["offset"])
                text += event.fields["text"]
    return text, offsets


def test_streams_go_on_at_the_other_server(database: str, tmp_path: Path) -> None:
    common = ("--database", database, "--photos", (tmp_path / "photos").as_uri())
    serve = ("serve", "--port", 0, "--no-worker", "--key", KEY, *common)
    engine = ("--engine", recording(tmp_path, pause=0.1), "--concurrency", 6)
    with (
        started_at_once((*serve, "--home", tmp_path / "a"), (*serve, "--home", tmp_path / "b")) as [
            (first, one),
            (_, two),
        ],
        started("worker", "--home", tmp_path / "c", *engine, *common),
        balanced(tmp_path, one, two) as url,
        ThreadPoolExecutor(6) as threads,
    ):
        wait_for(lambda: is_up(url))
        with Client(url, KEY) as client:
            jobs = [client.submit(jpeg(seed=n))["job_id"] for n in range(6)]
            following = [threads.submit(follow, url, job) for job in jobs]
            wait_for(lambda: any(client.status(job)["status"] == "analyzing" for job in jobs))
            first.kill()
            wait_for(lambda: is_up(url))
            late = client.submit(jpeg(seed=7))["job_id"]
            ends = [each.result(120) for each in following]
            assert follow(url, late)[0] == answer()
    for text, offsets in ends:
        assert text == answer()
        assert offsets == sorted(set(offsets))  # nothing twice
