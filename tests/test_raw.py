"""RAW files by the preview in them."""

import time
from contextlib import suppress

import numpy as np
import pytest

from mondrian.errors import PhotoError, UnsupportedPhoto
from mondrian.photos import Exif, prepare_photo, read_photo
from mondrian.photos.notes import Note
from support.jpegs import adobe, insert, pixels
from support.pictures import CAT, saved
from support.raws import CAMERA, LENS, PREVIEW, RAWS, THUMBNAIL, sensor, tiff_like, with_exif
from support.tiffs import tiff

UPRIGHT = np.rot90(pixels(PREVIEW), -1)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.raw"])
@pytest.mark.parametrize("kind", RAWS)
def test_raw_is_read_by_its_preview(kind: str, name: str) -> None:
    photo = read_photo(RAWS[kind], name=name)
    assert photo.format == "RAW"
    assert photo.exif == Exif(camera=CAMERA, lens=LENS, iso=400)
    assert np.array_equal(photo.pixels, UPRIGHT)
    assert photo.notes == (Note.RAW_PREVIEW,)
    assert "preview" in photo.notes[0]


@pytest.mark.parametrize("kind", RAWS)
def test_it_is_stored_with_the_note(kind: str) -> None:
    prepared = prepare_photo(RAWS[kind], name="IMG_1.dng")
    again = read_photo(prepared.encoded, name="IMG_1.dng")
    assert (prepared.width, prepared.height) == (again.width, again.height) == (60, 90)
    assert np.abs(again.pixels.astype(int) - UPRIGHT).mean() < 2
    assert (again.format, again.notes) == ("JPEG", (Note.RAW_PREVIEW,))
    assert again.exif == read_photo(RAWS[kind]).exif
    twice = read_photo(prepare_photo(prepared.encoded).encoded)
    assert (twice.exif, twice.notes) == (again.exif, again.notes)
    assert np.array_equal(twice.pixels, again.pixels)


def test_an_upright_preview_is_stored_bit_by_bit() -> None:
    content = tiff_like(t50706=b"\1\4\0\0", t274=1)
    assert np.array_equal(pixels(prepare_photo(content).encoded), pixels(PREVIEW))


def test_what_the_preview_says_itself_comes_first() -> None:
    content = tiff_like(t50706=b"\1\4\0\0", t274=3, t271="Other", preview=with_exif(PREVIEW))
    photo = read_photo(content)
    assert photo.exif.camera == CAMERA
    assert np.array_equal(photo.pixels, UPRIGHT)


def test_a_preview_in_adobe_rgb_becomes_srgb() -> None:
    plain = tiff_like(t50706=b"\1\4\0\0")
    said = tiff_like(t50706=b"\1\4\0\0", t34665={0xA001: 2})
    assert np.abs(read_photo(said).pixels.astype(int) - read_photo(plain).pixels).mean() > 2


WITHOUT = {
    "no JPEG": tiff([(262, 3, 32803)]) + bytes(1_000),
    "the sensor alone": tiff([(262, 3, 32803)]) + sensor(),
    "a preview that is cut off": tiff([(262, 3, 32803)]) + PREVIEW[:-500],
    "a start and nothing": tiff([(262, 3, 32803)]) + b"\xff\xd8\xff\xdb" * 1_000,
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(100),
    "X3F": b"FOVb" + bytes(100),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100),
}


@pytest.mark.parametrize("kind", WITHOUT)
def test_without_a_preview_it_is_refused(kind: str) -> None:
    with pytest.raises(UnsupportedPhoto) as refusal:
        read_photo(WITHOUT[kind], name="a.jpg")
    assert refusal.value.message == (
        "a.jpg is a camera RAW file without a preview that can be read. Export it as JPEG or HEIC "
        "and try again."
    )


def test_raw_is_told_by_its_name_where_its_content_says_nothing() -> None:
    for content in (saved(CAT, "TIFF"), bytes(100)):
        with pytest.raises(UnsupportedPhoto, match=r"^IMG_1\.ARW is a camera RAW file"):
            read_photo(content, name="IMG_1.ARW")
    assert read_photo(bytes(100) + PREVIEW, name="IMG_1.ARW").width == 90
    assert read_photo(saved(CAT, "JPEG"), name="IMG_1.ARW").format == "JPEG"


def test_a_broken_preview_gives_way_to_the_next() -> None:
    large = saved(CAT.resize((900, 600)), "JPEG")
    photo = read_photo(tiff([(262, 3, 32803)]) + PREVIEW + large[:-2_000])
    assert photo.width == 90


@pytest.mark.parametrize(
    "content",
    [
        THUMBNAIL * 10_000,
        b"\xff\xd8\xff\xe0\0\2" * 1_000_000,
        insert(PREVIEW, *[adobe(1)] * 60) * 300,
        b"\xff\xd8\xff" * 3_000_000,
        (PREVIEW[:-2] + b"\0") * 1_000,
    ],
    ids=["many", "endless segments", "long heads", "starts", "without ends"],
)
def test_looking_for_a_preview_has_an_end(content: bytes) -> None:
    begin = time.process_time()
    with suppress(PhotoError):
        assert read_photo(b"IIRO\0\0\0\0" + content).width in (30, 90)
    assert time.process_time() - begin < 20
