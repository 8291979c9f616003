"""An engine in a child process: its loads, its ends, and a clock that goes on meanwhile."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from mondrian.engines import Output, Phase, Progress, Request, Token
from mondrian.engines.native.engine import HostedEngine
from mondrian.engines.watched import Meter, WatchedEngine
from mondrian.errors import (
    EngineCrashed,
    EngineError,
    EngineFailed,
)
from mondrian.process.parent import Child
from support.hosted import (
    ASK,
    FINISH,
    WORDS,
    Play,
    first_token,
)
from support.working import wait_for


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HostedEngine]]:
    """Makes an engine of the native one of that name here."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    engines: list[HostedEngine] = []

    def make(name: str = "Stubborn", **options: Any) -> HostedEngine:
        native = f"support.native_engines:{name}"
        engine = HostedEngine(url="x:", model="x", sees=False, native=native, options=options)
        engine._stop_seconds = 0.3
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def test_the_clock_ticks_while_the_child_holds_its_lock(
    stubborn: Callable[..., HostedEngine],
) -> None:
    with closing(stubborn(seconds=4)) as engine:
        times = [time.monotonic() for _ in engine.stream(ASK)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) >= 10
    assert max(gaps) < 2.0


@contextmanager
def loading(engine: HostedEngine) -> Iterator[list[Exception]]:
    """Load in a thread during the ``with``; yield its errors."""
    errors: list[Exception] = []

    def load() -> None:
        try:
            engine.load()
        except EngineError as exc:
            errors.append(exc)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    wait_for(lambda: engine.status == "loading")
    yield errors
    thread.join(30)
    assert not thread.is_alive()


def test_a_request_waits_for_a_load_that_goes_on_and_sees_how_far_it_is(
    stubborn: Callable[..., HostedEngine],
) -> None:
    engine = stubborn("Steady", steps=10)
    with loading(engine) as errors:
        items = list(engine.stream(ASK))
    told = [item for item in items if isinstance(item, Progress)]
    assert {item.phase for item in told} == {Phase.LOADING}
    assert len({item.done for item in told}) > 2
    assert isinstance(items[-1], Token)
    assert (errors, engine.status) == ([], "ready")


def test_who_leaves_does_not_end_the_load(stubborn: Callable[..., HostedEngine]) -> None:
    engine = stubborn("Steady", steps=15)
    with loading(engine) as errors:
        with closing(engine.stream(ASK)) as stream:
            next(stream)
            pid = engine.pid
        assert engine.status == "loading"
        assert isinstance(list(engine.stream(ASK))[-1], Token)
    assert (errors, engine.pid) == ([], pid)


def test_a_load_that_hangs_is_ended_by_who_waits_for_it(
    stubborn: Callable[..., HostedEngine],
) -> None:
    engine = stubborn(seconds=600)
    with loading(engine) as errors:
        pid = engine.pid
        watched = WatchedEngine(engine, Meter(), lambda: None, stall_seconds=1.0)
        seen: list[Output] = []
        with pytest.raises(EngineFailed, match=r"no progress for 1 seconds while loading"):
            seen.extend(watched.stream(ASK))
    assert pid
    assert not psutil.pid_exists(pid)
    assert "SIGKILL while loading the model" in str(errors[0])


def test_a_crash_of_the_load_is_told_to_who_waits_for_it(
    stubborn: Callable[..., HostedEngine],
) -> None:
    engine = stubborn(seconds=600)
    with loading(engine) as errors:
        stream = engine.stream(ASK)
        assert next(stream) == Progress(phase=Phase.LOADING)
        assert engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(EngineCrashed, match="SIGKILL while loading the model"):
            list(stream)
    assert "SIGKILL while loading the model" in str(errors[0])


def test_a_load_that_was_stopped_does_not_count_as_loaded(
    stubborn: Callable[..., HostedEngine],
) -> None:
    engine = stubborn("Steady", steps=600)
    engine._stop_seconds = 10.0
    with closing(engine.stream(ASK)) as stream:
        next(stream)
        wait_for(lambda: engine.status == "loading")
        pid = engine.pid
    assert engine.status == "unloaded"
    assert engine.pid == pid  # stopped, not killed


ORPHAN = """
import sys, time
from mondrian.engines import Request
from mondrian.engines.native.engine import HostedEngine
engine = HostedEngine(url="x:", model="x", sees=False, native="support.native_engines:Stubborn",
                      options={"seconds": int(sys.argv[1])})
if sys.argv[1] == "0":
    engine.load()
    print(engine.pid, flush=True)
    time.sleep(60)
for _ in engine.stream(Request(system="", prompt="")):
    print(engine.pid, flush=True)
"""


@pytest.mark.parametrize(
    "seconds",
    [
        0,
        pytest.param(
            30,
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="only Linux ends a process that holds Python's lock"
            ),
        ),
    ],
)
def test_the_child_ends_with_its_parent(seconds: int) -> None:
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", ORPHAN, str(seconds)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        if seconds:  # until it is in the call that holds the lock
            time.sleep(1)
        parent.kill()
    child.wait(20)  # raises if it lives on, as it would for 30 seconds


def test_a_child_that_cannot_start_is_a_crash() -> None:
    engine = HostedEngine(url="x:", model="x", sees=False, native="no_such:Thing", options={})
    with closing(engine), pytest.raises(EngineCrashed, match="exit code 1") as caught:
        engine.load()
    assert "no_such" in caught.value.__notes__[0]
    assert "no_such" not in caught.value.message


def test_a_process_that_cannot_be_made_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    before = psutil.Process().num_fds()
    engine = HostedEngine(url="x:", model="x", sees=False, native="no_such:Thing", options={})
    for _ in range(3):
        with pytest.raises(EngineFailed, match="cannot be started"):
            engine.load()
    assert psutil.Process().num_fds() == before


LARGE = Request(system="", prompt="", photo=bytes(4_000_000))
"""More than a pipe holds."""


def test_a_child_that_reads_no_more_silences_nobody(play: Play) -> None:
    engine = play({"phase": "prefill"}, *WORDS, *FINISH, query="?slots=2", stop_seconds=0.3)
    neighbour = engine.stream(ASK)
    first_token(neighbour)
    pid = engine.pid
    psutil.Process(pid).suspend()
    watched = WatchedEngine(engine, Meter(), lambda: None, stall_seconds=1.0)
    with pytest.raises(EngineFailed, match="no progress for 1 seconds"):
        list(watched.stream(LARGE))
    neighbour.close()
    assert pid
    assert not psutil.pid_exists(pid)
    assert first_token(engine.stream(LARGE))


def test_quick_tokens_come_in_few_writes_and_the_last_ones_need_no_other(
    stubborn: Callable[..., HostedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, receive = itertools.count(), Connection.recv

    def count(connection: "Connection[Any, Any]") -> object:
        next(writes)
        return receive(connection)

    monkeypatch.setattr(Connection, "recv", count)
    with closing(stubborn("Quick", tokens=1000)) as engine, closing(engine.stream(ASK)) as items:
        tokens = (item.generation_tokens for item in items if isinstance(item, Token))
        assert list(itertools.islice(tokens, 1000)) == list(range(1, 1001))
    assert next(writes) < 200


def test_closing_a_child_twice_is_harmless() -> None:
    child = Child("mondrian.engines", "x:", handler="no_such:Thing", options={})
    child.close()
    child.close()
    assert child.ask(ASK) is None
