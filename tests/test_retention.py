"""What is removed, and that nothing stays behind."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mondrian.database.postgres import Pool
from mondrian.errors import PhotoStoreUnavailable
from mondrian.jobs import retention
from mondrian.jobs.job import Entry, EventType, Job, Status
from mondrian.jobs.retention import LOCK, count_prunable, prune, prune_hourly
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.settings import Settings
from support.processes import LEAVE_SECONDS, run
from support.servers import without_database
from support.working import add_job, recording, wait_for

BYTES = 100


@pytest.fixture
def ended(store: Store, photos: PhotoStore) -> list[Job]:
    """Five jobs that have ended, the oldest first, with photos of 100 bytes."""
    return [end(store, add_job(store, photos, photo_bytes=BYTES)) for _ in range(5)]


def end(store: Store, job: Job) -> Job:
    claim = store.claim("worker", 60.0)
    assert claim
    store.append(claim, [Entry(EventType.TOKEN, {"advisor": "ansel", "text": "x"})] * 3)
    store.finish(claim, [Entry(EventType.ANALYSIS_COMPLETE, {})])
    return job


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder / "photos"))


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)


def test_old_events_go_and_jobs_stay(store: Store, photos: PhotoStore, ended: list[Job]) -> None:
    waiting = add_job(store, photos)
    assert prune(store, photos, days=1).events == 0
    wanted = count_prunable(store, days=0)
    pruned = prune(store, photos, days=0)
    assert pruned == wanted
    assert (pruned.logs, pruned.events, pruned.jobs) == (5, 5 * 6, 0)
    for job in ended:
        kinds = [event.type for event in store.read_events(job.id, 0)]
        assert kinds == ["analysis_complete", "done"]
        assert photos.get(job.photo_key)
    assert len(store.read_events(waiting.id, 0)) == 1


def test_over_the_quota_the_oldest_go_with_their_photos(
    store: Store, photos: PhotoStore, ended: list[Job], tmp_path: Path
) -> None:
    waiting = add_job(store, photos, photo_bytes=BYTES)
    wanted = count_prunable(store, days=30, max_bytes=3 * BYTES)
    pruned = prune(store, photos, days=30, max_bytes=3 * BYTES)
    assert pruned == wanted
    assert (pruned.jobs, pruned.bytes) == (3, 3 * BYTES)
    kept = [waiting, *reversed(ended[3:])]
    assert [job.id for job in store.list_jobs()] == [job.id for job in kept]
    assert names(tmp_path) == {job.photo_key for job in kept}


def test_the_photo_of_an_old_job_that_never_began_counts_too(
    store: Store, photos: PhotoStore
) -> None:
    pending = add_job(store, photos, photo_bytes=3 * BYTES, status=Status.PENDING)
    end(store, add_job(store, photos, photo_bytes=2 * BYTES))
    newest = end(store, add_job(store, photos, photo_bytes=BYTES))
    pruned = prune(store, photos, days=30, max_bytes=5 * BYTES)
    assert (pruned.jobs, pruned.bytes) == (1, 2 * BYTES)
    assert [job.id for job in store.list_jobs()] == [newest.id, pending.id]


def test_photos_of_one_who_died_before_they_were_deleted_go_with_the_next_prune(
    store: Store, photos: PhotoStore, ended: list[Job], tmp_path: Path
) -> None:
    store.delete_oldest(0)
    assert names(tmp_path) == {job.photo_key for job in ended}
    prune(store, photos, days=30)
    assert names(tmp_path) == set()
    assert store.list_discarded() == []


def test_photos_that_cannot_be_deleted_are_tried_again(
    store: Store, photos: PhotoStore, ended: list[Job], tmp_path: Path
) -> None:
    stuck = tmp_path / "photos" / ended[0].photo_key
    stuck.unlink()
    (stuck / "something").mkdir(parents=True)
    with pytest.raises(PhotoStoreUnavailable):
        prune(store, photos, days=30, max_bytes=3 * BYTES)
    assert names(tmp_path) == {job.photo_key for job in [ended[0], *ended[2:]]}
    (stuck / "something").rmdir()
    stuck.rmdir()
    prune(store, photos, days=30, max_bytes=3 * BYTES)
    assert store.list_discarded() == []


class Counting(Store):
    tries = 0

    @contextmanager
    def try_lock(self, lock: int) -> Iterator[bool]:
        self.tries += 1
        with super().try_lock(lock) as is_alone:
            yield is_alone


def test_it_is_done_every_hour_by_one_process_whatever_fails(
    pool: Pool,
    photos: PhotoStore,
    ended: list[Job],
    database: str,
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("FIRST_SECONDS", "AGAIN_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(retention, name, 0.01)
    store, left = Counting(pool), threading.Event()
    given = (store, photos, Settings.read(retention=0, quota=0), left)
    thread = threading.Thread(target=prune_hourly, args=given)
    with store.try_lock(LOCK) as is_alone:
        assert is_alone
        thread.start()
        wait_for(lambda: store.tries > 3)
        assert len(store.list_jobs()) == 5
        pool.timeout = 0.2
        with without_database(postgres, database):
            wait_for(lambda: "not all could be pruned" in caplog.text)
        pool.timeout = 10.0
    wait_for(lambda: not store.list_jobs() and not store.list_discarded())
    left.set()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("command", [("serve", "--port", 0, "--no-worker"), ("worker",)])
def test_servers_and_workers_prune_hourly(
    store: Store, ended: list[Job], database: str, tmp_path: Path, command: tuple[object, ...]
) -> None:
    options = ("--home", tmp_path, "--database", database, "--retention", 0)
    engine = () if "serve" in command else ("--engine", recording(tmp_path))
    script = "from mondrian.cli.main import main; from mondrian.jobs import retention; "
    script += "retention.FIRST_SECONDS = 0.01; main()"
    arguments = [sys.executable, "-c", script, *map(str, (*command, *options, *engine))]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        wait_for(lambda: all(store.read(job.id).pruned_seq for job in ended))
        process.terminate()
        assert process.wait(LEAVE_SECONDS) == 0


def test_only_one_prunes_at_a_time(store: Store) -> None:
    with store.try_lock(LOCK) as first, store.try_lock(LOCK) as second:
        assert (first, second) == (True, False)
    with store.try_lock(LOCK) as third:
        assert third


def test_the_command_says_what_it_did(
    store: Store, photos: PhotoStore, ended: list[Job], database: str, tmp_path: Path
) -> None:
    place = ("--home", tmp_path, "--database", database)
    given = ("--older-than", 0, "--max-bytes", 2 * BYTES, *place)
    told = run("prune", "--dry-run", *given)
    assert told.stdout.splitlines() == [
        "Would remove 30 events of 5 jobs that ended 0 days ago.",
        "Would remove 3 jobs with 300 bytes of photos.",
    ]
    assert len(names(tmp_path)) == 5
    done = run("prune", *given)
    assert done.stdout == told.stdout.replace("Would remove", "Removed"), done.stderr
    assert names(tmp_path) == {job.photo_key for job in ended[3:]}
    refused = run("prune", "--max-bytes", "much", *place)
    assert (refused.returncode, "quota (MONDRIAN_QUOTA)" in refused.stderr) == (78, True)
