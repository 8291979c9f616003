"""Bytes become a checked, upright, sRGB ``Photo`` without GPS; ``PhotoStore`` keeps photos."""

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ExifTags import Base

from mondrian.errors import (
    DamagedPhoto,
    EmptyPhoto,
    JobNotFound,
    PhotoError,
    PhotoStoreUnavailable,
    PhotoTooLarge,
    SettingsError,
    StorageFull,
    TooManyPixels,
    UnsupportedPhoto,
)
from mondrian.exif import Exif, printable, read_exif, replace_exif, write_exif
from mondrian.formats import identify

if TYPE_CHECKING:
    from obstore.store import LocalStore, RetryConfig, S3Store

__all__ = ["MAX_BYTES", "MAX_PIXELS", "MAX_SIDE", "Exif", "Photo", "PhotoStore", "read_photo"]

MAX_BYTES = 50_000_000
# Cameras of 100 megapixels give up to 11648×8736 pixels, 101.8 million.
MAX_PIXELS = 102_000_000
# The longest side that libjpeg writes: a photo is stored as JPEG.
MAX_SIDE = 65_500
MAX_NAME = 120

# Ten are usual. Each costs a pass over all pixels, so that a small file could take hours.
_MAX_SCANS = 100
_STRIP_PIXELS = 2**21
_STORED_QUALITIES = (95, 85, 70, 50)

# EXIF orientation: are width and height exchanged, then the steps along rows and columns.
_TURNS = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, -1, 1),
    7: (True, -1, -1),
    8: (True, 1, -1),
}

