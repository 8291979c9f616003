"""The XMP packet of a JPEG file: found, and put in with every other byte as it was.

It is the segment APP1 that begins with Adobe's name (ISO 16684-3, 1.1.3). More than a segment
holds, other programs write into further ones, to which the packet then refers: they stay.
"""

from collections.abc import Iterator
from typing import NamedTuple

from mondrian.errors import DamagedPhoto, PhotoError, UnsupportedPhoto

_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_PACKET = 65_533 - len(_SIGNATURE)
_APP0, _APP1, _APP2, _SCAN, _END = 0xE0, 0xE1, 0xE2, 0xDA, 0xD9
# Its offsets of further pictures count from here, so all after it must stay where it is.
_MULTI_PICTURE = b"MPF\0"


class Segment(NamedTuple):
    """A segment before the picture: all of it is ``content[start:end]``, its marker included."""

    marker: int
    start: int
    end: int


def find_packet(content: bytes) -> bytes | None:
    """Return the XMP packet of a JPEG, if it has one. Raise ``PhotoError`` for what is no JPEG."""
    found = _find(content, list(_list_segments(content)))
    return content[found.start + 4 + len(_SIGNATURE) : found.end] if found else None


def find_room(content: bytes) -> int:
    """Return how many bytes a packet must have to be put into a JPEG, 0 if any number will do."""
    segments = list(_list_segments(content))
    found = _find(content, segments)
    for each in segments:
        if each is found:
            return 0
        if found and _starts(content, each, _APP2, _MULTI_PICTURE):
            return found.end - found.start - 4 - len(_SIGNATURE)
    return 0


def put_packet(content: bytes, packet: bytes) -> bytes:
    """Return a JPEG with ``packet`` for the one that it has, or else behind its EXIF. Raise
    ``PhotoError`` if there is not enough room for it."""
    room = find_room(content) or _MAX_PACKET
    if len(packet) > room:
        raise PhotoError(
            f"The critique has {len(packet)} bytes as XMP, and there is room for {room} in this "
            "JPEG. Name fewer advisors, or write a sidecar."
        )
    segments = list(_list_segments(content))
    found = _find(content, segments)
    start, end = (found.start, found.end) if found else (_find_place(content, segments),) * 2
    size = len(_SIGNATURE) + len(packet) + 2
    segment = b"\xff\xe1" + size.to_bytes(2) + _SIGNATURE + packet
    return b"".join((content[:start], segment, content[end:]))


def _list_segments(content: bytes) -> Iterator[Segment]:
    """Yield the segments up to the picture's first scan."""
    if content[:2] != b"\xff\xd8":
        raise UnsupportedPhoto(
            "It is no JPEG, and only into a JPEG can XMP be embedded. Write a sidecar for it."
        )
    at = 2
    while True:
        while content[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if content[at : at + 1] != b"\xff" or at + 4 > len(content):
            raise DamagedPhoto
        marker, end = content[at + 1], at + 2 + int.from_bytes(content[at + 2 : at + 4])
        if marker in (_SCAN, _END):
            return
        if not at + 4 <= end <= len(content):
            raise DamagedPhoto
        yield Segment(marker, at, end)
        at = end


def _find(content: bytes, segments: list[Segment]) -> Segment | None:
    return next((each for each in segments if _starts(content, each, _APP1, _SIGNATURE)), None)


def _find_place(content: bytes, segments: list[Segment]) -> int:
    """Return where a packet goes: behind JFIF's segment and EXIF, which come first."""
    place = 2
    for each in segments:
        if each.marker != _APP0 and not _starts(content, each, _APP1, b"Exif\0"):
            break
        place = each.end
    return place


def _starts(content: bytes, segment: Segment, marker: int, signature: bytes) -> bool:
    return segment.marker == marker and content.startswith(signature, segment.start + 4)
