"""The ``openai:`` engine's connection: silence, dead machines, keys and passwords."""

import itertools
import shutil
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from mondrian.engines import Phase, Progress, open_engine
from mondrian.engines.openai import engine as openai_engine
from mondrian.errors import EngineClosed, EngineFailed, SettingsError, UnknownEngine
from mondrian.server.processes import engine_status
from mondrian.settings import Settings
from support.asking import KEY, SHORT, tokens_of
from support.recorded_server import Serve, until_left
from support.recorded_streams import OLLAMA, VLLM


def test_nobody_there() -> None:
    started = time.monotonic()
    with closing(open_engine("openai:http://127.0.0.1:9/v1")) as engine:
        with pytest.raises(EngineFailed, match="does not answer"):
            list(engine.stream(SHORT))
        assert engine.status.startswith("error: ")
    assert time.monotonic() - started < 10


def test_no_address() -> None:
    with pytest.raises(UnknownEngine, match="needs an address"):
        open_engine("openai:gpt-9")


def test_a_silent_server_is_waited_for_and_left_at_once(serve: Serve) -> None:
    """It says nothing, not even headers; and it sees the connection close."""
    left = threading.Event()
    with closing(open_engine(serve(OLLAMA, first=until_left(left)).url)) as engine:
        begun = time.monotonic()
        with closing(engine.stream(SHORT)) as stream:
            beats = [next(stream) for _ in range(7)]
        assert time.monotonic() - begun > 0.8
        assert left.wait(10)
    phases = [item.phase for item in beats if isinstance(item, Progress)]
    assert (phases[0], phases[-1]) == (Phase.LOADING, Phase.PREFILL)


@pytest.mark.parametrize("silent", ["first", "of_list"])
def test_close_ends_a_silent_stream(serve: Serve, silent: str) -> None:
    left = threading.Event()
    server = serve(OLLAMA, **{silent: until_left(left)})
    engine = open_engine(server.url)
    stream = engine.stream(SHORT)
    phase = Phase.PREFILL if silent == "first" else Phase.LOADING
    next(item for item in stream if isinstance(item, Progress) and item.phase is phase)
    for _ in range(2):
        next(stream)
    engine.close()
    with pytest.raises(EngineClosed):
        next(stream)
    assert left.wait(10)


def test_loading_can_be_left(serve: Serve) -> None:
    left = threading.Event()
    with closing(open_engine(serve(OLLAMA, of_list=until_left(left)).url)) as engine:
        with closing(engine.stream(SHORT)) as stream:
            list(itertools.islice(stream, 3))
            assert engine.status == "loading"
        assert left.wait(10)
        assert engine.status == "unloaded"


def test_loading_is_tried_again(serve: Serve) -> None:
    ends = [False, False, True]
    server = serve(OLLAMA, of_list=lambda handler: ends.pop(0))
    with closing(open_engine(server.url)) as engine:
        engine.load()
        assert engine.status == "ready"


