"""Workers on a real database, with recordings for engines and real faults."""

import http.server
import itertools
import json
import math
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from mondrian.advisors import load_advisors
from mondrian.answers import DIMENSIONS
from mondrian.database.postgres import Pool
from mondrian.engines import open_engine
from mondrian.engines.replay import record
from mondrian.errors import DatabaseUnavailable
from mondrian.jobs.job import Claim, Entry, Job, Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.worker import attempt
from support.working import (
    Hire,
    add_job,
    answer,
    at_work,
    count_events,
    log_of,
    make_worker,
    recording,
    text_of,
    wait_for,
    wait_for_end,
)

SILENCE = {"after": 60, "phase": "prefill"}


def test_a_job_is_done(hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path) -> None:
    url = recording(tmp_path, {"phase": "loading"}, {"after": 0.3, "phase": "prefill"}, pause=0.02)
    job = add_job(store, photos)
    with at_work(hire(url)):
        done = wait_for_end(store, job)
    log = log_of(store, job)
    assert done.status is Status.DONE
    assert done.progress == 100
    assert [kind for kind, _ in log[-3:]] == ["status_update", "analysis_complete", "done"]
    states = [told["job_data"] for kind, told in log if kind == "status_update"]
    assert [(state["status"], state["step_phase"]) for state in states] == [
        ("queued", "queued"),
        ("processing", "image_processing"),
        ("analyzing", "advisor_preparation"),
        ("analyzing", "advisor_analysis"),
        ("finalizing", "finalizing"),
        ("done", "done"),
    ]
    assert text_of(log, 1) == answer()
    [stored] = store.read_reports(job.id)
    assert stored.text == answer()
    assert stored.report == log[-2][1]["report"]
    assert 'class="advisor-section"' in log[-2][1]["analysis_html"]


