"""Small files that cost a decoder much time or memory: each function makes one, as bytes."""

import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageCms

from support.jpegs import insert as insert_segments
from support.jpegs import segment
from support.pictures import CAT, saved
from support.pngs import chunk, insert, png, text

SMALL = Image.new("RGB", (64, 48), "teal")
LONG, UNDEFINED, SUB_DIRECTORIES = 4, 7, 330


def looping_directories(entries: int) -> bytes:
    """A TIFF of one directory, each entry of which names sixteen directories, all that one."""
    targets = 8 + 2 + 12 * entries + 4
    entry = struct.pack("<HHII", SUB_DIRECTORIES, LONG, 16, targets)
    directory = struct.pack("<H", entries) + entry * entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 8) * 16


def next_directory_is_itself() -> bytes:
    """A grey TIFF whose directory is followed by itself."""
    return _grey_tiff({}, following=8)


def overlapping_tags(count: int, size: int) -> bytes:
    """A grey TIFF with so many more tags, each of which holds the same bytes."""
    return _grey_tiff({40_000 + n: size for n in range(min(count, 25_000))}, blob=size)


def many_strips(count: int) -> bytes:
    """A grey TIFF of a row that says it has so many strips, which all are the same bytes."""
    return _grey_tiff({}, strips=count)


def _grey_tiff(
    more: dict[int, int], *, blob: int = 256, strips: int = 1, following: int = 0
) -> bytes:
    side = 16
    tags: dict[int, tuple[int, int, int | None]] = {
        256: (LONG, 1, side),
        257: (LONG, 1, side),
        258: (LONG, 1, 8),
        259: (LONG, 1, 1),
        262: (LONG, 1, 1),
        273: (LONG, strips, None),
        277: (LONG, 1, 1),
        278: (LONG, 1, side),
        279: (LONG, strips, None if strips > 1 else side * side),
    }
    tags |= {tag: (UNDEFINED, size, None) for tag, size in more.items()}
    begin = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHII", tag, kind, count, begin if value is None else value)
        for tag, (kind, count, value) in sorted(tags.items())
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following)
    lists = struct.pack("<I", begin) * strips if strips > 1 else b""
    return head + lists + b"\x80" * max(blob, side * side)


def packed_tiff(width: int, height: int) -> bytes:
    """A TIFF of one colour, packed small."""
    return saved(
        Image.new("RGB", (width, height), "teal"), "TIFF", compression="tiff_adobe_deflate"
    )


def empty_segments(count: int, marker: int) -> bytes:
    """A JPEG with so many segments that hold nothing."""
    return insert_segments(saved(SMALL, "JPEG"), segment(marker, b"") * count)


def overlapping_exif(count: int, size: int) -> bytes:
    """A JPEG whose EXIF has so many tags, each of which holds the same bytes."""
    data = 8 + 2 + 12 * count + 4
    entries = b"".join(
        struct.pack("<HHII", 40_000 + n, UNDEFINED, size, data) for n in range(count)
    )
    body = b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4) + bytes(size)
    return insert_segments(saved(SMALL, "JPEG"), segment(0xE1, b"Exif\0\0" + body[:65_000]))


def many_scans(scans: int, width: int, height: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    whole = saved(Image.new("RGB", (width, height), "teal"), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + whole[-2:]


def private_chunks(count: int) -> bytes:
    """A PNG with so many chunks that hold nothing."""
    return insert(_small_png(), chunk(b"prVt") * count)


def empty_picture_chunks(count: int) -> bytes:
    """A PNG whose picture is parted by so many chunks that hold nothing."""
    return insert(_small_png(), chunk(b"IDAT") * count)


def packed_text(megabytes: int) -> bytes:
    """A PNG with so much text, packed."""
    return insert(_small_png(), text(b"k", megabytes << 20))


def packed_profile(megabytes: int) -> bytes:
    """A PNG with a colour profile of that size, packed."""
    body = b"k\0\0" + _zeros(megabytes << 20)
    return insert(_small_png(), chunk(b"iCCP", body))


def flat_png(width: int, height: int) -> bytes:
    """A PNG of one colour, packed small."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = _zeros((1 + 3 * width) * height)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _small_png() -> bytes:
    return png(64, 1, 8, 2, bytes(192))


def _zeros(size: int) -> bytes:
    packer, portion = zlib.compressobj(9), bytes(1 << 20)
    parts = [packer.compress(portion[: min(size - at, 1 << 20)]) for at in range(0, size, 1 << 20)]
    return b"".join(parts) + packer.flush()


def profile_of_many_elements(count: int) -> bytes:
    """An sRGB profile with a tag D2B0 of so many matrices, which all are the same bytes
    (ICC.1:2022, 10.17)."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    matrix = b"matf" + bytes(4) + struct.pack(">HH12f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    at = 16 + 8 * count
    place = struct.pack(">II", at, len(matrix))
    element = b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, count) + place * count + matrix
    known = struct.unpack_from(">I", srgb, 128)[0]
    table = [struct.unpack_from(">4sII", srgb, 132 + 12 * n) for n in range(known)]
    moved = 12
    body = srgb[132 + 12 * known :]
    body += bytes(-len(body) % 4)
    end = 132 + 12 * (known + 1) + len(body)
    rows = [(name, begin + moved, size) for name, begin, size in table]
    rows.append((b"D2B0", end, len(element)))
    tags = struct.pack(">I", len(rows)) + b"".join(struct.pack(">4sII", *row) for row in rows)
    whole = srgb[:128] + tags + body + element
    return struct.pack(">I", len(whole)) + whole[4:8] + b"\x04\x30\0\0" + whole[12:]


def profiled(format_: str, elements: int) -> bytes:
    """A photo with such a profile."""
    return saved(SMALL, format_, icc_profile=profile_of_many_elements(elements))


def flat_jpeg(width: int, height: int) -> bytes:
    """A JPEG of one colour."""
    return saved(Image.new("RGB", (width, height), "teal"), "JPEG")


def webp_of(width: int, height: int) -> bytes:
    """A WebP that says it has so many pixels."""
    size = (width - 1) | (height - 1) << 14
    header = b"VP8L" + struct.pack("<IBI", 5, 0x2F, size) + b"\0"
    return b"RIFF" + struct.pack("<I", 4 + len(header)) + b"WEBP" + header


def broken(format_: str, seeds: Iterable[int]) -> list[bytes]:
    """Photos in which every hundredth byte is another one, by chance; one for each seed."""
    whole = np.frombuffer(saved(CAT, format_), np.uint8)
    found = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        content = whole.copy()
        places = random.integers(12, content.size, content.size // 100)
        content[places] = random.integers(0, 256, places.size)
        found.append(content.tobytes())
    return found


def page_as_photo() -> bytes:
    """A web page that begins as a JPEG does."""
    return b"\xff\xd8\xff\xe0<html><script>alert(1)</script>" + bytes(100)


def truncated(content: bytes) -> bytes:
    """The first half."""
    return content[: len(content) // 2]
