"""What a child may take: limits that its parent watches, and those that the system keeps."""

import resource
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

_PRINTED_BYTES = 1_000_000
_FETCHING = psutil.STATUS_DISK_SLEEP  # for memory that it uses, most likely


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one request may take: ``seconds`` of a processor, as many on the clock, and so many
    bytes of memory, resident, for the whole process.

    One that could run on and has to wait for a processor is given up to three times as long on the
    clock: a busy machine is not its fault.
    """

    seconds: float
    memory_bytes: int


class LimitPassed(Exception):
    """A child took more than it may. ``what`` is ``time``, ``processor`` or ``memory``."""

    def __init__(self, what: str, limits: Limits) -> None:
        super().__init__(f"The process passed its limit of {what}.")
        self.what = what
        self.limits = limits


class Watch:
    """What the process ``pid`` takes from now on. (macOS keeps no limit of memory, and a limit of
    processor time would be for the process's whole life: so it is the parent that looks.)"""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._started = time.monotonic()
        self._processor_before = processor_seconds(pid)

    def check(self, limits: Limits) -> None:
        """Raise ``LimitPassed`` if it has taken more than ``limits``."""
        late_seconds = time.monotonic() - self._started - limits.seconds
        if late_seconds > 0 and (is_idle(self._pid) or late_seconds > 2 * limits.seconds):
            raise LimitPassed("time", limits)
        if processor_seconds(self._pid) - self._processor_before > limits.seconds:
            raise LimitPassed("processor", limits)
        if resident_bytes(self._pid) > limits.memory_bytes:
            raise LimitPassed("memory", limits)


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken, 0 if it has ended."""
    with suppress(psutil.Error):
        user, system, *_ = psutil.Process(pid).cpu_times()
        return float(user + system)
    return 0.0


def is_idle(pid: int) -> bool:
    """Return whether a process waits for anything but a processor, or has ended."""
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() not in (psutil.STATUS_RUNNING, _FETCHING))
    return True


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has resident, 0 if it has ended."""
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def confine() -> None:
    """Confine this process: no core dumps, and no file over a megabyte, so that a library which
    prints a line for each of a million tags fills no disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_PRINTED_BYTES, _PRINTED_BYTES))
