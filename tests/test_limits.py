"""What a process takes is watched from outside."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from mondrian.process import limits
from mondrian.process.limits import LimitPassed, Limits, Watch, is_idle
from support.working import wait_for

BUSY, IDLE = "while True: pass", "import time; time.sleep(600)"
GIGABYTE = 10**9


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_one_that_waits_for_a_processor_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(BUSY) as busy:
        wait_for(lambda: not is_idle(busy.pid))
        watch = Watch(busy.pid)
        monkeypatch.setattr(limits, "processor_seconds", lambda _: 0.0)  # it is given none
        time.sleep(0.3)
        watch.check(Limits(seconds=0.2, memory_bytes=GIGABYTE))
        with pytest.raises(LimitPassed, match="limit of time"):
            watch.check(Limits(seconds=0.05, memory_bytes=GIGABYTE))


def test_one_that_does_nothing_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.2)
    with running(IDLE) as idle:
        wait_for(lambda: is_idle(idle.pid))
        watch = Watch(idle.pid)
        watch.check(Limits(seconds=600, memory_bytes=GIGABYTE))
        time.sleep(0.3)
        with pytest.raises(LimitPassed, match="limit of time"):
            watch.check(Limits(seconds=0.25, memory_bytes=GIGABYTE))


def test_one_that_sleeps_for_a_moment_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(IDLE) as idle:
        wait_for(lambda: is_idle(idle.pid))
        watch, used = Watch(idle.pid), count(1)
        monkeypatch.setattr(limits, "processor_seconds", lambda _: next(used) / 1000)
        time.sleep(0.3)
        watch.check(Limits(seconds=0.2, memory_bytes=GIGABYTE))


def test_one_that_was_stopped_or_has_ended_does_nothing() -> None:
    with running(BUSY) as busy:
        wait_for(lambda: not is_idle(busy.pid))
        busy.send_signal(signal.SIGSTOP)
        wait_for(lambda: is_idle(busy.pid))
    assert is_idle(busy.pid)


def test_processor_and_memory_have_limits_of_their_own() -> None:
    with running(BUSY) as busy:
        watch = Watch(busy.pid)
        wait_for(lambda: limits.processor_seconds(busy.pid) > 0.3)
        with pytest.raises(LimitPassed, match="limit of memory"):
            watch.check(Limits(seconds=600, memory_bytes=1000))
        with pytest.raises(LimitPassed, match=r"limit of (processor|time)"):
            watch.check(Limits(seconds=0.1, memory_bytes=GIGABYTE))
