"""Health probes and Prometheus metrics of a worker, on a separate port."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mondrian.engines import Engine
from mondrian.errors import SettingsError
from mondrian.jobs.store import WorkerState
from mondrian.worker import Worker

log = logging.getLogger(__name__)


class WorkerMetrics(Collector):
    """The figures of one worker, with its ``engine``'s status if that is given."""

    def __init__(self, worker: Worker, engine: Engine | None = None) -> None:
        self._worker = worker
        self._engine = engine

    def describe(self) -> Iterator[Metric]:
        """Return nothing, so that registering does not query the worker."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as they are now."""
        report = self._worker.report()
        slots = GaugeMetricFamily(
            "mondrian_worker_slots", "Slots for jobs, by use.", labels=["use"]
        )
        slots.add_metric(["busy"], report.busy)
        slots.add_metric(["idle"], report.slots - report.busy)
        yield slots
        state = GaugeMetricFamily("mondrian_worker_state", "The worker's state.", labels=["state"])
        for each in WorkerState:
            state.add_metric([each], float(each is report.state))
        yield state
        yield from self._worker.figures.collect()
        if self._engine:
            engine = GaugeMetricFamily("mondrian_engine", "The engine's status.", labels=["status"])
            engine.add_metric([self._engine.status.partition(": ")[0]], 1)
            yield engine
        tokens = CounterMetricFamily("mondrian_tokens", "Tokens that the engine has generated.")
        tokens.add_metric([], self._worker.meter.tokens)
        yield tokens


@contextmanager
def serve_health(worker: Worker, engine: Engine, port: int | None) -> Iterator[None]:
    """Answer ``/health/live``, ``/health/ready`` and ``/metrics`` at ``port`` of all addresses, in
    a thread; do nothing without one. Raise ``SettingsError`` for a port that is taken."""
    if port is None:
        yield
        return
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(worker, engine))

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            status, kind, body = 404, "application/json", b'{"error":"There is no such page."}'
            if self.path == "/metrics":
                status, kind, body = 200, CONTENT_TYPE_LATEST, generate_latest(registry)
            elif self.path in ("/health", "/health/live", "/health/ready"):
                reason = worker.find_liveness_problem() if self.path != "/health/ready" else None
                reason = reason or (worker.find_readiness_problem() if "ready" in self.path else "")
                status = 503 if reason else 200
                answer = {"status": "DOWN" if reason else "UP", "reason": reason or None}
                body = json.dumps(answer | {"worker": worker.name}).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            """Log nothing: probes come every few seconds."""

    try:
        server = ThreadingHTTPServer(("", port), Handler)
    except OSError as exc:
        raise SettingsError(
            f"The health port {port} cannot be used: {exc.strerror or exc}. Choose another with "
            "--health-port."
        ) from exc
    server.daemon_threads = True
    log.info("health port: %d", server.server_port)
    Thread(target=server.serve_forever, args=[0.2], name="health", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
