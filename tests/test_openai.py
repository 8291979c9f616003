"""The ``openai:`` engine on a real llama.cpp server, and on bytes as other servers send them."""

import http.server
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mondrian.engines import Basis, Engine, Phase, Progress, Request, Token, open_engine
from mondrian.engines.openai import engine as openai_engine
from mondrian.engines.openai.connection import BusyError, check
from mondrian.errors import EngineClosed, EngineFailed, SettingsError, UnknownEngine
from mondrian.models import find_model
from mondrian.server.processes import engine_status
from mondrian.settings import Settings
from support.recorded_streams import OLLAMA, VLLM, chunk, wire
from support.working import jpeg, wait_for

KEY = "a secret of the test"
# a model that may end its answer ends it early by chance
ENDLESS = {"type": "array", "items": {"enum": ["light", "shadow"]}, "minItems": 2000}
SHORT = Request(system="", prompt="What is there?", schema=ENDLESS, max_tokens=12)
LONG = Request(system="", prompt="What is there?", schema=ENDLESS, max_tokens=900)


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


def tokens_of(engine: Engine, request: Request) -> list[Token]:
    return [item for item in engine.stream(request) if isinstance(item, Token)]


def text_of(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens)


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


Hook = Callable[[http.server.BaseHTTPRequestHandler], bool]


class Recorded:
    """A server that lists ``models``, refuses questions with ``refusals`` (status, words) as long
    as there are any, and answers the others with ``recorded`` bytes. ``first`` is asked before each
    answer, of a question or ``of_list``, whether there is to be any."""

    def __init__(
        self,
        recorded: bytes,
        *,
        owner: str = "library",
        models: Any = None,
        refusals: list[tuple[int, str]] | None = None,
        retry_after: str = "0",
        first: Hook = lambda handler: True,
        of_list: Hook = lambda handler: True,
    ) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        listed = {"data": [{"id": "m", "owned_by": owner}]} if models is None else models
        recorder, refusals = self, [*(refusals or ())]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                recorder.authorizations.append(self.headers["Authorization"])
                if of_list(self):
                    self.answer(200, json.dumps(listed).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                recorder.bodies.append(body)
                if not first(self):
                    return
                if refusals:
                    code, words = refusals.pop(0)
                    self.answer(code, json.dumps({"error": {"message": words}}).encode())
                else:
                    self.answer(200, recorded)

            def answer(self, code: int, body: bytes) -> None:
                self.send_response(code)
                if code != 200:
                    self.send_header("Retry-After", retry_after)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None: ...

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.http.server_port}"
        self.url = f"openai:http://{self.host}/v1"
        threading.Thread(target=self.http.serve_forever, args=[0.02], daemon=True).start()

    @property
    def schemas(self) -> list[bool]:
        """Of each question, whether it was held to a schema."""
        return ["response_format" in body for body in self.bodies]


