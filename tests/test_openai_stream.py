"""Bytes as servers send them, cut anywhere, read as messages; and thinking kept apart."""

import json
import random
from typing import Any

import pytest

from mondrian.engines.chat import DONE, ChatAnswer, Thoughts
from mondrian.engines.openai.events import decode_events
from mondrian.errors import EngineFailed
from support.recorded_streams import OLLAMA, VLLM, chunk, wire

WORDS = chunk("Grüße,\u2028光!\x85")
SPREAD = json.dumps(WORDS, indent=1, ensure_ascii=False).replace("\n", "\ndata: ")
STREAMS = {
    "ollama": OLLAMA,
    "vllm": VLLM,
    "cr": wire(WORDS, WORDS, end="\r"),
    "mixed": wire(WORDS, end="\r") + wire(WORDS, end="\r\n"),
    "mark": b"\xef\xbb\xbf" + f"data: {json.dumps(WORDS)}\n\n".encode() + wire(WORDS),
    "spread": f"data: {SPREAD}\r\n\r\n".encode() + wire(WORDS, end="\r\n"),
    "terse": wire(WORDS, WORDS).replace(b": {", b":{").replace(b"\n\n", b"\n"),
    "error": b'event: error\nid: 7\ndata: {"message": "no"}\n\nerror: {"code": 500}\nerror: oh\n\n',
    "no stream": b"\n" + json.dumps(WORDS, indent=2).encode(),
}


@pytest.mark.parametrize("recorded", STREAMS.values(), ids=STREAMS)
def test_every_cut_of_the_bytes_reads_the_same(recorded: bytes) -> None:
    whole = list(decode_events([recorded]))
    for place in range(1, len(recorded)):
        assert list(decode_events([recorded[:place], recorded[place:]])) == whole
    assert list(decode_events(recorded[n : n + 1] for n in range(len(recorded)))) == whole


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("cr", [WORDS, WORDS, DONE]),
        ("mixed", [WORDS, DONE]),
        ("mark", [WORDS, WORDS, DONE]),
        ("spread", [WORDS, WORDS, DONE]),
        ("terse", [WORDS, WORDS, DONE]),
        ("error", [{"message": "no"}, {"error": {"code": 500}}, {"error": "oh"}]),
        ("no stream", [WORDS, DONE]),
    ],
)
def test_streams_of_all_forms_are_read(name: str, messages: list[dict[str, Any]]) -> None:
    assert list(decode_events([STREAMS[name]])) == messages


def test_a_message_is_there_as_soon_as_it_is_whole() -> None:
    def chunks() -> Any:
        yield wire(WORDS, end="\r").removesuffix(b"data: [DONE]\r\r")
        pytest.fail("another chunk was waited for")

    assert next(decode_events(chunks())) == WORDS


def test_what_is_no_json_is_an_error() -> None:
    for recorded in (b"data: oops\n\n", b"data: {\n\ndata: }\n\n", b'{"choices": [\n'):
        with pytest.raises(EngineFailed, match="no JSON"):
            list(decode_events([recorded]))


def test_a_message_that_is_cut_off_is_none() -> None:
    assert list(decode_events([b'data: {"a": 1}\n\ndata: {"b": '])) == [{"a": 1}]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("\n<think>Hm </thin k> <b>.</think>{}", "{}"),
        ("<THINKING>Hm</thinking>\n{}<think>", "\n{}<think>"),
        ("[THINK]Hm</think>[/THINK]{}", "{}"),
        ("◁think▷Hm◁/think▷{}", "{}"),
        ("<Reflection>Hm</reflection>{}", "{}"),
        (
            "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>{}",
            "{}",
        ),
        (" <thin", " <thin"),
        ("<b>{}</b>", "<b>{}</b>"),
        ("<think>never ends", ""),
        ("{}</think>", "{}</think>"),
        ("\n" * 5000 + "{}", "\n" * 5000 + "{}"),
    ],
)
def test_thinking_is_kept_apart_however_it_is_cut(said: str, answer: str) -> None:
    for place in range(min(len(said), 200) + 1):
        thoughts = Thoughts()
        parts = [thoughts.filter(said[:place]), thoughts.filter(said[place:]), thoughts.flush()]
        assert "".join(parts) == answer
    thoughts = Thoughts()
    assert "".join([*map(thoughts.filter, said), thoughts.flush()]) == answer


def test_white_space_is_not_held_for_ever() -> None:
    thoughts = Thoughts()
    assert "".join(thoughts.filter("\n") for _ in range(5000)) == "\n" * 5000


def test_a_loop_of_thoughts_ends_the_answer_and_varied_thoughts_do_not() -> None:
    for reason, words in (("loop", "again "), (None, "{word} and ")):
        answer = ChatAnswer(10_000)
        for n in range(2000):
            word = "".join(random.Random(n).choices("aeilnorst", k=6))
            delta = {"reasoning_content": words.format(word=word)}
            list(answer.read({"choices": [{"delta": delta}]}))
            if answer.is_over:
                break
        assert answer.finish_reason == reason
