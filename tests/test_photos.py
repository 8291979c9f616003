import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from mondrian.errors import (
    DamagedPhoto,
    EmptyPhoto,
    JobNotFound,
    PhotoError,
    PhotoStoreUnavailable,
    PhotoTooLarge,
    SettingsError,
    TooManyPixels,
    UnsupportedPhoto,
)
from mondrian.photos import (
    Exif,
    Photo,
    PhotoStore,
    decoding,
    prepare_photo,
    read_photo,
)
from mondrian.photos.exif import printable, replace_exif, write_exif

REAL = Path(skimage.__file__).parent / "data"
CAT = Image.open(REAL / "chelsea.png").convert("RGB").resize((90, 60))


def saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if format_ == "HEIF":
        pillow_heif.from_pillow(image).save(file, **options)
    else:
        image.save(file, format_, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour: int, *rows: bytes) -> bytes:
    """A PNG by hand: only its header if there are no rows."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


def distance(photo: Photo, image: Image.Image) -> float:
    """The mean difference in levels."""
    return float(np.abs(photo.pixels.astype(int) - np.asarray(image.convert("RGB"))).mean())


# --- what is read


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("HEIF", {"quality": 95}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_each_format_is_read(format_: str, options: dict[str, Any]) -> None:
    photo = read_photo(saved(CAT, format_, **options))
    assert photo.format == format_
    assert (photo.width, photo.height) == photo.pixels.shape[1::-1] == (90, 60)
    assert photo.pixels.dtype == np.uint8
    assert distance(photo, CAT) < 3
    with pytest.raises(ValueError, match="read-only"):
        photo.pixels[0, 0] = 0


@pytest.mark.parametrize(
    "name", ["astronaut.png", "coffee.png", "camera.png", "hubble_deep_field.jpg", "horse.png"]
)
def test_real_photographs_are_read_from_paths(name: str) -> None:
    photo = read_photo(str(REAL / name))
    assert photo.name == name
    with Image.open(REAL / name) as image:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
    assert distance(photo, white) < 1


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(format_: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    turned = saved(CAT, format_, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(turned)))
    assert distance(read_photo(turned), upright) < 0.01


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_turned_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(saved(CAT, "TIFF", exif=exif))))
    assert distance(read_photo(saved(CAT, "HEIF", exif=exif.tobytes(), quality=95)), upright) < 3


def test_a_tall_photo_is_read_in_many_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_STRIP_PIXELS", 640)
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    assert distance(read_photo(saved(CAT, "PNG", exif=exif)), CAT.rotate(-90, expand=True)) == 0


@pytest.mark.parametrize("size", [(1, 1), (300, 1), (1, 300), (65_500, 1)])
def test_thin_photos_are_read(size: tuple[int, int]) -> None:
    photo = read_photo(saved(Image.new("RGB", size, "teal"), "PNG"))
    assert (photo.width, photo.height) == size
    again = read_photo(photo.encode())
    assert (again.width, again.height) == size
    assert read_photo(photo.jpeg()).width == min(size[0], 1320)


def test_the_first_picture_of_several_is_read() -> None:
    for format_ in ("MPO", "WEBP", "TIFF"):
        others = [ImageOps.invert(CAT)]
        several = saved(CAT.copy(), format_, save_all=True, append_images=others)
        assert distance(read_photo(several), CAT) < 10


# --- tones and colours

RAMP = np.linspace(0, 65535, 64).round().astype(np.uint16)
EIGHT_BITS = np.round(RAMP / 257).astype(np.uint8)


@pytest.mark.parametrize(("mode", "order"), [("I;16", "<u2"), ("I;16B", ">u2")])
def test_16_bit_grey_is_scaled(mode: str, order: str) -> None:
    image = Image.frombytes(mode, (64, 1), RAMP.astype(order).tobytes())
    for format_ in ("TIFF", "PNG") if mode == "I;16" else ("TIFF",):
        np.testing.assert_array_equal(read_photo(saved(image, format_)).pixels[0, :, 1], EIGHT_BITS)


def test_16_bit_colour_is_scaled() -> None:
    row = np.stack([RAMP, RAMP[::-1], RAMP], -1).astype(">u2").tobytes()
    pixels = read_photo(png(64, 1, 16, 2, row)).pixels[0].astype(int)
    assert np.abs(pixels - np.stack([EIGHT_BITS, EIGHT_BITS[::-1], EIGHT_BITS], -1)).max() <= 1


def test_32_bits_are_refused() -> None:
    with pytest.raises(UnsupportedPhoto, match="32 bits a channel"):
        read_photo(saved(Image.new("F", (9, 9), 0.5), "TIFF"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("LA" if mode == "LA" else "RGBA", (40, 20))
    image.paste((20, 255) if mode == "LA" else (20, 20, 20, 255), (0, 0, 20, 20))
    pixels = read_photo(saved(image.convert(mode), "PNG")).pixels
    assert pixels[10, 10].tolist() == [20, 20, 20]
    assert pixels[10, 30].tolist() == [255, 255, 255]


def test_half_transparent_is_half_white() -> None:
    pixels = read_photo(
        saved(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "WEBP", lossless=True)
    ).pixels
    assert np.abs(pixels.astype(int) - 127).max() <= 1


def icc(space: bytes, class_: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile (ICC.1:2001-04) from its tags."""
    table, body = b"", b""
    for name, element in tags.items():
        offset = 132 + 12 * len(tags) + len(body)
        table += name + struct.pack(">II", offset, len(element))
        body += element + bytes(-len(element) % 4)
    size = 132 + len(table) + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s", size, 0x02400000, class_, space, pcs, b"acsp")
    white = struct.pack(">3i", 63190, 65536, 54061)
    return (
        (head.ljust(68, b"\0") + white).ljust(128, b"\0")
        + struct.pack(">I", len(tags))
        + table
        + body
    )


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From sRGB's and Display P3's curve (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def display_p3() -> bytes:
    points = (linear(np.linspace(0, 1, 1024)) * 65535).round().astype(">u2")
    curve = b"curv\0\0\0\0" + struct.pack(">I", points.size) + points.tobytes()
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x03P3\0".ljust(93, b"\0"),
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.51512, 0.2412, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.1571, 0.06657, 0.78407),
    }
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return icc(b"RGB ", b"mntr", b"XYZ ", tags | curves)


