"""Files within a compiled Qt resource archive (``.rcc``), as GCompris keeps its pictures.

The format is that of Qt's ``qresource.cpp``: a header with the offsets of a tree, of the contents
and of the names, all big-endian.
"""

import struct
import zlib
from pathlib import Path

COMPRESSED, FOLDER = 1, 2


def read_files(path: Path) -> dict[str, bytes]:
    """Return the contents of the archive's files by their paths, such as ``/gcompris/a.webp``."""
    return _Archive(path.read_bytes()).files()


class _Archive:
    def __init__(self, content: bytes) -> None:
        if content[:4] != b"qres":
            raise ValueError("this is no Qt resource archive")
        self.content = content
        version, self.tree, self.contents, self.names = struct.unpack_from(">IIII", content, 4)
        self.node_bytes = 14 if version < 2 else 22

    def files(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        self._walk(0, "", found)
        return found

    def _walk(self, number: int, above: str, found: dict[str, bytes]) -> None:
        at = self.tree + number * self.node_bytes
        name, flags = struct.unpack_from(">IH", self.content, at)
        path = f"{above}/{self._name(name)}" if number else ""
        if flags & FOLDER:
            count, first = struct.unpack_from(">II", self.content, at + 6)
            for child in range(first, first + count):
                self._walk(child, path, found)
        else:
            found[path] = self._content(at, flags)

    def _name(self, offset: int) -> str:
        at = self.names + offset
        (length,) = struct.unpack_from(">H", self.content, at)
        return self.content[at + 6 : at + 6 + 2 * length].decode("utf-16-be")

    def _content(self, node: int, flags: int) -> bytes:
        at = self.contents + int(struct.unpack_from(">I", self.content, node + 10)[0])
        (length,) = struct.unpack_from(">I", self.content, at)
        content = self.content[at + 4 : at + 4 + length]
        return zlib.decompress(content[4:]) if flags & COMPRESSED else content
