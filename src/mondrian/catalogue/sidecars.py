"""Writes critiques where catalogues read them: beside a photo, or into it.

1. A file is replaced whole, by one that is on disk already: it is never cut off. Where nothing is
   to be changed it is not written.
2. What cannot be read as XMP, or belongs to another photo, is left as it is.
3. Of an original only the packet changes, and that only with ``Place.EMBED``. Its times stay, so
   that no program takes it for a new photo, and what was said of it is known of its new content.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import fmean

from mondrian.catalogue.embedding import find_packet, find_room, put_packet
from mondrian.catalogue.folder import RAW, PhotoFile
from mondrian.catalogue.judgements import Judgement, Judgements
from mondrian.catalogue.ratings import count_stars, list_keywords
from mondrian.catalogue.thumbnails import copy_thumbnail
from mondrian.catalogue.xmp import MAX_BYTES, Critique, Fields, Packet
from mondrian.errors import PhotoError, PhotoTooLarge, StorageError
from mondrian.photos import MAX_BYTES as MAX_PHOTO_BYTES
from mondrian.reports import Report, find_grade

_BEGIN, _CLOSE = b"<x:xmpmeta", b"</x:xmpmeta>"
_SCANNED = 4_000_000


class Place(StrEnum):
    """Where metadata goes: ``a.xmp``, ``a.jpg.xmp``, or into the JPEG itself."""

    LIGHTROOM = "lightroom"
    DARKTABLE = "darktable"
    EMBED = "embed"


@dataclass(slots=True)
class Written:
    """How many files were written or were so already, how many ratings of a person were kept, and
    how many sidecars ``unread`` by Lightroom there are, of photos that are no RAW files."""

    files: int = 0
    unchanged: int = 0
    kept_ratings: int = 0
    unread: int = 0

    def describe(self) -> Iterator[str]:
        """Yield what a person wants to know of it, in sentences."""
        yield f"XMP: {_count(self.files, 'file')} written, {self.unchanged} as they were."
        if self.kept_ratings:
            yield (
                f"{_count(self.kept_ratings, 'rating')} that you gave kept; --overwrite-rating "
                "replaces them."
            )
        if self.unread:
            yield (
                f"Lightroom and Bridge read such sidecars of RAW files alone, and "
                f"{_count(self.unread, 'photo')} here are none. `--xmp embed` writes into JPEGs, "
                "`--xmp darktable` is for darktable and digiKam."
            )


class Sidecars:
    """Writes metadata to ``place``. ``stars`` are the least scores for 2 to 5 stars; a rating that
    a person gave is kept unless ``overwrite_rating``. Counts in ``written`` what it did."""

    def __init__(
        self,
        judgements: Judgements,
        place: Place,
        *,
        stars: Sequence[float],
        thumbnails: Path,
        overwrite_rating: bool = False,
    ) -> None:
        self._judgements = judgements
        self._place = place
        self._stars = stars
        self._thumbnails = thumbnails
        self._overwrite_rating = overwrite_rating
        self.written = Written()

    def write(self, file: PhotoFile, judgements: Sequence[Judgement]) -> list[Judgement]:
        """Write what was said of a photo. Return its judgements as they are known from now on.

        Raise ``PhotoError`` for a packet that cannot be read or changed, and ``StorageError``.
        """
        critique = self._make_critique(file, judgements)
        if self._place is Place.EMBED:
            return self._embed(file.path, critique, judgements)
        for photo, sidecar in _name_sidecars(file, self._place):
            self._write_sidecar(photo, sidecar, critique)
        if self._place is Place.LIGHTROOM:
            self.written.unread += not _is_raw(file.raw or file.path)
        return list(judgements)

    def _make_critique(self, file: PhotoFile, judgements: Sequence[Judgement]) -> Critique:
        reports = [Report.model_validate(each.report) for each in judgements]
        score = round(fmean(report.overall_score for report in reports), 1)
        return Critique(
            photo=file.path.name,
            rating=count_stars(score, self._stars),
            score=score,
            grade=find_grade(score),
            description=reports[0].image_description,
            keywords=list_keywords(reports[0]),
            reports=reports,
            version=judgements[0].version,
        )

    def _write_sidecar(self, photo: Path, sidecar: Path, critique: Critique) -> None:
        old = _read(sidecar, MAX_BYTES + 1)
        packet = _parse(sidecar, old) if old else Packet.empty()
        _check_owner(packet, sidecar, critique.photo)
        before = packet.canonical()
        kept = packet.update(
            critique, beside=_read_beside(photo), overwrite_rating=self._overwrite_rating
        )
        is_new = not old or packet.canonical() != before
        self._count(kept=kept, is_new=is_new)
        if is_new:
            _replace(sidecar, packet.encode(), old)

    def _embed(
        self, path: Path, critique: Critique, judgements: Sequence[Judgement]
    ) -> list[Judgement]:
        old = _read(path, MAX_PHOTO_BYTES + 1) or b""
        if len(old) > MAX_PHOTO_BYTES:
            raise PhotoTooLarge
        content = find_packet(old)
        packet = _parse(path, content) if content else Packet.empty()
        before = packet.canonical()
        kept = packet.update(critique, overwrite_rating=self._overwrite_rating)
        is_new = packet.canonical() != before
        new = put_packet(old, packet.encode_embedded(find_room(old))) if is_new else old
        if is_new:
            _check_content(old, judgements[0].sha256)
            judgements = self._carry(judgements, new)
            _replace(path, new, old, keeps_times=True)
        self._count(kept=kept, is_new=is_new)
        return list(judgements)

    def _carry(self, judgements: Sequence[Judgement], content: bytes) -> list[Judgement]:
        """Let what is known of a photo be known of its new ``content``."""
        sha256 = hashlib.sha256(content).hexdigest()
        copy_thumbnail(self._thumbnails, judgements[0].sha256, sha256)
        return self._judgements.carry(judgements, sha256, len(content))

    def _count(self, *, kept: bool, is_new: bool) -> None:
        self.written.files += is_new
        self.written.unchanged += not is_new
        self.written.kept_ratings += kept


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _name_sidecars(file: PhotoFile, place: Place) -> list[tuple[Path, Path]]:
    """Return each file of a photo with its sidecar."""
    if place is Place.LIGHTROOM:
        photo = file.raw or file.path
        return [(photo, photo.with_suffix(".xmp"))]
    return [(each, each.with_name(f"{each.name}.xmp")) for each in (file.path, file.raw) if each]


def _is_raw(path: Path) -> bool:
    """Return whether Lightroom reads a sidecar of the file: DNG holds its packet itself."""
    return path.suffix.lower() in RAW - {".dng"}


def _check_owner(packet: Packet, sidecar: Path, photo: str) -> None:
    """Raise ``PhotoError`` for the sidecar of another photo of the same name, as ``a.png``."""
    owner = packet.photo
    if owner and owner != photo and Path(owner).name == owner and sidecar.with_name(owner).exists():
        raise PhotoError(
            f"{sidecar.name} is the sidecar of {owner} already. `--xmp darktable` has a sidecar "
            "for each."
        )


def _check_content(content: bytes, sha256: str) -> None:
    """Raise ``PhotoError`` where the content is not what was judged."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PhotoError("It was changed while it was judged, and left. Run the command again.")


