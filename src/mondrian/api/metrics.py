"""The metrics of ``/metrics``, in a registry of this server's own."""

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mondrian.api.guesses import Guesses
from mondrian.errors import StorageError
from mondrian.jobs.job import ENDED, Status
from mondrian.jobs.store import Store, WorkerState

ENDED_SECONDS = 30.0
"""Seconds for which counts of ended jobs are cached: counting takes longer with more jobs."""

_UNENDED = tuple(status for status in Status if status not in ENDED)


class Metrics(Collector):
    """Counts of this process, and of the database at each scrape."""

    def __init__(
        self,
        store: Store,
        stream_clients: Callable[[], int],
        engine_status: Callable[[], dict[str, Any]],
        guesses: Guesses,
    ) -> None:
        self._store = store
        self._stream_clients = stream_clients
        self._engine_status = engine_status
        self._guesses = guesses
        self._ended: dict[Status, int] = {}
        self._errors: dict[str, int] = {}
        self._ended_until = 0.0
        self.is_schema_bad = False
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._uploads = Counter(
            "mondrian_uploads",
            "Uploads since this process began, by outcome.",
            ["outcome"],
            registry=self._registry,
        )
        self._uploads.labels("accepted")

    def add(self, collector: Collector) -> None:
        """Render the metrics of ``collector`` too."""
        self._registry.register(collector)

    def count_upload(self, outcome: str) -> None:
        """Count an upload: ``accepted``, or the code of its error."""
        self._uploads.labels(outcome).inc()

    def render(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Return nothing, so that registering does not query the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics that are read at each scrape."""
        yield from self._collect_database()
        yield GaugeMetricFamily(
            "mondrian_stream_clients",
            "Subscribers of jobs, in this process.",
            self._stream_clients(),
        )
        wrong = CounterMetricFamily("mondrian_wrong_keys", "Wrong keys received.")
        wrong.add_metric([], self._guesses.count)
        yield wrong
        yield from self._collect_engine()

    def _collect_database(self) -> Iterator[Metric]:
        try:
            counts = self._count_jobs()
        except StorageError:
            counts = {}
        up = GaugeMetricFamily("mondrian_database_up", "Whether the database answers.")
        up.add_metric([], float(bool(counts)))
        yield up
        if counts:
            jobs = GaugeMetricFamily("mondrian_jobs", "Jobs by status.", labels=["status"])
            for status, count in counts.items():
                jobs.add_metric([status], count)
            yield jobs
            errors = GaugeMetricFamily(
                "mondrian_job_errors", "Jobs that ended with an error, by code.", labels=["code"]
            )
            for code, count in sorted(self._errors.items()):
                errors.add_metric([code], count)
            yield errors
            yield GaugeMetricFamily(
                "mondrian_queue_length", "Jobs waiting for a worker.", counts[Status.QUEUED]
            )
            yield from self._collect_fleet()

    def _collect_fleet(self) -> Iterator[Metric]:
        try:
            age, workers = self._store.read_queue_age_seconds(), self._store.list_workers()
            unsent = self._store.count_webhooks()
        except StorageError:
            return
        yield GaugeMetricFamily(
            "mondrian_queue_oldest_seconds", "Seconds that the oldest queued job has waited.", age
        )
        living = [each for each in workers if each.is_living]
        states = Counts(each.state for each in living)
        by_state = GaugeMetricFamily(
            "mondrian_workers", "Workers of the fleet, by state.", labels=["state"]
        )
        for state in WorkerState:
            by_state.add_metric([state], states[state])
        yield by_state
        busy = sum(each.busy for each in living)
        slots = GaugeMetricFamily(
            "mondrian_slots", "Jobs that the fleet can have under way, by use.", labels=["use"]
        )
        slots.add_metric(["busy"], busy)
        slots.add_metric(["idle"], sum(each.slots for each in living) - busy)
        yield slots
        webhooks = GaugeMetricFamily(
            "mondrian_webhooks", "Webhooks that are not delivered, by status.", labels=["status"]
        )
        for status, count in unsent.items():
            webhooks.add_metric([status], count)
        yield webhooks

    def _count_jobs(self) -> dict[Status, int]:
        unended = self._store.count_by_status(_UNENDED)
        if time.monotonic() >= self._ended_until:
            self._ended = self._store.count_by_status(ENDED)
            self._errors = self._store.count_errors()
            self._ended_until = time.monotonic() + ENDED_SECONDS
        return unended | self._ended

    def _collect_engine(self) -> Iterator[Metric]:
        status = self._engine_status()
        engine = GaugeMetricFamily("mondrian_engine", "The engine's status.", labels=["status"])
        engine.add_metric([str(status.get("status", "unknown"))], 1)
        yield engine
        for name, help_text in _ENGINE_FIGURES.items():
            if isinstance(figure := status.get(name), int | float):
                yield GaugeMetricFamily(f"mondrian_engine_{name}", help_text, figure)


_ENGINE_FIGURES = {
    "tokens": "Tokens that the engine has generated since it was opened.",
    "tokens_per_second": "The speed of the engine's last answer.",
    "peak_memory_gb": "The most memory that the engine has used.",
}
