"""Folders on the command line: judged once, gone on with, watched, handed to a server."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from support.processes import MONDRIAN, run, started
from support.working import jpeg, recording

SLOW = 0.02


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three photos, one of them below."""
    folder = tmp_path / "my photos"
    (folder / "below").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.jpg", "below/c.jpg"), start=1):
        (folder / name).write_bytes(jpeg(seed=number))
    return folder


def judged(home: Path) -> list[str]:
    """The names of the photos that were judged, in order."""
    lines = (home / "judgements.jsonl").read_text().splitlines()
    return [Path(json.loads(line)["path"]).name for line in lines]


@pytest.mark.slow
def test_a_folder_is_judged_once_and_ranked(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"no photo")
    (photos / "a.NEF").write_bytes(b"raw")
    home, sheet, table = tmp_path / "home", tmp_path / "sheet.html", tmp_path / "ranking.csv"
    options = ("-r", "-e", recording(tmp_path, pause=0.001), "--home", home)
    done = run("critique", photos, *options, "--sheet", sheet, "--csv", table)
    assert done.returncode == 1
    assert "broken.jpg is not a photo" in done.stderr
    assert re.search(r"^3 of 4, .* left: c\.jpg: ", done.stderr, re.MULTILINE)
    names = ["a.jpg", "b.jpg", "c.jpg"]
    assert [line.split()[1] for line in done.stdout.splitlines()[1:4]] == names
    assert judged(home) == names
    assert sheet.read_text().count("<article>") == 3
    assert "a.NEF" in sheet.read_text()
    assert len(table.read_text().splitlines()) == 4
    (photos / "broken.jpg").unlink()
    (photos / "a.NEF").unlink()
    (photos / "a.jpg").rename(photos / "renamed.jpg")
    again = run("critique", photos, *options, "--json", "--csv", table)
    assert again.returncode == 0
    assert " of 3" not in again.stderr, "nothing was to be done"
    rows = [json.loads(line) for line in again.stdout.splitlines()]
    assert {Path(row["path"]).name for row in rows} == {"renamed.jpg", "b.jpg", "c.jpg"}
    assert run("critique", photos, *options, "-a", "okeefe", "-q").returncode == 0
    assert judged(home)[-3:] == ["b.jpg", "c.jpg", "renamed.jpg"], "another advisor's are others"


def follow(photos: Path, home: Path, engine: str) -> "subprocess.Popen[str]":
    command = [str(MONDRIAN), "critique", str(photos), "-r", "-e", engine, "--home", str(home)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_stopped_goes_on_where_it_stopped(
    photos: Path, tmp_path: Path, how: signal.Signals
) -> None:
    home, engine = tmp_path / "home", recording(tmp_path, pause=SLOW)
    with follow(photos, home, engine) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("2 of 3") and "Generating" in line:
                break
        process.send_signal(how)
        said = process.stderr.read()
    assert process.returncode == (130 if how is signal.SIGINT else -9)
    if how is signal.SIGINT:
        assert "Stopped: 1 of 3 photos are done. The same command goes on" in said
    assert judged(home) == ["a.jpg"]
    with follow(photos, home, engine) as process:
        assert process.stderr
        said = process.stderr.read()
    assert process.returncode == 0
    assert "a.jpg" not in said
    assert judged(home) == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.slow
def test_a_folder_that_is_watched(photos: Path, tmp_path: Path) -> None:
    home, sheet = tmp_path / "home", tmp_path / "sheet.html"
    command = [str(MONDRIAN), "watch-folder", str(photos), "--home", str(home)]
    command += ["-e", recording(tmp_path, pause=0.001), "--sheet", str(sheet)]
    for name in (None, "later.jpg"):  # started again, it goes on
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            if name:
                (photos / name).write_bytes(jpeg(seed=9))
            for line in process.stderr:
                if line.startswith("Written: ") and (not name or name in sheet.read_text()):
                    break
            process.send_signal(signal.SIGINT)
            process.stderr.read()
        assert process.returncode == 130
    assert judged(home) == ["a.jpg", "b.jpg", "c.jpg", "later.jpg"]


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of a server that only takes photos."""
    with (
        TemporaryDirectory(prefix="mondrian-home-") as home,
        started("serve", "--port", 0, "--no-worker", "--home", home) as (_, address),
    ):
        yield address


@pytest.mark.slow
def test_a_folder_is_handed_in_once(server: str, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"no photo")
    options = ("-r", "--server", server, "--home", tmp_path)
    first = run("submit", photos, *options)
    assert first.returncode == 1
    assert "broken.jpg" in first.stderr
    assert len(first.stdout.split()) == 3
    assert "3 of 4: c.jpg" in first.stderr
    assert f"Contact sheet: {server}/sheet?folder=my%20photos" in first.stderr
    sheet = httpx.get(f"{server}/sheet?folder=my%20photos").json()
    assert (sheet["photos"], sheet["done"]) == (3, 0)
    os.remove(photos / "broken.jpg")
    second = run("submit", photos, *options)
    assert (second.returncode, second.stdout) == (0, "")


def test_what_is_no_folder_is_said_before_any_work(tmp_path: Path) -> None:
    nothing = run("critique", tmp_path, "-r", "--home", tmp_path)
    assert (nothing.returncode, "There is no photo in" in nothing.stderr) == (65, True)
    missing = run("critique", tmp_path / "none", "-r")
    assert (missing.returncode, "no photo or folder" in missing.stderr) == (65, True)
    assert run("watch-folder", tmp_path / "none").returncode == 65
    mixed = run("critique", tmp_path, "-r", "--html", "a.html")
    assert (mixed.returncode, "--sheet" in mixed.stderr) == (78, True)
