"""RAW files as cameras lay them out, with a preview, a thumbnail and something for a sensor."""

import struct
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from support.jpegs import frame_at, insert, segment
from support.pictures import CAT, saved

PREVIEW = saved(CAT, "JPEG", quality=95, subsampling=0)
THUMBNAIL = saved(CAT.resize((30, 20)), "JPEG")
CAMERA = "FUJIFILM X-T5"
LENS = "XF35mmF1.4 R"


def sensor() -> bytes:
    """The sensor's values, as a lossless JPEG that claims more pixels than the preview has."""
    content = bytearray(saved(Image.new("L", (400, 400)), "JPEG"))
    content[frame_at(bytes(content)) + 1] = 0xC3
    return bytes(content) + bytes(5_000)


def directory(at: int, big_endian: bool = False, **tags: Any) -> bytes:
    """A TIFF directory, and the camera's below it, that begins there; ``t513=…`` sets tag 513."""
    written = ImageFileDirectory_v2(b"MM\0*\0\0\0\x08" if big_endian else b"II*\0\x08\0\0\0")
    written[Base.Make], written[Base.Model] = "FUJIFILM", "X-T5"
    written[Base.Orientation] = 6
    written[IFD.Exif] = {int(Base.LensModel): LENS, int(Base.ISOSpeedRatings): 400}
    for name, value in tags.items():
        written[int(name[1:])] = value
    return written.tobytes(at)


def tiff_like(
    mark: bytes = b"II*\0", start: int = 8, preview: bytes = PREVIEW, **tags: Any
) -> bytes:
    """A file like TIFF: its mark, the directory, thumbnail, preview and sensor behind it. Tags 513
    and 514 say where the preview is."""
    size = len(directory(start, mark[:1] == b"M", t513=0, t514=0, **tags))
    at = start + size + len(THUMBNAIL)
    order = ">I" if mark[:1] == b"M" else "<I"
    made = directory(start, mark[:1] == b"M", t513=at, t514=len(preview), **tags)
    head = (mark[:4] + struct.pack(order, start) + mark[4:]).ljust(start, b"\0")
    return head + made + THUMBNAIL + preview + sensor()


def box(kind: bytes, *held: bytes) -> bytes:
    body = b"".join(held)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def own_tiff(outer: dict[int, Any]) -> bytes:
    written = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    for tag, value in outer.items():
        written[tag] = value
    return b"II*\0\x08\0\0\0" + written.tobytes(8)


def canon_cr3() -> bytes:
    first: dict[int, Any] = {Base.Make: "FUJIFILM", Base.Model: "X-T5", Base.Orientation: 6}
    second: dict[int, Any] = {Base.LensModel: LENS, Base.ISOSpeedRatings: 400}
    boxes = [box(b"CMT1", own_tiff(first)), box(b"CMT2", own_tiff(second))]
    thumbnail = box(b"THMB", bytes(16), THUMBNAIL)
    preview = box(b"uuid", bytes(16), bytes(8), box(b"PRVW", bytes(16), PREVIEW))
    moov = box(b"moov", box(b"uuid", bytes(16), *boxes, thumbnail))
    brands = box(b"ftyp", b"crx \0\0\0\1crx isom")
    return brands + moov + preview + box(b"mdat", sensor())


def with_exif(jpeg: bytes) -> bytes:
    """The preview of a maker that puts what the camera wrote into the preview itself."""
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model], exif[Base.Orientation] = "FUJIFILM", "X-T5", 6
    exif[IFD.Exif] = {int(Base.LensModel): LENS, int(Base.ISOSpeedRatings): 400}
    return insert(jpeg, segment(0xE1, exif.tobytes()))


RAWS: dict[str, bytes] = {
    "CR2": tiff_like(b"II*\0CR\2\0", start=16),
    "CR3": canon_cr3(),
    "NEF": tiff_like(b"MM\0*", t262=32803),
    "ARW": tiff_like(t262=32803),
    "DNG": tiff_like(t50706=b"\1\4\0\0"),
    "RAF": b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0")
    + struct.pack(">II", 148, 9999)
    + bytes(56)
    + with_exif(PREVIEW)
    + sensor(),
    "ORF": tiff_like(b"IIRO"),
    "RW2": tiff_like(b"IIU\0", t46=PREVIEW),
    "PEF": tiff_like(b"MM\0*", t262=32803, preview=with_exif(PREVIEW)),
}
