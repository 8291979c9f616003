"""JPEG files: what of them is the picture, and what is words."""

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from mondrian.errors import DamagedPhoto, UnsupportedPhoto
from mondrian.photos import prepare_photo, read_photo
from support.jpegs import adobe, frame_at, insert, named_components, pixels, segment, without
from support.pictures import CAT, saved

PLAIN = saved(CAT, "JPEG", quality=95, subsampling=0)
RGB = saved(CAT, "JPEG", quality=95, keep_rgb=True)
BARE = without(PLAIN, range(0xE0, 0xF0))
JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")

# the three words that say how three components are coded: JFIF, Adobe and their names
CODED: dict[str, bytes] = {
    "JFIF": PLAIN,
    "nothing": BARE,
    "JFIF before Adobe's RGB": insert(BARE, JFIF, adobe(0)),
    "Adobe's RGB before JFIF": insert(BARE, adobe(0), JFIF),
    "JFIF and names R, G, B": named_components(PLAIN, b"RGB"),
    "Adobe's RGB": RGB,
    "names R, G, B": named_components(without(RGB, range(0xE0, 0xF0)), b"RGB"),
    "Adobe's YCbCr": insert(BARE, adobe(1)),
    "Adobe twice": insert(BARE, adobe(0), adobe(1)),
    "Adobe too short": insert(BARE, segment(0xEE, b"Adobe\0\x64\0\0")),
    "JFIF too short": insert(without(RGB, [0xE0]), segment(0xE0, b"JFIF\0\1\1")),
    "odd names": named_components(BARE, b"\x41\x42\x43"),
    "arithmetic names": named_components(BARE, b"\0\1\2"),
}


@pytest.mark.parametrize("kind", CODED)
def test_the_stored_picture_has_the_colours_that_were_read(kind: str) -> None:
    content = CODED[kind]
    photo, stored = read_photo(content), prepare_photo(content).encoded
    assert np.array_equal(photo.pixels, pixels(content))
    assert np.array_equal(read_photo(stored).pixels, photo.pixels)
    assert np.array_equal(pixels(stored), photo.pixels)
    assert photo.encode() == stored


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_other_components_are_stored_as_they_were_read(mode: str) -> None:
    content = saved(CAT.convert(mode), "JPEG", quality=95)
    for coded in (content, insert(content, adobe(2 if mode == "CMYK" else 0))):
        photo = read_photo(coded)
        again = read_photo(prepare_photo(coded).encoded)
        assert np.abs(photo.pixels.astype(int) - again.pixels).mean() < 2


SECRET = b"GPS 48.858N 2.294E SECRET"
SPEAKING: dict[str, Callable[[bytes], bytes]] = {
    "behind Adobe's": lambda whole: insert(whole, adobe(1, SECRET)),
    "in many of Adobe's": lambda whole: insert(whole, *[adobe(1, SECRET)] * 5, adobe(1)),
    "in an APP14 of others": lambda whole: insert(whole, segment(0xEE, SECRET)),
    "in JFIF's preview": lambda whole: insert(
        whole, segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\3\3" + SECRET)
    ),
    "in every other APP": lambda whole: insert(
        whole, *(segment(marker, SECRET) for marker in range(0xE1, 0xF0))
    ),
    "in JPG segments": lambda whole: insert(
        whole, *(segment(marker, SECRET) for marker in range(0xF0, 0xF7))
    ),
    "in a comment": lambda whole: insert(whole, segment(0xFE, SECRET)),
    "between segments": lambda whole: insert(whole, JFIF, SECRET),
    "after the end": lambda whole: whole + SECRET,
    "in a second picture": lambda whole: whole + insert(whole, segment(0xFE, SECRET)),
}


@pytest.mark.parametrize("place", SPEAKING)
def test_words_are_not_stored_wherever_they_are(place: str) -> None:
    content = SPEAKING[place](PLAIN)
    assert SECRET in content
    stored = prepare_photo(content).encoded
    assert b"SECRET" not in stored
    assert b"GPS" not in stored
    assert np.array_equal(pixels(stored), pixels(PLAIN))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "end", [b"", b"\xff", b"\0\0", b"\0" * 40, b"\xff\xff\xff", b"\xff\xd8\xff\xe0"], ids=repr
)
def test_a_jpeg_without_its_end_is_read_if_all_pixels_are_there(
    progressive: bool, end: bytes
) -> None:
    whole = saved(CAT, "JPEG", quality=95, progressive=progressive)
    content = whole[:-2] + end
    photo, stored = read_photo(content), prepare_photo(content)
    assert np.array_equal(photo.pixels, pixels(whole))
    assert stored.encoded.endswith(b"\xff\xd9")
    assert np.array_equal(pixels(stored.encoded), photo.pixels)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [3, 10, 22, 60, 300, 900])
