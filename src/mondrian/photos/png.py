"""PNG files: what of one is the picture and its colours, apart from all else (PNG, third edition).

What is not the picture must not stop it: endless text, a profile that does not unpack, a wrong
checksum in a chunk that may be left out, a million empty chunks.
"""

import struct
import zlib
from contextlib import suppress

from mondrian.errors import DamagedPhoto, UnsupportedPhoto

# Programs write 8 KB of a picture in each, and 50 MB in 250 bytes each would be as many.
_MAX_CHUNKS = 200_000
_MAX_WORDS_BYTES = 1_000_000

_NEEDED = (b"IHDR", b"PLTE")
_SIZES = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_SIMPLE = (*_NEEDED, *_SIZES, b"iCCP", b"tRNS", b"eXIf")
# The texts that may say how the picture is turned, and by what camera it was taken.
_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")


def clean_png(content: bytes) -> bytes:
    """Return a PNG of the same picture, its colours and what its camera said, in few chunks.

    Raises ``DamagedPhoto`` where a chunk that the picture needs is broken, and
    ``UnsupportedPhoto`` for Apple's own kind and for chunks without end.
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
        elif (name := _name(kind, body)) and name not in kept:
            kept[name] = _body(kind, bytes(body), bytes(check))
    else:
        raise UnsupportedPhoto(
            f"The PNG is stored in over {_MAX_CHUNKS} chunks. Export it again and try again."
        )
    names = sorted(kept, key=lambda name: (name != b"IHDR", name != b"cICP"))
    words = (_chunk(name[:4], kept[name]) for name in names if kept[name])
    image = _chunk(b"IDAT", b"".join(picture))
    return b"".join((content[:8], *words, image, _chunk(b"IEND", b"")))


def read_cicp(content: bytes) -> tuple[int, int] | None:
    """Return the colour primaries and the transfer of ITU-T H.273 that a cleaned PNG names."""
    return (content[41], content[42]) if content[37:41] == b"cICP" else None


def _name(kind: bytes, body: memoryview) -> bytes | None:
    """Return by what name a chunk is kept, the first of each; ``None`` for what is left out."""
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


def _body(kind: bytes, body: bytes, check: bytes) -> bytes:
    """Return what a chunk holds; empty if that is broken or has no end."""
    if check != zlib.crc32(kind + body).to_bytes(4):
        if kind in _NEEDED:
            raise DamagedPhoto
        return b""
    if len(body) != _SIZES.get(kind, len(body)):
        return b""
    packed = _packed(kind, body)
    with suppress(zlib.error):
        unpacked = zlib.decompressobj().decompress(packed, _MAX_WORDS_BYTES + 1) if packed else b""
        if max(len(unpacked), len(body)) <= _MAX_WORDS_BYTES:
            return body
    return b""


def _packed(kind: bytes, body: bytes) -> bytes:
    """Return the part of a chunk that is packed."""
    if kind in (b"iCCP", b"zTXt"):
        return body.partition(b"\0")[2][1:]
    if kind == b"iTXt" and (rest := body.partition(b"\0")[2])[:1] == b"\1":
        return rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return b""


def _chunk(kind: bytes, body: bytes) -> bytes:
    return b"".join(
        (len(body).to_bytes(4), kind, body, zlib.crc32(body, zlib.crc32(kind)).to_bytes(4))
    )
