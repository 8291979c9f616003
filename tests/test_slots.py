"""An engine with several slots: which requests run together, and which end together."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import psutil
import pytest

from mondrian.engines import Phase, Progress, Request
from mondrian.engines.native.engine import HostedEngine
from mondrian.errors import (
    EngineCrashed,
)
from support.hosted import (
    ASK,
    FINISH,
    LONG,
    WORDS,
    Play,
    first_token,
    open_hosted,
    tokens_of,
)


@pytest.fixture(params=["replay", "llamacpp"])
def three(request: pytest.FixtureRequest, play: Play) -> Iterator[HostedEngine]:
    """An engine with three slots, whose answer to ``LONG`` takes a while."""
    if request.param == "replay":
        yield play({"phase": "prefill"}, *WORDS, *FINISH, query="?slots=3&speed=4")
        return
    url = f"{request.getfixturevalue('tiny_vlm')}&slots=3"
    with closing(open_hosted(url)) as engine:
        yield engine


def test_slots_work_at_once_and_a_further_request_waits(three: HostedEngine) -> None:
    streams = [three.stream(LONG) for _ in range(3)]
    assert [first_token(stream).finish_reason for stream in streams] == [None] * 3
    with closing(three.stream(LONG)) as fourth:
        assert next(fourth) == Progress(phase=Phase.WAITING)
        for stream in streams:
            stream.close()
        assert first_token(fourth)


def test_closing_one_stream_stops_only_that_one(three: HostedEngine) -> None:
    streams = [three.stream(LONG) for _ in range(3)]
    for stream in streams:
        first_token(stream)
    pid = three.pid
    streams[1].close()
    assert [tokens_of(streams[n])[-1].generation_tokens for n in (0, 2)] == [400, 400]
    assert three.pid == pid


def test_a_crash_ends_all_requests_in_the_child(three: HostedEngine) -> None:
    streams = [three.stream(LONG) for _ in range(3)]
    for stream in streams:
        first_token(stream)
    assert three.pid
    os.kill(three.pid, signal.SIGKILL)
    for stream in streams:
        with pytest.raises(EngineCrashed, match=r"SIGKILL while generating \(after \d+ tokens\)"):
            list(stream)
    assert tokens_of(three.stream(replace(LONG, max_tokens=12)))[-1].generation_tokens == 12


HANG = {"hang": True, "when": "hang"}
BAD = Request(system="", prompt="hang")


def test_a_request_that_does_not_stop_is_killed_after_its_neighbours(play: Play) -> None:
    engine = play({"text": "a", "tokens": 1}, HANG, *WORDS[:80], *FINISH, query="?slots=3")
    engine._stop_seconds = 0.2
    bad, good = engine.stream(BAD), engine.stream(ASK)
    first_token(bad)
    first_token(good)
    pid = engine.pid
    bad.close()
    assert engine.pid == pid
    with closing(engine.stream(ASK)) as later:
        assert next(later) == Progress(phase=Phase.WAITING)  # not beside it
        assert tokens_of(good)[-1].generation_tokens == 81
        assert pid
        assert not psutil.pid_exists(pid)
        assert first_token(later).text == "a"


def test_one_that_stops_late_after_all_saves_the_child(play: Play) -> None:
    engine = play(*WORDS[:50], *FINISH, query="?slots=2")
    engine._stop_seconds = 0.0
    late, good = engine.stream(ASK), engine.stream(ASK)
    first_token(late)
    first_token(good)
    pid = engine.pid
    late.close()
    assert tokens_of(good)[-1].generation_tokens == 50
    assert tokens_of(engine.stream(ASK))[-1].generation_tokens == 50
    assert engine.pid == pid


def test_alone_is_alone(play: Play) -> None:
    engine = play(*WORDS, *FINISH, query="?slots=3")
    before = engine.stream(ASK)
    first_token(before)
    alone, after = engine.stream(replace(ASK, alone=True)), engine.stream(ASK)
    waiting = Progress(phase=Phase.WAITING)
    assert next(alone) == next(after) == waiting  # not beside it, and not before it
    before.close()
    first_token(alone)
    assert next(after) == replace(waiting, is_reserved=True)
    alone.close()
    assert first_token(after)
