"""The real native engines die in their own code, or are left alone in it."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from faults.conftest import Fault
from mondrian.engines import Output, Request, Token
from mondrian.engines.native.engine import HostedEngine
from mondrian.jobs.job import Event, Job, Status
from mondrian.jobs.store import Store
from mondrian.models import find_model
from mondrian.photos import PhotoStore
from support.processes import LEAVE_SECONDS, is_gone, started
from support.working import (
    Hire,
    add_job,
    at_work,
    engine_of,
    log_of,
    payload,
    text_of,
    wait_for,
    wait_for_end,
)

SAID_SECONDS, AGAIN_SECONDS, HANDED_SECONDS, GONE_SECONDS = 2.0, 5.0, 10.0, 2.0
NATIVE_CODE = {"llamacpp": ".gguf", "mlx": "libmlx"}
"""What is in an engine's memory once its native code loads."""


@pytest.fixture(params=["llamacpp", "mlx"])
def engine(request: pytest.FixtureRequest) -> str:
    """The URL of an engine, with a real model and its native code."""
    if request.param == "mlx":
        return (
            f"mlx:{request.getfixturevalue('checkpoints') / 'qwen3'}?temperature=0&max_tokens=600"
        )
    return f"llamacpp:{find_model('smollm2-135m', request.getfixturevalue('home'))}"


