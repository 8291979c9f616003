"""PNG files: keep the chunks of the picture and its colours, drop all others (PNG, third edition).

Ancillary chunks must not make a photo unreadable: endless text, a profile that does not
decompress, a wrong checksum in an optional chunk, a million empty chunks.
"""

import struct
import zlib
from contextlib import suppress

from mondrian.errors import DamagedPhoto, UnsupportedPhoto

# Programs write 8 KB of pixels in each; 50 MB in chunks of 250 bytes reach this limit.
_MAX_CHUNKS = 200_000
_MAX_TEXT_BYTES = 1_000_000

_NEEDED = (b"IHDR", b"PLTE")
_SIZES = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_SIMPLE = (*_NEEDED, *_SIZES, b"iCCP", b"tRNS", b"eXIf")
# The texts that may hold the orientation and the camera.
_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")


def clean_png(content: bytes) -> bytes:
    """Return a PNG of the same picture, colours and camera metadata, in few chunks.

    Raise ``DamagedPhoto`` if a critical chunk is broken, and ``UnsupportedPhoto`` for Apple's CgBI
    variant and for too many chunks.
    """
    kept, picture, at, view = dict[bytes, bytes](), list[memoryview](), 8, memoryview(content)
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(content):
            break
        length, kind = struct.unpack_from(">I4s", content, at)
        body, check = view[at + 8 : at + 8 + length], view[at + 8 + length : at + 12 + length]
        at += 12 + length
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            picture.append(body)
        elif (name := _choose_name(kind, body)) and name not in kept:
            kept[name] = _check_body(kind, bytes(body), bytes(check))
    else:
        raise UnsupportedPhoto(
            f"The PNG is stored in over {_MAX_CHUNKS} chunks. Export it again and try again."
        )
    names = sorted(kept, key=lambda name: (name != b"IHDR", name != b"cICP"))
    chunks = (_make_chunk(name[:4], kept[name]) for name in names if kept[name])
    image = _make_chunk(b"IDAT", b"".join(picture))
    return b"".join((content[:8], *chunks, image, _make_chunk(b"IEND", b"")))


def read_cicp(content: bytes) -> tuple[int, int] | None:
    """Return the ITU-T H.273 colour primaries and transfer of a cleaned PNG."""
    return (content[41], content[42]) if content[37:41] == b"cICP" else None


def _choose_name(kind: bytes, body: memoryview) -> bytes | None:
    """Return the name under which the first such chunk is kept; ``None`` to drop it."""
    if kind == b"CgBI":
        raise UnsupportedPhoto(
            "The photo is a PNG as Apple's tools make them for apps, which few programs read. "
            "Export it as a usual PNG and try again."
        )
    if kind in _SIMPLE:
        return kind
    if kind in (b"tEXt", b"zTXt", b"iTXt"):
        return next((kind + text for text in _TEXTS if bytes(body[: len(text)]) == text), None)
    return None


def _check_body(kind: bytes, body: bytes, check: bytes) -> bytes:
    """Return the content of a chunk; empty if it is broken or too long."""
    if check != zlib.crc32(kind + body).to_bytes(4):
        if kind in _NEEDED:
            raise DamagedPhoto
        return b""
    if len(body) != _SIZES.get(kind, len(body)):
        return b""
    packed = _find_packed(kind, body)
    with suppress(zlib.error):
        unpacked = zlib.decompressobj().decompress(packed, _MAX_TEXT_BYTES + 1) if packed else b""
        if max(len(unpacked), len(body)) <= _MAX_TEXT_BYTES:
            return body
    return b""


def _find_packed(kind: bytes, body: bytes) -> bytes:
    """Return the compressed part of a chunk."""
    if kind in (b"iCCP", b"zTXt"):
        return body.partition(b"\0")[2][1:]
    if kind == b"iTXt" and (rest := body.partition(b"\0")[2])[:1] == b"\1":
        return rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return b""


def _make_chunk(kind: bytes, body: bytes) -> bytes:
    return b"".join(
        (len(body).to_bytes(4), kind, body, zlib.crc32(body, zlib.crc32(kind)).to_bytes(4))
    )
