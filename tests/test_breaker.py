"""A worker whose engine is gone, alone and beside others."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mondrian.errors import EngineFailed
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store, WorkerState
from mondrian.photos import PhotoStore
from mondrian.worker import breaker
from support.working import Hire, add_job, at_work, log_of, recording, wait_for, wait_for_end

LOADING_FAILS = [{"phase": "loading"}, {"error": "The GPU has left the building."}]


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """The URL of an engine that fails before its first token."""
    path = tmp_path / "broken.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LOADING_FAILS))
    return f"replay:{path}"


@pytest.fixture
def away() -> Iterator[tuple[str, threading.Event]]:
    """The URL of an inference server that refuses everything until the event is set."""
    is_back = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if is_back.is_set() else 500)
            self.end_headers()
            self.wfile.write(json.dumps({"data": [{"id": "m"}]}).encode())

        def log_message(self, *arguments: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    yield f"openai:http://127.0.0.1:{server.server_port}/v1", is_back
    server.shutdown()
    server.server_close()


def test_a_worker_whose_engine_is_gone_leaves_its_jobs_to_others(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path, away: tuple[str, threading.Event]
) -> None:
    gone, healthy = hire(away[0], lease=3.0), hire(recording(tmp_path, pause=0.001), lease=3.0)
    with at_work(gone):
        wait_for(lambda: len(store.list_workers()) == 1)
        with at_work(healthy):
            wait_for(lambda: len(store.list_workers()) == 2)
            wait_for(lambda: gone._has_others)
            jobs = [add_job(store, photos) for _ in range(6)]
            done = [wait_for_end(store, job) for job in jobs]
            assert [(job.status, job.failures) for job in done] == [(Status.DONE, 0)] * 6
            [entry] = [each for each in store.list_workers() if each.name == gone.name]
            assert entry.state == WorkerState.ENGINE_DOWN
            assert entry.reason
            assert sum(job.attempt - 1 for job in done) <= 2  # it had one of them, or was late
    assert store.list_workers() == []


def test_it_claims_again_when_its_engine_answers(
    hire: Hire, store: Store, away: tuple[str, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PROBE_SECONDS", (0.1,))
    url, is_back = away
    worker = hire(url)
    with at_work(worker):
        worker._breaker.open(EngineFailed())
        wait_for(lambda: [each.state for each in store.list_workers()] == ["engine_down"])
        is_back.set()
        wait_for(lambda: [each.state for each in store.list_workers()] == ["ready"])


@pytest.mark.slow
def test_alone_it_tells_what_is_the_matter_after_three_attempts(
    hire: Hire, store: Store, photos: PhotoStore, broken: str
) -> None:
    job = add_job(store, photos)
    with at_work(hire(broken)):
        failed = wait_for_end(store, job, seconds=60)
    assert (failed.status, failed.failures) == (Status.ERROR, 3)
    assert failed.error
    assert "The GPU has left the building" in failed.error["message"]
    assert [told["attempt"] for kind, told in log_of(store, job) if kind == "attempt"] == [2, 3]


def test_a_draining_worker_finishes_what_it_has_and_takes_nothing_new(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    job = add_job(store, photos)
    worker = hire(recording(tmp_path, pause=0.06), concurrency=1, lease=1.5)
    with at_work(worker) as thread:
        wait_for(lambda: store.read(job.id).status is Status.ANALYZING)
        later = add_job(store, photos)
        assert store.drain_workers() == [worker.name]
        thread.join(60)
        assert not thread.is_alive()
    assert store.read(job.id).status is Status.DONE
    assert store.read(later.id).status is Status.QUEUED


def test_a_paused_queue_is_not_claimed_from(store: Store, photos: PhotoStore) -> None:
    add_job(store, photos)
    store.pause_queue(is_paused=True)
    assert store.is_queue_paused()
    assert store.claim("worker", 10.0) is None
    store.pause_queue(is_paused=False)
    assert store.claim("worker", 10.0) is not None
    assert store.read_queue_age_seconds() == 0.0
