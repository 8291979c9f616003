"""What every engine promises, held by every engine; then what each promises beyond."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from mondrian.engines import Basis, Engine, Output, Phase, Progress, Request, Token, open_engine
from mondrian.engines.native.engine import HostedEngine
from mondrian.engines.replay import record
from mondrian.engines.watched import Meter, WatchedEngine
from mondrian.errors import (
    EngineClosed,
    EngineCrashed,
    EngineError,
    EngineFailed,
    ModelNotFound,
    UnknownEngine,
)
from mondrian.process.child import Port
from mondrian.process.parent import Child
from support.working import wait_for

LOADING = [{"phase": "loading", "done": 0, "total": 4}, {"phase": "loading", "done": 4, "total": 4}]
PREFILL = [{"after": 0.02, "phase": "prefill", "done": n, "total": 256} for n in (0, 128, 256)]
WORDS = [{"after": 0.01, "text": f"word {n} ", "tokens": 1} for n in range(400)]
FINISH = [{"finish": "stop"}]
# a model that may end its answer ends it early by chance
ENDLESS = {"type": "array", "items": {"enum": ["light", "shadow"]}, "minItems": 2000}


@dataclass(frozen=True)
class Subject:
    """An engine under test, and requests that bring it into each situation."""

    engine: HostedEngine
    short: Request
    long: Request
    broken: Request | None  # one that the engine answers with an error
    complaint: str = "context"
    phases: tuple[Phase, ...] = (Phase.LOADING, Phase.PREFILL)


def open_hosted(url: str, home: Path | None = None) -> HostedEngine:
    engine = open_engine(url, home=home)
    assert isinstance(engine, HostedEngine)
    return engine


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


def scene(seed: int) -> bytes:
    """A photo of coloured blotches, as a JPEG; another one for another ``seed``."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).resize((280, 196)).save(encoded, "JPEG")
    return encoded.getvalue()


def tokens_of(stream: Iterator[Progress | Token]) -> list[Token]:
    return [item for item in stream if isinstance(item, Token)]


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
    assert time.monotonic() - died < 2
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


# llama.cpp


def test_llamacpp_keeps_to_a_schema(home: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "score": {"const": 6.5},
            "comment": {"enum": ["The horizon leans.", 'A "quote", and é.']},
        },
        "required": ["score", "comment"],
        "additionalProperties": False,
    }
    with closing(open_hosted("llamacpp:smollm2-135m", home)) as engine:
        request = Request(system="", prompt="Judge the photo.", schema=schema)
        text = "".join(token.text for token in tokens_of(engine.stream(request)))
    answer = json.loads(text)
    assert answer["score"] == 6.5
    assert answer["comment"] in schema["properties"]["comment"]["enum"]  # type: ignore[index]
    assert "\n" not in text


@pytest.fixture
def seeing(tiny_vlm: str) -> Iterator[HostedEngine]:
    with closing(open_hosted(f"{tiny_vlm}&ctx=2048")) as engine:
        yield engine


def look(seed: int | None, prompt: str = "What is there?") -> Request:
    photo = None if seed is None else scene(seed)
    return Request(system="x", prompt=prompt, photo=photo, max_tokens=24, temperature=0)


def answer_to(engine: HostedEngine, request: Request) -> tuple[str, Token]:
    tokens = tokens_of(engine.stream(request))
    return "".join(token.text for token in tokens), tokens[-1]


def test_llamacpp_sees_the_photo(seeing: HostedEngine) -> None:
    assert seeing.sees
    without, last = answer_to(seeing, look(None))
    assert last.prompt_tokens
    answers = {seed: answer_to(seeing, look(seed)) for seed in (1, 2)}
    for text, token in answers.values():
        assert text != without
        assert token.prompt_tokens
        assert token.prompt_tokens > last.prompt_tokens + 50
    assert answers[1][0] != answers[2][0]
    assert answer_to(seeing, look(1))[0] == answers[1][0]


def test_llamacpp_tells_encoding_from_prefill(seeing: HostedEngine) -> None:
    items = list(seeing.stream(look(1, "light " * 100)))
    told = [item for item in items if isinstance(item, Progress) and item.total]
    encoding = [item for item in told if item.phase is Phase.ENCODING]
    prefill = [item for item in told if item.phase is Phase.PREFILL]
    assert {item.basis for item in encoding + prefill} == {Basis.MEASURED}
    [photo_end], [total] = ({item.total for item in part} for part in (encoding, prefill))
    assert photo_end
    assert total
    assert all(item.done is not None and item.done < photo_end for item in encoding)
    assert all(item.done is not None and item.done > photo_end for item in prefill)
    assert 600 <= total - photo_end < 660  # the prompt, of which each byte is a token
    assert prefill[-1].done == total


def test_llamacpp_encodes_a_photo_once_for_all_advisors(seeing: HostedEngine) -> None:
    common = "light " * 30
    _, first = answer_to(seeing, look(1, f"{common}You are Ansel Adams."))
    items = list(seeing.stream(look(1, f"{common}You are Edward Weston.")))
    last = items[-1]
    assert isinstance(last, Token)
    assert last.cached_tokens
    assert last.prompt_tokens
    assert first.prompt_tokens
    assert last.prompt_tokens > first.prompt_tokens  # the whole prompt, read or not
    assert last.prompt_tokens - last.cached_tokens < 60
    counted = [item.phase for item in items if isinstance(item, Progress) and item.total]
    assert Phase.ENCODING not in counted