Serve = Callable[..., Recorded]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a ``Recorded`` server."""
    servers: list[Recorded] = []

    def serve(*arguments: Any, **options: Any) -> Recorded:
        servers.append(Recorded(*arguments, **options))
        return servers[-1]

    yield serve
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


def until_left(left: threading.Event) -> Hook:
    """A hook that says nothing until the client leaves, and notes that."""

    def wait(handler: http.server.BaseHTTPRequestHandler) -> bool:
        if not handler.connection.recv(1):
            left.set()
        return False

    return wait


@pytest.mark.parametrize(
    ("recorded", "owner", "count", "finish"),
    [(OLLAMA, "library", 6, "stop"), (VLLM, "vllm", 9, "length")],
)
def test_other_servers_are_read(
    serve: Serve, recorded: bytes, owner: str, count: int, finish: str
) -> None:
    server = serve(recorded, owner=owner)
    with closing(open_engine(server.url)) as engine:
        tokens = tokens_of(engine, SHORT)
    assert text_of(tokens) == "Grüße, 光! Zwei Wörter"
    last = tokens[-1]
    assert (last.generation_tokens, last.prompt_tokens) == (count, 31)
    assert last.finish_reason == finish
    [body] = server.bodies
    assert not {"return_progress", "timings_per_token"} & body.keys()  # for llama-server alone
    assert ("continuous_usage_stats" in body["stream_options"]) == (owner == "vllm")


@pytest.mark.parametrize("owner", ["vllm", "llamacpp"])
def test_who_serves_a_model_that_is_not_listed_is_not_known(serve: Serve, owner: str) -> None:
    server = serve(OLLAMA, owner=owner)
    with closing(open_engine(f"{server.url}?model=alias")) as engine:
        tokens_of(engine, SHORT)
    [body] = server.bodies
    assert body["model"] == "alias"
    assert "return_progress" not in body
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("models", "model"),
    [
        ({"data": ["a"]}, "a"),
        ({"data": [{"name": "a"}]}, "a"),
        ({"data": [{"id": None}, 7, {"id": "a", "owned_by": None}]}, "a"),
    ],
)
def test_odd_lists_of_models_are_read(serve: Serve, models: Any, model: str) -> None:
    with closing(open_engine(serve(OLLAMA, models=models).url)) as engine:
        engine.load()
        assert (engine.model, engine.status) == (model, "ready")


@pytest.mark.parametrize("models", [{"data": []}, {"data": None}, {"models": []}, [], "a"])
def test_without_a_list_of_models_one_has_to_be_named(serve: Serve, models: Any) -> None:
    server = serve(OLLAMA, models=models)
    with (
        closing(open_engine(server.url)) as engine,
        pytest.raises(EngineFailed, match="lists no models"),
    ):
        engine.load()
    with closing(open_engine(f"{server.url}?model=a")) as engine:
        assert tokens_of(engine, SHORT)


def test_the_photo_goes_as_a_data_url(serve: Serve) -> None:
    server = serve(OLLAMA)
    with closing(open_engine(server.url)) as engine:
        tokens_of(engine, Request(system="", prompt="Look.", photo=b"\xff\xd8\xff"))
    [body] = server.bodies
    image, text = body["messages"][1]["content"]
    assert image["image_url"]["url"] == "data:image/jpeg;base64,/9j/"
    assert text["text"] == "Look."


def test_a_server_without_schemas_is_asked_without_and_remembered(serve: Serve) -> None:
    request = Request(system="", prompt="x", schema={"type": "object"})
    server = serve(OLLAMA, refusals=[(400, "response_format is not supported")])
    with closing(open_engine(server.url)) as engine:
        tokens_of(engine, request)
        tokens_of(engine, request)
    assert server.schemas == [True, False, False]
    # what it cannot be held to, it is asked for
    asked = [body["messages"][1]["content"] for body in server.bodies]
    assert ['{"type":"object"}' in words for words in asked] == [False, True, True]


XGRAMMAR = "The provided JSON schema contains features not supported by xgrammar."


@pytest.mark.parametrize(
    "words",
    [
        XGRAMMAR,
        "Failed to parse grammar",
        "Invalid schema for response_format 'critique': 'prefixItems' is not permitted.",
    ],
)
def test_a_schema_may_be_refused_in_many_words_and_by_a_busy_server(
    serve: Serve, words: str
) -> None:
    request = Request(system="", prompt="x", schema={"type": "object"})
    refusals = [(503, "busy"), (429, "slow down"), (400, words)]
    with closing(open_engine(serve(VLLM, owner="vllm", refusals=refusals).url)) as engine:
        assert tokens_of(engine, request)[-1].generation_tokens == 9


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": XGRAMMAR, "type": "BadRequestError", "code": 400}},
        {"object": "error", "message": XGRAMMAR, "code": 400},
        {"message": XGRAMMAR, "code": 400},
        {"error": "[metal_kernel] No Metal back-end."},
    ],
)
def test_a_schema_may_be_refused_in_a_stream_that_began_well(
    serve: Serve, error: dict[str, Any]
) -> None:
    server = serve(wire(error))
    with (
        closing(open_engine(server.url)) as engine,
        pytest.raises(EngineFailed, match="The engine reported"),
    ):
        tokens_of(engine, SHORT)
    assert server.schemas == [True, False]


def test_a_schema_is_not_refused_after_a_token(serve: Serve) -> None:
    server = serve(wire(chunk("a"), {"error": XGRAMMAR}))
    with (
        closing(open_engine(server.url)) as engine,
        pytest.raises(EngineFailed, match="xgrammar"),
    ):
        tokens_of(engine, SHORT)
    assert server.schemas == [True]


def test_an_error_of_something_else_is_no_refusal(serve: Serve) -> None:
    server = serve(wire({"error": "out of memory"}))
    with (
        closing(open_engine(server.url)) as engine,
        pytest.raises(EngineFailed, match="out of memory"),
    ):
        tokens_of(engine, SHORT)
    assert server.schemas == [True]


@pytest.mark.parametrize(
    ("words", "gone", "come"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "max_tokens",
            {"max_completion_tokens": 12},
        ),
        ("'temperature' does not support 0.7 with this model.", "temperature", {}),
        ("[{'loc': ['body', 'seed'], 'msg': 'Extra inputs are not permitted'}]", "seed", {}),
        ("Unrecognized request argument: stream_options", "stream_options", {}),
    ],
)
def test_what_a_server_refuses_it_is_not_sent_again(
    serve: Serve, words: str, gone: str, come: dict[str, Any]
) -> None:
    server = serve(OLLAMA, refusals=[(400, words)])
    with closing(open_engine(server.url)) as engine:
        for _ in range(2):
            tokens_of(engine, replace(SHORT, seed=1))
    first, *others = server.bodies
    for body in others:
        assert body == {name: value for name, value in first.items() if name != gone} | come
    assert len(others) == 2


def test_a_prompt_that_is_too_long_refuses_nothing(serve: Serve) -> None:
    words = "'max_tokens' is too large: the context is 4096 tokens, and the prompt has 4000."
    server = serve(OLLAMA, refusals=[(400, words)])
    with (
        closing(open_engine(server.url)) as engine,
        pytest.raises(EngineFailed, match="400: 'max_tokens' is too large"),
    ):
        tokens_of(engine, SHORT)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(("code", "phase"), [(503, Phase.LOADING), (429, Phase.WAITING)])
def test_a_server_that_is_busy_is_waited_for_and_says_so(
    serve: Serve, code: int, phase: Phase
) -> None:
    server = serve(VLLM, owner="vllm", refusals=[(code, "Loading model")] * 4)
    with closing(open_engine(server.url)) as engine:
        items = list(engine.stream(SHORT))
    assert isinstance(items[-1], Token)
    assert len(server.bodies) == 5
    phases = [item.phase for item in items if isinstance(item, Progress)]
    assert phases.index(phase, phases.index(Phase.PREFILL)) > 0


def test_a_server_is_asked_again_when_it_said(serve: Serve) -> None:
    server = serve(VLLM, refusals=[(429, "slow down")], retry_after="0.7")
    with closing(open_engine(server.url)) as engine:
        begun = time.monotonic()
        tokens_of(engine, SHORT)
        assert time.monotonic() - begun > 0.6


def test_no_server_is_waited_for_without_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_engine, "_MOST_BUSY_SECONDS", 0.1)
    with (
        closing(open_engine(serve(VLLM, refusals=[(429, "slow down")] * 2).url)) as engine,
        pytest.raises(EngineFailed, match="429: slow down"),
    ):
        tokens_of(engine, SHORT)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("86400", 30), ("inf", 30), ("7", 7), ("0", 0.5), ("-1", 0.5), ("nan", 0.5), ("soon", None)],
)
def test_a_server_may_say_when_within_reason(said: str, seconds: float | None) -> None:
    request = httpx.Request("GET", "http://h")
    with pytest.raises(BusyError) as caught:
        check(httpx.Response(503, headers={"retry-after": said}, request=request))
    assert caught.value.seconds == seconds


def test_no_money_is_not_waited_for(serve: Serve) -> None:
    server = serve(VLLM, refusals=[(429, "insufficient_quota")])
    with (
        closing(open_engine(server.url)) as engine,
        pytest.raises(EngineFailed, match="insufficient_quota"),
    ):
        tokens_of(engine, SHORT)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("shown", [b"Zwei", b"chunk"])
def test_nothing_is_tried_again_after_a_token(serve: Serve, shown: bytes) -> None:
    thinking = {"choices": [{"delta": {"reasoning_content": "Hm."}}], "object": "chunk"}
    recorded = VLLM if shown in VLLM else wire(thinking, thinking)
    server = serve(recorded[: recorded.rindex(shown)])
    with (
        closing(open_engine(server.url)) as engine,
        pytest.raises(EngineFailed, match="in the middle of the answer"),
    ):
        tokens_of(engine, SHORT)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "out of memory"}},
        {"error": "out of memory"},
        {"object": "error", "message": "out of memory"},
        {"message": "out of memory", "code": 500},
    ],
)
def test_an_error_in_mid_stream_is_an_error(serve: Serve, error: dict[str, Any]) -> None:
    server = serve(wire(chunk("a"), error))
    with (
        closing(open_engine(server.url)) as engine,
        pytest.raises(EngineFailed, match=r"reported: out of memory\."),
    ):
        tokens_of(engine, SHORT)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "recorded", [wire(chunk("a"), chunk("", "error")), wire(chunk("a"), end="\nerror: {}\n")]
)
def test_an_error_without_words_is_one_too(serve: Serve, recorded: bytes) -> None:
    with (
        closing(open_engine(serve(recorded).url)) as engine,
        pytest.raises(EngineFailed, match="reported"),
    ):
        tokens_of(engine, SHORT)


def test_a_stream_that_ends_without_a_reason_or_a_last_line_end_is_whole(serve: Serve) -> None:
    recorded = wire(chunk("Grüße")).rstrip(b"\n")
    with closing(open_engine(serve(recorded).url)) as engine:
        tokens = tokens_of(engine, SHORT)
    assert text_of(tokens) == "Grüße"
    assert tokens[-1].finish_reason == "stop"


def test_a_server_that_does_not_stream_is_read(serve: Serve) -> None:
    message = {"role": "assistant", "content": "Grüße"}
    whole = {
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 31, "completion_tokens": 6},
    }
    server = serve(json.dumps(whole, indent=2).encode())
    with closing(open_engine(server.url)) as engine:
        tokens = tokens_of(engine, SHORT)
    assert text_of(tokens) == "Grüße"
    assert (tokens[-1].generation_tokens, tokens[-1].finish_reason) == (6, "stop")
    assert len(server.bodies) == 1


def test_odd_figures_do_not_spoil_an_answer(serve: Serve) -> None:
    recorded = wire(
        {"choices": [], "prompt_progress": {"processed": 3}, "usage": None},
        chunk("Grüße", timings={"predicted_n": 4}),
        chunk("", "stop", timings={}, usage=[]),
    )
    with closing(open_engine(serve(recorded, owner="llamacpp").url)) as engine:
        tokens = tokens_of(engine, SHORT)
    assert text_of(tokens) == "Grüße"
    assert tokens[-1].generation_tokens == 4


def test_thinking_is_counted_and_not_shown(serve: Serve) -> None:
    said = ("<thi", "nk>Hm.", "</think>", "{}")
    recorded = wire(*map(chunk, said), chunk("", "stop"))
    with closing(open_engine(serve(recorded).url)) as engine:
        tokens = tokens_of(engine, SHORT)
    assert text_of(tokens) == "{}"
    assert tokens[-1].generation_tokens == 4


def endless(handler: http.server.BaseHTTPRequestHandler, message: dict[str, Any]) -> bool:
    """Sends ``message`` again and again until the client leaves."""
    line = f"data: {json.dumps(message)}\n\n".encode()
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(line)
    except OSError:
        return False


@pytest.mark.parametrize(
    ("message", "finish", "tokens"),
    [
        ({"choices": [{"delta": {"reasoning": "Hm, let me see again. "}}]}, "loop", 100),
        (chunk("<think>Hm, let me see again. "), "loop", 100),
        (chunk("word "), "length", 25),
    ],
)
def test_what_never_ends_is_ended(
    serve: Serve, message: dict[str, Any], finish: str, tokens: int
) -> None:
    server = serve(b"", first=lambda handler: endless(handler, message))
    request = replace(SHORT, max_tokens=1000 if finish == "loop" else SHORT.max_tokens)
    with closing(open_engine(server.url)) as engine:
        last = tokens_of(engine, request)[-1]
    assert last.finish_reason == finish
    assert last.generation_tokens <= tokens


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
    script = Path(__file__).parent / "support" / "unheard.py"
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


def test_the_key_is_not_in_what_is_shown(engine: Engine) -> None:
    assert KEY not in engine.url + engine.model + engine.status
    assert KEY not in " ".join(f"{k}={v}" for k, v in vars(engine).items())
    assert os.environ["MONDRIAN_ENGINE_KEY"] == KEY


def test_phases_begin_with_loading(engine: Engine) -> None:
    with closing(engine.stream(SHORT)) as stream:
        first = next(stream)
    assert isinstance(first, Progress)
    assert first.phase is Phase.LOADING
