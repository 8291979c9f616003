"""Whether each picture of a corpus is read or refused with a reason, and stored as it was read.

Reads every file below a folder (that of `make corpus` if none is named), prints how many were read
and refused, the picture that its stored JPEG differs from most, and the slowest. What is missed: a
stored picture of another size or over two levels off in the mean, other words about it, a refusal
by one of `read_photo` and `prepare_photo` alone, and any other error.

    .venv/bin/python bench/corpus.py [folder]
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from mondrian.errors import PhotoError
from mondrian.photos import Photo, prepare_photo, read_photo

MOST_LEVELS = 2.0
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mondrian" / "corpus"

T = TypeVar("T")


def pictures(folder: Path) -> list[Path]:
    """The files below a folder that are no program and no text."""
    others = {".c", ".h", ".html", ".md", ".py", ".rst", ".toml", ".txt", ".yml"}
    return [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in others
    ]


def outcome(read: Callable[[], T]) -> T | PhotoError:
    """What came of it, or the error."""
    try:
        return read()
    except PhotoError as exc:
        return exc


def levels_off(photo: Photo, stored: bytes) -> float | None:
    """The mean difference of the stored picture in levels; ``None`` if anything else differs."""
    again = read_photo(stored)
    if (again.width, again.height, again.exif) != (photo.width, photo.height, photo.exif):
        return None
    return float(np.abs(again.pixels.astype(np.int16) - photo.pixels).mean())


def check(content: bytes, name: str) -> tuple[str, float | None]:
    """What came of a file, in a word, and how many levels its stored picture is off."""
    photo = outcome(lambda: read_photo(content, name=name))
    stored = outcome(lambda: prepare_photo(content, name=name))
    if isinstance(photo, PhotoError) or isinstance(stored, PhotoError):
        return (type(photo).__name__ if type(photo) is type(stored) else "MISSED"), 0.0
    off = levels_off(photo, stored.encoded)
    return ("MISSED" if off is None or off > MOST_LEVELS else photo.format), off


def main() -> None:
    """Read all, and print what came of it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE
    outcomes, most, slowest = Counter[str](), (0.0, ""), (0.0, "")
    for path in pictures(folder):
        begin = time.perf_counter()
        word, off = check(path.read_bytes(), path.name)
        if word == "MISSED":
            print(f"MISSED: {path.name} is stored otherwise than it was read ({off})")
        outcomes[word] += 1
        most = max(most, (off or 0.0, path.name))
        slowest = max(slowest, (time.perf_counter() - begin, path.name))
    if not outcomes:
        print(f"no pictures in {folder}: `make corpus` fetches them")
        return
    print(", ".join(f"{count} {word}" for word, count in outcomes.most_common()))
    print(f"most levels off, of {MOST_LEVELS:g}: {most[0]:.2f} ({most[1]})")
    print(f"slowest, read and stored and read again: {slowest[0]:.1f} s ({slowest[1]})")


if __name__ == "__main__":
    main()
