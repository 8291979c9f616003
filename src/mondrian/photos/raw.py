"""The preview in a camera's RAW file: the JPEG that the camera rendered.

Each maker stores it elsewhere (CR2, CR3, NEF, ARW, DNG, RAF, ORF, RW2 …), but always in one piece.
So the largest JPEG in the file is used, and the file's camera, lens and orientation are added to
its EXIF where the preview has none.
"""

from contextlib import suppress
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

from mondrian.errors import PhotoError
from mondrian.photos.bmff import find_boxes
from mondrian.photos.exif import exif_from_tags, is_adobe_rgb, write_exif
from mondrian.photos.jpeg import FRAMES, Jpeg, parse_jpeg
from mondrian.photos.tiff import read_directories

# Files have two or three. Two bytes more than a marker's occur by chance a few times in 50 MB.
_MAX_CANDIDATES = 200
_MAX_SEGMENTS = 64
_MAX_TRIES = 5
# Canon's box of camera metadata, which holds EXIF directories.
_CANON = (b"moov", b"uuid")


def find_preview(content: bytes) -> Jpeg | None:
    """Return the largest complete JPEG in a RAW file; ``None`` if there is none."""
    for _, at in sorted(_find_jpegs(content), reverse=True)[:_MAX_TRIES]:
        with suppress(PhotoError):
            jpeg = parse_jpeg(content[at:])
            if jpeg.is_ended:
                tags = _read_tags(content) | _parse_tags(jpeg.exif)
                jpeg.exif = _write_tags(tags)
                return jpeg
    return None


def _read_tags(content: bytes) -> dict[int, Any]:
    """Return the EXIF tags of a RAW file: of its first directory and its EXIF directory."""
    if content[4:8] != b"ftyp":
        return _parse_tags(_as_tiff(content))
    packed = [find_boxes(content, *_CANON, name)[:1] for name in (b"CMT1", b"CMT2")]
    return {
        tag: value for [*held] in packed for one in held for tag, value in _parse_tags(one).items()
    }


def _write_tags(tags: dict[int, Any]) -> bytes:
    turn = tags.get(Base.Orientation)
    return write_exif(
        exif_from_tags(tags),
        orientation=turn if isinstance(turn, int) and 1 <= turn <= 8 else 1,
        is_adobe_rgb=tags.get(Base.ColorSpace) == 2,
    )


def _find_jpegs(content: bytes) -> list[tuple[int, int]]:
    """Return the number of pixels and the offset of each JPEG in a file."""
    found, at = list[tuple[int, int]](), -1
    while len(found) < _MAX_CANDIDATES and (at := content.find(b"\xff\xd8\xff", at + 1)) >= 0:
        if pixels := _count_pixels(content, at + 2):
            found.append((pixels, at))
    return found


def _count_pixels(content: bytes, at: int) -> int:
    """Return the number of pixels of the JPEG whose segments begin at ``at``; 0 if it is no JPEG,
    or a lossless one of sensor data."""
    for _ in range(_MAX_SEGMENTS):
        if content[at : at + 1] != b"\xff" or at + 9 > len(content):
            return 0
        marker = content[at + 1]
        if marker in FRAMES:
            height, width = (int.from_bytes(content[n : n + 2]) for n in (at + 5, at + 7))
            return width * height if content[at + 4] == 8 else 0
        if marker < 0xC0 or marker in (0xC3, 0xD8, 0xD9, 0xDA):
            return 0
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return 0


def _as_tiff(content: bytes) -> bytes:
    """Return an Olympus or Panasonic file as a TIFF: only its two bytes of version differ."""
    mark = {b"II": b"*\0", b"MM": b"\0*"}.get(content[:2])
    return content[:2] + mark + content[4:] if mark else b""


def _parse_tags(packed: bytes) -> dict[int, Any]:
    exif = Image.Exif()
    try:
        read_directories(packed.removeprefix(b"Exif\0\0"))
        exif.load(packed)
        tags = {**exif, **exif.get_ifd(IFD.Exif)} if packed else {}
        return tags | ({Base.ColorSpace: 2} if is_adobe_rgb(exif) else {})
    except Exception:  # as in read_exif
        return {}
