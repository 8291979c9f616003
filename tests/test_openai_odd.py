"""Whatever a server sends: a report or a typed error, and no word or figure that is not so."""

import json
import math
import re
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mondrian import critique
from mondrian.answers import read_answer
from mondrian.engines import Output, Request, Token, open_engine
from mondrian.engines.chat import ChatAnswer
from mondrian.engines.openai.connection import BusyError, RefusedError, UnreachableError, check
from mondrian.engines.openai.engine import _read_answer
from mondrian.errors import EngineFailed, MondrianError
from mondrian.measurements import measure
from mondrian.photos import read_photo
from mondrian.reports import Report
from support.asking import SHORT, text_of, tokens_of
from support.demo_reports import DEMO
from support.recorded_server import Serve
from support.recorded_streams import chunk, wire
from support.working import jpeg

TEXT = json.dumps(
    {
        "image_description": "Four boats.",
        "dimensions": [each.model_dump(exclude={"evidence"}) for each in DEMO],
    }
)
HALF = len(TEXT) // 2
TIMINGS = {"predicted_n": 40, "predicted_per_second": 80.0, "prompt_n": 4, "cache_n": 2}
USAGE = {"prompt_tokens": 31, "completion_tokens": 300}
PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
MESSAGES: list[dict[str, Any]] = [
    {"choices": [], "prompt_progress": {"processed": 3, "total": 31}},
    {"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "Hm."}}]},
    {"choices": [{"index": 0, "delta": {"content": PARTS}}]},
    chunk(TEXT[:HALF], timings=TIMINGS),
    {"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": TEXT[HALF:]}]}}]},
    chunk("", "stop", timings=TIMINGS),
    {"choices": [], "usage": USAGE},
]
ODD: list[Any] = [
    *(None, True, False, -1, 0, 1.5, math.nan, math.inf, -math.inf, 10**400, "", "5", "stop", "\0"),
    *([], {}, [None], [[]], {"text": 1}, {"message": None}, ["error"], {"content": {"a": []}}),
]
URL = "http://127.0.0.1/v1"


class Played:
    """An engine whose server sends ``recorded`` to every question."""

    url, model, sees, slots, has_adapter, status = "openai:", "m", True, 1, False, "ready"

    def __init__(self, recorded: bytes) -> None:
        self._recorded = recorded

    def load(self) -> None: ...

    def close(self) -> None: ...

    def stream(self, request: Request) -> Generator[Output, None, None]:
        response = httpx.Response(200, content=self._recorded)
        yield from _read_answer(URL, {"max_tokens": 2048}, response)


@pytest.fixture(scope="module")
def judged() -> Any:
    photo = read_photo(jpeg())
    measurements = measure(photo)

    def report(recorded: bytes) -> Report:
        *_, last = critique(photo, "ansel", Played(recorded), measurements=measurements)
        assert isinstance(last, Report)
        json.dumps(last.model_dump(mode="json"), allow_nan=False)
        return last

    return report


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in ``value``."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


PLACES = [path for path in places(MESSAGES) if path]


