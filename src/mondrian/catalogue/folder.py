"""Find the photos in folders."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PHOTOS = frozenset(
    {".jpg", ".jpeg", ".heic", ".heif", ".hif", ".avif", ".png", ".webp", ".tif", ".tiff"}
)
RAW = frozenset(
    {".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".raf", ".rw2"}
    | {".orf", ".pef", ".srw", ".3fr", ".fff", ".iiq", ".x3f", ".rwl", ".erf", ".mrw", ".kdc"}
)


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo on disk. ``raw`` is the camera's RAW file of the same name beside it."""

    path: Path
    raw: Path | None = None


def find_files(paths: Iterable[Path], *, is_recursive: bool = True) -> list[PhotoFile]:
    """Return the photos among ``paths`` and in the folders of them, sorted by path.

    A RAW file and a photo of one name are one photo. Hidden files and folders are passed over, and
    links to folders are not followed. A file that is named itself is taken whatever it is.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(_walk(path, is_recursive))
        else:
            found[path.absolute()] = None
    return list(_pair_raw(sorted(found)))


def _walk(folder: Path, is_recursive: bool) -> Iterator[Path]:
    for root, folders, names in os.walk(folder.absolute()):
        folders[:] = [each for each in folders if not each.startswith(".")] if is_recursive else []
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in PHOTOS | RAW and path.is_file():
                yield path


def _pair_raw(paths: list[Path]) -> Iterator[PhotoFile]:
    raws = {_get_stem(path): path for path in paths if path.suffix.lower() in RAW}
    photos = [path for path in paths if path.suffix.lower() not in RAW]
    developed = {_get_stem(path) for path in photos}
    alone = [path for stem, path in raws.items() if stem not in developed]
    for path in sorted([*photos, *alone]):
        raw = raws.get(_get_stem(path))
        yield PhotoFile(path, raw if raw != path else None)


def _get_stem(path: Path) -> tuple[Path, str]:
    return path.parent, path.stem.lower()
