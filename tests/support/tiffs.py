"""TIFF files by hand, and their tags."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SHORT, LONG = 3, 4
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR, SUBSAMPLING = 273, 277, 278, 279, 284, 530
EXTRA, FORMAT = 338, 339


Tags: TypeAlias = Mapping[int, Sequence[int]]


def tiff(*directories: list[tuple[int, int, int]]) -> bytes:
    """A little-endian TIFF of directories of (tag, type, value), one value each."""
    starts = [8]
    for directory in directories:
        starts.append(starts[-1] + 6 + 12 * len(directory))
    body = b""
    for directory in directories:
        entries = [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in directory]
        body += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0\x08\0\0\0" + body


def page(begin: int, tags: Tags, strips: Sequence[bytes], order: str, follows: bool) -> bytes:
    """A directory that begins there, and behind it its values and its strips."""
    count = len(tags) + 2
    values_at = begin + 2 + 12 * count + 4
    lists = {tag: struct.pack(f"{order}{len(v)}H", *v) for tag, v in tags.items()}
    strips_at = values_at + sum(len(v) for v in lists.values() if len(v) > 4) + 8 * len(strips)
    starts = [strips_at + sum(map(len, strips[:n])) for n in range(len(strips))]
    long = f"{order}{len(strips)}I"
    lists |= {OFFSETS: struct.pack(long, *starts), COUNTS: struct.pack(long, *map(len, strips))}
    entries, values = b"", b""
    for tag, packed in sorted(lists.items()):
        kind = LONG if tag in (OFFSETS, COUNTS) else SHORT
        number = len(packed) // (4 if kind == LONG else 2)
        if len(packed) > 4:
            packed, values = struct.pack(f"{order}I", values_at + len(values)), values + packed
        entries += struct.pack(f"{order}HHI", tag, kind, number) + packed.ljust(4, b"\0")
    used = [value for value in lists.values() if len(value) > 4]
    gap = bytes(strips_at - values_at - sum(map(len, used)))
    size = strips_at + sum(map(len, strips)) - begin
    following = struct.pack(f"{order}I", begin + size if follows else 0)
    return struct.pack(f"{order}H", count) + entries + following + values + gap + b"".join(strips)


def picture(
    samples: NDArray[Any],
    photometric: int,
    *,
    order: str = "<",
    bits: int | None = None,
    planar: bool = False,
    strip_rows: int = 16,
    extra: int | None = None,
    more: Tags | None = None,
) -> tuple[Tags, list[bytes]]:
    """Tags and strips of samples of shape (height, width, channels), not compressed."""
    height, width, channels = samples.shape
    bits = bits or samples.dtype.itemsize * 8
    tags: dict[int, Sequence[int]] = {
        WIDTH: [width],
        HEIGHT: [height],
        BITS: [bits] * channels,
        COMPRESSION: [1],
        PHOTOMETRIC: [photometric],
        SAMPLES: [channels],
        ROWS: [strip_rows],
        PLANAR: [2 if planar else 1],
    }
    if extra is not None:
        tags[EXTRA] = [extra]
    planes = [samples[..., n : n + 1] for n in range(channels)] if planar else [samples]
    strips = [
        packed(plane[top : top + strip_rows], bits, order)
        for plane in planes
        for top in range(0, height, strip_rows)
    ]
    return tags | dict(more or {}), strips


def packed(samples: NDArray[Any], bits: int, order: str) -> bytes:
    if bits != 12:
        return (samples.byteswap() if order == ">" else samples).tobytes()
    pairs = samples.reshape(samples.shape[0], -1, 2).astype(int)
    first, second = pairs[..., 0], pairs[..., 1]
    three = [first >> 4, (first & 15) << 4 | second >> 8, second & 255]
    return np.stack(three, -1).astype(np.uint8).tobytes()


def file(*pictures: tuple[Tags, list[bytes]], order: str = "<") -> bytes:
    """A TIFF of pages."""
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    for number, (tags, strips) in enumerate(pictures):
        content += page(len(content), tags, strips, order, number + 1 < len(pictures))
    return content
