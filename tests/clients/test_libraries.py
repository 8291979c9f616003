"""Real SSE libraries follow a job through a proxy that cuts at random (``make clients``)."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from mondrian.answers import DIMENSIONS
from mondrian.engines.replay import record
from support.cutting_proxy import cutting
from support.processes import started
from support.working import jpeg

HERE = Path(__file__).parent
NODE = (
    "eventsource2",
    "eventsource3",
    "eventsource4",
    "eventsource-client",
    "fetch-event-source",
    "event-source-polyfill",
    "reconnecting-eventsource",
)
PYTHON = ("httpx-sse", "sseclient-py", "aiohttp-sse-client2")
GIVES_AGAIN = {"eventsource2"}
"""They keep an event that was cut in its ``id`` line, and give it once more when it comes whole."""

SEEDS, AT_ONCE = (1, 2), 5
WORDS = "Light \U0001f4f7 falls\u2028from the left \u00e9\u4e2d. "

pytestmark = [
    pytest.mark.skipif(
        "MONDRIAN_TEST_CLIENTS" not in os.environ,
        reason="`make clients` runs it: it installs libraries from npm and PyPI",
    ),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the libraries of npm and ``follow.mjs``, and a venv with PyPI's."""
    folder = tmp_path_factory.mktemp("libraries")
    for name in ("package.json", "follow.mjs"):
        shutil.copy(HERE / name, folder)
    subprocess.run(["npm", "install", "--silent", "--no-audit"], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "httpx", "requests"]
    subprocess.run([*map(str, pip), *PYTHON], check=True)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    dimension = {"score": 6, "comment": WORDS * 4, "recommendation": WORDS}
    dimensions = [{"name": name, **dimension} for name in DIMENSIONS]
    text = json.dumps({"image_description": WORDS, "dimensions": dimensions}, ensure_ascii=False)
    pieces = [text[n : n + 12] for n in range(0, len(text), 12)]
    lines = [{"after": 0.05, "text": piece, "tokens": 3} for piece in pieces]
    record(home / "recording.jsonl", [*lines, {"finish": "stop"}])
    engine = f"replay:{home / 'recording.jsonl'}"
    options = ("--home", home, "--engine", engine, "--interval", 1, "--concurrency", AT_ONCE)
    with started("serve", "--port", 0, *options) as (_, address):
        yield address


class Followed(NamedTuple):
    """A job, the events that a library gave of it, and after how many bytes the line was cut."""

    job: str
    events: list[dict[str, str]]
    cuts: list[int]


@pytest.fixture(scope="module")
def followed(libraries: Path, server: str) -> Iterator[dict[tuple[str, int], Future[Followed]]]:
    """Follow a job with each library and seed, several at once: most of the time they wait."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield {
            (library, seed): threads.submit(follow, libraries, server, library, seed)
            for library in (*NODE, *PYTHON)
            for seed in SEEDS
        }


def follow(libraries: Path, server: str, library: str, seed: int) -> Followed:
    sent = httpx.post(f"{server}/upload", files={"image": ("p.jpg", jpeg())}, timeout=60).json()
    job, place = sent["job_id"], urlsplit(server)
    with cutting((str(place.hostname), int(place.port or 0)), seed, cuts=6) as (port, cuts):
        url = f"http://127.0.0.1:{port}/stream/{job}?include=tokens"
        if library in NODE:
            command = ["node", "follow.mjs", library, url]
        else:
            command = ["venv/bin/python", str(HERE / "follow.py"), library, url]
        seen = subprocess.run(
            command, cwd=libraries, stdout=subprocess.PIPE, text=True, timeout=120, check=True
        )
    return Followed(job, [json.loads(line) for line in seen.stdout.splitlines()], cuts)


@pytest.mark.parametrize("library", [*NODE, *PYTHON])
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_nothing_comes_twice(
    followed: dict[tuple[str, int], Future[Followed]], server: str, library: str, seed: int
) -> None:
    job, events, cuts = followed[library, seed].result()
    if library in GIVES_AGAIN:
        events = [each for n, each in enumerate(events) if each["data"] not in data_of(events[:n])]
    assert cuts
    assert events[-1]["type"] == "done"
    assert [each["type"] for each in events].count("done") == 1
    assert [each["type"] for each in events].count("analysis_complete") == 1
    [output] = httpx.get(f"{server}/job/{job}/full-data", timeout=60).json()["outputs"]
    assert join_texts(events) == output["text"]
    wire = httpx.get(f"{server}/stream/{job}?after=0&include=tokens", timeout=60).text.split("\n\n")
    data = [line[6:] for block in wire for line in block.splitlines() if line.startswith("data: ")]
    logged = [each for each in data if json.loads(each)["type"] in {"token", "analysis_complete"}]
    came = data_of([each for each in events if each["type"] in {"token", "analysis_complete"}])
    assert came == logged[len(logged) - len(came) :]


def data_of(events: list[dict[str, str]]) -> list[str]:
    return [each["data"] for each in events]


def join_texts(events: list[dict[str, str]]) -> str:
    """Return the text that a client shows: a snapshot replaces it, a token goes to its end."""
    text = ""
    for each in events:
        told = json.loads(each["data"])
        if each["type"] == "snapshot":
            text = told["text"]
        elif each["type"] == "token":
            assert told["offset"] == len(text)
            text += told["text"]
    return text