def _read_beside(photo: Path) -> Fields | None:
    """Return what a person wrote into the photo itself, as far as it can be read."""
    content = _read(photo, _SCANNED) or b""
    with suppress(PhotoError):
        return Packet.parse(_scan(content)).given
    return None


def _scan(content: bytes) -> bytes:
    """Return the first packet in a file of any kind (ISO 16684-3, 1.2), empty if there is none."""
    begin = content.find(_BEGIN)
    end = content.find(_CLOSE, begin)
    return content[begin : end + len(_CLOSE)] if 0 <= begin < end else b""


def _parse(path: Path, content: bytes) -> Packet:
    try:
        return Packet.parse(content)
    except PhotoError as exc:
        raise PhotoError(
            f"The XMP in {path.name} was left as it is: {exc.message}. Move it away, or let the "
            "program that wrote it write it again."
        ) from exc


def _read(path: Path, limit: int) -> bytes | None:
    """Return the first ``limit`` bytes of a file, ``None`` if there is none. Raise
    ``StorageError``."""
    try:
        if not path.is_file() and os.path.lexists(path):  # a pipe would be waited for
            raise OSError(None, "it is no file, or a link that leads nowhere")
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}.") from exc


def _replace(path: Path, content: bytes, old: bytes | None, *, keeps_times: bool = False) -> None:
    """Replace a file, or the one that a link leads to, by ``content``. Raise ``StorageError``, also
    where it is no longer what was read."""
    path = path.resolve()
    part = path.with_name(f".{hashlib.sha256(path.name.encode()).hexdigest()[:12]}.part")
    try:
        if old is not None and not os.access(path, os.W_OK):
            raise PermissionError(None, "it is write-protected")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if old is not None:
            (shutil.copystat if keeps_times else shutil.copymode)(path, part)
        if _read(path, len(old or b"") + 1) != old:
            raise OSError(None, "another program changed it meanwhile. Run the command again")
        part.replace(path)
    except OSError as exc:
        with suppress(OSError):
            part.unlink()
        raise StorageError(f"{path} was left as it is: {exc.strerror}.") from exc