@pytest.fixture
def full() -> Iterator[str]:
    """The address of a server that takes no connection and refuses none."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as door, ExitStack() as callers:
        for _ in range(3):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(door.getsockname())
        yield f"127.0.0.1:{door.getsockname()[1]}"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full server refuses")
def test_who_takes_no_connection_is_gone_in_ten_seconds(
    full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = openai_engine.CONNECT_SECONDS
    assert sum(seconds) + (len(seconds) - 1) * openai_engine.RETRY_SECONDS < 10
    monkeypatch.setattr(openai_engine, "CONNECT_SECONDS", (1.0, 0.3, 0.3))
    with (
        closing(open_engine(f"openai:http://{full}/v1")) as engine,
        pytest.raises(EngineFailed, match="does not answer"),
    ):
        engine.load()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full server refuses")
def test_connecting_can_be_left(full: str) -> None:
    with closing(open_engine(f"openai:http://{full}/v1")) as engine:
        stream = engine.stream(SHORT)
        list(itertools.islice(stream, 3))
        begun = time.monotonic()
        stream.close()
        assert time.monotonic() - begun < openai_engine.CONNECT_SECONDS[0] / 2


def test_who_acknowledges_nothing_is_gone() -> None:
    alone = ["unshare", "-rn"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no network of its own can be made here")
    script = Path(__file__).parent / "support" / "vanishing_host.py"
    said = subprocess.run(
        [*alone, sys.executable, script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "it acknowledges nothing" in said.stdout


def test_no_silence_is_too_long() -> None:
    with closing(open_engine("openai:http://127.0.0.1:9/v1")) as engine:
        timeout = engine._client.timeout  # type: ignore[attr-defined]
    assert (timeout.read, timeout.write, timeout.pool) == (None, None, None)
    assert timeout.connect < 10


def test_a_connection_that_ends_before_a_token_is_made_again(serve: Serve) -> None:
    ends = [False, False, True]
    server = serve(VLLM, owner="vllm", first=lambda handler: ends.pop(0))
    with closing(open_engine(server.url)) as engine:
        assert tokens_of(engine, SHORT)[-1].generation_tokens == 9
    assert not ends


# Keys and passwords


@pytest.mark.parametrize("key", [f"{KEY}\r", f"{KEY}\n", f" {KEY} ", f"\t{KEY}\r\n"])
def test_a_key_with_white_space_around_it_is_taken_without(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MONDRIAN_ENGINE_KEY", key)
    server = serve(OLLAMA)
    with closing(open_engine(server.url)) as engine:
        engine.load()
    assert server.authorizations == [f"Bearer {KEY}"]


@pytest.mark.parametrize("key", ["sk-sécret", "sk-s\recret"])
def test_a_key_that_cannot_be_sent_is_refused_without_telling_it(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.delenv("MONDRIAN_ENGINE_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(SettingsError, match="OPENAI_API_KEY holds") as caught:
        open_engine("openai:http://127.0.0.1:9/v1")
    assert "sk-" not in caught.value.message


def test_an_empty_key_is_none(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONDRIAN_ENGINE_KEY", " ")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = serve(OLLAMA)
    with closing(open_engine(server.url)) as engine:
        engine.load()
    assert server.authorizations == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("login", "sent"),
    [("me:secret", "me:secret"), ("me:p@ss", "me:p@ss"), ("me:p%2Fss", "me:p/ss")],
)
def test_a_name_and_password_go_to_the_server_alone(serve: Serve, login: str, sent: str) -> None:
    server = serve(OLLAMA)
    with closing(open_engine(server.url.replace("//", f"//{login}@"))) as engine:
        engine.load()
        assert engine.url == server.url
    assert server.authorizations == [f"Basic {b64encode(sent.encode()).decode()}"]


def test_a_server_without_a_worker_tells_its_engine_without_the_password() -> None:
    told = engine_status(Settings(engine="openai:http://me:p@ss@h/v1?model=m"), None, None)
    assert told["engine"] == "openai:http://h/v1?model=m"


@pytest.mark.parametrize(
    "url",
    [
        "openai:http://me:secret@h/v1?foo=1",
        "openai:http://me:secret@h/v1?temperature=9",
        "openai:http://me:s@secret@h/v1?foo=1",
        "openai:http://me:s/secret@h/v1",
        "openai:http://me:secret@h:99999999/v1",
        "openai:http://me:secret@h:port/v1",
        "openai:http://me:secret@/v1",
        "openai:ftp://me:secret@h/v1",
        "openia:http://me:secret@h/v1",
        "http://me:secret@h/v1",
        "openai:http://h/v1?api_key=secret",
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_its_password(url: str) -> None:
    with pytest.raises(UnknownEngine) as caught:
        open_engine(url)
    assert "secret" not in caught.value.message


def test_a_key_that_a_server_repeats_is_not_shown(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level("DEBUG")
    url = serve(VLLM, refusals=[(401, f"Wrong key: {KEY}")]).url.replace("//", "//me:secret@")
    with (
        closing(open_engine(url)) as engine,
        pytest.raises(EngineFailed, match=r"Wrong key: \(key\)") as caught,
    ):
        tokens_of(engine, SHORT)
    shown = engine.url + caught.value.message
    assert KEY not in shown + caplog.text
    assert "secret@" not in shown + caplog.text