Converter: TypeAlias = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photograph, checked and ready.

    ``pixels`` is uint8 of shape (height, width, 3), sRGB, upright, read-only. ``sha256`` is the
    hex digest of the bytes that came; photos are equal if it and the words about them are.
    ``format`` is ``JPEG``, ``PNG``, ``WEBP``, ``HEIF`` or ``TIFF``. ``name`` is the file's name
    without folders, printable, 1 to 120 characters, for people; it is not to be trusted.
    ``original`` holds the bytes that came if they are a JPEG whose picture is upright and in sRGB
    already: it need not be encoded again.
    """

    pixels: NDArray[np.uint8] = field(repr=False, compare=False)
    sha256: str
    format: str
    name: str
    exif: Exif
    original: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def width(self) -> int:
        """Width in pixels, upright."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels, upright."""
        return int(self.pixels.shape[0])

    def jpeg(self, max_width: int = 1320, quality: int = 90) -> bytes:
        """Return a JPEG for an engine that sees: upright, sRGB, no EXIF, scaled down if wider."""
        image = Image.fromarray(self.pixels)
        if self.width > max_width:
            height = max(1, round(self.height * max_width / self.width))
            image = image.resize((max_width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return _jpeg(image, quality)

    def encode(self) -> bytes:
        """Return the JPEG that is stored: full size, sRGB, with ``exif`` and nothing else.

        It holds the ``original`` picture where there is one. Else its quality is 95, or less where
        the file would be over ``MAX_BYTES``: ``read_photo`` reads it back, with the same size and
        ``exif``.
        """
        if self.original and (stripped := replace_exif(self.original, self.exif)):
            return stripped
        image, exif = Image.fromarray(self.pixels), write_exif(self.exif)
        for quality in _STORED_QUALITIES:
            encoded = _jpeg(image, quality, exif)
            if len(encoded) <= MAX_BYTES:
                break
        return encoded


def read_photo(source: bytes | Path | str, *, name: str | None = None) -> Photo:
    """Read a photo from its bytes or its path: the first picture, upright, in sRGB.

    ``name`` is what the file is called; without it, what its path says. May be called from any
    thread. 100 megapixels need about 0.8 GB of memory (progressive JPEG 1.1, WebP 1.3).

    Raises ``PhotoError``: ``EmptyPhoto``, ``UnsupportedPhoto``, ``DamagedPhoto``,
    ``PhotoTooLarge`` and ``TooManyPixels``, or itself where there is no such file.
    """
    if isinstance(source, bytes):
        content = source
    else:
        content = _read_file(Path(source))
        name = name or Path(source).name
    if not content:
        raise EmptyPhoto
    if len(content) > MAX_BYTES:
        raise _too_large(len(content))
    name = _base_name(name) if name else None
    format_ = identify(content, name or "The file")
    pixels, exif, is_plain = _decode(content, format_)
    return Photo(
        pixels=pixels,
        sha256=hashlib.sha256(content).hexdigest(),
        format=format_,
        name=name or "photo",
        exif=exif,
        original=content if is_plain and format_ == "JPEG" else None,
    )


def _read_file(path: Path) -> bytes:
    shown = printable(str(path), 300)
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


def _base_name(name: str) -> str:
    return printable(re.split(r"[/\\]", name)[-1], MAX_NAME).strip(" .") or "photo"


def _decode(content: bytes, format_: str) -> tuple[NDArray[np.uint8], Exif, bool]:
    """The pixels, what the camera wrote, and whether they were RGB, upright and in sRGB as is."""
    try:
        with _open_image(content, format_) as image:
            _check_size(*image.size)
            image.load()
            to_srgb = _srgb_converter(image)
            is_plain = image.mode == "RGB" and to_srgb is _as_rgb and _orientation(image) == 1
            return _upright_srgb(image, to_srgb), read_exif(image), is_plain
    except PhotoError:
        raise
    except Image.DecompressionBombError as exc:
        raise TooManyPixels from exc
    except SyntaxError as exc:  # Pillow's word for a header that it does not understand
        raise DamagedPhoto(
            "The photo is damaged, cut off or of a rare kind. Copy it again from its source, or "
            "export it as JPEG, and try again."
        ) from exc
    except Exception as exc:  # decoders meet hostile bytes with any exception there is
        raise DamagedPhoto from exc


def _open_image(content: bytes, format_: str) -> Image.Image:
    """Read the header.

    ``Image.open`` would warn of 100 megapixels, and only for the whole process can it be told
    not to; and it would ask every plugin there is. Naming the plugin does neither.
    """
    source = io.BytesIO(content)
    match format_:
        case "JPEG":
            _check_scans(content)
            return JpegImagePlugin.JpegImageFile(source)
        case "PNG":
            return PngImagePlugin.PngImageFile(source)
        case "WEBP":
            return _StillWebP(source)
        case "TIFF":
            return TiffImagePlugin.TiffImageFile(source)
        case _:
            from pillow_heif import HeifImageFile

            return HeifImageFile(source)  # type: ignore[no-untyped-call]


class _StillWebP(WebPImagePlugin.WebPImageFile):
    """Lets go of the decoder's two canvases after the first frame: 800 MB for 100 megapixels."""

    def _get_next(self) -> tuple[bytes, int, int]:
        frame = super()._get_next()
        self._decoder = None
        return frame


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise TooManyPixels(
            f"The photo has {width}×{height} pixels, {width * height / 1e6:.0f} megapixels, and "
            f"{MAX_PIXELS // 10**6} is the most. Scale it down and try again."
        )
    if max(width, height) > MAX_SIDE:
        raise TooManyPixels(
            f"The photo has {width}×{height} pixels, and {MAX_SIDE} is the longest side there may "
            "be. Scale it down or crop it and try again."
        )


def _check_scans(content: bytes) -> None:
    """Refuse a JPEG whose first picture has more scans than any camera or program writes."""
    marker = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")  # those with a length, and the end
    scans, at = 0, 2
    while scans <= _MAX_SCANS and (found := marker.search(content, at)):
        end = found.end()
        if content[end - 1] == 0xD9:
            return
        scans += content[end - 1] == 0xDA
        at = end + int.from_bytes(content[end : end + 2])
    if scans > _MAX_SCANS:
        raise UnsupportedPhoto(
            f"The JPEG is stored in over {_MAX_SCANS} passes. Export it again and try again."
        )


def _upright_srgb(image: Image.Image, to_srgb: Converter) -> NDArray[np.uint8]:
    """Turn and convert strip by strip: whole copies of 100 megapixels would need gigabytes."""
    width, height = image.size
    is_turned, rows, columns = _TURNS[_orientation(image)]
    pixels = np.empty((width, height, 3) if is_turned else (height, width, 3), np.uint8)
    whole = pixels.view("V3")[..., 0]  # numpy turns pixels twice as fast as it turns channels
    stored = (whole.T if is_turned else whole)[::rows, ::columns]
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = image.crop((0, top, width, min(top + step, height)))
        stored[top : top + step] = np.asarray(to_srgb(_flat(strip))).view("V3")[..., 0]
    pixels.flags.writeable = False
    return pixels


def _orientation(image: Image.Image) -> int:
    try:
        orientation = int(image.getexif().get(Base.Orientation, 1))
    except Exception:  # as in read_exif
        return 1
    return orientation if orientation in _TURNS else 1


def _flat(strip: Image.Image) -> Image.Image:
    """Take a strip to 8 bits, and what is transparent onto white: ``L``, ``RGB`` or ``CMYK``."""
    if strip.mode.startswith("I;16"):
        levels = np.asarray(strip).astype(np.uint32)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    if strip.mode in ("I", "F"):
        raise UnsupportedPhoto(
            "The photo holds 32 bits a channel. Export it with 8 or 16 bits and try again."
        )
    if strip.has_transparency_data:
        straight = strip.convert("LA") if strip.mode == "La" else strip
        paper = Image.new("RGBA", strip.size, "white")
        paper.alpha_composite(straight.convert("RGBA"))
        return paper.convert("RGB")
    return strip if strip.mode in ("L", "RGB", "CMYK") else strip.convert("RGB")


def _srgb_converter(image: Image.Image) -> Converter:
    """Return what takes a flat strip of ``image`` to sRGB, by its ICC profile if that can be."""
    mode = "CMYK" if image.mode == "CMYK" else Image.getmodebase(image.mode)
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        space = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}[profile.profile.xcolor_space]
        if space != mode and (space != "RGB" or mode == "CMYK"):
            raise ValueError(f"a profile of {space} in a photo of {mode}")
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, srgb, space, "RGB")
        if space == "RGB" and _is_identity(transform):
            return _as_rgb
    except Exception:  # none, or a broken one, which is as good as none
        return _as_rgb
    return lambda strip: transform.apply(strip if strip.mode == space else strip.convert(space))


