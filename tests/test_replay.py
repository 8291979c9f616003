"""The ``replay:`` engine: on time, with faults that are real ones."""

import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from mondrian.engines import Phase, Progress, Request, Token
from mondrian.errors import (
    EngineCrashed,
    EngineFailed,
)
from support.hosted import (
    ASK,
    FINISH,
    Play,
    tokens_of,
)


def test_replay_plays_on_time_and_faster(play: Play) -> None:
    lines = [{"phase": "loading"}, {"after": 3, "text": "a", "tokens": 2}, {"finish": "stop"}]
    engine = play(*lines, query="?speed=10")
    engine.load()
    started = time.monotonic()
    items = list(engine.stream(ASK))
    assert 0.3 <= time.monotonic() - started < 2.9
    assert items[0] == Progress(phase=Phase.LOADING)
    assert [i.text for i in items if isinstance(i, Token)] == ["a", ""]
    last = items[-1]
    assert isinstance(last, Token)
    assert (last.generation_tokens, last.finish_reason) == (2, "stop")


def test_replay_measures_its_speed_from_the_first_tokens_on(play: Play) -> None:
    later = [{"after": 0.05, "text": "a", "tokens": 10} for _ in range(10)]
    engine = play({"text": "many", "tokens": 500}, *later, {"finish": "stop"})
    last = tokens_of(engine.stream(ASK))[-1]
    assert last.generation_tokens == 600
    assert last.generation_tps is not None
    assert 100 < last.generation_tps < 300  # not thousands


def test_replay_goes_on_where_it_was_stopped(play: Play) -> None:
    lines = [{"after": 0.05, "text": "a", "tokens": 1} for _ in range(40)]
    engine = play(*lines, {"finish": "stop"})
    engine.load()
    child = psutil.Process(engine.pid)
    stream = engine.stream(ASK)
    next(item for item in stream if isinstance(item, Token))
    child.suspend()
    time.sleep(2.5)  # longer than what is left
    child.resume()
    woken = time.monotonic()
    assert len(tokens_of(stream)) == 40
    assert time.monotonic() - woken > 1.0


def test_replay_speaks_in_silence(play: Play) -> None:
    engine = play(
        {"phase": "prefill"}, {"after": 1.5, "text": "a", "tokens": 1}, {"finish": "stop"}
    )
    items = list(engine.stream(ASK))
    assert items.count(Progress(phase=Phase.PREFILL)) >= 5


def test_replay_fails(play: Play) -> None:
    engine = play({"text": "a", "tokens": 1}, {"error": "out of memory"})
    with pytest.raises(EngineFailed, match="out of memory"):
        list(engine.stream(ASK))


def test_replay_crashes(play: Play) -> None:
    engine = play({"phase": "prefill"}, {"crash": True})
    with pytest.raises(EngineCrashed, match="SIGABRT while reading the prompt"):
        list(engine.stream(ASK))


def test_a_hang_is_killed(play: Play) -> None:
    engine = play({"text": "a", "tokens": 1}, {"hang": True}, stop_seconds=0.3)
    with closing(engine.stream(ASK)) as stream:
        next(item for item in stream if isinstance(item, Token))
        next(stream)  # the silence has begun
        pid = engine.pid
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert engine.status == "unloaded"
    assert next(item for item in engine.stream(ASK) if isinstance(item, Token)).text == "a"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": 5}', "Line 1 .* text: "),
        ('{"colour": "red"}', "Line 1 .* colour: "),
        ("not json", "Line 1 .* Invalid JSON"),
        ('{"text": "a"}', "ends without a line that finishes it"),
    ],
)
def test_a_bad_recording_is_named(play: Play, tmp_path: Path, line: str, problem: str) -> None:
    engine = play()
    (tmp_path / "0 recording.jsonl").write_text(line)
    with pytest.raises(EngineFailed, match=problem):
        list(engine.stream(ASK))


def test_a_line_for_some_requests_only(play: Play) -> None:
    engine = play({"text": "a", "tokens": 1}, {"text": "b", "when": "blue"}, *FINISH)
    texts = ["".join(token.text for token in tokens_of(engine.stream(request))) for request in (
        ASK, Request(system="", prompt="a blue hour"))]  # fmt: skip
    assert texts == ["a", "ab"]
