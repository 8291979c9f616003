"""Whatever is stored decodes to what was read, to two levels. `make corpus` does so with a
thousand pictures."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mondrian.photos import prepare_photo, read_photo
from support.jpegs import adobe, insert, named_components
from support.pictures import CAT, PHONE, saved
from support.pngs import png
from support.raws import RAWS
from support.tiffs import file, picture

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16")
UNWRITTEN = {
    "JPEG": ("LA", "P", "RGBA", "LAB", "I;16"),
    "PNG": ("CMYK", "YCbCr", "LAB"),
    "HEIF": ("LAB",),
}
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")
NOISE = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)


def levels_off(content: bytes) -> float:
    photo, stored = read_photo(content), prepare_photo(content)
    again = read_photo(stored.encoded)
    assert (again.width, again.height) == (stored.width, stored.height)
    assert (again.exif, again.notes) == (photo.exif, photo.notes)
    return float(np.abs(again.pixels.astype(int) - photo.pixels).mean())


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode != "I;16":
        return image.convert(mode)
    levels = np.asarray(image.convert("L")).astype("<u2") * 257
    return Image.frombytes("I;16", image.size, levels.tobytes())


@pytest.mark.parametrize(
    ("format_", "mode"),
    [(name, mode) for name in FORMATS for mode in MODES if mode not in UNWRITTEN.get(name, ())],
)
def test_every_mode_of_every_format(format_: str, mode: str) -> None:
    for image in (CAT, Image.fromarray(NOISE)):
        assert levels_off(saved(in_mode(image, mode), format_)) <= 2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 2, 4, 6]),
    st.sampled_from([8, 16]),
)
def test_any_pixels(width: int, height: int, seed: int, kind: int, depth: int) -> None:
    row_bytes = width * {0: 1, 2: 3, 4: 2, 6: 4}[kind] * depth // 8
    noise = np.random.default_rng(seed).integers(0, 256, (height, row_bytes), np.uint8)
    assert levels_off(png(width, height, depth, kind, *(row.tobytes() for row in noise))) <= 2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    st.sampled_from([b"\1\2\3", b"RGB", b"\0\1\2"]),
    st.lists(st.sampled_from([0, 1, 2]), max_size=2),
)
def test_jpegs_of_any_coding(
    seed: int, progressive: bool, subsampling: str, names: bytes, transforms: list[int]
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), np.uint8)
    options: dict[str, Any] = {"subsampling": subsampling}
    content = saved(Image.fromarray(noise), "JPEG", **options)
    content = named_components(content, names) if not progressive else content
    assert levels_off(insert(content, *map(adobe, transforms))) == 0


@pytest.mark.parametrize("kind", RAWS)
def test_previews(kind: str) -> None:
    assert levels_off(RAWS[kind]) <= 2


def test_a_phones_photo_and_a_tiffs_channels() -> None:
    assert levels_off(PHONE) == 0
    assert levels_off(file(picture(NOISE, 2, planar=True))) <= 2
