"""The ``openai:`` engine on real servers: llama.cpp's and mlx-vlm's."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mondrian.engines import Basis, Engine, Phase, Progress, Request, Token, open_engine
from mondrian.errors import EngineClosed, EngineFailed
from mondrian.models import find_model
from support.asking import KEY, LONG, SHORT, tokens_of
from support.working import jpeg, wait_for


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    script = Path(__file__).parent / "support" / "llama_server.py"
    command = [sys.executable, str(script), str(find_model("smollm2-135m", home)), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture
def engine(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("MONDRIAN_ENGINE_KEY", KEY)
    with closing(open_engine(f"openai:{address}/v1?sees=false")) as engine:
        yield engine


def test_llama_server_streams_with_its_own_figures(engine: Engine) -> None:
    items = list(engine.stream(SHORT))
    prefill = [i for i in items if isinstance(i, Progress) and i.basis is Basis.MEASURED]
    assert prefill[-1].done == prefill[-1].total
    last = items[-1]
    assert isinstance(last, Token)
    assert (last.generation_tokens, last.finish_reason) == (12, "length")
    assert last.generation_tps
    assert last.prompt_tokens
    assert engine.status == "ready"
    assert engine.model.endswith(".gguf")


def test_a_schema_is_kept_to(engine: Engine) -> None:
    schema = {
        "type": "object",
        "properties": {"light": {"enum": ["soft", "hard"]}},
        "required": ["light"],
        "additionalProperties": False,
    }
    request = Request(system="", prompt="Which light?", schema=schema)
    text = "".join(token.text for token in tokens_of(engine, request))
    assert json.loads(text)["light"] in {"soft", "hard"}


def test_closing_stops_the_server(engine: Engine) -> None:
    """It has one slot: a second request could not answer soon while the first one runs."""
    with closing(engine.stream(LONG)) as stream:
        next(item for item in stream if isinstance(item, Token))
    with closing(engine.stream(SHORT)) as stream:
        started = time.monotonic()
        next(item for item in stream if isinstance(item, Token))
    assert time.monotonic() - started < 8  # the long one would take half a minute


def test_close_ends_a_running_stream(engine: Engine) -> None:
    with pytest.raises(EngineClosed):
        for item in engine.stream(LONG):
            if isinstance(item, Token):
                engine.close()
    with pytest.raises(EngineClosed):
        list(engine.stream(SHORT))


def test_a_wrong_key_is_a_sentence_without_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONDRIAN_ENGINE_KEY", "wrong key")
    with (
        closing(open_engine(f"openai:{address}/v1")) as engine,
        pytest.raises(EngineFailed, match="MONDRIAN_ENGINE_KEY") as caught,
    ):
        list(engine.stream(SHORT))
    assert "wrong key" not in caught.value.message


@pytest.fixture(scope="module")
def mlx_server(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real ``mlx_vlm.server`` with a tiny model."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlx_vlm.server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", str(checkpoints / "qwen3")]
    with (
        (tmp_path_factory.mktemp("mlx") / "server.log").open("wb") as words,
        subprocess.Popen(command, stdout=words, stderr=words) as process,
    ):
        wait_for(lambda: is_healthy(address))
        yield address
        process.kill()


def is_healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").is_success
    except httpx.ConnectError:
        return False


def test_mlx_vlms_server_looks_at_the_photo(mlx_server: str) -> None:
    asked = Request(system="", prompt="What is there?", max_tokens=12, temperature=0)
    with closing(open_engine(f"openai:{mlx_server}/v1")) as engine:
        texts = set()
        for photo in (None, jpeg(), jpeg(seed=2)):
            tokens = tokens_of(engine, replace(asked, photo=photo))
            assert (tokens[-1].generation_tokens, tokens[-1].finish_reason) == (12, "length")
            assert tokens[-1].prompt_tokens
            texts.add("".join(token.text for token in tokens))
        assert engine.model.endswith("qwen3")
    assert len(texts) == 3


def test_closing_stops_mlx_vlms_server(mlx_server: str) -> None:
    def metrics() -> Any:
        return httpx.get(f"{mlx_server}/metrics").json()

    endless = Request(system="", prompt="What?", max_tokens=6000, temperature=0, photo=jpeg())
    before = metrics()["summary"]["generated_tokens_total"]
    with closing(open_engine(f"openai:{mlx_server}/v1")) as engine:
        with closing(engine.stream(endless)) as stream:
            next(item for item in stream if isinstance(item, Token))
            assert metrics()["summary"]["in_flight"] == 1
        wait_for(lambda: not metrics()["summary"]["in_flight"], seconds=5)
    assert metrics()["summary"]["generated_tokens_total"] - before < 3000


@pytest.mark.skipif(sys.platform != "linux", reason="its grammar needs Metal, and Linux has none")
def test_mlx_vlms_server_without_metal_is_asked_for_a_schema_in_words(mlx_server: str) -> None:
    with closing(open_engine(f"openai:{mlx_server}/v1")) as engine:
        assert tokens_of(engine, SHORT)[-1].generation_tokens == 12


def test_sixteen_questions_are_in_flight_at_once(mlx_server: str) -> None:
    def in_flight() -> int:
        summary: dict[str, int] = httpx.get(f"{mlx_server}/metrics").json()["summary"]
        return summary["in_flight"]

    endless = Request(system="", prompt="What?", max_tokens=6000, temperature=0)
    with closing(open_engine(f"openai:{mlx_server}/v1")) as engine:
        ended: list[Exception] = []

        def ask() -> None:
            try:
                tokens_of(engine, endless)
            except EngineClosed as exc:
                ended.append(exc)

        askers = [threading.Thread(target=ask, daemon=True) for _ in range(16)]
        for asker in askers:
            asker.start()
        wait_for(lambda: in_flight() == 16)
        engine.close()
        wait_for(lambda: len(ended) == 16 and not in_flight())


def test_the_key_is_not_in_what_is_shown(engine: Engine) -> None:
    assert KEY not in engine.url + engine.model + engine.status
    assert KEY not in " ".join(f"{k}={v}" for k, v in vars(engine).items())
    assert os.environ["MONDRIAN_ENGINE_KEY"] == KEY


def test_phases_begin_with_loading(engine: Engine) -> None:
    with closing(engine.stream(SHORT)) as stream:
        first = next(stream)
    assert isinstance(first, Progress)
    assert first.phase is Phase.LOADING
