"""Colours that no ICC profile says: by numbers, by PNG's gamma, by EXIF; and profiles that cost."""

import io
import struct
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base

from mondrian.photos import prepare_photo, read_photo
from mondrian.photos.notes import Note
from support.pictures import CAT, display_p3, distance, linear, saved
from support.pngs import chunk, insert

Floats = NDArray[np.float64]

TO_XYZ = {
    "sRGB": [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]],
    "Adobe RGB": [[0.5767, 0.1856, 0.1882], [0.2973, 0.6274, 0.0753], [0.0270, 0.0707, 0.9911]],
    "Display P3": [[0.4866, 0.2657, 0.1982], [0.2290, 0.6917, 0.0793], [0.0, 0.0451, 1.0439]],
    "BT.2020": [[0.6370, 0.1446, 0.1689], [0.2627, 0.6780, 0.0593], [0.0, 0.0281, 1.0610]],
}
CAT_LIGHT = linear(np.asarray(CAT) / 255)


def in_space(name: str) -> Floats:
    """The cat's light in the primaries of a space."""
    matrix = np.linalg.inv(np.array(TO_XYZ[name])) @ np.array(TO_XYZ["sRGB"])
    light: Floats = np.clip(CAT_LIGHT @ matrix.T, 0, 1)
    return light


def coded(values: Floats) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8))


def srgb_curve(light: Floats) -> Floats:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def pq_curve(light: Floats) -> Floats:
    """SMPTE ST 2084, light in cd/m²."""
    power = (light / 10_000) ** 0.1593017578125
    curved: Floats = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    return curved


def hlg_curve(light: Floats) -> Floats:
    """ITU-R BT.2100, light in cd/m² on a screen of 1000."""
    luminance = (light / 1000) @ np.array([0.2627, 0.678, 0.0593])
    scene = light / 1000 * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    tail: Floats = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    curved: Floats = np.where(scene <= 1 / 12, np.sqrt(3 * scene), tail)
    return curved


def heic(picture: Image.Image, primaries: int, transfer: int, **options: Any) -> bytes:
    numbers = {"color_primaries": primaries, "transfer_characteristics": transfer}
    return saved(picture, "HEIF", quality=95, chroma=444, save_nclx_profile=True, **numbers)


def avif(picture: Image.Image, primaries: int, transfer: int) -> bytes:
    """As Pillow writes it, with other numbers in its box of colours."""
    made = saved(picture, "AVIF", quality=95, subsampling="4:4:4")
    at = made.index(b"colrnclx") + 8
    return made[:at] + struct.pack(">HH", primaries, transfer) + made[at + 4 :]


def png_with(picture: Image.Image, *chunks: bytes) -> bytes:
    return insert(saved(picture, "PNG"), *chunks)


P3 = coded(srgb_curve(in_space("Display P3")))
ADOBE = coded(in_space("Adobe RGB") ** (1 / 2.2))
PQ = coded(pq_curve(203 * in_space("BT.2020")))
HLG = coded(hlg_curve(203 * in_space("BT.2020")))


def with_exif(picture: Image.Image, **tags: Any) -> bytes:
    exif = Image.Exif()
    exif[IFD.Exif] = {int(Base[name]): value for name, value in tags.items()}
    return saved(picture, "JPEG", quality=95, subsampling=0, exif=exif)


def r03(index: str) -> bytes:
    """Adobe RGB as cameras write it: a colour space of its own, and an interoperability index."""
    head = b"Exif\0\0II*\0\x08\0\0\0"
    directory = struct.pack("<HHHII", 1, 0x8769, 4, 1, 26) + bytes(4)
    inner = struct.pack("<HHHIIHHII", 2, 0xA001, 3, 1, 0xFFFF, 0xA005, 4, 1, 56) + bytes(4)
    last = struct.pack("<HHHI4s", 1, 1, 2, 4, index.encode() + b"\0") + bytes(4)
    return saved(ADOBE, "JPEG", quality=95, subsampling=0, exif=head + directory + inner + last)


def gamma_chunk(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma)))


def primaries_chunk(*xy: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in xy)))


P3_XY = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SRGB_XY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
SAID: dict[str, bytes] = {
    "HEIC, Display P3": heic(P3, 12, 13),
    "HEIC, sRGB": heic(CAT, 1, 13),
    "HEIC, unspecified": heic(CAT, 2, 2),
    "HEIC, video's curve": heic(CAT, 1, 1),
    "AVIF, Display P3": avif(P3, 12, 13),
    "AVIF, sRGB": avif(CAT, 1, 13),
    "EXIF's R03": r03("R03"),
    "EXIF's colour space of 2": with_exif(ADOBE, ColorSpace=2),
    "EXIF's colour space of 1": with_exif(CAT, ColorSpace=1),
    "PNG, Display P3": png_with(P3, chunk(b"cICP", bytes([12, 13, 0, 1]))),
    "PNG, numbers before a profile": insert(
        saved(CAT, "PNG", icc_profile=display_p3()), chunk(b"cICP", bytes([1, 13, 0, 1]))
    ),
    "PNG, numbers behind a long profile": insert(
        saved(CAT, "PNG", icc_profile=display_p3() + np.random.default_rng(0).bytes(99_000)),
        chunk(b"cICP", bytes([1, 13, 0, 1])),
    ),
    "PNG, linear": png_with(coded(CAT_LIGHT), gamma_chunk(1)),
    "PNG, an old Mac's": png_with(coded(CAT_LIGHT ** (1 / 1.8)), gamma_chunk(1.8)),
    "PNG, the gamma of sRGB": png_with(CAT, gamma_chunk(2.2), primaries_chunk(*SRGB_XY)),
    "PNG, the primaries of P3": png_with(P3, gamma_chunk(2.2), primaries_chunk(*P3_XY)),
    "PNG, sRGB before gamma": png_with(CAT, gamma_chunk(1), chunk(b"sRGB", b"\0")),
}


