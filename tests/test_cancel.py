"""A cancel is acknowledged at once and reaches the model; a job without clients continues."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from mondrian.client import Client
from mondrian.engines import open_engine
from mondrian.engines.native.engine import HostedEngine
from mondrian.jobs.job import EventType, Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.worker import Worker
from support.servers import make_app, running
from support.working import Hire, at_work, jpeg, make_worker, recording, wait_for

ACKNOWLEDGED_SECONDS, IDLE_SECONDS = 5.0, 15.0  # on a noisy machine; else 0.1 and 1


@dataclass
class Service:
    client: Client
    worker: Worker
    engine: HostedEngine
    store: Store

    def submit(self) -> UUID:
        return UUID(self.client.submit(jpeg())["job_id"])

    def cancel(self, job: UUID) -> float:
        """The seconds until that is acknowledged."""
        asked = time.monotonic()
        assert self.client.cancel(job)["status"] == "cancelled"
        return time.monotonic() - asked

    def types_of(self, job: UUID) -> list[str]:
        return [event.type for event in self.store.read_events(job, 0)]

    def is_idle(self) -> bool:
        """Whether the engine has neither worked nor counted a token for half a second."""
        assert self.engine.pid
        process, tokens = psutil.Process(self.engine.pid), self.worker.meter.tokens
        before = sum(process.cpu_times()[:2])
        time.sleep(0.5)
        spent = sum(process.cpu_times()[:2]) - before
        return spent < 0.1 and self.worker.meter.tokens == tokens


@pytest.fixture
def service(
    home: Path, store: Store, photos: PhotoStore, database: str, tmp_path: Path
) -> Iterator[Service]:
    """The embedded model at work, behind the API."""
    engine = open_engine("llamacpp:smollm2-135m", home=home)
    assert isinstance(engine, HostedEngine)
    worker = make_worker(store, photos, engine, database, home=tmp_path)
    with (
        closing(engine),
        running(make_app(store, database, tmp_path)) as url,
        at_work(worker),
        Client(url) as client,
    ):
        yield Service(client, worker, engine, store)


def test_a_cancel_stops_the_model_and_leaves_it_loaded(service: Service) -> None:
    store, acknowledged = service.store, list[float]()
    service.engine.load()
    pid = service.engine.pid
    for is_there in ("prefill", EventType.TOKEN):
        job, queued = service.submit(), service.submit()
        wait_for(lambda job=job, is_there=is_there: is_at(store, job, is_there))  # type: ignore[misc]
        acknowledged += [service.cancel(queued), service.cancel(job)]
        cancelled = time.monotonic()
        wait_for(service.is_idle)
        assert time.monotonic() - cancelled < IDLE_SECONDS
        for each in (job, queued):
            assert store.read(each).status is Status.CANCELLED
            assert service.types_of(each)[-2:] == ["status_update", "done"]
    assert service.engine.pid == pid
    assert max(acknowledged) < ACKNOWLEDGED_SECONDS


def is_at(store: Store, job: UUID, what: str) -> bool:
    """Whether the job has come to a phase, or to its first event of a type."""
    log = store.read_events(job, 0)
    return any(what == event.type or f'"phase":"{what}"' in event.payload for event in log)


def test_that_nobody_watches_changes_nothing(
    hire: Hire, store: Store, database: str, tmp_path: Path
) -> None:
    with (
        running(make_app(store, database, tmp_path)) as url,
        at_work(hire(recording(tmp_path, pause=0.01))),
        Client(url) as client,
    ):
        job = client.submit(jpeg())["job_id"]
        watching = [client.watch(job, include=["tokens"]) for _ in range(3)]
        for watcher in watching:
            next(event for event in watcher if event.type == "token")
        for watcher in watching:
            watcher.close()
        wait_for(lambda: store.read(UUID(job)).is_ended)
    done = store.read(UUID(job))
    assert (done.status, done.attempt) == (Status.DONE, 1)
