"""Ratings, keywords and critiques in sidecars and photos, by the command and as others read it."""

from pathlib import Path

import pytest

from support.processes import run
from support.sidecars import read_with_exiftool
from support.working import jpeg, recording


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two photos, one of which has a RAW file."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    for number, name in enumerate(("a.jpg", "b.jpg"), start=1):
        (folder / name).write_bytes(jpeg(seed=number))
    (folder / "a.NEF").write_bytes(b"raw")
    return folder


@pytest.fixture
def options(tmp_path: Path) -> tuple[object, ...]:
    return "-e", recording(tmp_path, pause=0), "--home", tmp_path / "home", "-q"


@pytest.mark.slow
def test_a_folder_gets_sidecars_also_when_it_was_judged_before(
    photos: Path, options: tuple[object, ...], tmp_path: Path
) -> None:
    judged = run("critique", photos, "-r", *options)
    assert judged.returncode == 0, judged.stderr
    assert not list(photos.glob("*.xmp"))
    kept = (tmp_path / "home" / "judgements.jsonl").read_bytes()
    written = run("critique", photos, "-r", "--xmp", *options[:-1])
    assert written.returncode == 0, written.stderr
    assert "XMP: 2 files written, 0 as they were." in written.stderr
    assert "RAW files alone, and 1 photo here are none" in written.stderr
    assert sorted(path.name for path in photos.glob("*.xmp")) == ["a.xmp", "b.xmp"]
    again = run("critique", photos, "-r", "--xmp", "darktable", *options)
    assert again.returncode == 0
    assert len(list(photos.glob("*.xmp"))) == 5
    assert (tmp_path / "home" / "judgements.jsonl").read_bytes() == kept, "nothing is judged anew"
    assert (photos / "a.jpg").read_bytes() == jpeg(seed=1)


@pytest.mark.slow
def test_one_photo_gets_a_packet_and_its_report_is_shown(
    photos: Path, options: tuple[object, ...]
) -> None:
    done = run("critique", photos / "b.jpg", "--xmp", "embed", "--stars", "2,3,4,5", *options)
    assert done.returncode == 0, done.stderr
    assert "Top three" in done.stdout
    found = read_with_exiftool(photos / "b.jpg")
    assert found["XMP-xmp:Rating"] == 5
    assert found["XMP-mondrian:Score"] == 6
    again = run("critique", photos / "b.jpg", "--xmp", "embed", *options[:-1])
    assert "Generating" not in again.stderr, "what was said of it is known of its new content"
    assert read_with_exiftool(photos / "b.jpg")["XMP-xmp:Rating"] == 3


def test_a_photo_whose_sidecar_cannot_be_written_does_not_stop_the_others(
    photos: Path, options: tuple[object, ...]
) -> None:
    (photos / "a.xmp").write_bytes(b"no XML")
    done = run("critique", photos, "-r", "--xmp", *options)
    assert done.returncode == 1
    assert "a.jpg: The XMP in a.xmp was left as it is" in done.stderr
    assert (photos / "a.xmp").read_bytes() == b"no XML"
    assert (photos / "b.xmp").exists()


def test_options_that_do_not_go_together(photos: Path) -> None:
    alone = run("critique", photos, "-r", "--overwrite-rating")
    assert (alone.returncode, "--xmp" in alone.stderr) == (78, True)
    files = run("critique", photos / "a.jpg", "--xmp", "-o", "a.pdf")
    assert (files.returncode, "there is a ranking" in files.stderr) == (78, True)
