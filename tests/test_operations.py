"""What an operator asks and sets: probes, figures, the queue, signals."""

import json
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest

from mondrian.database.postgres import Pool
from mondrian.errors import SettingsError
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.server.health import serve_health
from support.processes import run, started
from support.servers import make_app, running, without_database
from support.working import Hire, add_job, at_work, recording, wait_for


def find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def test_a_server_is_live_and_ready_until_its_database_is_away(
    store: Store, pool: Pool, database: str, postgres: str, tmp_path: Path
) -> None:
    with running(make_app(store, database, tmp_path, key="k" * 20)) as url:
        for path in ("/health/live", "/health/ready"):
            assert httpx.get(f"{url}{path}").json()["status"] == "UP"
            assert httpx.head(f"{url}{path}").status_code == 200
        pool.timeout = 0.2
        with without_database(postgres, database):
            assert httpx.get(f"{url}/health/live").status_code == 200
            answer = wait_for(lambda: ask_ready(url))
        assert answer.json() == {"error": "The server is not ready: database.", "code": "not_ready"}
        pool.timeout = 10.0


def ask_ready(url: str) -> httpx.Response | None:
    answer = httpx.get(f"{url}/health/ready", timeout=20)
    return answer if answer.status_code == 503 else None


def test_a_server_that_drains_or_has_another_schema_is_not_ready(
    store: Store, pool: Pool, database: str, tmp_path: Path
) -> None:
    app = make_app(store, database, tmp_path)
    with running(app) as url:
        with pool.connection() as connection:
            connection.execute("ALTER TABLE jobs RENAME TO elsewhere")
            assert "schema" in httpx.get(f"{url}/health/ready").text
            connection.execute("ALTER TABLE elsewhere RENAME TO jobs")
        app.state.services.streams._is_draining = True
        assert "draining" in httpx.get(f"{url}/health/ready").text


def test_workers_are_listed_for_the_admin_alone(
    store: Store, photos: PhotoStore, database: str, tmp_path: Path, hire: Hire
) -> None:
    keys: dict[str, Any] = {"key": "k" * 20, "admin_key": "a" * 20}
    worker = hire(recording(tmp_path))
    with at_work(worker), running(make_app(store, database, tmp_path, **keys)) as url:
        wait_for(store.list_workers)

        def get(path: str, key: str) -> httpx.Response:
            return httpx.get(f"{url}{path}", headers={"Authorization": f"Bearer {key}"})

        assert get("/workers", keys["key"]).status_code == 401
        answer = get("/workers", keys["admin_key"]).json()
        assert [each["name"] for each in answer["workers"]] == [worker.name]
        assert answer["queue"] == {"is_paused": False, "oldest_seconds": 0.0}
        metrics = get("/metrics", keys["admin_key"]).text
    assert 'mondrian_workers{state="ready"} 1.0' in metrics
    assert 'mondrian_slots{use="idle"} 1.0' in metrics
    assert "mondrian_queue_oldest_seconds 0.0" in metrics


def test_a_worker_answers_probes_at_a_port_of_its_own(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    port, worker = find_port(), hire(recording(tmp_path))
    with serve_health(worker, port), at_work(worker):
        wait_for(store.list_workers)
        for path in ("/health", "/health/live", "/health/ready"):
            status, body = ask(port, path)
            assert (status, json.loads(body)["status"]) == (200, "UP")
        job = add_job(store, photos)
        wait_for(lambda: store.read(job.id).status is Status.DONE)
        wait_for(lambda: 'mondrian_attempts_total{outcome="done"} 1.0' in ask(port, "/metrics")[1])
        worker._is_draining = True
        assert ask(port, "/health/ready") == (
            503, json.dumps({"status": "DOWN", "reason": "draining", "worker": worker.name})
        )  # fmt: skip
        assert ask(port, "/nothing")[0] == 404
        with pytest.raises(SettingsError, match="--health-port"), serve_health(worker, port):
            pass


def test_a_worker_drains_by_signal_and_by_command(
    store: Store, photos: PhotoStore, database: str, tmp_path: Path
) -> None:
    options = ("--home", tmp_path, "--database", database, "--lease", 1.5)
    for ask_to in (
        lambda process, name: process.send_signal(signal.SIGUSR1),
        lambda process, name: print(run("drain", name, *options[:4]).stdout),
    ):
        with started("worker", "--engine", recording(tmp_path), *options) as (process, name):
            wait_for(store.list_workers)
            ask_to(process, name)
            assert process.wait(60) == 0
    assert run("drain", *options[:4]).returncode == 69


def test_the_queue_is_paused_and_resumed(store: Store, database: str, tmp_path: Path) -> None:
    options = ("--home", tmp_path, "--database", database)
    assert "The queue is paused: 0 waiting" in run("queue", "pause", *options).stdout
    assert store.is_queue_paused()
    assert "The queue is open" in run("queue", "resume", *options).stdout
    assert run("queue", "stop", *options).returncode == 2
