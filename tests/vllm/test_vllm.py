"""A photo, a schema, figures on the way, many at once, cancels, and a server that dies."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mondrian.client import Client
from mondrian.critiques.schemas import free_schema
from mondrian.engines import Phase, Progress, Request, Token, open_engine
from mondrian.errors import EngineFailed
from support.ports import find_port
from support.processes import started
from support.vllm import (
    HOME,
    LITELLM_KEY,
    build_checkpoint,
    litellm_proxy,
    stop,
    vllm_server,
)
from support.working import jpeg, wait_for

pytestmark = [
    pytest.mark.skipif(not (HOME / ".ready").exists(), reason="run `make vllm`"),
    pytest.mark.timeout(900),
]
JOBS, AT_ONCE = 32, 16
ASKED = Request(
    system="You are a critic.",
    prompt="Critique it.",
    photo=jpeg(),
    schema=free_schema(),
    max_tokens=2000,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("vllm") / "tiny")


@pytest.fixture(scope="module")
def address(checkpoint: Path) -> Iterator[str]:
    with vllm_server(checkpoint, find_port()) as (_, address):
        yield address


@pytest.fixture(scope="module")
def proxy(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with litellm_proxy(address, find_port(), tmp_path_factory.mktemp("litellm")) as behind:
        yield behind


def running(address: str) -> int:
    """How many requests vLLM works at, by its own metrics."""
    text = httpx.get(address.removesuffix("/v1") + "/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running")]
    return int(sum(float(line.split()[-1]) for line in lines))


def test_a_photo_a_schema_and_figures_on_the_way(address: str) -> None:
    with closing(open_engine(f"openai:{address}")) as engine:
        items = list(engine.stream(replace(ASKED, seed=3)))
    tokens = [item for item in items if isinstance(item, Token)]
    counts = [token.generation_tokens for token in tokens]
    assert counts == sorted(counts)
    assert len(set(counts)) > 20  # told on the way
    assert "".join(token.text for token in tokens).lstrip().startswith("{")
    last = tokens[-1]
    assert last.finish_reason in ("stop", "length")
    assert last.prompt_tokens
    assert last.generation_tps
    phases = [item.phase for item in items if isinstance(item, Progress)]
    assert phases[0] is Phase.LOADING
    assert Phase.PREFILL in phases


def test_closing_stops_the_work(address: str) -> None:
    with closing(open_engine(f"openai:{address}")) as engine:
        with closing(engine.stream(ASKED)) as stream:
            next(item for item in stream if isinstance(item, Token))
            assert running(address) == 1
        wait_for(lambda: running(address) == 0, 5)


def test_the_same_through_a_proxy(
    proxy: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONDRIAN_ENGINE_KEY", LITELLM_KEY)
    with closing(open_engine(f"openai:{proxy}?model=tiny")) as engine:
        tokens = [i for i in engine.stream(replace(ASKED, seed=3)) if isinstance(i, Token)]
        counts = [token.generation_tokens for token in tokens]
        assert counts == sorted(counts)
        assert "".join(token.text for token in tokens).lstrip().startswith("{")
        assert tokens[-1].finish_reason in ("stop", "length")
        assert tokens[-1].prompt_tokens
        with closing(engine.stream(ASKED)) as stream:
            next(item for item in stream if isinstance(item, Token))
            assert running(address) == 1
        wait_for(lambda: running(address) == 0, 20)
        with pytest.raises(EngineFailed, match="max-model-len"):
            list(engine.stream(replace(ASKED, prompt="light " * 20_000)))


def test_a_prompt_that_is_too_long_says_what_to_do(address: str) -> None:
    with closing(open_engine(f"openai:{address}")) as engine:
        with pytest.raises(EngineFailed, match="max-model-len"):
            list(engine.stream(replace(ASKED, prompt="light " * 20_000)))
        [*_, last] = engine.stream(replace(ASKED, max_tokens=16))
        assert isinstance(last, Token)


def test_many_jobs_at_once_and_cancels(address: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg())
    engine = f"openai:{address}?max_tokens=400"
    options = ("--home", tmp_path / "home", "--engine", engine, "--concurrency", AT_ONCE)
    with started("serve", "--port", 0, *options) as (_, url), Client(url) as client:
        most, over = 0, threading.Event()

        def watch() -> None:
            nonlocal most
            while not over.wait(0.05):
                most = max(most, running(address))

        watcher = threading.Thread(target=watch)
        watcher.start()
        jobs = [client.submit(photo, advisor="ansel")["job_id"] for _ in range(JOBS)]
        for job in jobs[-4:]:
            client.cancel(job)
        with ThreadPoolExecutor(JOBS) as threads:
            followed = list(threads.map(lambda job: list(client.watch(job)), jobs))
        over.set()
        watcher.join()
        ends = [events[-1].fields["status"] for events in followed]
        assert ends[-4:] == ["cancelled"] * 4
        assert set(ends[:-4]) <= {"done", "error"}  # what the model writes is noise
        for job, end in zip(jobs[:-4], ends, strict=False):
            if end == "error":
                assert "cannot be read" in client.status(job)["current_step"]
        said = [e.fields["thinking"] for each in followed for e in each if "thinking" in e.fields]
        assert len(said) > JOBS
        assert not [each for each in said if "Waiting for the worker" in each]
        assert most > AT_ONCE // 2
        wait_for(lambda: running(address) == 0, 20)


def test_a_server_that_is_killed_and_comes_back(checkpoint: Path) -> None:
    port = find_port()
    with closing(open_engine(f"openai:http://127.0.0.1:{port}/v1")) as engine:
        with vllm_server(checkpoint, port) as (process, _):
            began = time.monotonic()
            with pytest.raises(EngineFailed, match=r"was lost|ended in the middle"):
                for item in engine.stream(ASKED):
                    if isinstance(item, Token) and process.poll() is None:
                        began = time.monotonic()
                        stop(process)
            assert time.monotonic() - began < 10
        with vllm_server(checkpoint, port):
            [*_, last] = engine.stream(replace(ASKED, max_tokens=16))
            assert isinstance(last, Token)
            assert last.finish_reason == "length"
