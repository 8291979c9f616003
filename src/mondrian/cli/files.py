"""Files that commands read and write: photos, and reports in a format that their ending names."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mondrian.errors import PhotoError, PhotoTooLarge, SettingsError, StorageError

STDIN = "-"
FORMATS = {".html": "html", ".htm": "html", ".pdf": "pdf", ".md": "md", ".json": "json"}
"""The format of a report by the ending of its file."""

_MAX_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """A photo that a command was given: its path, or the bytes of standard input."""

    name: str
    photo: Path | bytes


def find_photos(arguments: Sequence[str]) -> list[Source]:
    """Return the photos that a person named; ``-`` is standard input.

    Raise ``PhotoError`` for what is no file here, before any work.
    """
    return [_find_photo(argument) for argument in arguments]


def find_paths(arguments: Sequence[str]) -> list[Path]:
    """Return the files and folders that a person named. Raise ``PhotoError`` for what is none."""
    paths = [Path(argument).expanduser() for argument in arguments]
    for path in paths:
        if not path.exists():
            raise PhotoError(f"There is no photo or folder at {path}. Check the path.")
    return paths


def _find_photo(argument: str) -> Source:
    if argument == STDIN:
        content = sys.stdin.buffer.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise PhotoTooLarge
        return Source("standard input", content)
    if argument.startswith(("http://", "https://")):
        raise PhotoError(
            f"{argument} is an address, and photos are read from files. Fetch it first, or hand it "
            f"over: curl -sL {argument} | mondrian critique -"
        )
    path = Path(argument).expanduser()
    if path.is_dir():
        raise PhotoError(f"{path} is a folder. Give -r too, to take all photos in it.")
    if not path.exists():
        raise PhotoError(f"There is no photo at {path}. Check the path and try again.")
    return Source(path.name, path)


def find_format(file: Path) -> str:
    """Return the format that the ending of ``file`` names. Raise ``SettingsError``."""
    if format_ := FORMATS.get(file.suffix.lower()):
        return format_
    raise SettingsError(
        f"{file} has an ending that names no format of reports. Choose one of {', '.join(FORMATS)}."
    )


def check_writable(files: Iterable[Path]) -> None:
    """Raise ``SettingsError`` for a file that cannot be written, before minutes of work go into
    it."""
    for file in files:
        if file.is_dir() or not file.resolve().parent.is_dir():
            raise SettingsError(f"{file} cannot be written: its folder does not exist.")


def write(file: Path, content: bytes) -> None:
    """Write ``content`` to ``file``. Raise ``StorageError``."""
    try:
        file.write_bytes(content)
    except OSError as exc:
        raise StorageError(
            f"{file} cannot be written: {exc.strerror}. Choose another place for it."
        ) from exc
