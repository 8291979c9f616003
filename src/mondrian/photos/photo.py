"""Read bytes into a ``Photo``, or, with less work, into a ``StoredPhoto``."""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mondrian.errors import DamagedPhoto, EmptyPhoto, PhotoError, PhotoTooLarge, TooManyPixels
from mondrian.photos.colour import make_srgb_converter
from mondrian.photos.decoding import (
    convert_upright,
    is_plain,
    open_photo,
)
from mondrian.photos.exif import Exif, read_exif, shorten, write_exif
from mondrian.photos.formats import identify
from mondrian.photos.jpeg import parse_jpeg
from mondrian.photos.notes import Note

MAX_BYTES = 50_000_000
MAX_NAME = 120

# At 98 even noise is less than two levels off, at 95 it is three.
_STORED_QUALITIES = (98, 95, 85, 70, 50)


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A decoded photo.

    ``pixels`` is uint8 of shape (height, width, 3), sRGB, upright, read-only. ``sha256`` is the
    hex digest of the file; photos are equal if it and the metadata are. ``format`` is ``JPEG``,
    ``PNG``, ``WEBP``, ``HEIF``, ``AVIF``, ``TIFF`` or ``RAW``. ``name`` is the file's name without
    folders, printable, 1 to 120 characters, for display; it is untrusted. ``notes`` are sentences
    about how it was read. ``original`` is the JPEG file without its metadata if its picture is
    upright and in sRGB already: it need not be encoded again.
    """

    pixels: NDArray[np.uint8] = field(repr=False, compare=False)
    sha256: str
    format: str
    name: str
    exif: Exif
    notes: tuple[Note, ...] = ()
    original: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def width(self) -> int:
        """Return the width in pixels, upright."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Return the height in pixels, upright."""
        return int(self.pixels.shape[0])

    @property
    def view(self) -> bytes:
        """Return the JPEG that is sent to a vision model, at most 1320 pixels wide."""
        return self.jpeg(max_width=1320)

    def jpeg(self, max_width: int = 1320, quality: int = 90) -> bytes:
        """Return a JPEG for a vision model: upright, sRGB, no EXIF, scaled down if wider."""
        image = Image.fromarray(self.pixels)
        if self.width > max_width:
            height = max(1, round(self.height * max_width / self.width))
            image = image.resize((max_width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return _encode_jpeg(image, quality)

    def encode(self) -> bytes:
        """Return the JPEG that is stored: full size, sRGB, with ``exif`` and nothing else.

        It holds the ``original`` picture if there is one. Otherwise its quality is 98, without
        chroma subsampling, or less if the file would exceed ``MAX_BYTES``: ``read_photo`` returns
        the same size and ``exif``, and pixels within two levels in the mean.
        """
        exif = write_exif(self.exif, self.notes)
        if self.original:
            return parse_jpeg(self.original).encode(exif)
        image = Image.fromarray(self.pixels)
        for quality in _STORED_QUALITIES:
            encoded = _encode_jpeg(image, quality, exif, subsampling=0)
            if len(encoded) <= MAX_BYTES:
                break
        return encoded


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPhoto:
    """A photo as it is stored: ``encoded`` is the result of ``Photo.encode``, and the other fields
    are those of the ``Photo``."""

    encoded: bytes = field(repr=False)
    sha256: str
    name: str
    width: int
    height: int


def read_photo(source: bytes | Path | str, *, name: str | None = None) -> Photo:
    """Read a photo from its bytes or its path: the first picture, upright, in sRGB.

    It is read in this process, without a limit of time: use ``readers.PhotoReaders`` for untrusted
    photos. ``name`` is the file's name, by default that of the path. Thread-safe. 100 megapixels
    need about 0.8 GB of memory (progressive JPEG 1.1, WebP 1.3).

    Raise ``EmptyPhoto``, ``UnsupportedPhoto``, ``DamagedPhoto``, ``PhotoTooLarge`` or
    ``TooManyPixels``, and ``PhotoError`` itself if there is no such file.
    """
    content, name = _read_source(source, name)
    called = name or "The file"
    format_ = identify(content, called)
    with _translate_errors():
        opened = open_photo(content, format_, called)
        with opened.image as image:
            image.load()
            to_srgb = make_srgb_converter(image)
            is_kept = opened.jpeg and is_plain(image, to_srgb)
            return Photo(
                pixels=convert_upright(image, to_srgb),
                sha256=hashlib.sha256(content).hexdigest(),
                format=format_,
                name=name or "photo",
                exif=read_exif(image),
                notes=opened.notes,
                original=opened.jpeg.encode() if opened.jpeg and is_kept else None,
            )


def prepare_photo(source: bytes | Path | str, *, name: str | None = None) -> StoredPhoto:
    """Check a photo as ``read_photo`` does, and return it as it is stored.

    A JPEG that is stored unchanged is decoded at an eighth of its size: that reads every bit of it
    in a quarter of the time. Raise the same errors as ``read_photo``.
    """
    content, name = _read_source(source, name)
    called = name or "The file"
    format_ = identify(content, called)
    if format_ in ("JPEG", "RAW"):
        with _translate_errors():
            opened = open_photo(content, format_, called)
            image, jpeg = opened.image, opened.jpeg
            if jpeg and is_plain(image, make_srgb_converter(image)):
                width, height = image.size
                exif = write_exif(read_exif(image), opened.notes)
                image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
                image.load()
                return StoredPhoto(
                    encoded=jpeg.encode(exif),
                    sha256=hashlib.sha256(content).hexdigest(),
                    name=name or "photo",
                    width=width,
                    height=height,
                )
    photo = read_photo(content, name=name)
    return StoredPhoto(
        encoded=photo.encode(),
        sha256=photo.sha256,
        name=photo.name,
        width=photo.width,
        height=photo.height,
    )


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except PhotoError:
        raise
    except Image.DecompressionBombError as exc:
        raise TooManyPixels from exc
    except SyntaxError as exc:  # Pillow's error for an invalid header
        raise DamagedPhoto(
            "The photo is damaged, cut off or of a rare kind. Copy it again from its source, or "
            "export it as JPEG, and try again."
        ) from exc
    except Exception as exc:  # decoders raise any kind of exception for hostile bytes
        raise DamagedPhoto from exc


def _read_source(source: bytes | Path | str, name: str | None) -> tuple[bytes, str | None]:
    """Return the bytes, within their limits, and the name without folders."""
    if isinstance(source, bytes):
        content = source
    else:
        content = _read_file(Path(source))
        name = name or Path(source).name
    if not content:
        raise EmptyPhoto
    if len(content) > MAX_BYTES:
        raise _too_large(len(content))
    return content, _strip_folders(name) if name else None


def _read_file(path: Path) -> bytes:
    shown = shorten(str(path), 300)
    try:
        if path.is_dir():
            raise PhotoError(f"{shown} is a folder. Name one photo in it.")
        if not path.is_file():
            raise PhotoError(f"There is no photo at {shown}. Check the path and try again.")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise _too_large(size)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise PhotoError(f"{shown} cannot be read: {reason}. Check the path.") from exc


def _too_large(size: int) -> PhotoTooLarge:
    return PhotoTooLarge(
        f"The file has {size / 1e6:.1f} MB, and {MAX_BYTES / 1e6:.0f} MB is the most. "
        "Export it as JPEG or HEIC at a lower quality and try again."
    )


def _strip_folders(name: str) -> str:
    return shorten(re.split(r"[/\\]", name)[-1], MAX_NAME).strip(" .") or "photo"


def _encode_jpeg(
    image: Image.Image, quality: int, exif: bytes = b"", subsampling: int = 2
) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=quality, exif=exif, subsampling=subsampling)
    return encoded.getvalue()
