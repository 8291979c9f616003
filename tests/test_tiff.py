"""TIFF files: the tags decide what the samples mean."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mondrian.errors import PhotoError, UnsupportedPhoto
from mondrian.photos import read_photo
from mondrian.photos.tiff import read_directories
from support.jpegs import insert, segment
from support.pictures import CAT, saved
from support.tiffs import FORMAT, LONG, SHORT, SUBSAMPLING, file, picture, tiff

RGB = np.asarray(CAT)
GREY = RGB[..., 1:2]


def wide(samples: NDArray[Any], bits: int = 16) -> NDArray[np.uint16]:
    levels: NDArray[np.uint16] = np.round(samples / 255 * (2**bits - 1)).astype(np.uint16)
    return levels


def difference(content: bytes, expected: NDArray[Any]) -> int:
    return int(np.abs(read_photo(content).pixels.astype(int) - expected).max())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_negative", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_grey_has_its_levels(order: str, is_negative: bool, bits: int) -> None:
    shown = 255 - GREY if is_negative else GREY
    samples = wide(shown) if bits == 16 else shown
    content = file(picture(samples, 0 if is_negative else 1, order=order), order=order)
    assert difference(content, GREY) <= 1


def test_twelve_bits_are_scaled() -> None:
    assert difference(file(picture(wide(GREY, 12), 1, bits=12)), GREY) <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("rows", [7, 60, 1])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
def test_channels_may_be_apart(order: str, rows: int, bits: int, planar: bool) -> None:
    samples = wide(RGB) if bits == 16 else RGB
    made = picture(samples, 2, order=order, planar=planar, strip_rows=rows)
    assert difference(file(made, order=order), RGB) <= 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("alpha", [0, 1, 2])
def test_a_fourth_channel_is_what_the_tags_say(bits: int, planar: bool, alpha: int) -> None:
    """0 says nothing of it, 1 has the colours multiplied by it, 2 has not."""
    half = np.full_like(GREY, 128)
    colours = np.round(RGB * (128 / 255)).astype(np.uint8) if alpha == 1 else RGB
    samples = np.concatenate([colours, half], -1)
    content = file(picture(wide(samples) if bits == 16 else samples, 2, planar=planar, extra=alpha))
    on_paper = RGB * (128 / 255) + 127
    assert difference(content, RGB if alpha == 0 else on_paper) <= 3


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
def test_four_inks_are_read(bits: int, planar: bool) -> None:
    inks = np.asarray(CAT.convert("CMYK"))
    samples = wide(inks) if bits == 16 else inks
    expected = np.asarray(CAT.convert("CMYK").convert("RGB"))
    assert difference(file(picture(samples, 5, planar=planar)), expected) <= 2


@pytest.mark.parametrize("step", [1, 2])
def test_colour_at_half_its_size_is_read(step: int) -> None:
    """YCbCr, not compressed: each block holds its levels, then one pair of colours (p. 93)."""
    whole = np.asarray(CAT.convert("YCbCr")).astype(int)
    height, width = whole.shape[:2]
    blocks = whole.reshape(height // step, step, width // step, step, 3).swapaxes(1, 2)
    levels = blocks[..., 0].reshape(height // step, width // step, step * step)
    colours = blocks[..., 1:].mean(axis=(2, 3)).round()
    samples = np.concatenate([levels, colours], -1).astype(np.uint8)
    tags, _ = picture(np.asarray(CAT), 6, more={SUBSAMPLING: [step, step]}, strip_rows=height)
    smooth = np.concatenate([levels[..., :1], colours], -1).astype(np.uint8)
    assert smooth.shape == (height // step, width // step, 3)
    expected = np.asarray(CAT).astype(int)
    got = read_photo(file((tags, [samples.tobytes()]))).pixels
    assert np.abs(got - expected).mean() < 4


def test_lab_is_read() -> None:
    """Red of sRGB is L* 54.3, a* 80.8, b* 69.9 under D50; the latter two are signed."""
    lab = np.array([round(54.3 * 2.55), 81, 70], np.uint8)
    pixels = read_photo(file(picture(np.tile(lab, (8, 8, 1)), 8))).pixels
    assert np.abs(pixels[4, 4].astype(int) - [255, 0, 0]).max() < 6


SAMPLES: dict[str, tuple[NDArray[Any], int, dict[int, list[int]], str]] = {
    "32-bit float": (RGB.astype(np.float32), 2, {FORMAT: [3, 3, 3]}, "32 bits a channel"),
    "32-bit grey float": (GREY.astype(np.float32), 1, {FORMAT: [3]}, "32 bits a channel"),
    "16-bit float": (RGB.astype(np.float16), 2, {FORMAT: [3, 3, 3]}, "in floating point"),
    "64 bits": (GREY.astype(np.float64), 1, {FORMAT: [3]}, "64 bits a channel"),
    "32-bit whole": (GREY.astype(np.uint32), 1, {}, "32 bits a channel"),
    "signed 16": (GREY.astype(np.int16), 1, {FORMAT: [2]}, "below zero"),
    "signed 8": (GREY.astype(np.int8), 1, {FORMAT: [2]}, "below zero"),
    "ICC Lab": (RGB, 9, {}, "in ICC Lab colours"),
    "a mask": (GREY, 4, {}, "in rare colours"),
    "WebP": (RGB, 2, {259: [50001]}, "packed in a rare way"),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_other_samples_are_refused_for_what_they_are(kind: str) -> None:
    samples, photometric, more, sentence = SAMPLES[kind]
    with pytest.raises(UnsupportedPhoto, match=sentence):
        read_photo(file(picture(samples, photometric, more=more)))


@pytest.mark.parametrize("mark", [{254: [1]}, {254: [5]}, {255: [2]}, {254: [4]}])
def test_a_preview_before_the_picture_is_passed_over(mark: dict[int, list[int]]) -> None:
    preview = picture(np.zeros((10, 15, 3), np.uint8), 2, more=mark)
    content = file(preview, preview, picture(RGB, 2))
    assert difference(content, RGB) == 0
    assert read_photo(file(preview)).width == 15


def of_subdirectories(entries: int) -> bytes:
    """A directory of that many entries, each of which names itself sixteen times."""
    behind = 8 + 2 + 12 * entries + 4
    entry = np.array([330, LONG], "<u2").tobytes() + np.array([16, behind], "<u4").tobytes()
    count = np.array([entries], "<u2").tobytes()
    return b"II*\0\x08\0\0\0" + count + entry * entries + bytes(4) + b"\x08\0\0\0" * 16


@pytest.mark.parametrize("entries", [10, 999, 65_535])
def test_directories_that_name_each_other_are_read_once(entries: int) -> None:
    content, begin = of_subdirectories(entries), time.process_time()
    for name in ("a.tif", "a.dng"):
        with pytest.raises(PhotoError):
            read_photo(content, name=name)
    if entries < 1000:
        assert len(read_directories(content)) == 1
    assert time.process_time() - begin < 20  # days, where they are followed each time


@pytest.mark.parametrize("is_big", [False, True])
def test_at_most_32_directories_are_read(is_big: bool) -> None:
    if is_big:
        one = b"\0" * 8
        content = b"II+\0\x08\0\0\0" + (16).to_bytes(8, "little")
        for number in range(100):
            content += one + (16 + 16 * (number + 1)).to_bytes(8, "little")
    else:
        content = b"II*\0\x08\0\0\0"
        for number in range(100):
            content += b"\0\0" + (8 + 6 * (number + 1)).to_bytes(4, "little")
    assert len(read_directories(content)) == 32


@pytest.mark.parametrize("cut", [0, 4, 8, 9, 20, 60, 100])
def test_directories_are_read_as_far_as_they_go(cut: int) -> None:
    assert len(read_directories(tiff([(256, SHORT, 8)] * 8)[:cut])) <= 1


def endless_exif() -> bytes:
    exif = b"Exif\0\0II*\0\x08\0\0\0" + (5_000).to_bytes(2, "little")
    for tag in range(5_000):
        exif += (tag + 1000).to_bytes(2, "little") + b"\7\0" + b"\0\x10\0\0" + b"\0\1\0\0"
    return exif


NOISY = {
    "JPEG": insert(saved(CAT, "JPEG"), segment(0xE1, endless_exif())),
    "JPEG, few": insert(saved(CAT, "JPEG"), segment(0xE1, endless_exif()[:6_000])),
    "TIFF": saved(CAT, "TIFF", tiffinfo={n: bytes(9000) for n in range(50_000, 50_300)})[:-200_000],
    "TIFF, many channels": tiff([(256, SHORT, 8), (257, SHORT, 8), (277, SHORT, 65_535)]),
    "PNG": saved(CAT, "PNG", exif=endless_exif()),
    "WebP": saved(CAT, "WEBP", exif=endless_exif()),
}


def test_no_warning_reaches_the_log(tmp_path: Path) -> None:
    for name, content in NOISY.items():
        (tmp_path / name).write_bytes(content)
    Image.new("L", (10_000, 10_000)).save(tmp_path / "large", "TIFF", compression="tiff_lzw")
    code = """if True:
        import sys
        from pathlib import Path
        from mondrian.errors import PhotoError
        from mondrian.photos import prepare_photo
        for path in Path(sys.argv[1]).iterdir():
            try:
                print(path.name, prepare_photo(path).width)
            except PhotoError as exc:
                print(path.name, exc)
    """
    command = [sys.executable, "-c", code, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert len(ran.stdout.splitlines()) == len(NOISY) + 1
    assert ran.stderr == ""
