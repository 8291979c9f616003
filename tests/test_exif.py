import io
from datetime import timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational

from mondrian.photos import (
    Exif,
    Photo,
    read_photo,
)
from mondrian.photos.exif import shorten, write_exif
from support.pictures import CAT, PHONE, PHONE_EXIF, distance, saved, with_exif


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
    assert photo.original
    assert b"SECRET" in content
    assert b"SECRET" not in encoded
    again = read_photo(encoded)
    assert np.array_equal(again.pixels, photo.pixels)
    assert again.exif == photo.exif == Exif(camera="Maker")
    assert again.encode() == encoded


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
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
        ("2024-05-01 12:30:00", "", "2024-05-01T12:30:00"),
        ("2024-05-01T12:30:00", "+02:00", "2024-05-01T12:30:00+02:00"),
        ("2024/05/01 12:30:00", "", "2024-05-01T12:30:00"),
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


TEXTS = st.none() | st.text(max_size=200).map(lambda text: shorten(text, 100) or None)
NUMBERS = st.none() | st.floats(1e-6, 1e7).map(lambda number: float(f"{number:.6g}"))
MINUTES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.none() | st.datetimes(timezones=st.none() | MINUTES).map(
    lambda time: time.replace(microsecond=0).isoformat()
)


@pytest.mark.parametrize("text", ["50 \x01 mm", "50 \x01\u200b\x02 mm", "\x0050 \n\x1f mm \x07"])
def test_a_line_made_printable_is_so_for_good(text: str) -> None:
    assert shorten(text, 100) == "50 mm"


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