def _as_rgb(strip: Image.Image) -> Image.Image:
    return strip if strip.mode == "RGB" else strip.convert("RGB")


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Most profiles are some sRGB. A look at 5,832 colours saves the work on all the others."""
    levels = np.arange(0, 256, 15).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(levels.size, -1, 3)
    converted = np.asarray(transform.apply(Image.fromarray(colours)))
    return int(np.abs(converted.astype(int) - colours).max()) <= 1


def _jpeg(image: Image.Image, quality: int, exif: bytes = b"") -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=quality, exif=exif)
    return encoded.getvalue()


class PhotoStore:
    """Encoded photos by key, in a folder or a bucket. May be used from any thread.

    A key is made by us: letters, digits, ``.``, ``_``, ``-``, in parts between slashes.
    """

    def __init__(self, store: "LocalStore | S3Store", folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    @classmethod
    def open(cls, url: str) -> "PhotoStore":
        """Open ``file:///folder``, which is created if need be, or ``s3://bucket/prefix``.

        Credentials, region and endpoint of S3 come from the usual ``AWS_…`` variables.

        Raises ``SettingsError`` for another URL, ``PhotoStoreUnavailable`` if there can be no such
        folder.
        """
        from obstore.store import LocalStore, S3Store

        if re.match(r"s3://[^/]", url):
            patience: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
            with _translated(f"The photo store {printable(url, 300)}"):
                return cls(S3Store.from_url(url, retry_config=patience))
        folder = Path(unquote(url.removeprefix("file://")))
        if not url.startswith("file://") or not folder.is_absolute():
            raise SettingsError(
                f"{printable(url, 300)} is no photo store. Use file:///folder or s3://bucket/prefix."
            )
        with _translated(f"The photo folder {folder}"):
            return cls(LocalStore(folder, mkdir=True), folder)

    def put(self, key: str, encoded: bytes) -> None:
        """Store a photo, whole or not at all, and return when it would survive a power cut.

        Raises ``StorageFull`` or ``PhotoStoreUnavailable``.
        """
        with _translated():
            self._store.put(_checked(key), encoded, use_multipart=False)
            if self._folder:
                _sync(self._folder / key)

    def get(self, key: str) -> bytes:
        """Return a stored photo.

        Raises ``JobNotFound`` if it is not there (a photo lives as long as its job), and
        ``PhotoStoreUnavailable``.
        """
        with _translated():
            try:
                return bytes(self._store.get(_checked(key)).bytes())
            except FileNotFoundError as exc:
                raise JobNotFound(
                    "The photo is no longer stored: its job may have been deleted. Send it again."
                ) from exc

    def delete(self, key: str) -> None:
        """Delete a photo; does nothing if it is not there. Raises ``PhotoStoreUnavailable``."""
        with _translated(), suppress(FileNotFoundError):
            self._store.delete(_checked(key))

    def keys(self) -> Iterator[tuple[str, int]]:
        """Yield each key with its photo's size in bytes. Raises ``PhotoStoreUnavailable``."""
        with _translated():
            for chunk in self._store.list():
                yield from ((found["path"], found["size"]) for found in chunk)


def _checked(key: str) -> str:
    if ".." in key or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", key, re.ASCII):
        raise ValueError(f"not a key of a photo store: {key!r}")
    return key


def _sync(path: Path) -> None:
    """Push a file and its name to the disk, which neither the put nor its rename does."""
    for part in (path, path.parent):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _translated(what: str = "The photo store") -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (OSError, BaseError) as exc:
        # obstore has one error for all that a file system refuses; its text names Rust's kind.
        if any(word in str(exc) for word in ("os error 28", "StorageFull", "QuotaExceeded")):
            raise StorageFull from exc
        raise PhotoStoreUnavailable(
            f"{what} cannot be used at the moment. Check its folder or bucket and try again."
        ) from exc
