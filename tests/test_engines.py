"""What every engine promises, held by every engine; and what cannot be opened."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from mondrian.engines import Basis, Engine, Phase, Progress, Request, Token, open_engine
from mondrian.engines.native.engine import HostedEngine
from mondrian.engines.replay import record
from mondrian.errors import (
    EngineClosed,
    EngineCrashed,
    EngineFailed,
    ModelNotFound,
    UnknownEngine,
)
from support.hosted import (
    ENDLESS,
    FINISH,
    LOADING,
    PREFILL,
    WORDS,
    open_hosted,
    scene,
    tokens_of,
)


@dataclass(frozen=True)
class Subject:
    """An engine under test, and requests that bring it into each situation."""

    engine: HostedEngine
    short: Request
    long: Request
    broken: Request | None  # one that the engine answers with an error
    complaint: str = "context"
    phases: tuple[Phase, ...] = (Phase.LOADING, Phase.PREFILL)


Make = Callable[[], Subject]


@pytest.fixture(scope="module", params=["replay", "llamacpp", "llamacpp sees", "mlx"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes a subject whose model is not loaded."""
    short = Request(system="", prompt="What is there?", schema=ENDLESS, max_tokens=12)
    too_long = Request(system="x", prompt="light " * 600)
    more: dict[str, Any] = {"broken": too_long}
    home = None
    if request.param == "replay":
        path = tmp_path_factory.mktemp("replay") / "recording.jsonl"
        record(path, [*LOADING, *PREFILL, *WORDS, *FINISH])
        url, more = f"replay:{path}", {"broken": None}
    elif request.param == "llamacpp":
        url, home = "llamacpp:smollm2-135m?ctx=512", request.getfixturevalue("home")
    else:
        short = replace(short, photo=scene(1))
        more["phases"] = (Phase.LOADING, Phase.ENCODING, Phase.PREFILL)
        if request.param == "llamacpp sees":
            url = f"{request.getfixturevalue('tiny_vlm')}&ctx=1024&slots=2"
            more["broken"] = replace(too_long, photo=scene(1))
        else:
            url = f"mlx:{request.getfixturevalue('checkpoints') / 'qwen3'}"
            more |= {"broken": replace(short, photo=b"none"), "complaint": "cannot be decoded"}
    long = replace(short, max_tokens=400)
    return lambda: Subject(engine=open_hosted(url, home), short=short, long=long, **more)


@pytest.fixture(scope="module")
def subject(make: Make) -> Iterator[Subject]:
    """A subject that other tests have used before: to load a model takes seconds."""
    subject = make()
    with closing(subject.engine):
        yield subject


@pytest.fixture
def fresh(make: Make) -> Iterator[Subject]:
    """A subject of the test's own."""
    subject = make()
    with closing(subject.engine):
        yield subject


def test_it_is_an_engine(subject: Subject) -> None:
    assert isinstance(subject.engine, Engine)


def test_phases_come_in_order_with_figures(fresh: Subject) -> None:
    items = list(fresh.engine.stream(fresh.short))
    phases = [item.phase for item in items if isinstance(item, Progress)]
    assert tuple(dict.fromkeys(phases))[: len(fresh.phases)] == fresh.phases
    prefill = [i for i in items if isinstance(i, Progress) and i.phase is Phase.PREFILL and i.total]
    assert prefill[-1].done == prefill[-1].total
    assert prefill[-1].basis is Basis.MEASURED


def test_tokens_carry_the_engines_figures(subject: Subject) -> None:
    tokens = tokens_of(subject.engine.stream(subject.short))
    counts = [token.generation_tokens for token in tokens]
    assert counts == sorted(counts)
    assert counts[-1] == 12
    assert tokens[-1].generation_tps is not None
    assert tokens[-1].generation_tps > 0
    assert [token.finish_reason for token in tokens[:-1]] == [None] * (len(tokens) - 1)
    assert tokens[-1].finish_reason == "length"


def test_it_is_reused_and_the_model_stays(subject: Subject) -> None:
    first = tokens_of(subject.engine.stream(subject.short))
    pid = subject.engine.pid
    second = tokens_of(subject.engine.stream(subject.short))
    assert first[-1].generation_tokens == second[-1].generation_tokens
    assert subject.engine.pid == pid
    assert subject.engine.status == "ready"


