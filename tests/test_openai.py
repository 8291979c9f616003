"""The ``openai:`` engine on a real llama.cpp server, and on bytes as other servers send them."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mondrian.engines import Basis, Engine, Phase, Progress, Request, Token, open_engine
from mondrian.engines.openai_stream import Thoughts, decode_events
from mondrian.errors import EngineClosed, EngineFailed, UnknownEngine
from mondrian.models import find_model
from working import jpeg, wait_for

KEY = "a secret of the test"
# a model that may end its answer ends it early by chance
ENDLESS = {"type": "array", "items": {"enum": ["light", "shadow"]}, "minItems": 2000}
SHORT = Request(system="", prompt="What is there?", schema=ENDLESS, max_tokens=12)
LONG = Request(system="", prompt="What is there?", schema=ENDLESS, max_tokens=900)


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    script = Path(__file__).parent / "llama_server.py"
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


def tokens_of(engine: Engine, request: Request) -> list[Token]:
    return [item for item in engine.stream(request) if isinstance(item, Token)]


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
def test_an_error_of_mlx_vlms_server_in_mid_stream(mlx_server: str) -> None:
    with (
        closing(open_engine(f"openai:{mlx_server}/v1")) as engine,
        pytest.raises(EngineFailed, match=r"reported: .*No Metal"),
    ):
        list(engine.stream(SHORT))


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


# Other servers, by the bytes that they send


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def wire(*messages: dict[str, Any], end: str = "\n") -> bytes:
    lines = [f"data: {json.dumps(message, ensure_ascii=False)}{end}{end}" for message in messages]
    return "".join([f": keep-alive{end}{end}", *lines, f"data: [DONE]{end}{end}"]).encode()


OLLAMA = wire(
    {"choices": [{"delta": {"role": "assistant", "content": "", "reasoning": "Hm."}}]},
    chunk("Grüße, "),
    chunk("光! "),
    chunk("Zwei Wörter"),
    chunk("", "stop"),
    {"choices": [], "usage": {"prompt_tokens": 31, "completion_tokens": 6}},
    end="\r\n",
)
VLLM = wire(
    chunk("", usage={"prompt_tokens": 31, "completion_tokens": 0}),
    chunk("Grüße, 光! ", usage={"prompt_tokens": 31, "completion_tokens": 5}),
    chunk("Zwei Wörter", usage={"prompt_tokens": 31, "completion_tokens": 9}),
    chunk("", "length", usage={"prompt_tokens": 31, "completion_tokens": 9}),
)


@pytest.mark.parametrize("recorded", [OLLAMA, VLLM], ids=["ollama", "vllm"])
def test_every_cut_of_the_bytes_reads_the_same(recorded: bytes) -> None:
    whole = list(decode_events([recorded]))
    for place in range(1, len(recorded)):
        assert list(decode_events([recorded[:place], recorded[place:]])) == whole
    assert list(decode_events(recorded[n : n + 1] for n in range(len(recorded)))) == whole


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that lists one model of ``owner`` and answers with recorded bytes."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def serve(
        recorded: bytes,
        owner: str,
        refusals: list[tuple[int, str]] | None = None,
        first: Callable[[http.server.BaseHTTPRequestHandler], bool] = lambda handler: True,
    ) -> str:
        bodies: list[dict[str, Any]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(200, json.dumps({"data": [{"id": "m", "owned_by": owner}]}).encode())

            def do_POST(self) -> None:
                bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                if not first(self):
                    return
                if refusals:
                    code, words = refusals.pop(0)
                    self.answer(code, json.dumps({"error": {"message": words}}).encode())
                else:
                    self.answer(200, recorded)

            def answer(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.bodies = bodies  # type: ignore[attr-defined]
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"openai:http://127.0.0.1:{server.server_port}/v1"

    serve.servers = servers  # type: ignore[attr-defined]
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("recorded", "owner", "count", "finish"),
    [(OLLAMA, "library", 6, "stop"), (VLLM, "vllm", 9, "length")],
)
def test_other_servers_are_read(
    serve: Serve, recorded: bytes, owner: str, count: int, finish: str
) -> None:
    with closing(open_engine(serve(recorded, owner))) as engine:
        tokens = tokens_of(engine, SHORT)
    assert "".join(token.text for token in tokens) == "Grüße, 光! Zwei Wörter"
    last = tokens[-1]
    assert (last.generation_tokens, last.prompt_tokens) == (count, 31)
    assert last.finish_reason == finish
    [body] = serve.servers[0].bodies  # type: ignore[attr-defined]
    assert not {"return_progress", "timings_per_token"} & body.keys()  # for llama-server alone
    assert ("continuous_usage_stats" in body["stream_options"]) == (owner == "vllm")


def test_the_photo_goes_as_a_data_url(serve: Serve) -> None:
    with closing(open_engine(serve(OLLAMA, "library"))) as engine:
        tokens_of(engine, Request(system="", prompt="Look.", photo=b"\xff\xd8\xff"))
    [body] = serve.servers[0].bodies  # type: ignore[attr-defined]
    image, text = body["messages"][1]["content"]
    assert image["image_url"]["url"] == "data:image/jpeg;base64,/9j/"
    assert text["text"] == "Look."


def test_a_server_without_schemas_is_asked_without_and_remembered(serve: Serve) -> None:
    request = Request(system="", prompt="x", schema={"type": "object"})
    url = serve(OLLAMA, "library", [(400, "response_format is not supported")])
    with closing(open_engine(url)) as engine:
        tokens_of(engine, request)
        tokens_of(engine, request)
    bodies = serve.servers[0].bodies  # type: ignore[attr-defined]
    assert ["response_format" in body for body in bodies] == [True, False, False]
    # what it cannot be held to, it is asked for
    asked = [body["messages"][1]["content"] for body in bodies]
    assert ['{"type":"object"}' in words for words in asked] == [False, True, True]


@pytest.mark.parametrize(
    "words",
    [
        "The provided JSON schema contains features not supported by xgrammar.",
        "Failed to parse grammar",
        "Invalid schema for response_format 'critique': 'prefixItems' is not permitted.",
    ],
)
def test_a_schema_may_be_refused_in_many_words_and_by_a_busy_server(
    serve: Serve, words: str
) -> None:
    request = Request(system="", prompt="x", schema={"type": "object"})
    refusals = [(503, "busy"), (429, "slow down"), (400, words)]
    with closing(open_engine(serve(VLLM, "vllm", refusals))) as engine:
        assert tokens_of(engine, request)[-1].generation_tokens == 9


def test_a_server_that_is_busy_is_tried_again(serve: Serve) -> None:
    with closing(open_engine(serve(VLLM, "vllm", [(503, "busy"), (503, "busy")]))) as engine:
        assert tokens_of(engine, SHORT)[-1].generation_tokens == 9


def test_nothing_is_tried_again_after_a_token(serve: Serve) -> None:
    cut = VLLM[: VLLM.index(b"Zwei")]
    with (
        closing(open_engine(serve(cut, "vllm"))) as engine,
        pytest.raises(EngineFailed, match="in the middle of the answer"),
    ):
        tokens_of(engine, SHORT)
    assert len(serve.servers[0].bodies) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "out of memory"}},
        {"error": "out of memory"},
        {"object": "error", "message": "out of memory"},
    ],
)
def test_an_error_in_mid_stream_is_an_error(serve: Serve, error: dict[str, Any]) -> None:
    with (
        closing(open_engine(serve(wire(chunk("a"), error), "vllm"))) as engine,
        pytest.raises(EngineFailed, match=r"reported: out of memory\."),
    ):
        tokens_of(engine, SHORT)
    assert len(serve.servers[0].bodies) == 1  # type: ignore[attr-defined]


def test_a_stream_that_ends_without_a_reason_or_a_last_line_end_is_whole(serve: Serve) -> None:
    recorded = wire(chunk("Grüße")).rstrip(b"\n")
    with closing(open_engine(serve(recorded, "library"))) as engine:
        tokens = tokens_of(engine, SHORT)
    assert "".join(token.text for token in tokens) == "Grüße"
    assert tokens[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("\n<think>Hm </thin k> <b>.</think>{}", "{}"),
        ("<THINKING>Hm</thinking>\n{}<think>", "\n{}<think>"),
        (" <thin", " <thin"),
        ("<b>{}</b>", "<b>{}</b>"),
        ("<think>never ends", ""),
    ],
)
def test_thinking_is_kept_apart_however_it_is_cut(said: str, answer: str) -> None:
    for place in range(len(said) + 1):
        thoughts = Thoughts()
        parts = [thoughts.pass_by(said[:place]), thoughts.pass_by(said[place:]), thoughts.rest()]
        assert "".join(parts) == answer
    thoughts = Thoughts()
    assert "".join([*map(thoughts.pass_by, said), thoughts.rest()]) == answer


def test_thinking_is_counted_and_not_shown(serve: Serve) -> None:
    said = ("<thi", "nk>Hm.", "</think>", "{}")
    recorded = wire(*map(chunk, said), chunk("", "stop"))
    with closing(open_engine(serve(recorded, "library"))) as engine:
        tokens = tokens_of(engine, SHORT)
    assert "".join(token.text for token in tokens) == "{}"
    assert tokens[-1].generation_tokens == 4


def test_a_silent_server_is_waited_for_and_left_at_once(serve: Serve) -> None:
    """It says nothing, not even headers; and it sees the connection close."""
    left = threading.Event()

    def wait(handler: http.server.BaseHTTPRequestHandler) -> bool:
        if not handler.connection.recv(1):
            left.set()
        return False

    with closing(open_engine(serve(OLLAMA, "library", first=wait))) as engine:
        begun = time.monotonic()
        with closing(engine.stream(SHORT)) as stream:
            beats = [next(stream) for _ in range(7)]
        assert time.monotonic() - begun > 0.8
        assert left.wait(2)
    phases = [item.phase for item in beats if isinstance(item, Progress)]
    assert phases == [Phase.LOADING, *[Phase.PREFILL] * 6]


def test_no_silence_is_too_long() -> None:
    with closing(open_engine("openai:http://127.0.0.1:9/v1")) as engine:
        timeout = engine._client.timeout  # type: ignore[attr-defined]
    assert (timeout.read, timeout.write, timeout.pool) == (None, None, None)
    assert timeout.connect < 10


def test_a_connection_that_ends_before_a_token_is_made_again(serve: Serve) -> None:
    ends = [False, False, True]
    with closing(open_engine(serve(VLLM, "vllm", first=lambda handler: ends.pop(0)))) as engine:
        assert tokens_of(engine, SHORT)[-1].generation_tokens == 9
    assert not ends


def test_a_key_that_a_server_repeats_is_not_shown(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level("DEBUG")
    url = serve(VLLM, "vllm", [(401, f"Wrong key: {KEY}")]).replace("//", "//me:secret@")
    with (
        closing(open_engine(url)) as engine,
        pytest.raises(EngineFailed, match=r"Wrong key: \(key\)") as caught,
    ):
        tokens_of(engine, SHORT)
    shown = engine.url + caught.value.message
    assert KEY not in shown + caplog.text
    assert "secret@" not in shown + caplog.text


def test_the_key_is_not_in_what_is_shown(engine: Engine) -> None:
    assert KEY not in engine.url + engine.model + engine.status
    assert KEY not in " ".join(f"{k}={v}" for k, v in vars(engine).items())
    assert os.environ["MONDRIAN_ENGINE_KEY"] == KEY


def test_phases_begin_with_loading(engine: Engine) -> None:
    with closing(engine.stream(SHORT)) as stream:
        first = next(stream)
    assert isinstance(first, Progress)
    assert first.phase is Phase.LOADING