def cmyk_that_prints_cyan_as_red() -> bytes:
    """A printer whose cyan is L* 50, a* 60, b* 40, and whose magenta and yellow do not show."""
    ramp = bytes(range(256))
    paper, red, black = bytes([255, 128, 128]), bytes([128, 188, 168]), bytes([0, 128, 128])
    corners = b"".join(
        black if corner & 1 else red if corner & 8 else paper for corner in range(16)
    )
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + corners + ramp * 3
    tags = {b"desc": b"desc\0\0\0\0\0\0\0\x02x\0".ljust(92, b"\0"), b"wtpt": xyz(0.9642, 1, 0.8249)}
    return icc(b"CMYK", b"prtr", b"Lab ", tags | {b"A2B0": table})


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_display_p3_becomes_srgb(format_: str) -> None:
    from_p3 = np.array([[1.2249, -0.2247, 0], [-0.042, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
    colour = np.array([200, 100, 80]) / 255
    light = from_p3 @ linear(colour)
    right = 255 * (1.055 * light ** (1 / 2.4) - 0.055)
    assert right.round().tolist() == [215, 93, 73]
    image = Image.new("RGB", (32, 32), (200, 100, 80))
    pixels = read_photo(saved(image, format_, quality=95, icc_profile=display_p3())).pixels
    assert np.abs(pixels - right).max() <= 4


def test_a_real_profile_is_followed() -> None:
    """The rocket is in Adobe RGB, whose greens are duller when taken for sRGB."""
    photo = read_photo(REAL / "rocket.jpg")
    with Image.open(REAL / "rocket.jpg") as image:
        assert 1 < distance(photo, image) < 20


def test_a_broken_profile_is_ignored() -> None:
    for profile in (b"nonsense", display_p3()[:200], cmyk_that_prints_cyan_as_red()):
        assert distance(read_photo(saved(CAT, "PNG", icc_profile=profile)), CAT) == 0


def test_cmyk_with_and_without_profile() -> None:
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    plain = read_photo(saved(cyan, "JPEG", quality=95)).pixels[16, 16]
    assert plain.tolist() == pytest.approx([0, 255, 255], abs=4)
    profiled = saved(cyan, "JPEG", quality=95, icc_profile=cmyk_that_prints_cyan_as_red())
    red = read_photo(profiled).pixels[16, 16]
    assert red.tolist() == pytest.approx([214, 60, 55], abs=5)


def test_grey_is_read_with_either_kind_of_profile() -> None:
    grey = CAT.convert("L")
    assert distance(read_photo(saved(grey, "JPEG", quality=95)), grey) < 2
    assert distance(read_photo(saved(grey, "PNG", icc_profile=display_p3())), grey) < 1
    page = read_photo(REAL / "page.png")
    with Image.open(REAL / "page.png") as image:
        assert distance(page, image) > 1  # its profile says Dot Gain 20%


# --- what is refused


def tiff(*directories: list[tuple[int, int, int]]) -> bytes:
    """A little-endian TIFF of directories of (tag, type, value), one value each."""
    starts = [8]
    for directory in directories:
        starts.append(starts[-1] + 6 + 12 * len(directory))
    body = b""
    for directory in directories:
        entries = [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in directory]
        body += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0\x08\0\0\0" + body


PREVIEW = [(256, 4, 8), (257, 4, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 0)]
SENSOR = [(262, 3, 32803)]
RAW = {
    "DNG": saved(CAT, "TIFF", tiffinfo={50706: b"\1\4\0\0"}),
    "NEF": tiff([*PREVIEW, (330, 4, 8 + 6 + 12 * 7)], SENSOR),
    "PEF": tiff(SENSOR),
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(100),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(100),
    "ORF": b"IIRO\x08\0\0\0" + bytes(100),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(100),
    "X3F": b"FOVb" + bytes(100),
}


@pytest.mark.parametrize("kind", RAW)
def test_raw_is_refused_by_its_content(kind: str) -> None:
    with pytest.raises(UnsupportedPhoto) as refusal:
        read_photo(RAW[kind], name="a.jpg")
    advice = "Export it as JPEG or HEIC and try again."
    assert refusal.value.message == f"a.jpg is a camera RAW file. {advice}"


def test_raw_is_refused_by_its_name_where_its_content_says_nothing() -> None:
    for content in (saved(CAT, "TIFF"), bytes(100)):
        with pytest.raises(UnsupportedPhoto, match=r"^IMG_1\.ARW is a camera RAW file"):
            read_photo(content, name="IMG_1.ARW")
    assert read_photo(saved(CAT, "JPEG"), name="IMG_1.ARW").format == "JPEG"


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
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "is an AVIF"),
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
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF", "TIFF"])
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


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    whole = saved(CAT, "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    scans = whole[:last] + whole[last:-2] * 100 + whole[-2:]
    with pytest.raises(UnsupportedPhoto, match="over 100 passes"):
        read_photo(scans)


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


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF", "TIFF"])
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


# --- large photos and threads


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_100_megapixels_fit_in_a_gigabyte() -> None:
    code = """if True:
        import io, warnings
        from pathlib import Path
        from PIL import Image
        from mondrian.photos import read_photo
        warnings.simplefilter("error")
        file = io.BytesIO()
        Image.new("RGB", (11648, 8736), "navy").save(file, "JPEG")
        photo = read_photo(file.getvalue())
        assert (photo.width, photo.height) == (11648, 8736)
        assert read_photo(photo.jpeg()).width == 1320
        print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(ran.stdout) * 1024 < 1e9
    assert ran.stderr == ""


def test_photos_are_read_in_many_threads() -> None:
    contents = [saved(CAT.rotate(10 * n), "JPEG", icc_profile=display_p3()) for n in range(8)]
    alone = [read_photo(content) for content in contents]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(read_photo, contents * 4))
    for photo, expected in zip(together, alone * 4, strict=True):
        assert photo == expected
        np.testing.assert_array_equal(photo.pixels, expected.pixels)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The codec and the bytes of each step that Pillow decodes in."""
    steps = list[tuple[str, int]]()

    class Counted:
        def __init__(self, decoder: Any, codec: str) -> None:
            self._decoder, self._codec = decoder, codec

        def __getattr__(self, name: str) -> Any:
            return getattr(self._decoder, name)

        def decode(self, content: bytes) -> Any:
            steps.append((self._codec, len(content)))
            return self._decoder.decode(content)

    get_decoder = Image._getdecoder
    monkeypatch.setattr(
        Image, "_getdecoder", lambda mode, codec, *a: Counted(get_decoder(mode, codec, *a), codec)
    )
    return steps


@pytest.mark.parametrize(("format_", "codec"), [("JPEG", "jpeg"), ("PNG", "zip")])
def test_a_photo_is_decoded_in_one_go(
    format_: str, codec: str, decoded: list[tuple[str, int]]
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (600, 800, 3), np.uint8)
    prepare_photo(saved(Image.fromarray(noise), format_))
    [size] = [size for used, size in decoded if used == codec]
    assert size > 200_000


def test_strips_at_one_place_do_not_read_the_whole_file_each(
    decoded: list[tuple[str, int]],
) -> None:
    rows, width, size = 500, 1000, 5_000_000
    begin = 8 + 2 + 12 * 9 + 4
    tags = {256: width, 257: rows, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    entries.insert(5, struct.pack("<HHII", 273, 4, rows, begin))  # where the strips are
    entries.append(struct.pack("<HHII", 279, 4, rows, begin + 4 * rows))  # how long they are
    header = b"II*\0" + struct.pack("<IH", 8, 9) + b"".join(entries) + bytes(4)
    strips = struct.pack("<I", begin + 8 * rows) * rows + struct.pack("<I", width) * rows
    photo = prepare_photo((header + strips).ljust(size, b"\0"))
    assert (photo.width, photo.height) == (width, rows)
    assert sum(size for _, size in decoded) < 100_000 * rows


@pytest.mark.parametrize("missing", range(1, 17))
def test_a_png_whose_picture_is_whole_is_read(missing: int) -> None:
    whole = saved(CAT, "PNG")
    assert read_photo(whole[:-missing]).sha256
    with pytest.raises(DamagedPhoto, match="cut off"):
        read_photo(whole[:-50])


# --- names


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("IMG_0001.JPG", "IMG_0001.JPG"),
        ("../../etc/passwd", "passwd"),
        (r"C:\Users\me\Ferien & Höfe.jpg", "Ferien & Höfe.jpg"),
        ("a\x00b\n\x1b[31mc\u202egpj.jpg", "ab [31mcgpj.jpg"),
        ("\udcff.jpg", "jpg"),
        ("", "photo"),
        ("..", "photo"),
        ("folder/", "photo"),
        ("x" * 500, "x" * 120),
        ("猫.heic", "猫.heic"),
    ],
)
def test_names_are_base_names_for_people(given_name: str, name: str) -> None:
    assert read_photo(saved(CAT, "PNG"), name=given_name).name == name


def test_a_photo_is_known_by_its_digest() -> None:
    content = saved(CAT, "PNG")
    assert read_photo(content).sha256 != read_photo(saved(CAT, "JPEG")).sha256
    assert read_photo(content) == read_photo(content)
    assert "pixels" not in repr(read_photo(content))


# --- EXIF


def with_exif(outer: dict[int, Any], inner: dict[int, Any]) -> bytes:
    exif = Image.Exif()
    for tag, value in outer.items():
        exif[tag] = value
    exif[IFD.Exif] = inner
    exif[IFD.GPSInfo] = {GPS.GPSLatitude: (IFDRational(48), IFDRational(51), IFDRational(30))}
    return saved(CAT, "JPEG", exif=exif, comment=b"SECRET comment")


PHONE = with_exif(
    {Base.Make: "Apple", Base.Model: "iPhone 15 Pro", Base.HostComputer: "SECRET host"},
    {
        Base.LensModel: "iPhone 15 Pro back camera 6.765mm f/1.78",
        Base.FocalLength: IFDRational(2087381, 308556),
        Base.FNumber: IFDRational(14447893, 8116795),
        Base.ExposureTime: IFDRational(1, 121),
        Base.ISOSpeedRatings: 64,
        Base.DateTimeOriginal: "2024:05:01 12:30:00",
        Base.OffsetTimeOriginal: "+02:00",
        Base.BodySerialNumber: "SECRET serial",
        Base.MakerNote: b"SECRET note",
    },
)
PHONE_EXIF = Exif(
    camera="Apple iPhone 15 Pro",
    lens="iPhone 15 Pro back camera 6.765mm f/1.78",
    focal_length_mm=6.765,
    aperture=1.78,
    exposure_seconds=0.00826446,
    iso=64,
    taken_at="2024-05-01T12:30:00+02:00",
)


def test_exif_is_read_and_stored_without_secrets() -> None:
    photo = read_photo(PHONE)
    assert photo.exif == PHONE_EXIF
    assert b"SECRET" in PHONE
    encoded = photo.encode()
    assert b"SECRET" not in encoded
    stored = Image.open(io.BytesIO(encoded)).getexif()
    assert set(stored) == {Base.Model, IFD.Exif}
    assert not stored.get_ifd(IFD.GPSInfo)
    again = read_photo(encoded)
    assert again.exif == photo.exif
    assert distance(again, Image.fromarray(photo.pixels)) < 3


@pytest.mark.parametrize("progressive", [False, True])
def test_an_upright_srgb_jpeg_is_stored_bit_by_bit_without_secrets(progressive: bool) -> None:
    exif = CAT.getexif()
    exif[Base.Make], exif[Base.ImageDescription] = "Maker", "SECRET"
    options = {"progressive": progressive, "comment": b"SECRET", "xmp": b"SECRET"}
    content = saved(CAT, "JPEG", exif=exif, **options) + b"SECRET after the end"
    photo = read_photo(content)
    encoded = photo.encode()
    assert photo.original == content
    assert b"SECRET" in content
    assert b"SECRET" not in encoded
    again = read_photo(encoded)
    assert np.array_equal(again.pixels, photo.pixels)
    assert again.exif == photo.exif == Exif(camera="Maker")
    assert replace_exif(encoded, photo.exif) == encoded


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 30, 700, -1, -2])
def test_a_jpeg_that_cannot_be_followed_is_not_rewritten(cut: int) -> None:
    assert replace_exif(saved(CAT, "JPEG")[:cut], Exif()) is None


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF", "TIFF"])
def test_exif_is_read_from_every_format(format_: str) -> None:
    exif = write_exif(PHONE_EXIF)
    assert read_photo(saved(CAT, format_, exif=exif)).exif == PHONE_EXIF


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("FUJIFILM", "X-T5\0garbage", "FUJIFILM X-T5"),
        ("SONY", "", "SONY"),
        ("", " ILCE-7M4 ", "ILCE-7M4"),
        ("Evil\x1b[2J", "<b>" + "m" * 999, ("Evil[2J <b>" + "m" * 999)[:100]),
        ("\n", "\0", None),
        ("Ünï", "Ç1", "Ünï Ç1"),
    ],
)
def test_cameras(make: str, model: str, camera: str | None) -> None:
    photo = read_photo(with_exif({Base.Make: make.encode(), Base.Model: model.encode()}, {}))
    assert photo.exif.camera == camera
    assert read_photo(photo.encode()).exif == photo.exif