def test_llamacpps_listener_is_closed_to_others(home: Path) -> None:
    import httpx

    with closing(open_hosted("llamacpp:smollm2-135m", home)) as engine:
        engine.load()
        connections = psutil.Process(engine.pid).net_connections("tcp")
        ports = [c.laddr for c in connections if c.status == psutil.CONN_LISTEN]
        assert {address.ip for address in ports} <= {"127.0.0.1"}
        for address in ports:
            for path in ("/v1/models", "/props", "/slots", "/metrics"):
                assert httpx.get(f"http://127.0.0.1:{address.port}{path}").status_code in {
                    401,
                    403,
                    404,
                    501,
                }
            answer = httpx.post(f"http://127.0.0.1:{address.port}/completion", json={"prompt": "x"})
            assert answer.status_code == 401


def test_a_broken_model_file_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "not a model.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with (
        closing(open_hosted(f"llamacpp:{path}")) as engine,
        pytest.raises(EngineFailed, match=r"cannot load not a model.gguf"),
    ):
        engine.load()


def test_a_projector_of_another_model_is_a_typed_error(home: Path, tiny_vlm: str) -> None:
    _, _, projector = tiny_vlm.partition("?")
    with (
        closing(open_hosted(f"llamacpp:smollm2-135m?{projector}", home)) as engine,
        pytest.raises(EngineFailed, match=r"with mmproj-tiny.gguf: .* belong together"),
    ):
        engine.load()


# replay


Play = Callable[..., HostedEngine]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    engines: list[HostedEngine] = []

    def play(*lines: dict[str, Any], query: str = "", stop_seconds: float = 5.0) -> HostedEngine:
        path = tmp_path / f"{len(engines)} recording.jsonl"
        record(path, list(lines))
        engine = open_hosted(f"replay:{path}{query}")
        engine._stop_seconds = stop_seconds
        engines.append(engine)
        return engine

    yield play
    for engine in engines:
        engine.close()


ASK = Request(system="", prompt="")


def test_replay_plays_on_time_and_faster(play: Play) -> None:
    lines = [{"phase": "loading"}, {"after": 3, "text": "a", "tokens": 2}, {"finish": "stop"}]
    engine = play(*lines, query="?speed=10")
    engine.load()
    started = time.monotonic()
    items = list(engine.stream(ASK))
    assert 0.3 <= time.monotonic() - started < 1.5
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


# the host


class Stubborn:
    """A native engine that holds Python's lock while it loads, as llama.cpp does."""

    def __init__(self, *, seconds: int) -> None:
        self._seconds = seconds

    def load(self, port: Port) -> None:
        import ctypes

        port.emit(Progress(phase=Phase.LOADING))
        ctypes.PyDLL(None).sleep(self._seconds)

    def run(self, request: Request, port: Port) -> None:
        port.emit(Token(text="", finish_reason="stop"))


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HostedEngine]]:
    """Makes an engine of the native one of that name here."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    engines: list[HostedEngine] = []

    def make(name: str = "Stubborn", **options: Any) -> HostedEngine:
        native = f"test_engines:{name}"
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
    with closing(stubborn(seconds=3)) as engine:
        times = [time.monotonic() for _ in engine.stream(ASK)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) >= 10
    assert max(gaps) < 1.0


@contextmanager
def loading(engine: HostedEngine) -> Iterator[list[Exception]]:
    """It loads, in a thread, for the time of the ``with``. Tells the errors of that."""
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


class Steady:
    """A native engine that loads in steps of a tenth of a second, and stops between two."""

    def __init__(self, *, steps: int) -> None:
        self._left = self._steps = steps

    def load(self, port: Port) -> None:
        while self._left:
            done = self._steps - self._left
            if port.emit(Progress(phase=Phase.LOADING, done=done, total=self._steps)):
                return
            time.sleep(0.1)
            self._left -= 1

    def run(self, request: Request, port: Port) -> None:
        port.emit(Token(text="", finish_reason="stop"))


ORPHAN = """
import sys, time
from mondrian.engines import Request
from mondrian.engines.native.engine import HostedEngine
engine = HostedEngine(url="x:", model="x", sees=False, native="test_engines:Stubborn",
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
    child.wait(2)  # raises if it lives on


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


def test_closing_a_child_twice_is_harmless() -> None:
    child = Child("mondrian.engines", "x:", handler="no_such:Thing", options={})
    child.close()
    child.close()
    assert child.ask(ASK) is None


# slots


@pytest.fixture(params=["replay", "llamacpp"])
def three(request: pytest.FixtureRequest, play: Play) -> Iterator[HostedEngine]:
    """An engine with three slots, whose answer to ``LONG`` takes a while."""
    if request.param == "replay":
        yield play({"phase": "prefill"}, *WORDS, *FINISH, query="?slots=3&speed=4")
        return
    url = f"{request.getfixturevalue('tiny_vlm')}&slots=3"
    with closing(open_hosted(url)) as engine:
        yield engine


LONG = Request(system="", prompt="Go on.", schema=ENDLESS, max_tokens=400)
Stream = Iterator[Progress | Token]


def first_token(stream: Stream) -> Token:
    return next(item for item in stream if isinstance(item, Token))


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
    assert next(after) == waiting
    alone.close()
    assert first_token(after)


def test_a_line_for_some_requests_only(play: Play) -> None:
    engine = play({"text": "a", "tokens": 1}, {"text": "b", "when": "blue"}, *FINISH)
    texts = ["".join(token.text for token in tokens_of(engine.stream(request))) for request in (
        ASK, Request(system="", prompt="a blue hour"))]  # fmt: skip
    assert texts == ["a", "ab"]


# opening


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
