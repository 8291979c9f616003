"""Photos are read in processes that can be ended, whatever is in them."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest

from mondrian.errors import (
    DamagedPhoto,
    PhotoReaderUnavailable,
    PhotoTooComplex,
    UnsupportedPhoto,
)
from mondrian.measurements import measure
from mondrian.measurements.reading import read_measured
from mondrian.photos import prepare_photo, read_photo, readers
from mondrian.photos.readers import PhotoReaders
from mondrian.photos.reading import Size
from mondrian.photos.thumbnail import make_thumbnail
from mondrian.process.pool import Unwanted
from support import runaway
from support.readers import photo_readers
from support.working import jpeg, wait_for

PHOTO = jpeg(640, 480)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Iterator[PhotoReaders]:
    """One process of the test's own, which finds what it is to run."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    readers = PhotoReaders(1, prepare=runaway.prepare_nothing)
    yield readers
    readers.close()


def test_it_is_as_in_this_process() -> None:
    readers = photo_readers()
    assert readers.run(prepare_photo, PHOTO, name="a.jpg") == prepare_photo(PHOTO, name="a.jpg")
    assert readers.run(make_thumbnail, PHOTO, max_width=64) == make_thumbnail(PHOTO, 64)
    measured, photo = readers.run(read_measured, PHOTO, name="a.jpg"), read_photo(PHOTO)
    assert measured.measurements == measure(photo)
    assert measured.view == photo.jpeg()
    assert (measured.name, measured.width, measured.height) == ("a.jpg", 640, 480)
    assert measured.sha256 == photo.sha256


def test_a_process_that_found_a_subject_is_kept(home: Path) -> None:
    readers = photo_readers()
    for _ in range(2 * readers.size):
        measured = readers.run(read_measured, PHOTO, home=home)
        pids = readers.pids
        assert measured.measurements.saliency is not None
    assert readers.run(read_measured, PHOTO, home=home)
    assert readers.pids == pids


def test_a_file_is_read_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PHOTO)
    assert photo_readers().run(read_measured, path).name == "a.jpg"


def test_a_refusal_is_the_same_and_costs_no_process(one: PhotoReaders) -> None:
    with pytest.raises(UnsupportedPhoto):
        one.run(prepare_photo, b"no photo")
    [pid] = one.pids
    with pytest.raises(UnsupportedPhoto):
        one.run(prepare_photo, b"no photo")
    assert one.pids == [pid]


def test_an_error_of_a_decoder_is_a_damaged_photo(one: PhotoReaders) -> None:
    with pytest.raises(DamagedPhoto):
        one.run(runaway.fail, PHOTO)


@pytest.mark.parametrize(
    ("hog", "limit", "value", "seen"),
    [
        (runaway.spin, "SECONDS", 1.0, "over 1 seconds"),
        (runaway.fill_memory, "MEMORY_BYTES", 500_000_000, r"over 0\.5 GB of memory"),
    ],
)
def test_too_much_is_refused_and_the_process_ended(
    one: PhotoReaders,
    monkeypatch: pytest.MonkeyPatch,
    hog: Callable[[bytes], object],
    limit: str,
    value: float,
    seen: str,
) -> None:
    one.run(prepare_photo, PHOTO)
    [pid] = one.pids
    with monkeypatch.context() as lower:
        lower.setattr(readers, limit, value)
        with pytest.raises(PhotoTooComplex, match=seen):
            one.run(hog, PHOTO)
    assert not psutil.pid_exists(pid)
    assert one.run(prepare_photo, PHOTO).width == 640


def test_a_large_photo_has_more_time() -> None:
    large, small = readers._choose_limits(Size(megapixels=60)), readers._choose_limits(None)
    assert large
    assert small
    assert (small.seconds, large.seconds) == (10, 22)
    claimed = readers._choose_limits(Size(megapixels=1e9))
    assert claimed
    assert claimed.seconds < 51


def test_an_end_of_its_own_is_tried_again_and_then_the_photos_fault(
    one: PhotoReaders, tmp_path: Path
) -> None:
    assert one.run(runaway.abort_once, PHOTO, marker=tmp_path / "once").width == 640
    with pytest.raises(DamagedPhoto):
        one.run(runaway.abort, PHOTO)
    assert one.run(prepare_photo, PHOTO).width == 640