@pytest.mark.parametrize(
    ("phase", "blow"),
    [
        ("loading", signal.SIGKILL),
        ("prefill", signal.SIGABRT),
        ("generating", signal.SIGKILL),
    ],
)
def test_its_death_is_told_and_costs_an_attempt(
    hire: Hire,
    store: Store,
    photos: PhotoStore,
    engine: str,
    phase: str,
    blow: signal.Signals,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = engine.partition(":")[0]
    row = fault(f"{name} for real, {blow.name}, {phase}")
    job, worker = add_job(store, photos), hire(engine)
    struck = strike(engine_of(worker), phase, blow, monkeypatch)
    with at_work(worker):
        done = wait_for_end(store, job, 120)
    assert (done.status, done.attempt, done.failures) == (Status.DONE, 2, 1)
    said = seconds_to(store, job, struck[0], lambda told: blow.name in str(told.get("thinking")))
    again = seconds_to(store, job, struck[0], is_at_work_again)
    assert said <= SAID_SECONDS
    assert again <= AGAIN_SECONDS
    [attempt] = [told for kind, told in log_of(store, job) if kind == "attempt"]
    assert re.search(f"by {blow.name} while {WHILE[phase]}$", attempt["reason"])
    assert text_of(log_of(store, job), 2) == store.read_reports(job.id)[0].text
    row.tell(f"said after {said:.1f} s, attempt 2, done", seconds=again)


WHILE = {
    "loading": "loading the model",
    "prefill": "reading the prompt",
    "generating": r"generating \(after \d+ tokens?\)",
}


def strike(
    engine: HostedEngine, phase: str, blow: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """Have the engine's process struck once in that phase, and tell when it was."""
    stream, struck = engine.stream, list[float]()

    def watched(request: Request) -> Iterator[Output]:
        with closing(stream(request)) as items:
            for item in items:
                if not struck and is_in(phase, item):
                    assert engine.pid
                    if phase == "loading":
                        wait_for_native_code(engine)
                    os.kill(engine.pid, blow)
                    struck.append(time.time())
                yield item

    monkeypatch.setattr(engine, "stream", watched)
    return struck


def is_in(phase: str, item: Output) -> bool:
    if isinstance(item, Token):
        return phase == "generating" and item.generation_tokens == 2
    return item.phase == phase


def wait_for_native_code(engine: HostedEngine) -> None:
    """Until the child is in it. (llama.cpp then holds Python's lock.)"""
    if sys.platform == "linux":
        maps, needle = Path(f"/proc/{engine.pid}/maps"), NATIVE_CODE[engine.url.partition(":")[0]]
        while needle not in maps.read_text():
            time.sleep(0.002)


def seconds_to(
    store: Store, job: Job, since: float, is_it: Callable[[dict[str, object]], bool]
) -> float:
    """From then to the first event that is it."""

    def at(event: Event) -> float:
        return event.created_at.timestamp()

    return next(at(each) for each in store.read_events(job.id, 0) if is_it(payload(each))) - since


def is_at_work_again(told: dict[str, object]) -> bool:
    state = told.get("job_data")
    return isinstance(state, dict) and (state["status"], state["attempt"]) == ("processing", 2)


def test_an_abort_of_llamacpp_itself_is_told(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path, fault: Fault
) -> None:
    """A model that it does not check, and whose first computation it gives up on."""
    from support.tiny_gguf import build

    row = fault("llamacpp for real, abort by an assertion of its own, three times")
    model, _ = build(tmp_path)
    damaged = bytearray(model.read_bytes())
    key = b"rope.dimension_sections"
    sections = damaged.index(key) + len(key) + 4 + 4 + 8  # two types and a count before the values
    damaged[sections : sections + 16] = bytes(16)
    model.write_bytes(damaged)
    job, worker = add_job(store, photos), hire(f"llamacpp:{model}")
    with at_work(worker):
        failed = wait_for_end(store, job, 90)
    assert (failed.status, failed.failures, failed.is_suspect) == (Status.ERROR, 3, True)
    assert failed.error
    assert "SIGABRT while loading the model" in failed.error["message"]
    child = engine_of(worker)._child
    assert child
    assert "GGML_ASSERT" in child.last_words
    row.tell("3 attempts, then an error that names it")


@pytest.fixture
def talker(tmp_path: Path) -> str:
    """An advisor whose prompt a small model reads for half a minute."""
    words = "light and shadow, " * 1200
    (tmp_path / "advisors").mkdir()
    (tmp_path / "advisors" / "talker.md").write_text(
        f"---\nid: talker\nname: A Talker\nyears: 2000–\nspecialty: Words\nvoice: {words}\n"
        "bio: One who talks.\nfocus_areas:\n  - title: Words\n    description: Many.\n---\nTalk.\n"
    )
    return "talker"


def test_a_worker_that_goes_in_a_prefill_leaves_no_engine_and_hands_back(
    store: Store,
    photos: PhotoStore,
    database: str,
    home: Path,
    tmp_path: Path,
    talker: str,
    fault: Fault,
) -> None:
    killed = fault("worker with llamacpp for real, SIGKILL, prefill")
    asked = fault("worker with llamacpp for real, SIGTERM, prefill")
    engine = f"llamacpp:{find_model('smollm2-135m', home)}"
    options = ("--database", database, "--photos", (tmp_path / "photos").as_uri())
    command = ("worker", *options, "--home", tmp_path, "--engine", engine, "--interval", 1)
    job = add_job(store, photos, talker)
    with started(*command, "--lease", 2) as (process, _):
        wait_for(lambda: is_reading(store, job, attempt=1))
        orphan = engine_under(process.pid)
        process.kill()
        died = time.monotonic()
        wait_for(lambda: is_gone(orphan), GONE_SECONDS)
        gone = time.monotonic() - died
    with started(*command, "--lease", 2) as (process, _):
        wait_for(lambda: is_reading(store, job, attempt=2))
        orphan = engine_under(process.pid)
        process.terminate()
        left = time.monotonic()
        assert process.wait(LEAVE_SECONDS) == 0
        handed = time.monotonic() - left
        assert is_gone(orphan)
    assert handed <= HANDED_SECONDS
    now = store.read(job.id)
    assert (now.status, now.attempt, now.failures) == (Status.QUEUED, 3, 1)
    killed.tell(f"its engine gone after {gone:.1f} s, attempt 2")
    asked.tell("the job handed back, no failure counted", seconds=handed)


def is_reading(store: Store, job: Job, attempt: int) -> bool:
    """Whether some of the prompt has been read, and not yet all of it."""
    told = [each for kind, each in log_of(store, job) if kind == "thinking_update"]
    return any(
        each["attempt"] == attempt and re.search(r"prompt [1-9]\d*/", each["thinking"])
        for each in told
    )


def engine_under(pid: int) -> psutil.Process:
    [engine] = [
        child for child in psutil.Process(pid).children() if "mondrian.engines" in child.cmdline()
    ]
    return engine
