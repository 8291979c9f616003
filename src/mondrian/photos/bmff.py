"""The boxes of HEIF's, AVIF's and Canon's files (ISO 14496-12; ISO 23008-12)."""

import struct
from collections.abc import Iterator
from contextlib import suppress

_MAX_BOXES = 1_000
_MAX_OF_A_KIND = 16


def find_boxes(content: bytes, *path: bytes, begin: int = 0, end: int | None = None) -> list[bytes]:
    """Return the contents of the boxes at ``path``, in file order; none if the path does not exist.

    Boxes in a ``uuid`` box begin after its 16 bytes, those in a ``meta`` box after its flags.
    """
    kind, *below = path
    places = [
        place for name, *place in _walk_boxes(content, begin, end or len(content)) if name == kind
    ]
    if not below:
        return [content[first:last] for first, last in places]
    skipped = {b"meta": 4, b"uuid": 16}.get(kind, 0)
    found = list[bytes]()
    for first, last in places[:_MAX_OF_A_KIND]:
        found += find_boxes(content, *below, begin=first + skipped, end=last)
    return found


def read_cicp(content: bytes) -> tuple[int, int] | None:
    """Return the ITU-T H.273 colour primaries and transfer of the primary item."""
    with suppress(struct.error, IndexError):
        properties = _read_properties(content)
        for number in _read_primary_links(content):
            kind, held = properties[number - 1]
            if kind == b"colr" and held[:4] == b"nclx":
                primaries, transfer = struct.unpack_from(">HH", held, 4)
                return primaries, transfer
    return None


def _walk_boxes(content: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box, and the start and end of its content."""
    for _ in range(_MAX_BOXES):
        if begin + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", content, begin)
        head = 8
        if size == 1 and begin + 16 <= end:
            (size,) = struct.unpack_from(">Q", content, begin + 8)
            head = 16
        following = end if size == 0 else begin + size
        if following < begin + head:
            return
        yield kind, begin + head, min(following, end)
        begin = following


def _read_properties(content: bytes) -> list[tuple[bytes, bytes]]:
    [held] = find_boxes(content, b"meta", b"iprp", b"ipco")[:1] or [b""]
    return [(kind, held[first:last]) for kind, first, last in _walk_boxes(held, 0, len(held))]


def _read_primary_links(content: bytes) -> list[int]:
    """Return the property numbers, from 1, of the primary item."""
    [item] = find_boxes(content, b"meta", b"pitm")[:1] or [b""]
    [links] = find_boxes(content, b"meta", b"iprp", b"ipma")[:1] or [b""]
    (primary,) = struct.unpack_from(">I" if item[0] else ">H", item, 4)
    flags, count = struct.unpack_from(">II", links, 0)
    name, link = (">I" if flags >> 24 else ">H"), (">H" if flags & 1 else ">B")
    at = 8
    for _ in range(min(count, _MAX_BOXES)):
        (number,) = struct.unpack_from(name, links, at)
        at += struct.calcsize(name)
        step, links_at = struct.calcsize(link), at + 1
        at = links_at + links[at] * step
        if number == primary:
            mask = (1 << (8 * step - 1)) - 1
            found = (struct.unpack_from(link, links, n)[0] for n in range(links_at, at, step))
            return [one & mask for one in found]
    return []
