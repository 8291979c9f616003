"""PNG files by hand, as chunks."""

import struct
import zlib


def chunk(kind: bytes, body: bytes = b"", checksum: int | None = None) -> bytes:
    if checksum is None:
        checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png(width: int, height: int, depth: int, colour: int, *rows: bytes) -> bytes:
    """A PNG by hand: only its header if there are no rows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


def insert(png: bytes, *chunks: bytes) -> bytes:
    """Put chunks before the picture."""
    at = png.index(b"IDAT") - 4
    return png[:at] + b"".join(chunks) + png[at:]


def append(png: bytes, *chunks: bytes) -> bytes:
    """Put chunks behind the picture."""
    return png[:-12] + b"".join(chunks) + png[-12:]


def packed(keyword: bytes, size: int) -> bytes:
    """What iCCP and zTXt hold: a keyword, and that many bytes, packed."""
    return keyword + b"\0\0" + zlib.compress(b"a" * size, 9)


def text(keyword: bytes, size: int, pack: bool = True) -> bytes:
    """An iTXt of that many bytes of text."""
    body = zlib.compress(b"a" * size, 9) if pack else b"a" * size
    return chunk(b"iTXt", keyword + (b"\0\1\0\0\0" if pack else b"\0\0\0\0\0") + body)