def test_closing_while_generating_stops_the_work(subject: Subject) -> None:
    subject.engine.load()
    pid = subject.engine.pid
    with closing(subject.engine.stream(subject.long)) as stream:
        next(item for item in stream if isinstance(item, Token))
    assert subject.engine.pid == pid  # stopped, not killed
    assert pid is not None
    assert is_idle(pid)
    assert tokens_of(subject.engine.stream(subject.short))[-1].generation_tokens == 12


def is_idle(pid: int) -> bool:
    process = psutil.Process(pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(0.5)
    return sum(process.cpu_times()[:2]) - before < 0.1


def test_closing_in_prefill_stops_the_work(subject: Subject) -> None:
    with closing(subject.engine.stream(subject.long)) as stream:
        next(i for i in stream if isinstance(i, Progress) and i.phase is Phase.PREFILL)
    assert tokens_of(subject.engine.stream(subject.short))[-1].generation_tokens == 12


def test_an_error_is_typed_and_leaves_the_engine_usable(subject: Subject) -> None:
    if subject.broken is None:
        pytest.skip("a recording ignores the request")
    with pytest.raises(EngineFailed, match=subject.complaint):
        list(subject.engine.stream(subject.broken))
    assert subject.engine.status.startswith("error: ")
    assert tokens_of(subject.engine.stream(subject.short))[-1].generation_tokens == 12


@pytest.mark.parametrize("killer", [signal.SIGKILL, signal.SIGABRT])
def test_a_crash_names_its_signal_and_the_engine_comes_back(
    subject: Subject, killer: signal.Signals
) -> None:
    died = 0.0
    with pytest.raises(EngineCrashed, match=f"{killer.name} while generating"):
        for item in subject.engine.stream(subject.long):
            if isinstance(item, Token) and item.generation_tokens == 3:
                assert subject.engine.pid is not None
                os.kill(subject.engine.pid, killer)
                died = time.monotonic()
    assert time.monotonic() - died < 5
    assert tokens_of(subject.engine.stream(subject.short))[-1].generation_tokens == 12


def test_it_serves_several_threads(subject: Subject) -> None:
    counts: list[int] = []

    def ask() -> None:
        counts.append(tokens_of(subject.engine.stream(subject.short))[-1].generation_tokens)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == [12, 12, 12]


def test_close_ends_a_running_stream_and_the_child(fresh: Subject) -> None:
    fresh.engine.load()
    pid = fresh.engine.pid
    assert pid is not None
    with pytest.raises(EngineClosed):
        for item in fresh.engine.stream(fresh.long):
            if isinstance(item, Token):
                fresh.engine.close()
    assert not psutil.pid_exists(pid)
    with pytest.raises(EngineClosed):
        list(fresh.engine.stream(fresh.short))


def test_the_childs_command_line_says_what_it_is(subject: Subject) -> None:
    subject.engine.load()
    command = " ".join(psutil.Process(subject.engine.pid).cmdline())
    assert "mondrian" in command
    assert "engine" in command


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("", UnknownEngine, "Give auto, llamacpp"),
        ("gpt:4", UnknownEngine, "not understood"),
        ("llamacpp:", UnknownEngine, "not understood"),
        ("llamacpp:no-such", ModelNotFound, "neither a file nor one of"),
        ("llamacpp:smollm2-135m", ModelNotFound, "mondrian pull smollm2-135m"),
        ("auto", ModelNotFound, "mondrian pull smollm2-135m"),
        ("replay:/no/such", UnknownEngine, "no recording"),
    ],
)
def test_what_cannot_be_opened(
    tmp_path: Path, url: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        open_engine(url, home=tmp_path)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("colour=red", "has no option 'colour'. It knows ctx, max_tokens, mmproj"),
        ("ctx=-1", "cannot take ctx=-1: it must be a whole number from 1"),
        ("temperature=hot", "cannot take temperature=hot"),
        ("slots=0", "cannot take slots=0: it must be a whole number from 1"),
        ("slots=65", "cannot take slots=65: it must be a whole number from 1 to 64"),
        ("mmproj=/no/such", "cannot take mmproj=/no/such: there is no such file"),
    ],
)
def test_options_that_cannot_be_taken(tmp_path: Path, query: str, words: str) -> None:
    with pytest.raises(UnknownEngine, match=words):
        open_engine(f"llamacpp:smollm2-135m?{query}", home=tmp_path)
