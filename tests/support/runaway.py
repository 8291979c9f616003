"""Functions that misbehave as hostile bytes make a decoder do, for the process that reads
photos."""

import os
import threading
import time
from pathlib import Path

from mondrian.photos import prepare_photo
from mondrian.photos.photo import StoredPhoto


def prepare_nothing() -> None:
    """Start at once."""


def begin(photo: bytes, marker: Path, **_: object) -> None:
    """Note in ``marker`` which process it is, and stay."""
    marker.with_suffix(".new").write_text(str(os.getpid()))
    marker.with_suffix(".new").rename(marker)
    threading.Event().wait()


def rest(photo: bytes, seconds: float) -> None:
    """Do nothing for a moment."""
    time.sleep(seconds)


def spin(photo: bytes) -> int:
    """Keep the processor, and Python's lock."""
    return sum(range(10**13))


def fill_memory(photo: bytes, part_bytes: int = 50_000_000) -> None:
    """Take more and more memory."""
    kept = []
    while True:
        kept.append(b"x" * part_bytes)


def keep_memory(photo: bytes, taken_bytes: int) -> int:
    """Take memory, and keep it after the answer."""
    _KEPT.append(b"x" * taken_bytes)
    return os.getpid()


def abort(photo: bytes) -> None:
    """End as a C library does that found its memory broken."""
    os.abort()


def abort_once(photo: bytes, marker: Path) -> StoredPhoto:
    """End the first process, and read the photo in the second."""
    if not marker.exists():
        marker.touch()
        os.abort()
    return prepare_photo(photo)


def fail(photo: bytes) -> None:
    """Raise an unexpected error."""
    raise ZeroDivisionError("by zero")


def get_environment(photo: bytes) -> dict[str, str]:
    """Return the environment of the process."""
    return dict(os.environ)


_KEPT: list[bytes] = []