def test_garbage_is_none() -> None:
    garbage: dict[int, Any] = {
        Base.LensModel: (1, 2, 3),
        Base.FocalLength: IFDRational(0, 0),
        Base.FNumber: IFDRational(5, 0),
        Base.ExposureTime: IFDRational(-1, 30),
        Base.ISOSpeedRatings: "many",
        Base.DateTimeOriginal: "2024:13:01 12:30:00",
    }
    assert read_photo(with_exif({Base.Orientation: 99}, garbage)).exif == Exif()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "segment", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0XX"]
)
def test_a_garbled_directory_is_no_exif(segment: bytes) -> None:
    photo = read_photo(saved(CAT, "JPEG", exif=b"Exif\0\0" + segment))
    assert photo.exif == Exif()


@pytest.mark.parametrize(
    ("taken", "offset", "taken_at"),
    [
        ("2024:05:01 12:30:00", "", "2024-05-01T12:30:00"),
        ("2024:05:01 12:30:00", "-03:30", "2024-05-01T12:30:00-03:30"),
        ("2024:05:01 12:30:00", "+99:00", "2024-05-01T12:30:00"),
        ("2024:05:01 12:30:00", "local", "2024-05-01T12:30:00"),
        ("0000:00:00 00:00:00", "", None),
        ("    :  :     :  :  ", "", None),
    ],
)
def test_times(taken: str, offset: str, taken_at: str | None) -> None:
    inner: dict[int, Any] = {Base.DateTimeOriginal: taken, Base.OffsetTimeOriginal: offset}
    assert read_photo(with_exif({}, inner)).exif.taken_at == taken_at


