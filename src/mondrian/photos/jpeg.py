"""The first picture of a JPEG file, separated from its metadata (ITU-T T.81, annex B).

The decoded and the stored file are both written from one ``Jpeg``, so they hold the same picture:
its tables, frame and scans unchanged, and the two segments that define its colour coding, JFIF's
APP0 and Adobe's APP14. Everything else does not change the pixels and is metadata or dropped:
comments, previews, a second picture, bytes after the end.
"""

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from mondrian.errors import DamagedPhoto, UnsupportedPhoto

# Ten are usual. Each is a pass over all pixels, so a small file could take hours.
_MAX_SCANS = 100
# Full ones hold 65 KB: this many exceed the limit on a photo's bytes.
_MAX_SEGMENTS = 2_000
# Limits of metadata: cameras write one segment of EXIF, and profiles have kilobytes.
_MAX_EXIF_SEGMENTS = 4
_MAX_PROFILE_BYTES = 1_000_000

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
# A marker: in a scan FF is followed by 00 or a restart marker, and the first other one ends it.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
# Baseline, extended and progressive, with Huffman's or arithmetic coding: what libjpeg decodes.
FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_PROGRESSIVE_FRAMES = {0xC2, 0xCA}
# Lossless and differential frames, and JPEG-LS.
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_CODING = FRAMES | _OTHER_FRAMES | {0xC4, 0xCC} | set(range(0xDA, 0xE0))

_JFIF = b"\xff\xe0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0"
_ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"

Bytes: TypeAlias = bytes | memoryview


@dataclass(kw_only=True, slots=True)
class Jpeg:
    """A parsed JPEG. ``size`` is width and height, as stored; ``is_ended`` is true if the end was
    marked, ``is_sequential`` if the picture is stored row by row, so that a decoder needs no
    memory for the whole of it."""

    size: tuple[int, int] = (0, 0)
    is_sequential: bool = False
    is_ended: bool = False
    _picture: list[Bytes] = field(default_factory=list)
    _has_jfif: bool = False
    _adobe_transform: bytes | None = None
    _exif: list[Bytes] = field(default_factory=list)
    _xmp: Bytes = b""
    _profile: list[Bytes] = field(default_factory=list)

    @property
    def exif(self) -> bytes:
        """Return the first segment of EXIF, without its marker; empty if there is none."""
        return bytes(self._exif[0][4:]) if self._exif else b""

    @exif.setter
    def exif(self, exif: bytes) -> None:
        self._exif = [_make_exif_segment(exif)]

    def encode(self, exif: bytes = b"") -> bytes:
        """Return the picture with ``exif``, as ``write_exif`` writes it, and no other metadata."""
        return self._join(_make_exif_segment(exif))

    def encode_with_metadata(self, end: bytes = b"") -> bytes:
        """Return the picture with its own EXIF, XMP and colour profile.

        ``end`` is inserted between the last scan and the end marker.
        """
        return self._join(*self._exif, self._xmp, *self._profile, end=end)

    def _join(self, *metadata: Bytes, end: bytes = b"") -> bytes:
        adobe = self._adobe_transform
        colours = (_JFIF if self._has_jfif else b"", _ADOBE + adobe if adobe else b"")
        return b"".join((b"\xff\xd8", *metadata, *colours, *self._picture, end, b"\xff\xd9"))

    def _add(self, marker: int, segment: Bytes, content: bytes) -> None:
        """Add a segment; ``content`` are its first bytes after the length."""
        if marker in _CODING:
            self._picture.append(segment)
        elif marker == _APP0 and content.startswith(b"JFIF\0") and len(content) >= 14:
            self._has_jfif = True
        elif marker == _APP14 and content.startswith(b"Adobe") and len(content) >= 12:
            self._adobe_transform = content[11:12]
        elif marker == _APP1 and content.startswith(b"Exif\0\0"):
            self._exif = [*self._exif, segment][:_MAX_EXIF_SEGMENTS]
        elif marker == _APP1 and content.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            self._xmp = self._xmp or segment
        elif marker == _APP2 and content.startswith(b"ICC_PROFILE\0"):
            self._profile.append(segment)

    def _add_frame(self, marker: int, content: bytes) -> None:
        if marker in _OTHER_FRAMES:
            raise UnsupportedPhoto(
                "The photo is a lossless or hierarchical JPEG, which few programs read. Export it "
                "as a usual JPEG and try again."
            )
        if len(content) < 6:
            raise DamagedPhoto
        if content[0] != 8:
            raise UnsupportedPhoto(
                f"The JPEG holds {content[0]} bits a channel, and 8 are read. Export it with 8 "
                "bits, or as TIFF with 16, and try again."
            )
        self.size = int.from_bytes(content[3:5]), int.from_bytes(content[1:3])
        self.is_sequential = marker not in _PROGRESSIVE_FRAMES


def _make_exif_segment(exif: bytes) -> bytes:
    return b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif if exif else b""


def parse_jpeg(content: bytes) -> Jpeg:
    """Return the first picture of a JPEG file.

    Raise ``DamagedPhoto`` if its pixels cannot be found, and ``UnsupportedPhoto`` for one with more
    scans or segments than any camera or program writes, with another precision than 8 bits, or
    lossless.
    """
    jpeg, view = Jpeg(), memoryview(content)
    at, segments, scans, marker = 2, 0, 0, 0
    while found := _MARKER.search(content, at):
        marker, begin = content[found.end() - 1], found.end()
        if marker in (_START, _END):
            break
        at = begin + int.from_bytes(content[begin : begin + 2])
        if not begin + 2 <= at <= len(content):
            raise DamagedPhoto
        segments, scans = segments + 1, scans + (marker == _SCAN)
        _check_counts(segments, scans)
        if marker in FRAMES | _OTHER_FRAMES:
            jpeg._add_frame(marker, content[begin + 2 : at])
        if marker == _SCAN:
            following = _MARKER.search(content, at)
            at = following.start() if following else len(content.rstrip(b"\xff"))
        jpeg._add(marker, view[begin - 2 : at], content[begin + 2 : min(at, begin + 64)])
    if not scans:
        raise DamagedPhoto
    jpeg.is_ended, jpeg.is_sequential = marker == _END, jpeg.is_sequential and scans == 1
    if sum(map(len, jpeg._profile)) > _MAX_PROFILE_BYTES:
        jpeg._profile = []
    return jpeg


def _check_counts(segments: int, scans: int) -> None:
    for count, most, what in ((scans, _MAX_SCANS, "passes"), (segments, _MAX_SEGMENTS, "segments")):
        if count > most:
            raise UnsupportedPhoto(
                f"The JPEG is stored in over {most} {what}. Export it again and try again."
            )
