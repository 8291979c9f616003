"""Limits of a child process: those that its parent checks, and those that the system enforces."""

import resource
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

_PRINTED_BYTES = 1_000_000
IDLE_SECONDS = 1.0
"""A process is idle if for so long it has used no CPU time, and has not waited for a CPU."""

_FETCHING = psutil.STATUS_DISK_SLEEP  # most likely paging in its memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of one request: ``seconds`` of CPU time and of elapsed time, and resident memory of
    the whole process.

    A process that is not idle has up to three times the elapsed time, so that a busy machine does
    not fail it.
    """

    seconds: float
    memory_bytes: int


class LimitPassed(Exception):
    """A child exceeded a limit. ``what`` is ``time``, ``processor`` or ``memory``."""

    def __init__(self, what: str, limits: Limits) -> None:
        super().__init__(f"The process passed its limit of {what}.")
        self.what = what
        self.limits = limits


class Watch:
    """Measures the usage of the process ``pid`` from now on. The parent does this because macOS
    enforces no memory limit, and a system limit of CPU time is for a process's whole life."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._started = self._active_at = time.monotonic()
        self._processor_before = self._processor = processor_seconds(pid)

    def check(self, limits: Limits) -> None:
        """Raise ``LimitPassed`` if the process exceeded ``limits``. Call it several times a
        second."""
        now, processor = time.monotonic(), processor_seconds(self._pid)
        if processor > self._processor or not is_idle(self._pid):
            self._processor, self._active_at = processor, now
        seconds = limits.seconds if now - self._active_at > IDLE_SECONDS else 3 * limits.seconds
        if now - self._started > seconds:
            raise LimitPassed("time", limits)
        if processor - self._processor_before > limits.seconds:
            raise LimitPassed("processor", limits)
        if resident_bytes(self._pid) > limits.memory_bytes:
            raise LimitPassed("memory", limits)


def processor_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, 0 if it has ended."""
    with suppress(psutil.Error):
        user, system, *_ = psutil.Process(pid).cpu_times()
        return float(user + system)
    return 0.0


def is_idle(pid: int) -> bool:
    """Return whether a process waits for anything but a CPU, or has ended."""
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() not in (psutil.STATUS_RUNNING, _FETCHING))
    return True


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 if it has ended."""
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def confine() -> None:
    """Confine this process: no core dumps, and no file over 1 MB, so that a library that prints a
    line for each of a million tags cannot fill the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_PRINTED_BYTES, _PRINTED_BYTES))
