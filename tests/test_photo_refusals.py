import struct
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mondrian.errors import (
    DamagedPhoto,
    EmptyPhoto,
    PhotoError,
    PhotoTooLarge,
    TooManyPixels,
    UnsupportedPhoto,
)
from mondrian.photos import (
    Exif,
    read_photo,
)
from mondrian.photos.exif import write_exif
from support.pictures import CAT, display_p3, saved
from support.pngs import png


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"These are my holidays.", "not a photo that Mondrian reads"),
        (b"\xff\xd8", "not a photo that Mondrian reads"),
        (saved(CAT, "GIF"), "is a GIF"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  \0\0\0\x08wide", "is a video"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "is a video"),
        (b"RIFF\0\0\0\0AVI LIST", "is a video"),
        (b"\0\0\0\x08wide\0\0\0\x08mdat", "is a video"),
        (b"\0\0\0\x08free\0\0\0\x08mdat", "is a video"),
        (saved(CAT, "BMP"), "is a BMP picture"),
        (b"\xff\x0a\xfa\x1f", "is a JPEG XL picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "is a JPEG 2000 picture"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "keeps beside a photo"),
        (b"PK\3\4\x14\0", r"Live Photo \(\.livp\)"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>", r"edits of a photo \(\.xmp, \.aae\)"),
        (b"<?xpacket begin='\xef\xbb\xbf'?>", "edits of a photo"),
        (
            b'<?xml version="1.0"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN">',
            "edits of a photo",
        ),
        (b"bplist00\xd4", "edits of a photo"),
        (b'{"title": "IMG_1.jpg"}', "is a side file"),
        (b"8BPS\0\1", "is a Photoshop document"),
    ],
)
def test_other_files_are_refused_with_a_fitting_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(UnsupportedPhoto, match=rf"^holiday\.jpg .*{sentence}.*\. \w.*\.$"):
        read_photo(content, name="/home/me/holiday.jpg")
    with pytest.raises(UnsupportedPhoto, match=r"^The file is "):
        read_photo(content)


@pytest.mark.parametrize("name", ["", "photo.jpg"])
def test_an_empty_file_is_refused(name: str) -> None:
    with pytest.raises(EmptyPhoto):
        read_photo(b"", name=name)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
def test_a_cut_off_photo_is_damaged(format_: str, share: float) -> None:
    options = {"compression": "tiff_lzw"} if format_ == "TIFF" else {}
    whole = saved(CAT.resize((180, 120)), format_, **options)
    with pytest.raises(DamagedPhoto, match="cut off"):
        read_photo(whole[: int(len(whole) * share)])


def test_too_many_pixels_are_refused_from_the_header() -> None:
    with pytest.raises(TooManyPixels, match=r"50000×50000 pixels, 2500 megapixels, and 102"):
        read_photo(png(50_000, 50_000, 8, 2))
    with pytest.raises(TooManyPixels, match="65500 is the longest side"):
        read_photo(png(65_501, 1, 8, 0))


def test_too_many_pixels_are_refused_in_webp() -> None:
    canvas = struct.pack("<I", 16_382)[:3] * 2
    header = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    with pytest.raises((TooManyPixels, DamagedPhoto)):
        read_photo(b"RIFF" + struct.pack("<I", 4 + len(header)) + b"WEBP" + header)


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(50_600_000)  # sparse: refused by its size, before it is read
    with pytest.raises(PhotoTooLarge, match=r"50\.6 MB, and 50 MB"):
        read_photo(large)
    with pytest.raises(PhotoTooLarge):
        read_photo(b"\xff\xd8\xff" + bytes(50_000_000))


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("none.jpg", "There is no photo at"), (".", "is a folder"), ("x" * 300, "cannot be read")],
)
def test_a_path_that_leads_nowhere_is_a_clear_error(
    path: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(PhotoError, match=sentence):
        read_photo(tmp_path / path)


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    flips = st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=9)

    def damage(cut: int, flips: list[tuple[int, int]]) -> bytes:
        content = bytearray(whole)
        for at, byte in flips:
            content[at] = byte
        return bytes(content[:cut])

    return st.builds(damage, st.integers(1, len(whole)) | st.just(len(whole)), flips)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
def test_damage_raises_nothing_but_photo_errors(format_: str) -> None:
    exif = write_exif(Exif(camera="A", lens="B", iso=100, aperture=2.8))
    whole = saved(CAT.resize((32, 24)), format_, exif=exif, icc_profile=display_p3())

    @settings(max_examples=60, deadline=timedelta(seconds=20))
    @given(damaged(whole))
    def read(content: bytes) -> None:
        try:
            photo = read_photo(content)
        except PhotoError:
            return
        assert photo.encode()

    read()
