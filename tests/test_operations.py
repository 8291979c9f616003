"""What an operator asks and sets: probes, figures, the queue, signals."""

import json
import logging
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest

from mondrian.api.auth import make_owner
from mondrian.client import Client
from mondrian.database.postgres import Pool
from mondrian.errors import SettingsError
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.server.health import serve_health
from mondrian.server.log_format import JsonFormatter
from support.processes import run, started
from support.servers import make_app, running, without_database
from support.store import claim_new, expire
from support.working import (
    Hire,
    add_job,
    at_work,
    engine_of,
    jpeg,
    recording,
    wait_for,
    wait_for_end,
)


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


def test_what_failed_and_why_is_listed_for_the_admin(
    store: Store, database: str, tmp_path: Path
) -> None:
    keys: dict[str, Any] = {"key": "k" * 20, "admin_key": "a" * 20}
    for owner, code in ((make_owner(keys["key"]), "engine_failed"), ("another", "worker_lost")):
        error = {"code": code, "message": "No.", "retryable": True}
        store.finish(claim_new(store, owner=owner), error=error)
    with running(make_app(store, database, tmp_path, **keys)) as url:

        def list_codes(key: str) -> list[str]:
            answer = httpx.get(
                f"{url}/jobs?status=error", headers={"Authorization": f"Bearer {key}"}
            )
            return [each["error"]["code"] for each in answer.json()["jobs"]]

        assert list_codes(keys["admin_key"]) == ["worker_lost", "engine_failed"]
        assert list_codes(keys["key"]) == ["engine_failed"]
        assert httpx.get(f"{url}/jobs?status=error").status_code == 401
        assert httpx.get(f"{url}/workers").status_code == 401


def test_a_worker_answers_probes_at_a_port_of_its_own(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    port, worker = find_port(), hire(recording(tmp_path))
    engine = engine_of(worker)
    with serve_health(worker, engine, port), at_work(worker):
        wait_for(store.list_workers)
        for path in ("/health", "/health/live", "/health/ready"):
            status, body = ask(port, path)
            assert (status, json.loads(body)["status"]) == (200, "UP")
        job = add_job(store, photos)
        wait_for(lambda: store.read(job.id).status is Status.DONE)
        wait_for(lambda: 'mondrian_attempts_total{outcome="done"} 1.0' in ask(port, "/metrics")[1])
        said = ask(port, "/metrics")[1]
        for line in (
            "mondrian_wait_seconds_count 1.0",
            "mondrian_run_seconds_count 1.0",
            "mondrian_reclaims_total 0.0",
            'mondrian_worker_slots{use="idle"} 1.0',
            'mondrian_engine{status="ready"} 1.0',
        ):
            assert line in said
        assert 'mondrian_run_seconds_bucket{le="+Inf"} 1.0' in said
        worker._is_draining = True
        assert ask(port, "/health/ready") == (
            503, json.dumps({"status": "DOWN", "reason": "draining", "worker": worker.name})
        )  # fmt: skip
        assert ask(port, "/nothing")[0] == 404
        with (
            pytest.raises(SettingsError, match="--health-port"),
            serve_health(worker, engine, port),
        ):
            pass


def test_probes_need_no_host_and_no_body(
    store: Store, database: str, hire: Hire, tmp_path: Path
) -> None:
    """As HAProxy's `option httpchk` asks."""
    port, worker = find_port(), hire(recording(tmp_path))
    with (
        running(make_app(store, database, tmp_path, key="k" * 20)) as url,
        serve_health(worker, engine_of(worker), port),
    ):
        for at in (int(url.rpartition(":")[2]), port):
            for method in ("GET", "HEAD"):
                for path in ("/health", "/health/live", "/health/ready"):
                    answer = say(at, f"{method} {path} HTTP/1.0\r\n\r\n")
                    assert b" 200 " in answer.partition(b"\r\n")[0]
                    assert (b"UP" in answer) == (method == "GET")


def say(port: int, text: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(text.encode())
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_a_lost_workers_job_counts_as_taken_over(
    store: Store, pool: Pool, hire: Hire, tmp_path: Path, photos: PhotoStore
) -> None:
    job = add_job(store, photos)
    lost = store.claim("lost", 60.0)
    assert lost
    expire(pool, lost)
    worker = hire(recording(tmp_path), lease=1.0)
    with at_work(worker):
        wait_for_end(store, job)
    said = {each.name: each.samples[0].value for each in worker.figures.collect()}
    assert (said["mondrian_reclaims"], said["mondrian_attempts"]) == (1, 1)
    waits = next(each for each in worker.figures.collect() if each.name == "mondrian_wait_seconds")
    assert next(s.value for s in waits.samples if s.name.endswith("_count")) == 0


def test_a_server_tells_its_workers_figures_and_errors_by_code(
    store: Store, database: str, tmp_path: Path
) -> None:
    store.finish(
        claim_new(store), error={"code": "engine_failed", "message": "", "retryable": True}
    )
    options = ("--port", 0, "--home", tmp_path, "--database", database)
    with started("serve", "--engine", recording(tmp_path), *options) as (_, url):
        said = httpx.get(f"{url}/metrics", timeout=60).text
    assert 'mondrian_job_errors{code="engine_failed"} 1.0' in said
    assert "mondrian_wait_seconds_count 0.0" in said
    assert said.count("# TYPE mondrian_engine gauge") == 1


@pytest.mark.slow
def test_logs_are_json_with_the_ids_of_job_and_request(
    store: Store, database: str, tmp_path: Path
) -> None:
    options = ("--port", 0, "--home", tmp_path, "--database", database, "--log-format", "json")
    with (
        (tmp_path / "log").open("w") as log,
        started("serve", "--engine", recording(tmp_path), *options, stderr=log) as (_, url),
        Client(url) as client,
    ):
        answer = httpx.post(
            f"{url}/upload",
            files={"image": jpeg()},
            headers={"X-Request-ID": "req-7"},
            timeout=60,
        )
        assert answer.headers["x-request-id"] == "req-7"
        job = answer.json()["job_id"]
        assert [*client.watch(job)][-1].fields["status"] == "done"
        other = httpx.get(f"{url}/health", headers={"X-Request-ID": "two words"}, timeout=60)
        assert re.fullmatch("[0-9a-f]{16}", other.headers["x-request-id"])
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    sent = next(line for line in lines if line.get("request_id") == "req-7")
    done = next(line for line in lines if "done in" in line["message"])
    assert (sent["job_id"], sent["level"]) == (job, "info")
    assert done["job_id"] == job


def test_an_error_at_the_start_is_json_too(tmp_path: Path) -> None:
    options = ("--home", tmp_path, "--port", 0, "--log-format", "json", "--no-worker")
    ran = run("serve", *options, "--database", "nothing://")
    assert ran.returncode == 78
    [line] = map(json.loads, ran.stderr.splitlines())
    assert line["level"] == "critical"
    assert "The database URL is not understood" in line["message"]


def test_a_log_line_cannot_be_forged() -> None:
    record = logging.makeLogRecord({"msg": 'a\n{"level": "info"}\x1b[2J', "name": "n"})
    try:
        raise ValueError("b\nc")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'a {"level": "info"}[2J'
    assert "ValueError: b" in json.loads(line)["exception"]


@pytest.mark.slow
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
