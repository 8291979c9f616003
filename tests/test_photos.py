import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from mondrian.errors import (
    DamagedPhoto,
)
from mondrian.photos import (
    decoding,
    prepare_photo,
    read_photo,
)
from support.pictures import CAT, PHONE, REAL, display_p3, distance, saved


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("HEIF", {"quality": 95}),
        ("AVIF", {"quality": 95}),
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


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(format_: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    turned = saved(CAT, format_, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(turned)))
    assert distance(read_photo(turned), upright) < (0.5 if format_ == "AVIF" else 0.01)


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
