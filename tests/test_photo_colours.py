import numpy as np
import pytest
from PIL import Image

from mondrian.errors import (
    UnsupportedPhoto,
)
from mondrian.photos import (
    read_photo,
)
from support.pictures import (
    CAT,
    REAL,
    cmyk_that_prints_cyan_as_red,
    display_p3,
    distance,
    linear,
    saved,
)
from support.pngs import png

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


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
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
