"""Folders: which photos there are, what was said of them, what goes together, how they rank."""

import csv
import io
import os
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mondrian.catalogue import (
    Judgement,
    Judgements,
    PhotoFile,
    find_files,
    make_csv,
    make_sheet,
    rank,
)
from mondrian.catalogue import judgements as module
from mondrian.catalogue.duplicates import group_alike, hash_picture
from mondrian.catalogue.thumbnails import save_thumbnail
from support.demo_reports import demo_report
from support.working import jpeg


def judgement(path: str = "/photos/a.jpg", score: float = 7.0, **more: Any) -> Judgement:
    report = demo_report().model_dump(mode="json") | {"overall_score": score}
    fields = {"size": 1, "modified_ns": 2, "sha256": path, "advisor": "ansel", "engine": "replay:x"}
    return Judgement(path=path, version="1", report=report, **fields | more)  # type: ignore[arg-type]


def test_the_photos_of_a_folder(tmp_path: Path) -> None:
    names = ["b.JPG", "a.heic", "sub/c.png", "sub/.hidden.jpg", ".git/d.jpg", "notes.txt"]
    names += ["b.nef", "alone.CR3", "sub/c.xmp"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = find_files([tmp_path])
    assert [str(each.path.relative_to(tmp_path)) for each in found] == [
        *("a.heic", "alone.CR3", "b.JPG", "sub/c.png")
    ]
    assert [each.raw and each.raw.name for each in found] == [None, None, "b.nef", None]
    assert len(find_files([tmp_path], is_recursive=False)) == 3
    assert find_files([tmp_path / "notes.txt"]) == [PhotoFile(tmp_path / "notes.txt")]


def test_judgements_outlive_the_process_and_a_cut_line(tmp_path: Path) -> None:
    first, second = judgement("/a.jpg"), judgement("/b.jpg")
    Judgements(tmp_path).add(first)
    with (tmp_path / "judgements.jsonl").open("ab") as file:
        file.write(b'{"path": "/cut')
    again = Judgements(tmp_path)
    again.add(second)
    last = Judgements(tmp_path)
    for each in (again, last):
        assert each.find("/a.jpg", "ansel", "replay:x", "1") == first
        assert each.find("/b.jpg", "ansel", "replay:x", "1") == second
    assert last.find("/a.jpg", "ansel", "replay:x", "2") is None
    last.add(replace(first, hash="ff"))
    kept = Judgements(tmp_path).find("/a.jpg", "ansel", "replay:x", "1")
    assert kept
    assert kept.hash == "ff"


def test_a_file_that_is_as_it_was_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(jpeg())
    judgements = Judgements(tmp_path)
    size, modified_ns, sha256 = judgements.identify(photo)
    assert not judgements.is_known(photo)
    judgements.add(judgement(str(photo), size=size, modified_ns=modified_ns, sha256=sha256))

    def refuse(path: Path) -> str:
        raise AssertionError(path)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_hash_file", refuse)
        assert Judgements(tmp_path).identify(photo) == (size, modified_ns, sha256)
        os.utime(photo, ns=(1, 1))
        with pytest.raises(AssertionError):
            judgements.identify(photo)
    assert judgements.identify(photo)[2] == sha256


def picture(seed: int, **changes: Any) -> bytes:
    image = Image.open(io.BytesIO(jpeg(width=360, height=240, seed=seed))).convert("RGB")
    image = image.resize(changes.get("size", image.size))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=changes.get("quality", 90))
    return written.getvalue()


def test_what_looks_alike_goes_together() -> None:
    same = [hash_picture(picture(1)), hash_picture(picture(1, size=(180, 120), quality=60))]
    other = hash_picture(picture(2))
    assert group_alike([same[0], other, same[1], ""], [None] * 4) == [[0, 2]]


def test_a_burst_may_differ_more_than_photos_of_another_day() -> None:
    hashes = ["0000000000000000", "000000000000ffff"]  # 16 of 64 bits
    assert group_alike(hashes, ["2026-05-01T10:00:00", "2026-05-01T10:00:04"]) == [[0, 1]]
    assert group_alike(hashes, ["2026-05-01T10:00:00", "2026-05-02T10:00:00"]) == []
    assert group_alike(hashes, [None, "no time"]) == []


