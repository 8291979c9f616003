"""Read the directories of an untrusted TIFF, TIFF-like RAW file or EXIF (TIFF 6.0; BigTIFF; DNG
1.6).

Each directory is read once, however many point to it, and at most 32 are: two that pointed to each
other a thousand times kept a decoder busy for days.
"""

import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from mondrian.errors import UnsupportedPhoto

_MAX_DIRECTORIES = 32
# Files have some dozens. Each costs a decoder some microseconds.
_MAX_ENTRIES = 1_000
_MAX_VALUES = 16

SUBFILE_TYPE, OLD_SUBFILE_TYPE = 254, 255
BITS, COMPRESSION, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT = 258, 259, 262, 284, 339
ORIENTATION, DNG_VERSION = 274, 50706
_SUB_DIRECTORIES, _EXIF, _GPS, _INTEROP = 330, 34665, 34853, 40965
_POINTERS = (_SUB_DIRECTORIES, _EXIF, _GPS, _INTEROP)
# Bytes of a value, by its type, and how it is unpacked: whole numbers, and offsets.
_INTEGERS = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory: the first values, at most 16, of each integer tag. ``is_page`` is true if it is
    in the file's chain of pictures, not below one of them."""

    is_page: bool
    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def first(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def is_main(self) -> bool:
        """Return whether it holds a full picture: no preview and no mask."""
        is_part = self.first(SUBFILE_TYPE) & 0b101 or self.first(OLD_SUBFILE_TYPE) == 2
        return not is_part


def read_directories(content: bytes) -> list[Directory]:
    """Return the directories of a TIFF file, the first one first, as far as they are readable.

    Raise ``UnsupportedPhoto`` for one with more tags than any camera or program writes.
    """
    layout = _Layout.of(content)
    found, seen, waiting = list[Directory](), set[int](), deque[tuple[int, bool]]()
    with _stop_at_end():
        waiting.append((layout.unpack(layout.offset, content, layout.first_at)[0], True))
    while waiting and len(found) < _MAX_DIRECTORIES:
        offset, is_page = waiting.popleft()
        if offset and offset not in seen:
            seen.add(offset)
            found.append(Directory(is_page))
            with _stop_at_end():
                waiting.extend(_read_directory(content, layout, offset, found[-1]))
    return found


def _stop_at_end() -> suppress:
    return suppress(struct.error, OverflowError)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The byte order, and the size of offsets, counts and entries: BigTIFF has larger ones."""

    order: str
    offset: str
    count: str
    entry_bytes: int
    first_at: int

    @classmethod
    def of(cls, content: bytes) -> "_Layout":
        order = "<" if content[:2] == b"II" else ">"
        if content[2:4] in (b"+\0", b"\0+"):
            return cls(order, "Q", "Q", 20, 8)
        return cls(order, "I", "H", 12, 4)

    def unpack(self, format_: str, content: bytes, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + format_, content, at)


def _read_directory(
    content: bytes, layout: _Layout, offset: int, directory: Directory
) -> Iterator[tuple[int, bool]]:
    """Read the tags of a directory; yield the offsets of others, and whether they are pages."""
    (count,) = layout.unpack(layout.count, content, offset)
    begin = offset + struct.calcsize("=" + layout.count)
    if count > _MAX_ENTRIES:
        raise UnsupportedPhoto(
            f"The photo has over {_MAX_ENTRIES} tags in one place. Export it again and try again."
        )
    for at in range(begin, begin + count * layout.entry_bytes, layout.entry_bytes):
        tag, values = _read_entry(content, layout, at)
        if values:
            directory.tags.setdefault(tag, values)
            if tag in _POINTERS:
                yield from ((value, False) for value in values)
    if directory.is_page:
        end = begin + count * layout.entry_bytes
        yield layout.unpack(layout.offset, content, end)[0], True


def _read_entry(content: bytes, layout: _Layout, at: int) -> tuple[int, tuple[int, ...]]:
    tag, kind, count = layout.unpack("HH" + layout.offset, content, at)
    letter = _INTEGERS.get(kind)
    if letter is None:
        return tag, ()
    here = at + 4 + struct.calcsize("=" + layout.offset)
    if count * struct.calcsize("=" + letter) > struct.calcsize("=" + layout.offset):
        (here,) = layout.unpack(layout.offset, content, here)
    with _stop_at_end():
        return tag, layout.unpack(f"{min(count, _MAX_VALUES)}{letter}", content, here)
    return tag, ()


# Photometric interpretations (TIFF 6.0 and its supplements) that are read, and some that are not.
_READ = {0, 1, 2, 3, 5, 6, 8}
_COLOURS = {9: "ICC Lab", 10: "ITU Lab", 32844: "LogL", 32845: "LogLuv"}
_JPEG_2000 = {33003, 33004, 33005, 34712}
_UNREAD_COMPRESSIONS = _JPEG_2000 | {34661, 34676, 34677, 34887, 50001, 50002, 52546}
_SIGNED, _FLOATING = 2, 3


def check_samples(directory: Directory) -> None:
    """Raise ``UnsupportedPhoto`` for a picture whose kind of samples is not supported."""
    bits, format_ = directory.first(BITS, 1), directory.first(SAMPLE_FORMAT, 1)
    kind = directory.first(PHOTOMETRIC, 1)
    if format_ == _SIGNED:
        raise _unsupported("holds numbers below zero")
    if format_ == _FLOATING and bits == 16:
        raise _unsupported("holds 16 bits a channel in floating point")
    if bits not in (1, 2, 4, 8, 16) and (bits, kind) != (12, 1):
        raise _unsupported(f"holds {bits} bits a channel")
    if kind not in _READ:
        raise _unsupported(f"is in {_COLOURS.get(kind, 'rare')} colours")
    if directory.first(COMPRESSION, 1) in _UNREAD_COMPRESSIONS:
        raise _unsupported("is a TIFF whose picture is packed in a rare way")


def _unsupported(what: str) -> UnsupportedPhoto:
    return UnsupportedPhoto(
        f"The photo {what}. Export it as TIFF in RGB, with 8 or 16 bits a channel, or as JPEG, and "
        "try again."
    )
