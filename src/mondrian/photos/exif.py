"""EXIF: read the metadata of an untrusted file, and write it back without private data."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base, Interop
from PIL.TiffImagePlugin import IFDRational

from mondrian.errors import printable
from mondrian.photos.notes import Note

MAX_TEXT = 100

# The prefix of the stored photo's Software tag, before the names of notes.
_WRITER = "Mondrian: "


@dataclass(frozen=True, kw_only=True, slots=True)
class Exif:
    """Camera metadata; ``None`` where it is missing. GPS is never kept.

    ``camera`` is make and model, ``aperture`` the f-number, ``exposure_seconds`` the shutter time,
    ``taken_at`` ISO 8601, with an offset if the camera recorded it. Texts are printable, at most
    100 characters long; numbers are positive, with six significant digits.
    """

    camera: str | None = None
    lens: str | None = None
    focal_length_mm: float | None = None
    aperture: float | None = None
    exposure_seconds: float | None = None
    iso: int | None = None
    taken_at: str | None = None


def read_exif(image: Image.Image) -> Exif:
    """Return the ``Exif`` of a loaded image; missing and invalid fields are ``None``."""
    try:
        directory = image.getexif()
        return exif_from_tags({**directory, **directory.get_ifd(IFD.Exif)})
    except Exception:  # Pillow raises any kind of exception for a garbled directory
        return Exif()


def exif_from_tags(tags: dict[int, Any]) -> Exif:
    """Return the ``Exif`` of the tags of the first directory and the EXIF directory."""
    return Exif(
        camera=_parse_camera(_parse_text(tags.get(Base.Make)), _parse_text(tags.get(Base.Model))),
        lens=_parse_text(tags.get(Base.LensModel)),
        focal_length_mm=_parse_number(tags.get(Base.FocalLength)),
        aperture=_parse_number(tags.get(Base.FNumber)),
        exposure_seconds=_parse_number(tags.get(Base.ExposureTime)),
        iso=_parse_iso(tags),
        taken_at=_parse_taken_at(tags),
    )


def read_notes(image: Image.Image) -> tuple[Note, ...]:
    """Return the notes that ``write_exif`` has written."""
    try:
        software = str(image.getexif().get(Base.Software, ""))
    except Exception:  # as in read_exif
        return ()
    names = software.removeprefix(_WRITER).split() if software.startswith(_WRITER) else []
    return tuple(note for note in Note if note.name in names)


def is_adobe_rgb(source: Image.Image | Image.Exif) -> bool:
    """Return whether EXIF declares Adobe RGB: by R03 (DCF 2.0), or by a colour space of 2."""
    try:
        exif = source.getexif() if isinstance(source, Image.Image) else source
        if exif.get_ifd(IFD.Exif).get(Base.ColorSpace) == 2:
            return True
        index = exif.get_ifd(IFD.Interop).get(Interop.InteropIndex)
    except Exception:  # as in read_exif
        return False
    return isinstance(index, str) and index.startswith("R03")


def write_exif(
    exif: Exif,
    notes: Iterable[Note] = (),
    *,
    orientation: int = 1,
    is_adobe_rgb: bool = False,
) -> bytes:
    """Return an EXIF segment from which ``read_exif`` and ``read_notes`` read equal values; empty
    if there is nothing to write."""
    inner = {
        Base.LensModel: exif.lens and _encode_text(exif.lens),
        Base.FocalLength: exif.focal_length_mm and _make_rational(exif.focal_length_mm),
        Base.FNumber: exif.aperture and _make_rational(exif.aperture),
        Base.ExposureTime: exif.exposure_seconds and _make_rational(exif.exposure_seconds),
        Base.ColorSpace: 2 if is_adobe_rgb else None,
        **_write_iso(exif.iso),
        **_write_taken_at(exif.taken_at),
    }
    outer = {
        Base.Model: exif.camera and _encode_text(exif.camera),
        Base.Orientation: orientation if orientation > 1 else None,
        Base.Software: (names := " ".join(note.name for note in notes)) and _WRITER + names,
        IFD.Exif: {int(tag): value for tag, value in inner.items() if value},
    }
    directory = Image.Exif()
    for tag, value in outer.items():
        if value:
            directory[tag] = value
    return directory.tobytes() if len(directory) else b""


def shorten(text: str, limit: int) -> str:
    """Return ``text`` as one line without control characters, at most ``limit`` characters long."""
    return " ".join(printable(text).split())[:limit].strip()


def _parse_text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    with suppress(UnicodeError):  # Pillow decodes UTF-8 as Latin-1
        value = value.encode("latin-1").decode()
    return shorten(value.partition("\0")[0], MAX_TEXT) or None


def _parse_number(value: Any) -> float | None:
    """Return six significant digits: 1.78 for Apple's 1.7799999713, and stable as a rational."""
    if isinstance(value, tuple) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return float(f"{number:.6g}") if 1e-6 <= number <= 1e7 else None


def _parse_camera(make: str | None, model: str | None) -> str | None:
    """Return ``NIKON D850`` for ``NIKON CORPORATION`` and ``NIKON D850``."""
    if make and model and not model.lower().startswith(make.split()[0].lower()):
        return f"{make} {model}"[:MAX_TEXT].strip()
    return model or make


def _parse_iso(tags: dict[int, Any]) -> int | None:
    """Return the ISO speed: the 16-bit tag ends at 65535, beyond it two others hold the value
    (EXIF 2.3, 4.6.5)."""
    iso = _parse_number(tags.get(Base.ISOSpeedRatings))
    if iso is None or iso >= 65535:
        wide = (Base.RecommendedExposureIndex, Base.ISOSpeed)
        iso = next((found for tag in wide if (found := _parse_number(tags.get(tag)))), iso)
    return round(iso) or None if iso else None


def _write_iso(iso: int | None) -> dict[int, Any]:
    if iso is None or iso < 65535:
        return {Base.ISOSpeedRatings: iso}
    wide: dict[int, Any] = {Base.SensitivityType: 2, Base.RecommendedExposureIndex: iso}
    return {Base.ISOSpeedRatings: 65535, **wide}


def _parse_taken_at(tags: dict[int, Any]) -> str | None:
    taken = _parse_text(tags.get(Base.DateTimeOriginal)) or ""
    offset = _parse_text(tags.get(Base.OffsetTimeOriginal)) or ""
    if not re.fullmatch(r"\d{4}[:/-]\d\d[:/-]\d\d[ T]\d\d:\d\d:\d\d", taken, re.ASCII):
        return None
    if not re.fullmatch(r"[+-]\d\d:\d\d", offset, re.ASCII):
        offset = ""
    local = f"{re.sub('[:/]', '-', taken[:10])}T{taken[11:]}"
    return _parse_iso_8601(local + offset) or _parse_iso_8601(local)


def _parse_iso_8601(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:  # month 13, hour 25, offset 99:00
        return None


def _write_taken_at(taken_at: str | None) -> dict[int, Any]:
    if taken_at is None:
        return {}
    date, time, offset = taken_at[:10], taken_at[11:19], taken_at[19:]
    return {
        Base.DateTimeOriginal: f"{date.replace('-', ':')} {time}",
        Base.OffsetTimeOriginal: offset,
    }


def _encode_text(text: str) -> str | bytes:
    """Return bytes for a text that is not ASCII: in a ``str`` Pillow writes question marks."""
    return text if text.isascii() else text.encode()


def _make_rational(number: float) -> IFDRational:
    return IFDRational(Fraction(str(number)).limit_denominator(2**31))
