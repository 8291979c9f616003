"""The service as processes: the commands as they are run, and what works in a home."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import psutil

MONDRIAN = Path(sys.executable).parent / "mondrian"
LEAVE_SECONDS = 10  # five, and a noisy machine


def run(
    *arguments: object, seconds: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command of Mondrian, run to its end."""
    return subprocess.run(
        [MONDRIAN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


@contextmanager
def started(
    *arguments: object, stderr: IO[str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that serves or works, and what it says when it is ready (its last word)."""
    with started_at_once(arguments, stderr=stderr) as [only]:
        yield only


@contextmanager
def started_at_once(
    *commands: Sequence[object], stderr: IO[str] | None = None
) -> Iterator[list[tuple[subprocess.Popen[str], str]]]:
    """Several of them."""
    with ExitStack() as stack:
        processes = [stack.enter_context(_launched(each, stderr)) for each in commands]
        yield [(process, _word(process)) for process in processes]


@contextmanager
def _launched(
    arguments: Sequence[object], stderr: IO[str] | None
) -> Iterator[subprocess.Popen[str]]:
    command = [str(MONDRIAN), *map(str, arguments)]
    given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": stderr, "text": True}
    with subprocess.Popen(command, **given) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(LEAVE_SECONDS)


def _word(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    said = process.stdout.readline().split()
    assert said, f"it ended with {process.wait(10)}"
    return said[-1]


def processes_of(home: Path) -> list[psutil.Process]:
    """PostgreSQL and engines that work in ``home``."""
    found = []
    for process in psutil.process_iter(["cmdline", "name"]):
        if str(home) in " ".join(process.info["cmdline"] or []):
            found.append(process)
    return found


def engine_in(home: Path) -> psutil.Process:
    """The one engine whose recording or model is in ``home``."""
    [engine] = [p for p in processes_of(home) if "mondrian.engines" in p.cmdline()]
    return engine


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, buried or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # in this moment
        return True
