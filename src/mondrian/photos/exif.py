"""EXIF: what a camera wrote down, read with suspicion, written back without anything private."""

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

# What the stored photo's tag for a program says, before the names of notes.
_WRITER = "Mondrian: "


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
    """Return what ``Exif`` holds, from a loaded image; what is missing or garbage is ``None``."""
    try:
        directory = image.getexif()
        return exif_from_tags({**directory, **directory.get_ifd(IFD.Exif)})
    except Exception:  # Pillow meets a garbled directory with any exception there is
        return Exif()


def exif_from_tags(tags: dict[int, Any]) -> Exif:
    """Return what ``Exif`` holds, from the tags of the first directory and the camera's."""
    return Exif(
        camera=_camera(_text(tags.get(Base.Make)), _text(tags.get(Base.Model))),
        lens=_text(tags.get(Base.LensModel)),
        focal_length_mm=_number(tags.get(Base.FocalLength)),
        aperture=_number(tags.get(Base.FNumber)),
        exposure_seconds=_number(tags.get(Base.ExposureTime)),
        iso=_iso(tags),
        taken_at=_taken_at(tags),
    )


def read_notes(image: Image.Image) -> tuple[Note, ...]:
    """Return the notes that ``write_exif`` wrote."""
    try:
        words = str(image.getexif().get(Base.Software, ""))
    except Exception:  # as in read_exif
        return ()
    names = words.removeprefix(_WRITER).split() if words.startswith(_WRITER) else []
    return tuple(note for note in Note if note.name in names)


def is_adobe_rgb(source: Image.Image | Image.Exif) -> bool:
    """Whether EXIF says Adobe RGB: by R03 (DCF 2.0), or by a colour space of 2, as some write."""
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
    """Return an EXIF segment from which ``read_exif`` reads an equal ``Exif``, and ``read_notes``
    equal notes; empty for none."""
    inner = {
        Base.LensModel: exif.lens and _ascii(exif.lens),
        Base.FocalLength: exif.focal_length_mm and _rational(exif.focal_length_mm),
        Base.FNumber: exif.aperture and _rational(exif.aperture),
        Base.ExposureTime: exif.exposure_seconds and _rational(exif.exposure_seconds),
        Base.ColorSpace: 2 if is_adobe_rgb else None,
        **_iso_tags(exif.iso),
        **_taken_at_tags(exif.taken_at),
    }
    outer = {
        Base.Model: exif.camera and _ascii(exif.camera),
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
    if not re.fullmatch(r"\d{4}[:/-]\d\d[:/-]\d\d[ T]\d\d:\d\d:\d\d", taken, re.ASCII):
        return None
    if not re.fullmatch(r"[+-]\d\d:\d\d", offset, re.ASCII):
        offset = ""
    local = f"{re.sub('[:/]', '-', taken[:10])}T{taken[11:]}"
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
