"""A running API without workers, on a store whose work the tests do themselves."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from mondrian.database.postgres import Pool, open_pool
from mondrian.errors import AttemptSuperseded
from mondrian.jobs.job import Claim, Entry, EventType
from mondrian.jobs.store import Answer, Store
from support.demo_reports import demo_report
from support.servers import fresh_database, make_app, running
from support.uploads import jpeg

KEY = "a-secret-of-these-tests"
OTHER_KEY = "another-secret-of-these-tests"
ADMIN_KEY = "the-secret-of-whoever-runs-it"


def bearer(key: str = KEY) -> dict[str, str]:
    """The header that shows ``key``."""
    return {"Authorization": f"Bearer {key}"}


@dataclass
class Service:
    """A running server without workers: the tests do their work."""

    app: FastAPI
    client: httpx.Client
    store: Store
    pool: Pool
    database: str
    home: Path
    engine: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def send(self, key: str = "", **fields: str) -> str:
        headers = bearer(key) if key else {}
        files = {"image": ("p.jpg", jpeg())}
        answer = self.client.post("/upload", files=files, data=fields, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job_id"])

    def claim(self) -> Claim:
        claim = self.store.claim("worker", 60)
        assert claim
        return claim

    def finish(self, claim: Claim, *said: str) -> None:
        reports = [
            Answer(advisor=name, report=demo_report(*said, advisor=name).model_dump(mode="json"),
                   text=f"{name}'s words")
            for name in claim.job.advisors
        ]  # fmt: skip
        complete = Entry(EventType.ANALYSIS_COMPLETE, {"analysis_html": "", "report": None})
        self.store.finish(claim, [complete], reports=reports)

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker runs every job."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(0.01):
                if claim := self.store.claim("worker", 60):
                    with suppress(AttemptSuperseded):
                        self.finish(claim)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join()

    def done(self, *said: str, key: str = "", **fields: str) -> str:
        """A job that is done."""
        job_id = self.send(key, **fields)
        claim = self.claim()
        assert str(claim.job.id) == job_id
        self.finish(claim, *said)
        return job_id


@pytest.fixture(scope="module")
def one_service(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("service")
    engine = {"status": "ready", "engine": "replay:x", "model": "x", "tokens": 12}
    with fresh_database(postgres) as database, open_pool(database) as pool:
        store = Store(pool)
        app = make_app(store, database, home, engine_status=lambda: engine)
        with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
            yield Service(app, client, store, pool, database, home, engine)


@pytest.fixture
def service(one_service: Service) -> Service:
    """The one server of these tests, with no jobs in it."""
    for job in one_service.store.list_jobs(1000):
        one_service.store.delete(job.id)
    return one_service


@pytest.fixture(scope="module")
def one_locked(one_service: Service) -> Iterator[Service]:
    """The same behind keys, on the same store."""
    keys = f"{KEY},{OTHER_KEY}"
    with another(one_service, key=keys, admin_key=ADMIN_KEY) as service:
        yield service


@pytest.fixture
def locked(one_locked: Service, service: Service) -> Service:
    """The server with keys, without jobs and sessions."""
    one_locked.client.cookies.clear()
    return one_locked


@contextmanager
def another(given: Service, **settings: Any) -> Iterator[Service]:
    """The same with other settings, on the same store."""
    app = make_app(given.store, given.database, given.home, **settings)
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield Service(app, client, given.store, given.pool, given.database, given.home)