def test_many_photos_are_grouped_across_chunks() -> None:
    hashes = [f"{hash(('photo', n)) & (2**64 - 1):016x}" for n in range(1500)]
    hashes[1400] = hashes[3]
    assert group_alike(hashes, [None] * 1500) == [[3, 1400]]


def measured(report: dict[str, Any], subject: float) -> dict[str, Any]:
    measurements = report["measurements"]
    sharpness = {"subject": subject, "peak": 0.9}
    return report | {"measurements": measurements | {"sharpness": sharpness}}


def test_the_best_of_a_burst_is_named_with_its_reason_in_figures() -> None:
    burst = []
    for name, subject in [("a", 0.41), ("b", 0.78)]:
        each = judgement(f"/{name}.jpg", hash="00ff00ff00ff00ff")
        burst.append(replace(each, report=measured(each.report, subject)))
    alone = judgement("/c.jpg", score=9.0, hash="ff00ff00ff00ff00")
    rows = rank((PhotoFile(Path(each.path)), [each]) for each in [*burst, alone])
    assert [row.file.path.name for row in rows] == ["c.jpg", "a.jpg", "b.jpg"]
    assert [row.rank for row in rows] == [1, 2, 3]
    assert [row.group for row in rows] == [0, 1, 1]
    assert [row.best_because for row in rows] == [
        *("", "", "sharper over the subject: 0.78 against 0.41")
    ]


def test_the_sheet_draws_what_was_measured(tmp_path: Path) -> None:
    box = {"left": 0.1, "top": 0.2, "right": 0.5, "bottom": 0.6, "x": 0.3, "y": 0.4}
    measurements = {
        "width": 300,
        "height": 200,
        "subject": box | {"confidence": 0.97},
        "horizon": {"tilt_degrees": 1.5},
        "exposure": {"clipped_highlights_percent": 3.14, "blocked_shadows_percent": 0.04},
        "sharpness": {"map": [[1.0, 0.5, 0.0], [0.0, 0.0, 1.0]]},
        "colour": {
            "dominant": [{"hex": "#a05a2c", "name": "brown", "share": 0.4, "x": 0.5, "y": 0.5}]
        },
    }
    each = judgement()
    each = replace(each, report=each.report | {"measurements": measurements})
    page = make_sheet(rank([(PhotoFile(Path(each.path)), [each])]), title="t", thumbnails=tmp_path)
    assert 'viewBox="0 0 1000 667"' in page
    assert '<rect x="100.0" y="133.4" width="400.0" height="266.8"' in page
    assert "rotate(1.5 500" in page
    assert "3.1 % lost in white<" in page
    [veil] = re.findall(r'class="softness" href="data:image/png;base64,([^"]+)"', page)
    with Image.open(io.BytesIO(b64decode(veil))) as image:
        assert [image.getpixel((x, 0)) for x in range(3)] == [(10, 0), (10, 100), (10, 200)]
    assert 'fill="#a05a2c"' in page
    assert page.startswith("<!doctype html>")


def test_the_sheet_holds_hostile_words_and_names(tmp_path: Path) -> None:
    hostile = judgement('/photos/"><script>alert(1)</script>.jpg', sha256="f" * 64)
    words = {"comment": "<img src=x onerror=alert(1)>", "recommendation": "=HYPERLINK(1)"}
    dimensions = [each | words for each in hostile.report["dimensions"]]
    hostile = replace(hostile, report=hostile.report | {"dimensions": dimensions})
    save_thumbnail(tmp_path, "f" * 64, picture(1))
    rows = rank([(PhotoFile(Path(hostile.path)), [hostile])])
    page = make_sheet(rows, title="<b>Holidays</b>", thumbnails=tmp_path)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert "http" not in page.replace("http-equiv", "")
    [head, line] = list(csv.reader(io.StringIO(make_csv(rows))))
    assert len(head) == len(line)
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in line)
