"""PNG files: what is not the picture does not stop the picture."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from mondrian.errors import DamagedPhoto, UnsupportedPhoto
from mondrian.photos import Photo, read_photo
from support.pictures import CAT, distance, saved
from support.pngs import append, chunk, insert, packed, text

PLAIN = saved(CAT, "PNG")
MANY = 1_200_000

WORDS = {
    "a text too long": insert(PLAIN, text(b"XML:com.adobe.xmp", MANY)),
    "a text too long, not packed": insert(PLAIN, text(b"XML:com.adobe.xmp", MANY, pack=False)),
    "a text too long, behind": append(PLAIN, text(b"XML:com.adobe.xmp", MANY)),
    "an old text too long": insert(PLAIN, chunk(b"zTXt", packed(b"k", MANY))),
    "a plain text too long": insert(PLAIN, chunk(b"tEXt", b"Comment\0" + b"a" * MANY)),
    "texts of 2 GB": insert(PLAIN, *[chunk(b"zTXt", packed(b"k", MANY * 20))] * 90),
    "a profile too long": insert(PLAIN, chunk(b"iCCP", packed(b"icc", MANY))),
    "a profile that does not unpack": insert(PLAIN, chunk(b"iCCP", b"icc\0\0nonsense")),
    "a profile of nothing": insert(PLAIN, chunk(b"iCCP")),
    "EXIF of nothing": insert(PLAIN, chunk(b"eXIf")),
    "EXIF too long": append(PLAIN, chunk(b"eXIf", b"II*\0" + bytes(MANY))),
    "EXIF that is none": append(PLAIN, chunk(b"eXIf", b"MM*\0\0\0\xff\xff")),
    "a wrong checksum in a text": insert(PLAIN, chunk(b"tEXt", b"Comment\0a", checksum=1)),
    "a wrong checksum in a gamma": insert(PLAIN, chunk(b"gAMA", b"\0\0\0\1", checksum=1)),
    "a wrong checksum behind": append(PLAIN, chunk(b"tIME", b"1234567", checksum=1)),
    "a gamma of nothing": insert(PLAIN, chunk(b"gAMA", b"\0\0\0\0")),
    "a gamma too short": insert(PLAIN, chunk(b"gAMA", b"\0")),
    "primaries of nothing": insert(PLAIN, chunk(b"cHRM", bytes(32))),
    "a chunk of nobody's": insert(PLAIN, chunk(b"prVt", b"SECRET")),
    "many empty chunks": insert(PLAIN, chunk(b"prVt") * 100_000),
    "a second picture": insert(PLAIN, chunk(b"acTL", struct.pack(">II", 2, 0))),
    "no end": PLAIN[:-12],
    "something behind": PLAIN + b"SECRET" * 1000,
}


def exact(photo: Photo) -> bool:
    return np.array_equal(photo.pixels, np.asarray(CAT))


@pytest.mark.parametrize("kind", WORDS)
def test_words_do_not_stop_the_picture(kind: str) -> None:
    photo = read_photo(WORDS[kind])
    assert exact(photo)
    assert b"SECRET" not in photo.encode()


def test_a_picture_in_many_small_chunks_is_read() -> None:
    at = PLAIN.index(b"IDAT")
    length = int.from_bytes(PLAIN[at - 4 : at])
    body = PLAIN[at + 4 : at + 4 + length]
    empty = chunk(b"IDAT") * 50_000
    parts = b"".join(chunk(b"IDAT", body[n : n + 3]) for n in range(0, length, 3))
    assert exact(read_photo(PLAIN[: at - 4] + empty + parts + empty + PLAIN[-12:]))


@pytest.mark.parametrize("kind", [b"IDAT", b"prVt", b"tEXt"])
def test_chunks_without_end_are_refused(kind: bytes) -> None:
    with pytest.raises(UnsupportedPhoto, match="over 200000 chunks"):
        read_photo(insert(PLAIN, chunk(kind) * 300_000))


@pytest.mark.parametrize("at", [12 + 7, 12 + 20])
def test_a_broken_header_is_damaged(at: int) -> None:
    content = bytearray(PLAIN)
    content[at] ^= 1
    with pytest.raises(DamagedPhoto):
        read_photo(bytes(content))


def test_a_broken_palette_is_damaged() -> None:
    whole = saved(CAT.convert("P"), "PNG")
    at = whole.index(b"PLTE")
    assert read_photo(whole).sha256
    with pytest.raises(DamagedPhoto):
        read_photo(whole[: at + 9] + bytes([whole[at + 9] ^ 1]) + whole[at + 10 :])


def test_apples_own_png_is_refused_for_what_it_is() -> None:
    apples = PLAIN[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + PLAIN[8:]
    with pytest.raises(UnsupportedPhoto, match="as Apple's tools make them"):
        read_photo(apples)


@pytest.mark.parametrize("place", [insert, append])
@pytest.mark.parametrize("kind", ["eXIf", "Raw profile", "XMP"])
def test_a_png_is_turned_by_what_its_camera_says(place: Callable[..., bytes], kind: str) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    words = exif.tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    profile = b"\nexif\n%8d\n" % len(words) + words.hex().encode()
    said = {
        "eXIf": chunk(b"eXIf", words[6:]),
        "Raw profile": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)),
        "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
    }
    photo = read_photo(place(PLAIN, said[kind]))
    assert distance(photo, CAT.rotate(-90, expand=True)) == 0


def test_animated_png_is_its_first_picture() -> None:
    file = io.BytesIO()
    CAT.save(file, "PNG", save_all=True, append_images=[Image.new("RGB", CAT.size)])
    assert exact(read_photo(file.getvalue()))