def test_iso_beyond_16_bits() -> None:
    inner: dict[int, Any] = {Base.ISOSpeedRatings: 65535, Base.RecommendedExposureIndex: 409_600}
    photo = read_photo(with_exif({}, inner))
    assert photo.exif.iso == 409_600
    assert read_photo(photo.encode()).exif.iso == 409_600


TEXTS = st.none() | st.text(max_size=200).map(lambda text: printable(text, 100) or None)
NUMBERS = st.none() | st.floats(1e-6, 1e7).map(lambda number: float(f"{number:.6g}"))
MINUTES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.none() | st.datetimes(timezones=st.none() | MINUTES).map(
    lambda time: time.replace(microsecond=0).isoformat()
)


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        Exif,
        camera=TEXTS,
        lens=TEXTS,
        focal_length_mm=NUMBERS,
        aperture=NUMBERS,
        exposure_seconds=NUMBERS,
        iso=st.none() | st.integers(1, 999_999),
        taken_at=TIMES,
    )
)
def test_exif_survives_storing(exif: Exif) -> None:
    small = np.zeros((2, 2, 3), np.uint8)
    photo = Photo(pixels=small, sha256="", format="PNG", name="photo", exif=exif)
    assert read_photo(photo.encode()).exif == exif


# --- JPEGs that leave