def test_a_repaired_answer_is_told_as_it_is(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    unread = '{"dimensions": [{"name": "Lighting", "score": 3, "comment": "So'
    url = recording(tmp_path, {"text": unread, "tokens": 9}, {"finish": "stop"}, pause=0.02)
    job = add_job(store, photos)
    with at_work(hire(url)):
        assert wait_for_end(store, job).status is Status.DONE
    log = log_of(store, job)
    [stored] = store.read_reports(job.id)
    assert text_of(log, 1) == stored.text == unread + answer()
    assert stored.report["salvaged"]
    assert stored.report["engine"]["tokens"] == 9 + 2 * math.ceil(len(answer()) / 8)
    assert "repairing" in [told["phase"] for kind, told in log if kind == "thinking_update"]
    parts = [told for kind, told in log if kind == "report_partial"]
    scores = [part["dimension"]["score"] for part in parts if "dimension" in part]
    assert set(scores[1:]) <= {6, None}  # of the first answer one may have been growing


def test_sixteen_jobs_at_once_on_one_server(
    store: Store, photos: PhotoStore, database: str, tmp_path: Path
) -> None:
    """The server answers no request before all sixteen have arrived."""
    together = threading.Barrier(16, timeout=20)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(json.dumps({"data": [{"id": "m"}]}))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            together.wait()
            delta = {"content": answer()}
            chunk = {"choices": [{"delta": delta, "finish_reason": "stop"}]}
            self.answer(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n")

        def answer(self, body: str) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    jobs = [add_job(store, photos) for _ in range(16)]
    with closing(open_engine(f"openai:http://127.0.0.1:{server.server_port}/v1")) as engine:
        worker = make_worker(store, photos, engine, database, home=tmp_path, concurrency=16)
        with at_work(worker):
            statuses = {wait_for_end(store, job).status for job in jobs}
    server.shutdown()
    server.server_close()
    assert statuses == {Status.DONE}


def test_an_answer_that_nobody_can_read_is_an_error_and_not_tried_again(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    record(path, [{"text": "I like it.", "tokens": 3}, {"finish": "stop"}])
    job = add_job(store, photos)
    with at_work(hire(f"replay:{path}")):
        failed = wait_for_end(store, job)
    assert (failed.status, failed.attempt) == (Status.ERROR, 1)
    assert failed.error
    assert failed.error["code"] == "answer_error"
    log = log_of(store, job)
    assert text_of(log, 1) == "I like it." * 2
    assert [kind for kind, _ in log[-3:]] == ["status_update", "error", "done"]


def test_updates_say_all_the_way_what_is_done(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    url = recording(tmp_path, {"phase": "prefill"}, {"after": 1.3, "phase": "prefill"}, pause=0.01)
    job = add_job(store, photos)
    with at_work(hire(url, update_interval=0.3)):
        wait_for_end(store, job)
    log = log_of(store, job)
    told = [each for kind, each in log if kind == "thinking_update"]
    phases = list(dict.fromkeys(each["phase"] for each in told))
    assert phases[0] == "measuring"
    assert phases[-3:] == ["prefill", "generating", "finalizing"]
    assert sum(each["phase"] == "prefill" for each in told) >= 4
    percents = [each["percent"] for each in told]
    assert percents == sorted(percents)
    assert all(each["attempt"] == 1 for each in told)


def test_silences_are_never_longer_than_the_interval(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    url = recording(tmp_path, {"phase": "prefill"}, {"after": 5.0, "phase": "prefill"}, pause=0.01)
    job = add_job(store, photos)
    with at_work(hire(url, update_interval=0.5)):
        wait_for_end(store, job)
    times = [
        event.created_at.timestamp()
        for event in store.read_events(job.id, 1)
        if event.type in ("status_update", "thinking_update", "analysis_complete")
    ]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) <= 2.5  # half of the silence: a busy machine is late
    assert count_events(log_of(store, job)) <= 15 + (times[-1] - times[0]) / 0.5


def test_several_advisors_in_turn_with_one_measurement(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    job = add_job(store, photos, "ansel", "okeefe")
    with at_work(hire(recording(tmp_path), update_interval=0.2)):
        wait_for_end(store, job)
    log = log_of(store, job)
    assert text_of(log, 1, "ansel") == text_of(log, 1, "okeefe") == answer()
    assert [report.advisor for report in store.read_reports(job.id)] == ["ansel", "okeefe"]
    told = [each for kind, each in log if kind == "thinking_update"]
    phases = [phase for phase, _ in itertools.groupby(told, lambda each: each["phase"])]
    assert phases.count("measuring") == 1
    percents = [each["percent"] for each in told]
    assert percents == sorted(percents)
    states = [each["job_data"] for kind, each in log if kind == "status_update"]
    assert [state["current_advisor"] for state in states][-1] == 2
    assert len(log[-2][1]["reports"]) == 2
    figures = store.read_history(engine_url(log), log[-2][1]["report"]["engine"]["model"])
    assert [each.generation_tokens for each in figures] == [figures[0].generation_tokens] * 2


def engine_url(log: list[tuple[str, dict[str, Any]]]) -> str:
    url: str = log[-2][1]["report"]["engine"]["url"]
    return url


def test_many_short_critiques_do_not_flood_a_client(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    everybody = list(load_advisors())
    job = add_job(store, photos, *everybody)
    with at_work(hire(recording(tmp_path, pause=0.0005), update_interval=60.0)):
        done = wait_for_end(store, job)
    assert done.completed_at
    seconds = (done.completed_at - done.created_at).total_seconds()
    assert count_events(log_of(store, job)) <= 15 + seconds / 60.0
    assert len(store.read_reports(job.id)) == len(everybody)


def test_parts_of_the_report_come_while_it_is_written(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    job = add_job(store, photos)
    with at_work(hire(recording(tmp_path, pause=0.03))):
        wait_for_end(store, job)
    parts = [
        (event.created_at.timestamp(), json.loads(event.payload))
        for event in store.read_events(job.id, 0)
        if event.type == "report_partial"
    ]
    written = next(
        event.created_at.timestamp()
        for event in store.read_events(job.id, 0)
        if json.loads(event.payload).get("phase") == "finalizing"
    )
    times = [at for at, _ in parts if at < written]
    assert len(times) >= 3
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.4
    dimensions = [part for _, part in parts if "dimension" in part]
    assert (dimensions[0]["n"], dimensions[0]["m"]) == (1, 8)
    assert dimensions[0]["dimension"]["name"] == "Composition"
    complete = [p["dimension"]["name"] for p in dimensions if "evidence" in p["dimension"]]
    assert complete == list(DIMENSIONS)


def phases_told(store: Store, job: Job) -> list[str]:
    return [told["phase"] for kind, told in log_of(store, job) if kind == "thinking_update"]


def test_a_cancel_reaches_an_engine_that_is_silent(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    worker = hire(recording(tmp_path, {"phase": "prefill"}, SILENCE), update_interval=60.0)
    first, second = add_job(store, photos), add_job(store, photos)
    with at_work(worker):
        wait_for(lambda: "prefill" in phases_told(store, first))
        store.cancel(first.id)
        cancelled = time.monotonic()
        wait_for(lambda: store.read(second.id).status is Status.ANALYZING)
        assert time.monotonic() - cancelled < 5
    assert store.read(first.id).status is Status.CANCELLED
    assert log_of(store, first)[-1][0] == "done"


class Forgetful(Store):
    """A store on a line that breaks after every third commit, before the answer comes."""

    calls = 0

    def append(self, claim: Claim, entries: Sequence[Entry], **changes: Any) -> int:
        seq = super().append(claim, entries, **changes)
        self.calls += 1
        if self.calls % 3 == 0:
            raise DatabaseUnavailable
        return seq


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    hire: Hire, pool: Pool, photos: PhotoStore, tmp_path: Path
) -> None:
    store = Forgetful(pool)
    job = add_job(store, photos)
    with at_work(hire(recording(tmp_path), store=store)):
        wait_for_end(store, job)
    log = log_of(store, job)
    assert text_of(log, 1) == answer()
    thoughts = [each["thinking"] for kind, each in log if kind == "thinking_update"]
    assert len(thoughts) == len(set(thoughts))


class Forgetting(Store):
    """A store on a line that breaks after the first retry is committed, before the answer comes."""

    retries = 0

    def retry(self, *given: Any, **more: Any) -> Claim | None:
        claim = super().retry(*given, **more)
        self.retries += 1
        if self.retries == 1:
            raise DatabaseUnavailable
        return claim


def test_a_retry_whose_answer_was_lost_costs_one_attempt(
    hire: Hire, pool: Pool, photos: PhotoStore, tmp_path: Path
) -> None:
    store = Forgetting(pool)
    job = add_job(store, photos)
    failing = ({"error": "out of memory"}, {"finish": "stop"})
    with at_work(hire(recording(tmp_path, *failing), store=store, lease=2.0)):
        done = wait_for_end(store, job)
    assert (done.status, done.attempt, done.failures) == (Status.DONE, 2, 1)
    assert store.retries == 1


WORDS = "half a pair: \ud83d, and a NUL: \0"


def test_an_error_may_have_any_words(store: Store, photos: PhotoStore) -> None:
    error = {"code": "engine_failed", "message": WORDS, "retryable": True}
    first, second = add_job(store, photos), add_job(store, photos)
    claim = store.claim("w", 60)
    for _ in range(3):
        assert claim
        claim = store.retry(claim, 60, WORDS, error)
    other = store.claim("w", 60)
    assert other
    store.finish(other, error=error)
    for job in (store.read(first.id), store.read(second.id)):
        assert job.error
        assert job.error["message"] == job.current_step == "half a pair: ?, and a NUL: \ufffd"


class Moody(Store):
    """A store whose methods sometimes raise an unexpected error."""

    failures: tuple[str, ...] = ()

    def __getattribute__(self, name: str) -> Any:
        if name in ("claim", "renew", "retry") and name not in self.failures:
            self.failures += (name,)
            raise ArithmeticError(name)
        return super().__getattribute__(name)


def test_what_nobody_foresaw_ends_no_thread(
    hire: Hire, store: Store, pool: Pool, photos: PhotoStore, tmp_path: Path
) -> None:
    moody = Moody(pool)
    job = add_job(store, photos)
    failing = ({"after": 2, "error": "out of memory"}, {"finish": "stop"})
    worker = hire(recording(tmp_path, *failing), store=moody, lease=1.0, update_interval=0.2)
    with at_work(worker):
        done = wait_for_end(store, job)
    assert set(moody.failures) == {"claim", "renew", "retry"}
    assert (done.status, done.attempt) == (Status.DONE, 2)


def test_a_photo_store_that_is_away_costs_no_attempt(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = add_job(store, photos)
    folder = tmp_path / "photos"
    folder.rename(tmp_path / "elsewhere")
    folder.touch()
    with at_work(hire(recording(tmp_path), update_interval=0.2)):
        wait_for(lambda: phases_told(store, job).count("measuring") > 3)
        assert "waits for its photo" in caplog.text
        folder.unlink()
        (tmp_path / "elsewhere").rename(folder)
        done = wait_for_end(store, job)
    assert (done.status, done.attempt) == (Status.DONE, 1)


def test_an_engine_that_failed_is_given_time(
    hire: Hire,
    store: Store,
    photos: PhotoStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempt, "PAUSES_SECONDS", (0.0, 0.1, 2.0))
    job = add_job(store, photos)
    failing = ({"error": "out of memory"}, {"finish": "stop"})
    with at_work(hire(recording(tmp_path, *failing, *failing), update_interval=0.2)):
        done = wait_for_end(store, job)
    assert (done.status, done.failures) == (Status.DONE, 2)
    told = [each for kind, each in log_of(store, job) if kind == "thinking_update"]
    waits = [each["elapsed_seconds"] for each in told if "(attempt 3)" in each["thinking"]]
    assert len(waits) >= 4
    assert max(waits) >= 1.5


@pytest.mark.parametrize("interval", [0.2, 60.0])
def test_a_lost_job_is_taken_over_only_after_a_lease_awake(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path, interval: float
) -> None:
    job = add_job(store, photos)
    assert store.claim("somebody who died", 0.01)
    began = time.time()
    with at_work(hire(recording(tmp_path), lease=2.0, update_interval=interval)):
        done = wait_for_end(store, job)
    [again] = [event for event in store.read_events(job.id, 0) if event.type == "attempt"]
    assert again.created_at.timestamp() - began >= 2.0
    assert json.loads(again.payload)["reason"] == "worker lost"
    assert (done.status, done.failures) == (Status.DONE, 1)


@pytest.mark.parametrize(
    ("photo", "advisor", "code"),
    [(b"no photo", "ansel", "unsupported_photo"), (None, "nobody", "unknown_advisor")],
)
def test_what_cannot_be_done_ends_at_once(
    hire: Hire,
    store: Store,
    photos: PhotoStore,
    tmp_path: Path,
    photo: bytes | None,
    advisor: str,
    code: str,
) -> None:
    job = add_job(store, photos, advisor, photo=photo)
    with at_work(hire(recording(tmp_path))):
        failed = wait_for_end(store, job)
    assert failed.status is Status.ERROR
    assert failed.error
    assert (failed.error["code"], failed.error["retryable"]) == (code, False)
    assert failed.failures == 0


def test_the_worker_survives_a_job_that_was_deleted(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    first = add_job(store, photos)
    with at_work(hire(recording(tmp_path, pause=0.02))):
        wait_for(lambda: text_of(log_of(store, first), 1))
        store.delete(first.id)
        assert wait_for_end(store, add_job(store, photos)).status is Status.DONE


def test_several_threads_work_at_once(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    jobs = [add_job(store, photos) for _ in range(6)]
    with at_work(hire(recording(tmp_path, pause=0.001), concurrency=3)):
        assert {wait_for_end(store, job).status for job in jobs} == {Status.DONE}
    assert all(text_of(log_of(store, job), 1) == answer() for job in jobs)


# Modes


def test_an_adapter_is_used_by_the_jobs_that_ask_for_it(
    hire: Hire, store: Store, photos: PhotoStore, checkpoints: Path
) -> None:
    query = urlencode({"adapter": checkpoints / "adapter", "temperature": 0, "max_tokens": 600})
    jobs = [add_job(store, photos, mode=mode) for mode in ("lora", "baseline")]
    with at_work(hire(f"mlx:{checkpoints / 'qwen3'}?{query}")):
        done = [wait_for_end(store, job, 300) for job in jobs]
    assert [job.mode_used for job in done] == ["lora", "baseline"]
    adapted, plain = [text_of(log_of(store, job), attempt=job.attempt) for job in done]
    assert adapted != plain


def test_an_engine_without_an_adapter_says_so(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    job = add_job(store, photos, mode="lora")
    with at_work(hire(recording(tmp_path))):
        assert wait_for_end(store, job).mode_used == "baseline"
