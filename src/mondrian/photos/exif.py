"""EXIF: what a camera wrote down, read with suspicion, written back without anything private."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational

from mondrian.errors import printable

MAX_TEXT = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Exif:
    """What the camera wrote down, as far as it did. GPS is never kept.

    ``camera`` is make and model, ``aperture`` the f-number, ``exposure_seconds`` the shutter time,
    ``taken_at`` ISO 8601, with an offset if the camera knew it. Texts are printable and at most
    100 characters long; figures are positive, with six significant digits.
    """

    camera: str | None = None
    lens: str | None = None
    focal_length_mm: float | None = None
    aperture: float | None = None
    exposure_seconds: float | None = None
    iso: int | None = None
    taken_at: str | None = None


def read_exif(image: Image.Image) -> Exif:
    """Read what ``Exif`` holds from a loaded image; what is missing or garbage becomes ``None``."""
    try:
        directory = image.getexif()
        tags: dict[int, Any] = {tag: directory.get(tag) for tag in (Base.Make, Base.Model)}
        tags |= directory.get_ifd(IFD.Exif)
    except Exception:  # Pillow meets a garbled directory with any exception there is
        return Exif()
    return Exif(
        camera=_camera(_text(tags.get(Base.Make)), _text(tags.get(Base.Model))),
        lens=_text(tags.get(Base.LensModel)),
        focal_length_mm=_number(tags.get(Base.FocalLength)),
        aperture=_number(tags.get(Base.FNumber)),
        exposure_seconds=_number(tags.get(Base.ExposureTime)),
        iso=_iso(tags),
        taken_at=_taken_at(tags),
    )


def write_exif(exif: Exif) -> bytes:
    """Write an EXIF segment from which ``read_exif`` reads an equal ``Exif``; empty for none."""
    inner = {
        Base.LensModel: exif.lens and _ascii(exif.lens),
        Base.FocalLength: exif.focal_length_mm and _rational(exif.focal_length_mm),
        Base.FNumber: exif.aperture and _rational(exif.aperture),
        Base.ExposureTime: exif.exposure_seconds and _rational(exif.exposure_seconds),
        **_iso_tags(exif.iso),
        **_taken_at_tags(exif.taken_at),
    }
    directory = Image.Exif()
    if exif.camera:
        directory[Base.Model] = _ascii(exif.camera)
    if present := {int(tag): value for tag, value in inner.items() if value}:
        directory[IFD.Exif] = present
    return directory.tobytes() if len(directory) else b""


def shorten(text: str, limit: int) -> str:
    """Make one line without control characters of ``text``, at most ``limit`` characters long."""
    return " ".join(printable(text).split())[:limit].strip()


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    with suppress(UnicodeError):  # Pillow takes UTF-8 for Latin-1
        value = value.encode("latin-1").decode()
    return shorten(value.partition("\0")[0], MAX_TEXT) or None


def _number(value: Any) -> float | None:
    """Six significant digits read 1.78 for Apple's 1.7799999713, and survive a rational."""
    if isinstance(value, tuple) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return float(f"{number:.6g}") if 1e-6 <= number <= 1e7 else None


def _camera(make: str | None, model: str | None) -> str | None:
    """``NIKON CORPORATION`` and ``NIKON D850`` are a ``NIKON D850``."""
    if make and model and not model.lower().startswith(make.split()[0].lower()):
        return f"{make} {model}"[:MAX_TEXT].strip()
    return model or make


def _iso(tags: dict[int, Any]) -> int | None:
    """The 16-bit tag ends at 65535; beyond it, two others hold the figure (EXIF 2.3, 4.6.5)."""
    iso = _number(tags.get(Base.ISOSpeedRatings))
    if iso is None or iso >= 65535:
        wide = (Base.RecommendedExposureIndex, Base.ISOSpeed)
        iso = next((found for tag in wide if (found := _number(tags.get(tag)))), iso)
    return round(iso) or None if iso else None


def _iso_tags(iso: int | None) -> dict[int, Any]:
    if iso is None or iso < 65535:
        return {Base.ISOSpeedRatings: iso}
    wide: dict[int, Any] = {Base.SensitivityType: 2, Base.RecommendedExposureIndex: iso}
    return {Base.ISOSpeedRatings: 65535, **wide}


def _taken_at(tags: dict[int, Any]) -> str | None:
    taken = _text(tags.get(Base.DateTimeOriginal)) or ""
    offset = _text(tags.get(Base.OffsetTimeOriginal)) or ""
    if not re.fullmatch(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", taken, re.ASCII):
        return None
    if not re.fullmatch(r"[+-]\d\d:\d\d", offset, re.ASCII):
        offset = ""
    local = f"{taken[:10].replace(':', '-')}T{taken[11:]}"
    return _iso_8601(local + offset) or _iso_8601(local)


def _iso_8601(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:  # month 13, hour 25, offset 99:00
        return None


def _taken_at_tags(taken_at: str | None) -> dict[int, Any]:
    if taken_at is None:
        return {}
    date, time, offset = taken_at[:10], taken_at[11:19], taken_at[19:]
    return {
        Base.DateTimeOriginal: f"{date.replace('-', ':')} {time}",
        Base.OffsetTimeOriginal: offset,
    }


def _ascii(text: str) -> str | bytes:
    """Pillow writes a ``str`` as ASCII with question marks; bytes it writes as they are."""
    return text if text.isascii() else text.encode()


def _rational(number: float) -> IFDRational:
    return IFDRational(Fraction(str(number)).limit_denominator(2**31))
