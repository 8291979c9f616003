"""Workers' reports, and the switches for operators."""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from mondrian.jobs.sql import workers as sql
from mondrian.jobs.store.base import Connected, clean


class WorkerState(StrEnum):
    """What a worker does with new jobs."""

    READY = "ready"
    ENGINE_DOWN = "engine_down"
    DRAINING = "draining"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerReport:
    """A worker's state: how many of its ``slots`` are ``busy``, and the ``reason`` if it claims
    nothing."""

    name: str
    engine: str
    model: str
    slots: int
    busy: int
    state: WorkerState
    reason: str = ""


class Orders(NamedTuple):
    """The answer to a worker's report: whether to drain, and whether other workers are alive."""

    should_drain: bool
    has_others: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerEntry:
    """A worker of the last day. It is not ``is_living`` without a report for as long as a lease."""

    name: str
    engine: str
    model: str
    slots: int
    busy: int
    state: str
    reason: str
    is_living: bool
    started_at: datetime
    seen_seconds_ago: float


class Workers(Connected):
    """The workers of a fleet, and its queue as a whole."""

    def report_worker(self, report: WorkerReport, lease_seconds: float) -> Orders:
        """Store a worker's report, and return what the worker is to do."""
        values = asdict(report) | {"reason": clean(report.reason), "model": clean(report.model)}
        [row] = self._run(sql.REPORT, lease_seconds=lease_seconds, **values)
        return Orders(**row)

    def list_workers(self) -> list[WorkerEntry]:
        """Return the workers of the last day, the longest at work first."""
        return [WorkerEntry(**row) for row in self._run(sql.LIST)]

    def forget_worker(self, name: str) -> None:
        """Forget a worker that has stopped."""
        self._run(sql.FORGET, name=name)

    def drain_workers(self, name: str = "") -> list[str]:
        """Ask a worker, or all, to finish their jobs and claim no others. Return their names; they
        learn of it with their next report."""
        return [row["name"] for row in self._run(sql.DRAIN, name=name)]

    def pause_queue(self, *, is_paused: bool) -> None:
        """Let no worker claim a job until the queue is resumed. Running jobs continue."""
        self._run(sql.PAUSE, is_paused=is_paused)

    def is_queue_paused(self) -> bool:
        """Return whether the queue is paused."""
        return any(row["is_paused"] for row in self._run(sql.IS_PAUSED))

    def read_queue_age_seconds(self) -> float:
        """Return how long the oldest queued job has waited, in seconds; 0 if none waits."""
        [row] = self._run(sql.QUEUE_AGE)
        return float(row["seconds"])