def test_an_engine_gets_a_small_jpeg_without_exif() -> None:
    wide = saved(Image.open(REAL / "coffee.png").resize((2000, 1333)), "JPEG", exif=CAT.getexif())
    photo = read_photo(wide)
    with Image.open(io.BytesIO(photo.jpeg())) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (1320, 880))
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}
    with Image.open(io.BytesIO(read_photo(PHONE).jpeg())) as image:
        assert image.size == CAT.size
        assert not image.getexif()
    assert len(photo.jpeg(quality=50)) < len(photo.jpeg(max_width=1320)) < len(photo.jpeg(2000))


def test_a_stored_photo_can_be_read_back_however_noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    photo = read_photo(saved(Image.fromarray(noise), "PNG"))
    best = len(photo.encode())
    monkeypatch.setattr("mondrian.photos.photo.MAX_BYTES", best - 1)
    assert read_photo(photo.encode()).pixels.shape == photo.pixels.shape


UPLOADS = {
    "a phone's": lambda: PHONE,
    "plain": lambda: saved(CAT, "JPEG"),
    "progressive": lambda: saved(CAT, "JPEG", progressive=True),
    "one pixel": lambda: saved(Image.new("RGB", (1, 1)), "JPEG"),
    "grey": lambda: saved(CAT.convert("L"), "JPEG"),
    "Display P3": lambda: saved(CAT, "JPEG", icc_profile=display_p3()),
    "a PNG": lambda: saved(CAT, "PNG"),
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_a_photo_prepared_for_the_store_is_the_one_that_would_be_read(kind: str) -> None:
    content = UPLOADS[kind]()
    photo, prepared = read_photo(content, name="a/b.jpg"), prepare_photo(content, name="a/b.jpg")
    assert prepared.encoded == photo.encode()
    assert (prepared.width, prepared.height) == (photo.width, photo.height)
    assert (prepared.sha256, prepared.name) == (photo.sha256, "b.jpg")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_photo_prepared_for_the_store_is_read_to_its_last_bit(progressive: bool) -> None:
    whole = saved(CAT.resize((900, 600)), "JPEG", progressive=progressive)
    prepare_photo(whole)
    for share in (0.05, 0.5, 0.98):
        with pytest.raises(DamagedPhoto):
            prepare_photo(whole[: int(len(whole) * share)])


# --- the store


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as a photo store asks for, over real HTTP."""

    objects: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (("ETag", '"0"'), ("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT")):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200)

    def do_GET(self) -> None:
        if "?" in self.path:
            self.answer(200, self.listing())
        elif self.path in self.objects:
            self.answer(200, self.objects[self.path])
        else:
            self.answer(404)

    def do_DELETE(self) -> None:
        self.objects.pop(self.path, None)
        self.answer(204)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        key = body.split("<Key>")[1].split("</Key>")[0]
        self.objects.pop(f"/bucket/{key}", None)
        deleted = f"<DeleteResult><Deleted><Key>{key}</Key></Deleted></DeleteResult>"
        self.answer(200, deleted.encode())

    def listing(self) -> bytes:
        found = "".join(
            f"<Contents><Key>{path.removeprefix('/bucket/')}</Key><Size>{len(body)}</Size>"
            "<LastModified>1970-01-01T00:00:00Z</LastModified><ETag>0</ETag></Contents>"
            for path, body in self.objects.items()
        )
        return f"<ListBucketResult>{found}</ListBucketResult>".encode()

    def log_message(self, *_: object) -> None:
        pass


def s3(monkeypatch: pytest.MonkeyPatch, port: int) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return "s3://bucket/photos"


@pytest.fixture(params=["file", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PhotoStore]:
    if request.param == "file":
        yield PhotoStore.open((tmp_path / "Fotos für #1" / "100 %").as_uri())
        assert os.listdir(tmp_path) == ["Fotos für #1"]
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Bucket,), {"objects": {}}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield PhotoStore.open(s3(monkeypatch, server.server_port))
    server.shutdown()
    server.server_close()


def test_photos_are_kept(store: PhotoStore) -> None:
    store.put("job-1.jpg", b"old")
    store.put("job-1.jpg", b"first")
    store.put("2024/job_2.jpg", b"second one")
    assert store.get("job-1.jpg") == b"first"
    store.delete("job-1.jpg")
    store.delete("job-1.jpg")
    with pytest.raises(JobNotFound, match="no longer stored"):
        store.get("job-1.jpg")
    assert store.get("2024/job_2.jpg") == b"second one"


@pytest.mark.parametrize(
    "key", ["", "/a", "../a", "a/../b", "a//b", "a\nb", "a\n", "a b", "é", "a#1"]
)
def test_odd_keys_are_refused(store: PhotoStore, key: str) -> None:
    for act in (lambda: store.put(key, b""), lambda: store.get(key), lambda: store.delete(key)):
        with pytest.raises(ValueError, match="not a key"):
            act()


def test_a_folder_url_may_be_written_plainly(tmp_path: Path) -> None:
    PhotoStore.open(f"file://{tmp_path}/two words").put("a.jpg", b"1")
    assert (tmp_path / "two words" / "a.jpg").read_bytes() == b"1"


@pytest.mark.parametrize(
    "url", ["", "/photos", "file://photos", "s3://", "ftp://host/photos", "s3:///a"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="Use file:///folder or s3://bucket/prefix"):
        PhotoStore.open(url)


def test_a_store_that_fails_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    store = PhotoStore.open(folder.as_uri())
    folder.rmdir()
    folder.write_text("a file where the folder was")
    for act in (lambda: store.put("a", b""), lambda: store.delete("a"), lambda: store.get("a")):
        with pytest.raises(PhotoStoreUnavailable):
            act()
    with pytest.raises(PhotoStoreUnavailable, match="Check its folder"):
        PhotoStore.open(f"{folder.as_uri()}/below")


def test_a_bucket_that_cannot_be_reached_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PhotoStoreUnavailable):
        PhotoStore.open(s3(monkeypatch, 9)).put("a", b"")


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """In a namespace of its own, so that a small file system can be mounted."""
    code = """if True:
        import sys, os
        from mondrian.errors import StorageFull
        from mondrian.photos import PhotoStore
        store = PhotoStore.open("file://" + sys.argv[1])
        store.put("a.jpg", b"small")
        try:
            store.put("b.jpg", bytes(1_000_000))
        except StorageFull:
            assert os.listdir(sys.argv[1]) == ["a.jpg"], os.listdir(sys.argv[1])
            print("full")
    """
    mount = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" -c "$3" "$1"'
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*own, 'mount -t tmpfs tmpfs "$1"', "", tmp_path], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no namespaces here")
    arguments = [*own, mount, "", str(tmp_path), sys.executable, code]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert ran.stdout == "full\n"