@pytest.mark.parametrize("kind", SAID)
def test_colours_are_what_the_file_says(kind: str) -> None:
    photo = read_photo(SAID[kind])
    assert distance(photo, CAT) < (3.5 if "linear" in kind or "Mac" in kind else 2)
    again = read_photo(prepare_photo(SAID[kind]).encoded)
    assert distance(again, Image.fromarray(photo.pixels)) < 2


@pytest.mark.parametrize("kind", ["HEIC, Display P3", "EXIF's R03", "PNG, linear"])
def test_colours_would_be_wrong_without_it(kind: str) -> None:
    with Image.open(io.BytesIO(SAID[kind]), formats=None) if "HEIC" not in kind else P3 as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - np.asarray(CAT)).mean() > 3


def test_another_index_says_nothing() -> None:
    assert distance(read_photo(r03("R98")), ADOBE) < 2


@pytest.mark.parametrize(
    "content",
    [
        heic(PQ, 9, 16),
        heic(HLG, 9, 18),
        avif(PQ, 9, 16),
        png_with(PQ, chunk(b"cICP", bytes([9, 16, 0, 1]))),
        png_with(HLG, chunk(b"cICP", bytes([9, 18, 0, 1]))),
    ],
    ids=["PQ in HEIC", "HLG in HEIC", "PQ in AVIF", "PQ in PNG", "HLG in PNG"],
)
def test_hdr_up_to_white_is_what_it_is_in_srgb(content: bytes) -> None:
    photo = read_photo(content)
    assert distance(photo, CAT) < 5
    assert photo.notes == read_photo(photo.encode()).notes == (Note.TONE_MAPPED,)


def test_the_lights_of_hdr_are_told_apart() -> None:
    light = np.repeat(np.array([50.0, 100, 203, 400, 700, 1000, 4000]), 3).reshape(1, -1, 3)
    content = png_with(coded(pq_curve(light)), chunk(b"cICP", bytes([9, 16, 0, 1])))
    levels = read_photo(content).pixels[0, :, 1].astype(int)
    assert (np.diff(levels)[:-1] >= 2).all()
    assert levels[2] > 230
    assert levels[-1] == 255


def of_elements(count: int) -> bytes:
    """An sRGB profile with two tables of that many elements, which share their bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(profile[128:132])
    matrix = b"matf\0\0\0\0" + struct.pack(">HH12f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    head = struct.pack(">4s4xHHI", b"mpet", 3, 3, count)
    places = struct.pack(">II", len(head) + 8 * count, len(matrix)) * count
    table, body = bytearray(profile[132 : 132 + 12 * tags]), bytes(profile[132 + 12 * tags :])
    for at in range(4, len(table), 12):
        table[at : at + 4] = (int.from_bytes(table[at : at + 4]) + 24).to_bytes(4)
    elements, begin = head + places + matrix, 132 + 12 * (tags + 2) + len(body)
    more = b"".join(struct.pack(">4sII", name, begin, len(elements)) for name in (b"D2B0", b"D2B1"))
    made = bytes(profile[:128]) + (tags + 2).to_bytes(4) + bytes(table) + more + body + elements
    return len(made).to_bytes(4) + made[4:8] + b"\x04\x30\0\0" + made[12:]


def test_a_profile_of_many_elements_costs_what_one_without_costs() -> None:
    few, many = (saved(CAT, "PNG", icc_profile=of_elements(count)) for count in (1, 30_000))
    assert ImageCms.ImageCmsProfile(io.BytesIO(of_elements(30_000))).profile.version == 4.3
    assert len(many) < 10_000 + len(few)
    times = []
    for content in (few, many):
        begin = time.process_time()
        assert distance(read_photo(content), CAT) < 1
        times.append(time.process_time() - begin)
    assert times[1] < 0.5 + 10 * times[0]  # 40 s where the elements are followed


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_a_profile_without_end_is_left_out(format_: str) -> None:
    profile = display_p3() + bytes(1_100_000)
    options: dict[str, Any] = {} if format_ in ("PNG", "TIFF") else {"quality": 95}
    content = saved(CAT, format_, icc_profile=profile, **options)
    assert distance(read_photo(content), CAT) < 3