def test_a_jpeg_that_misses_pixels_is_damaged(progressive: bool, cut: int) -> None:
    whole = saved(CAT, "JPEG", quality=95, progressive=progressive)
    for content in (whole[:-cut], whole[:-cut] + b"\xff\xd8"):
        with pytest.raises(DamagedPhoto, match="cut off"):
            read_photo(content)
        with pytest.raises(DamagedPhoto, match="cut off"):
            prepare_photo(content)


def test_what_stands_between_segments_is_skipped() -> None:
    frame = frame_at(PLAIN)
    content = insert(PLAIN[:frame] + b"\xff\xff\xff" + PLAIN[frame:], JFIF, b"\0junk\xff\0\xff\xd0")
    assert np.array_equal(read_photo(content).pixels, pixels(PLAIN))


@pytest.mark.parametrize(
    ("frame", "precision", "sentence"),
    [
        (0xC1, 12, "holds 12 bits a channel"),
        (0xC0, 16, "holds 16 bits a channel"),
        (0xC3, 8, "lossless or hierarchical"),
        (0xC3, 14, "lossless or hierarchical"),
        (0xC6, 8, "lossless or hierarchical"),
        (0xF7, 8, "lossless or hierarchical"),
    ],
)
def test_jpegs_of_other_kinds_are_refused_for_what_they_are(
    frame: int, precision: int, sentence: str
) -> None:
    content, at = bytearray(PLAIN), frame_at(PLAIN)
    content[at + 1], content[at + 4] = frame, precision
    with pytest.raises(UnsupportedPhoto, match=sentence):
        read_photo(bytes(content))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    whole = saved(CAT, "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    scans = whole[:last] + whole[last:-2] * 100 + whole[-2:]
    with pytest.raises(UnsupportedPhoto, match="over 100 passes"):
        read_photo(scans)


@pytest.mark.parametrize("marker", [0xEF, 0xFE, 0xDB, 0xE1])
def test_a_jpeg_of_endless_segments_is_refused(marker: int) -> None:
    empty = segment(marker, b"")
    assert read_photo(insert(PLAIN, *[segment(marker, bytes(65))] * 1_000)).sha256
    with pytest.raises(UnsupportedPhoto, match="over 2000 segments"):
        read_photo(insert(PLAIN, empty * 2_000_000))


def test_endless_exif_and_profiles_are_left_out() -> None:
    exif = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + bytes(60_000))
    profile = [segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 20]) + bytes(60_000)) for n in range(20)]
    photo = read_photo(insert(PLAIN, *[exif] * 300, *profile))
    assert np.array_equal(photo.pixels, pixels(PLAIN))


@pytest.mark.parametrize("cut", [2, 3, 30, 200])
def test_a_jpeg_without_a_picture_is_damaged(cut: int) -> None:
    with pytest.raises(DamagedPhoto):
        read_photo(b"\xff\xd8\xff" + PLAIN[3:][:cut])


def test_noise_after_the_start_is_damaged() -> None:
    noise = random.Random(1).randbytes(100_000).replace(b"\xff", b"\xfe")
    with pytest.raises(DamagedPhoto):
        read_photo(b"\xff\xd8\xff" + noise)


def test_a_photo_in_several_pictures_is_its_first() -> None:
    file = io.BytesIO()
    CAT.save(file, "MPO", save_all=True, append_images=[Image.new("RGB", CAT.size)])
    stored = prepare_photo(file.getvalue()).encoded
    assert len(stored) < len(file.getvalue()) - 300
    assert np.array_equal(pixels(stored), pixels(file.getvalue()))


def test_a_large_jpeg_without_its_end_is_read_at_half_its_size() -> None:
    whole = saved(Image.new("L", (12_000, 9_000), 90), "JPEG")
    photo = prepare_photo(whole[:-2])
    assert (photo.width, photo.height) == (6_000, 4_500)
    with pytest.raises(DamagedPhoto):
        prepare_photo(whole[:-2_000])
