"""Judgements of photos, stored in one JSON Lines file in the home folder, without a server.

1. A judgement is known by the photo's content, the advisor, the engine, Mondrian's version and what
   the photographer meant. The content is known by path, size and time where these are as they
   were, so that a second run reads no photo.
2. A line is appended in one write. A line that a crash cut off is passed over when the file is read
   and ended before the next one is written; of two lines of one key the later counts.
3. Only where each line begins is held in memory: reports are read when they are asked for.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

from mondrian.errors import PhotoError, StorageError

Key: TypeAlias = tuple[str, str, str, str, str]
"""The content's SHA-256, the advisor, the engine, Mondrian's version and the purpose."""

_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A critique of one photo by one advisor. ``report`` is its JSON, or where a server was handed
    the photo (its address is then ``engine``), ``{"job_id": …}``. ``purpose`` is a ``Purpose`` as
    text. ``hash`` is the photo's
    perceptual hash, 16 hexadecimal digits; ``taken_at`` is ISO 8601."""

    path: str
    size: int
    modified_ns: int
    sha256: str
    advisor: str
    engine: str
    version: str
    report: dict[str, Any] = field(repr=False)
    purpose: str = ""
    hash: str = ""
    taken_at: str | None = None

    @property
    def key(self) -> Key:
        """The identity of a judgement."""
        return self.sha256, self.advisor, self.engine, self.version, self.purpose

    @classmethod
    def parse(cls, line: bytes) -> Self | None:
        """Return the judgement of a line; ``None`` for one that is none."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None


class Judgements:
    """The judgements in ``home``. ``add`` may be called from one thread."""

    def __init__(self, home: Path) -> None:
        self.path = home / "judgements.jsonl"
        self._places: dict[Key, int] = {}
        self._contents: dict[tuple[str, int, int], str] = {}
        self._end = 0
        self._is_whole = True
        self._read()

    def identify(self, path: Path) -> tuple[int, int, str]:
        """Return a file's size, its time of change in ns, and the SHA-256 of its content, which is
        read only where it is not known by the other two. Raise ``PhotoError``."""
        try:
            state = path.stat()
            known = self._contents.get((str(path), state.st_size, state.st_mtime_ns))
            return state.st_size, state.st_mtime_ns, known or _hash_file(path)
        except OSError as exc:
            raise PhotoError(f"{path} cannot be read: {exc.strerror}. Check the path.") from exc

    def is_known(self, path: Path) -> bool:
        """Return whether the content of the file at ``path``, as it is now, has been read."""
        try:
            state = path.stat()
        except OSError:
            return False
        return (str(path), state.st_size, state.st_mtime_ns) in self._contents

    def find(
        self, sha256: str, advisor: str, engine: str, version: str, purpose: str = ""
    ) -> Judgement | None:
        """Return the judgement of that content, if there is one."""
        place = self._places.get((sha256, advisor, engine, version, purpose))
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place)
            return Judgement.parse(file.readline())

    def add(self, judgement: Judgement) -> None:
        """Append a judgement. Raise ``StorageError``."""
        line = json.dumps(asdict(judgement), separators=(",", ":")).encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                place = file.seek(0, os.SEEK_END)
                file.write(line if self._is_whole else b"\n" + line)
                place += not self._is_whole
                self._is_whole = True
        except OSError as exc:
            raise StorageError(
                f"{self.path} cannot be written: {exc.strerror}. Free some space, or choose "
                "another --home."
            ) from exc
        self._note(judgement, place)

    def carry(self, judgements: Sequence[Judgement], sha256: str, size: int) -> list[Judgement]:
        """Let all that is known of the photo of ``judgements`` be known of another content of it,
        at the same path and with the same time. Return ``judgements`` so. Raise ``StorageError``.
        """
        first = judgements[0]
        for key in [key for key in self._places if key[0] == first.sha256]:
            if each := self.find(*key):
                self.add(
                    replace(
                        each,
                        path=first.path,
                        size=size,
                        modified_ns=first.modified_ns,
                        sha256=sha256,
                    )
                )
        found = (self.find(sha256, *each.key[1:]) for each in judgements)
        return [each for each in found if each]

    def _read(self) -> None:
        for place, line in _read_lines(self.path):
            self._is_whole = line.endswith(b"\n")
            if judgement := Judgement.parse(line):
                self._note(judgement, place)

    def _note(self, judgement: Judgement, place: int) -> None:
        self._places[judgement.key] = place
        file = (judgement.path, judgement.size, judgement.modified_ns)
        self._contents[file] = judgement.sha256


def _read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, with where each begins."""
    place = 0
    try:
        with path.open("rb") as file:
            for line in file:
                yield place, line
                place += len(line)
    except FileNotFoundError:
        return


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
