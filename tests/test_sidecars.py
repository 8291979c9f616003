"""Sidecars and embedded packets as files: where they go, what stays, what is refused."""

import io
import os
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic_core import from_json, to_json

from mondrian.catalogue import Judgement, Judgements, PhotoFile, Place, Sidecars
from mondrian.catalogue.embedding import find_packet, put_packet
from mondrian.catalogue.ratings import count_stars, list_keywords
from mondrian.catalogue.thumbnails import find_thumbnail_path, read_thumbnail
from mondrian.catalogue.xmp import Packet
from mondrian.errors import MondrianError, PhotoError, StorageError
from mondrian.findings import KINDS, Severity
from mondrian.measurements.reading import read_measured
from support.demo_reports import demo_report
from support.jpegs import insert, pixels, segment
from support.sidecars import SHAPES, make_sidecar, read_with_exiftool
from support.working import jpeg

XMP = b"http://ns.adobe.com/xap/1.0/\0"
STARS = (5.0, 6.0, 7.0, 8.0)
RATING = count_stars(demo_report().overall_score, STARS)


class Desk:
    """A folder with judgements of its photos."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.judgements = Judgements(folder / "home")

    def judge(self, name: str, content: bytes, advisor: str = "ansel") -> Judgement:
        path = self.folder / name
        path.write_bytes(content)
        size, modified_ns, sha256 = self.judgements.identify(path)
        made = Judgement(
            path=str(path),
            size=size,
            modified_ns=modified_ns,
            sha256=sha256,
            advisor=advisor,
            engine="replay:x",
            version="1",
            report=demo_report().model_dump(mode="json"),
        )
        self.judgements.add(made)
        return made

    def write(
        self, judgement: Judgement, place: Place, raw: Path | None = None, **more: Any
    ) -> Sidecars:
        sidecars = Sidecars(
            self.judgements, place, stars=STARS, thumbnails=self.folder / "small", **more
        )
        sidecars.write(PhotoFile(Path(judgement.path), raw), [judgement])
        return sidecars


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def names(folder: Path, ending: str = "*.xmp") -> list[str]:
    return sorted(path.name for path in folder.glob(ending))


def test_sidecars_are_where_programs_look(desk: Desk) -> None:
    photo = desk.judge("A.jpg", jpeg())
    raw = desk.folder / "a.NEF"
    raw.write_bytes(b"raw")
    assert desk.write(photo, Place.LIGHTROOM).written.unread == 1
    assert desk.write(photo, Place.LIGHTROOM, raw).written.unread == 0
    assert names(desk.folder) == ["A.xmp", "a.xmp"], "named as the RAW file"
    assert desk.write(photo, Place.DARKTABLE, raw).written.files == 2
    assert names(desk.folder) == ["A.jpg.xmp", "A.xmp", "a.NEF.xmp", "a.xmp"]
    assert raw.read_bytes() == b"raw"
    assert (desk.folder / "A.jpg").read_bytes() == jpeg(), "originals are never touched"


def test_the_stars_of_scores() -> None:
    assert [count_stars(score, STARS) for score in (1, 4.9, 5, 6, 7.9, 8, 10)] == [
        *(1, 1, 2, 3, 4, 5, 5)
    ]
    assert count_stars(5, (2.0, 3.0, 4.0, 5.0)) == 5


def test_what_is_as_it_was_is_not_written(desk: Desk) -> None:
    photo = desk.judge("a.jpg", jpeg())
    assert desk.write(photo, Place.LIGHTROOM).written.files == 1
    os.utime(desk.folder / "a.xmp", ns=(1, 1))
    assert desk.write(photo, Place.LIGHTROOM).written.unchanged == 1
    assert (desk.folder / "a.xmp").stat().st_mtime_ns == 1


def test_two_photos_of_one_name_do_not_share_a_sidecar(desk: Desk) -> None:
    first, second = desk.judge("a.jpg", jpeg()), desk.judge("a.png", jpeg(seed=2))
    desk.write(first, Place.LIGHTROOM)
    with pytest.raises(PhotoError, match=r"a\.xmp is the sidecar of a\.jpg"):
        desk.write(second, Place.LIGHTROOM)
    (desk.folder / "a.jpg").unlink()
    desk.write(second, Place.LIGHTROOM)


def test_a_sidecar_that_is_hostile_is_left_as_it_is(desk: Desk) -> None:
    photo, sidecar = desk.judge("a.jpg", jpeg()), desk.folder / "a.xmp"
    for content in (
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
        b"\xff\xfe<\0",
        b"<x>" * 4_000_000,
    ):
        sidecar.write_bytes(content)
        with pytest.raises(PhotoError, match=r"a\.xmp was left as it is: .*\. Move it away"):
            desk.write(photo, Place.LIGHTROOM)
        assert sidecar.read_bytes() == content
    assert names(desk.folder, ".*") == [], "and nothing else is left"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_folder_that_is_write_protected(desk: Desk) -> None:
    photo = desk.judge("a.jpg", jpeg())
    desk.folder.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="was left as it is"):
            desk.write(photo, Place.LIGHTROOM)
    finally:
        desk.folder.chmod(0o700)


def test_a_sidecar_that_is_replaced_meanwhile_is_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, sidecar = desk.judge("a.jpg", jpeg()), desk.folder / "a.xmp"
    sidecar.write_bytes(make_sidecar("lightroom"))
    encode = Packet.encode

    def edit(packet: Packet) -> bytes:
        sidecar.write_bytes(make_sidecar("lightroom", 5))
        return encode(packet)

    monkeypatch.setattr(Packet, "encode", edit)
    with pytest.raises(StorageError, match="another program changed it"):
        desk.write(photo, Place.LIGHTROOM)
    assert sidecar.read_bytes() == make_sidecar("lightroom", 5)


def test_a_write_that_fails_leaves_the_old_file_whole(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, sidecar = desk.judge("a.jpg", jpeg()), desk.folder / "a.xmp"
    sidecar.write_bytes(make_sidecar("lightroom"))

    def fill(_: int) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(StorageError, match="was left as it is: No space left"):
        desk.write(photo, Place.LIGHTROOM)
    assert sidecar.read_bytes() == make_sidecar("lightroom")
    assert names(desk.folder, ".*") == []


def test_a_link_stays_a_link_and_a_mode_a_mode(desk: Desk) -> None:
    photo, there = desk.judge("a.jpg", jpeg()), desk.folder / "elsewhere.xmp"
    there.write_bytes(make_sidecar("lightroom"))
    there.chmod(0o604)
    (desk.folder / "a.xmp").symlink_to(there)
    desk.write(photo, Place.LIGHTROOM)
    assert (desk.folder / "a.xmp").is_symlink()
    assert there.stat().st_mode & 0o777 == 0o604
    assert Packet.parse(there.read_bytes()).fields.rating == RATING


def test_what_is_no_file_is_not_waited_for(desk: Desk) -> None:
    photo, sidecar = desk.judge("a.jpg", jpeg()), desk.folder / "a.xmp"
    os.mkfifo(sidecar)
    with pytest.raises(StorageError, match="it is no file"):
        desk.write(photo, Place.LIGHTROOM)
    sidecar.unlink()
    sidecar.symlink_to(desk.folder / "nowhere")
    with pytest.raises(StorageError, match="leads nowhere"):
        desk.write(photo, Place.LIGHTROOM)
    assert not (desk.folder / "nowhere").exists()


def test_a_photo_that_was_edited_meanwhile_is_left(desk: Desk) -> None:
    photo = desk.judge("a.jpg", jpeg())
    (desk.folder / "a.jpg").write_bytes(jpeg(seed=2))
    with pytest.raises(PhotoError, match="was changed while it was judged"):
        desk.write(photo, Place.EMBED)
    assert (desk.folder / "a.jpg").read_bytes() == jpeg(seed=2)


def test_a_rating_in_the_photo_itself_is_kept(desk: Desk) -> None:
    rated = put_packet(jpeg(), make_sidecar("lightroom", 5))
    photo = desk.judge("a.jpg", rated)
    for _ in range(2):
        assert desk.write(photo, Place.DARKTABLE).written.kept_ratings == 1
    fields = Packet.parse((desk.folder / "a.jpg.xmp").read_bytes()).fields
    assert fields.rating is None
    assert (fields.keywords or [])[:2] == ["harbour", "Brown"]


def picture(**options: Any) -> bytes:
    encoded = io.BytesIO()
    with Image.open(io.BytesIO(jpeg())) as image:
        image.save(encoded, "JPEG", **options)
    return encoded.getvalue()


def two_pictures() -> bytes:
    encoded = io.BytesIO()
    with Image.open(io.BytesIO(jpeg())) as first, Image.open(io.BytesIO(jpeg(seed=2))) as second:
        first.save(encoded, "MPO", save_all=True, append_images=[second])
    return encoded.getvalue()


def second_picture(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        image.seek(1)
        return image.tobytes()


EXIF = Image.Exif()
EXIF[306] = "2026:03:01 09:00:00"
JPEGS = {
    "plain": jpeg(),
    "EXIF and a profile": picture(exif=EXIF.tobytes(), icc_profile=b"profile"),
    "progressive": picture(progressive=True),
    "a comment and fill bytes": insert(jpeg(), segment(0xFE, b"hello"), b"\xff\xff"),
    "more after its end": jpeg() + b"trailer" * 100,
    "Lightroom's packet": put_packet(jpeg(), make_sidecar("lightroom")),
    "several pictures": two_pictures(),
}


@pytest.mark.parametrize("content", JPEGS.values(), ids=JPEGS)
def test_a_packet_goes_into_a_jpeg_with_all_else_as_it_was(desk: Desk, content: bytes) -> None:
    photo = desk.judge("a.jpg", content)
    path = desk.folder / "a.jpg"
    os.utime(path, ns=(10**18, 10**18))
    assert desk.write(photo, Place.EMBED).written.files == 1
    new = path.read_bytes()
    packet = find_packet(new)
    assert packet
    assert Packet.parse(packet).fields.rating == RATING
    old = find_packet(content)
    assert without_packet(new, packet) == (without_packet(content, old) if old else content)
    assert (pixels(new) == pixels(content)).all()
    assert path.stat().st_mtime_ns == 10**18, "it is no new photo"
    assert names(desk.folder) == []


def without_packet(content: bytes, packet: bytes) -> bytes:
    whole = b"\xff\xe1" + (len(XMP) + len(packet) + 2).to_bytes(2) + XMP + packet
    assert content.count(whole) == 1
    return content.replace(whole, b"")


def test_exif_comes_first_and_further_pictures_stay_where_they_are(desk: Desk) -> None:
    packet = Packet.empty().encode_embedded()
    new = put_packet(JPEGS["EXIF and a profile"], packet)
    assert new.index(b"Exif\0\0") < new.index(XMP) < new.index(b"ICC_PROFILE")
    several = put_packet(JPEGS["several pictures"], packet)
    assert several.index(XMP) < several.index(b"MPF\0")
    assert second_picture(several) == second_picture(two_pictures())
    pictures = segment(0xE2, b"MPF\0II*\0")
    roomy = Packet.empty().encode_embedded(padding=50_000)
    behind = insert(jpeg(), pictures, segment(0xE1, XMP + roomy))
    photo = desk.judge("behind.jpg", behind)
    desk.write(photo, Place.EMBED)
    assert len((desk.folder / "behind.jpg").read_bytes()) == len(behind)
    tight = insert(jpeg(), pictures, segment(0xE1, XMP + packet))
    with pytest.raises(PhotoError, match="there is room for"):
        desk.write(desk.judge("tight.jpg", tight), Place.EMBED)
    assert (desk.folder / "tight.jpg").read_bytes() == tight


def test_what_was_said_of_a_photo_is_known_of_its_new_content(desk: Desk) -> None:
    desk.judge("a.jpg", jpeg())
    photo = desk.judge("a.jpg", jpeg(), advisor="okeefe")
    small = find_thumbnail_path(desk.folder / "small", photo.sha256)
    small.parent.mkdir()
    small.write_bytes(b"small")
    desk.write(photo, Place.EMBED)
    again = Judgements(desk.folder / "home")
    assert again.is_known(Path(photo.path))
    sha256 = again.identify(Path(photo.path))[2]
    assert sha256 != photo.sha256
    ours, other = (again.find(sha256, name, "replay:x", "1") for name in ("okeefe", "ansel"))
    assert ours
    assert other
    assert read_thumbnail(desk.folder / "small", sha256) == b"small"
    assert desk.write(ours, Place.EMBED).written.unchanged == 1


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", jpeg()[:40], b"\xff\xd8\xff\xe1\0"])
def test_what_is_no_jpeg_gets_no_packet(desk: Desk, content: bytes) -> None:
    photo = desk.judge("a.jpg", content)
    with pytest.raises(MondrianError):
        desk.write(photo, Place.EMBED)
    assert (desk.folder / "a.jpg").read_bytes() == content


def test_a_critique_too_large_for_a_jpeg_is_refused() -> None:
    with pytest.raises(PhotoError, match="Name fewer advisors"):
        put_packet(jpeg(), b" " * 70_000)


@pytest.mark.parametrize("program", SHAPES)
def test_exiftool_reads_what_was_written(desk: Desk, program: str) -> None:
    photo, sidecar = desk.judge("a.jpg", jpeg()), desk.folder / "a.jpg.xmp"
    sidecar.write_bytes(make_sidecar(program, 5))
    before = read_with_exiftool(sidecar)
    desk.write(photo, Place.DARKTABLE, overwrite_rating=True)
    after = read_with_exiftool(sidecar)
    for name in before.keys() - {"XMP-xmp:Rating", "XMP-dc:Subject", "XMP-dc:Description"}:
        if not name.startswith("System:"):
            assert after[name] == before[name], name
    assert after["XMP-xmp:Rating"] == RATING
    assert "XMP-dc:Description" in after
    [critique] = after["XMP-mondrian:Critiques"]
    assert critique["Advisor"] == "Ansel Adams"
    assert len(critique["Dimensions"]) == 8
    assert after["XMP-mondrian:Score"] == demo_report().overall_score
    assert not [name for name in after.keys() - before.keys() if "Date" in name]
    assert after.get("ExifTool:Warning") == before.get("ExifTool:Warning")


def test_keywords_are_of_what_was_measured() -> None:
    measured = read_measured(jpeg(width=300, height=200)).measurements
    encoded = from_json(to_json(measured, inf_nan_mode="null"))
    keywords = list_keywords(demo_report().model_copy(update={"measurements": encoded}))
    words = {kind.replace("_", " "): each.severity for kind, each in KINDS.items()}
    found = [words[word] for word in keywords if word in words]
    assert len(found) > 1
    assert not {Severity.ORDINARY, Severity.NOT_JUDGED} & set(found), "what is ordinary is none"
    names = [each.name for each in measured.colour.dominant if each.share >= 0.1]
    assert set(keywords) - words.keys() <= set(names)
    assert list_keywords(demo_report()) == [], "of an imported report nothing is known"