def changed(messages: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(messages))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def check_typed(judged: Any, recorded: bytes) -> None:
    try:
        figures = judged(recorded).engine
    except (MondrianError, UnreachableError, RefusedError, BusyError):
        return
    assert figures.tokens >= 0
    assert (figures.prompt_tokens or 0) >= 0
    assert figures.tokens_per_second is None or 0 < figures.tokens_per_second < math.inf


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD)), max_size=3))
def test_odd_values_make_a_report_or_a_typed_error(judged: Any, odd: list[Any]) -> None:
    messages: Any = MESSAGES
    for path, value in odd:
        try:
            messages = changed(messages, path, value)
        except (KeyError, IndexError, TypeError):  # an earlier change took the place away
            continue
    check_typed(judged, wire(*messages))


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), min_size=1, max_size=4))
def test_odd_bytes_make_a_report_or_a_typed_error(judged: Any, odd: list[Any]) -> None:
    recorded = wire(*MESSAGES)
    for place, some in odd:
        place %= len(recorded)
        recorded = recorded[:place] + some + recorded[place + len(some) // 2 :]
    check_typed(judged, recorded)


NO_FIGURE = chunk("", "stop", timings={**TIMINGS, "predicted_per_second": math.nan})


@pytest.mark.parametrize(
    "recorded",
    [
        wire(chunk(TEXT), {"choices": [{"index": 0, "delta": {}, "finish_reason": True}]}),
        wire(chunk(TEXT), NO_FIGURE),
        wire(chunk(TEXT), chunk("", "stop", usage={"completion_tokens": 2.5, "prompt_tokens": -1})),
        wire(chunk(TEXT), chunk("", "stop", usage={"completion_tokens": "300"})),
        wire({"choices": [None]}, {"choices": None}, {}, chunk(TEXT, "stop")),
        wire(*MESSAGES),
        wire(*({"choices": [{"delta": {"content": {"text": part}}}]} for part in (TEXT,))),
        wire({"choices": [{"delta": {"reasoning_content": TEXT}}]}, chunk("", "stop")),
        wire({"choices": [{"delta": {"reasoning": [{"text": TEXT}]}}]}, chunk("", "stop")),
        wire(chunk(f"<|channel>thought\n{TEXT}<channel|>"), chunk("", "stop")),
        wire(chunk(f"<think>Hm.</think><think>Hm.</think>{TEXT}"), chunk("", "stop")),
        wire(chunk(TEXT), {"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}),
        wire(chunk("Caf\x01"), chunk(TEXT, "stop")).replace(b"\\u0001", b"\xe9"),
        wire(chunk("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final ")),
    ],
)
def test_an_answer_is_not_lost(judged: Any, recorded: bytes) -> None:
    if b"final" in recorded:
        recorded = wire(
            chunk("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final "),
            chunk(f"<|constrain|>json<|message|>{TEXT}", "stop"),
        )
    report = judged(recorded)
    assert report.dimensions[0].score == DEMO[0].score
    assert len(report.dimensions) == len(DEMO)
    assert not any("could not be read" in note for note in report.technical_notes)


def test_a_mark_that_ends_thinking_hides_nothing_behind_it() -> None:
    for before in ("<|channel>thought\nHm. <channel|>", "<seed:think>Hm.</seed:think>"):
        answer = ChatAnswer(100)
        items = [item for piece in (*before, TEXT) for item in answer.read(chunk(piece))]
        text = "".join(item.text for item in items if isinstance(item, Token))
        assert text + answer.last().text == TEXT


def test_thinking_that_was_cut_off_is_no_answer() -> None:
    answer = ChatAnswer(100)
    list(answer.read({"choices": [{"delta": {"reasoning": TEXT}, "finish_reason": "length"}]}))
    assert answer.last().text == ""


def test_a_speed_over_no_time_is_no_speed(serve: Serve) -> None:
    engine = open_engine(serve(wire(*map(chunk, TEXT), chunk("", "stop"))).url)
    assert tokens_of(engine, SHORT)[-1].generation_tps is None
    engine.close()
    answer = ChatAnswer(1000)
    for n in range(20):
        answer.arrived = 100 + n / 10
        list(answer.read(chunk("a")))
    assert answer.last().generation_tps == pytest.approx(10)


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (b"event: error\ndata: out of memory\n\n", "out of memory"),
        (b"data: the model fell over\n\n", "the model fell over"),
        (wire({"choices": [{"delta": {"refusal": "Not this one."}}]}), "refused: Not this one"),
        (wire(chunk("", "content_filter")), "content filter"),
        (wire({"error": {"message": "This model does not support image input"}}), "sees=false"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "cannot be read"),
    ],
)
def test_a_servers_words_are_kept(serve: Serve, recorded: bytes, words: str) -> None:
    engine = open_engine(serve(recorded).url)
    with pytest.raises(EngineFailed, match=words):
        tokens_of(engine, SHORT)
    engine.close()


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (400, "This model's maximum context length is 4096 tokens", "a longer one"),
        (400, "the request exceeds the available context size, try increasing it", "a longer one"),
        (400, "At most 0 image(s) may be provided in one prompt", "sees=false"),
        (500, "image input is not supported - you may need to provide the mmproj", "sees=false"),
        (400, "failed to decode image bytes", "save it anew"),
        (413, "Request Entity Too Large", "raise the server's limit"),
        (400, "The model does not support chat, it is an embedding model", "model="),
        (403, "no", "MONDRIAN_ENGINE_KEY"),
    ],
)
def test_an_error_says_what_to_do(code: int, said: str, words: str) -> None:
    response = httpx.Response(code, json={"error": {"message": said}})
    with pytest.raises(EngineFailed, match=f"{re.escape(said)}.*{re.escape(words)}"):
        check(response)


def test_answers_that_are_no_answers_are_told() -> None:
    with pytest.raises(EngineFailed, match=r"http://new/v1\. Give that address"):
        check(httpx.Response(307, headers={"location": "http://a:secret@new/v1"}))
    with pytest.raises(EngineFailed, match="a web page"):
        check(httpx.Response(200, html="<p>Welcome</p>"))
    with pytest.raises(EngineFailed, match="599: gone away"):
        check(httpx.Response(599, text="<h1>gone away</h1>"))
    with pytest.raises(BusyError):
        check(httpx.Response(529, text=""))


def test_a_list_that_is_refused_does_not_matter_where_a_model_is_named(serve: Serve) -> None:
    for code in (400, 401, 403, 404, 405, 500, 501):

        def refuse(handler: Any, code: int = code) -> bool:
            handler.send_error(code)
            return False

        engine = open_engine(f"{serve(wire(chunk('a')), of_list=refuse).url}?model=m")
        assert text_of(tokens_of(engine, SHORT)) == "a"
        engine.close()


def test_a_model_that_does_not_answer_is_passed_over(serve: Serve) -> None:
    models = {"data": [{"id": "nomic-embed-text"}, {"id": "qwen"}]}
    server = serve(wire(chunk("a")), models=models)
    engine = open_engine(server.url)
    tokens_of(engine, SHORT)
    assert server.bodies[0]["model"] == "qwen"
    engine.close()
    engine = open_engine(serve(b"", models={"data": models["data"][:1]}).url)
    with pytest.raises(EngineFailed, match="nomic-embed-text"):
        engine.load()
    engine.close()


def test_thinking_alone_is_read_as_the_answer() -> None:
    assert read_answer(f"<think>{TEXT}</think>").dimensions == DEMO
