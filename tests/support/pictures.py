"""Pictures that tests read, as files of every format, and the profiles in them."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import skimage
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from mondrian.photos import (
    Exif,
    Photo,
)

REAL = Path(skimage.__file__).parent / "data"
CAT = Image.open(REAL / "chelsea.png").convert("RGB").resize((90, 60))


def saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if format_ == "HEIF":
        pillow_heif.from_pillow(image).save(file, **options)
    else:
        image.save(file, format_, **options)
    return file.getvalue()


def distance(photo: Photo, image: Image.Image) -> float:
    """The mean difference in levels."""
    return float(np.abs(photo.pixels.astype(int) - np.asarray(image.convert("RGB"))).mean())


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
