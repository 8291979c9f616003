"""The ``openai:`` engine on bytes as other servers send them."""

import json
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from mondrian.engines import Phase, Progress, Request, Token, open_engine
from mondrian.engines.openai import engine as openai_engine
from mondrian.engines.openai.connection import BusyError, check
from mondrian.errors import EngineFailed
from support.asking import SHORT, text_of, tokens_of
from support.recorded_server import Serve, endless
from support.recorded_streams import OLLAMA, VLLM, chunk, wire


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