@pytest.mark.parametrize(("seconds", "is_kept"), [(0.1, True), (60.0, False)])
def test_one_that_is_unwanted_is_kept_if_it_ends_soon(
    monkeypatch: pytest.MonkeyPatch, seconds: float, is_kept: bool
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.setattr("mondrian.process.pool._GRACE_SECONDS", 0.5 if not is_kept else 60.0)
    with closing(PhotoReaders(2, prepare=runaway.prepare_nothing)) as two:
        two.run(prepare_photo, PHOTO)
        before = two.pids
        with pytest.raises(Unwanted):
            two.run(runaway.rest, PHOTO, seconds=seconds, is_wanted=lambda: False)
        assert (two.pids == before) == is_kept


def test_a_process_that_was_killed_in_between_costs_nothing(one: PhotoReaders) -> None:
    one.run(prepare_photo, PHOTO)
    [pid] = one.pids
    os.kill(pid, signal.SIGKILL)
    assert one.run(prepare_photo, PHOTO).width == 640


def test_the_process_knows_no_secrets(one: PhotoReaders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONDRIAN_KEY", "a key of sixteen letters")
    monkeypatch.setenv("HF_TOKEN", "a token")
    told = one.run(runaway.get_environment, PHOTO)
    assert "PYTHONPATH" in told
    assert not {"MONDRIAN_KEY", "HF_TOKEN"} & told.keys()


def test_it_ends_when_nobody_wants_it(one: PhotoReaders, tmp_path: Path) -> None:
    marker, left = tmp_path / "begun", threading.Event()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(
            one.run, runaway.begin, PHOTO, marker=marker, is_wanted=lambda: not left.is_set()
        )
        wait_for(marker.exists)
        pid = int(marker.read_text())
        second = threads.submit(one.run, prepare_photo, PHOTO)  # waits: there is one process
        assert not second.done()
        left.set()
        asked = time.monotonic()
        with pytest.raises(Unwanted):
            first.result(10)
        assert time.monotonic() - asked < 5
        assert not psutil.pid_exists(pid)
        assert second.result(60).width == 640


def test_who_waits_may_leave_too(one: PhotoReaders, tmp_path: Path) -> None:
    marker, left = tmp_path / "begun", threading.Event()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(
            one.run, runaway.begin, PHOTO, marker=marker, is_wanted=lambda: not left.is_set()
        )
        wait_for(marker.exists)
        with pytest.raises(Unwanted):
            one.run(prepare_photo, PHOTO, is_wanted=lambda: False)
        left.set()
        with pytest.raises(Unwanted):
            first.result(10)


def test_one_that_keeps_much_memory_is_replaced(
    one: PhotoReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = one.run(runaway.keep_memory, PHOTO, taken_bytes=1_000_000)
    assert one.pids == [kept]
    large = one.run(runaway.keep_memory, PHOTO, taken_bytes=500_000_000)
    assert large == kept
    assert large not in one.pids
    assert not psutil.pid_exists(large)


def test_closing_ends_all_at_once(one: PhotoReaders, tmp_path: Path) -> None:
    marker = tmp_path / "begun"
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(one.run, runaway.begin, PHOTO, marker=marker)
        wait_for(marker.exists)
        one.close()
        with pytest.raises(Unwanted):
            reading.result(10)
    assert not psutil.pid_exists(int(marker.read_text()))
    with pytest.raises(Unwanted):
        one.run(prepare_photo, PHOTO)


def test_no_process_can_be_started(one: PhotoReaders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with pytest.raises(PhotoReaderUnavailable):
        one.run(prepare_photo, PHOTO)
    with pytest.raises(PhotoReaderUnavailable):
        one.warm()
    monkeypatch.undo()


def test_warm_processes_are_as_many_as_there_may_be() -> None:
    readers = PhotoReaders(2, prepare=runaway.prepare_nothing)
    readers.warm()
    assert len(readers.pids) == 2
    readers.close()
    assert not any(map(psutil.pid_exists, readers.pids))


def test_a_photo_that_is_not_urgent_leaves_a_process_to_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    two, left = PhotoReaders(2, prepare=runaway.prepare_nothing), threading.Event()
    stay = partial(
        two.run, runaway.begin, PHOTO, is_wanted=lambda: not left.is_set(), is_urgent=False
    )
    with closing(two), ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(stay, marker=tmp_path / name) for name in "ab"]
        wait_for(lambda: any(tmp_path.glob("?")))
        assert two.run(prepare_photo, PHOTO).width == 640
        assert len([*tmp_path.glob("?")]) == 1  # the other one waits
        left.set()
        for each in asked:
            with pytest.raises(Unwanted):
                each.result(30)
