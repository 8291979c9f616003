"""Open untrusted bytes as an image that is safe to decode, and convert its pixels."""

import hashlib
import io
import logging
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ExifTags import Base

from mondrian.errors import DamagedPhoto, TooManyPixels, UnsupportedPhoto
from mondrian.photos import bmff
from mondrian.photos.colour import Converter, as_rgb, is_hdr
from mondrian.photos.exif import read_notes
from mondrian.photos.jpeg import Jpeg, parse_jpeg
from mondrian.photos.notes import Note
from mondrian.photos.png import clean_png, read_cicp
from mondrian.photos.raw import find_preview
from mondrian.photos.tiff import (
    BITS,
    COMPRESSION,
    PHOTOMETRIC,
    PLANAR,
    check_samples,
    read_directories,
)

# Cameras with 100 megapixels write up to 11648×8736 pixels, 101.8 million.
MAX_PIXELS = 102_000_000
# Phones with 200 megapixels; decoded at half their width and height.
MAX_HALVED_PIXELS = 204_000_000
# The longest side that libjpeg writes: a photo is stored as JPEG.
MAX_SIDE = 65_500

_STRIP_PIXELS = 2**21

# Pillow warns of each broken tag and of large pictures in endless texts: one photo could fill the
# log. Unreadable parts raise an error or are missing.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

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


@dataclass(kw_only=True, slots=True)
class OpenPhoto:
    """A photo with its header read: ``image`` is safe to load. ``jpeg`` may be stored unchanged if
    its picture is upright and in sRGB."""

    image: Image.Image
    jpeg: Jpeg | None = None
    notes: tuple[Note, ...] = ()


def open_photo(content: bytes, format_: str, name: str) -> OpenPhoto:
    """Open a photo in a format that ``identify`` returned; ``name`` begins an error message.

    Raise ``UnsupportedPhoto`` for unsupported variants, ``TooManyPixels``, and ``DamagedPhoto`` or
    any other exception for a broken file.
    """
    if format_ == "JPEG":
        return _open_parsed(parse_jpeg(content))
    if format_ == "RAW":
        preview = find_preview(content)
        if preview is None:
            raise UnsupportedPhoto(
                f"{name} is a camera RAW file without a preview that can be read. Export it as "
                "JPEG or HEIC and try again."
            )
        return _open_parsed(preview, Note.RAW_PREVIEW)
    image = _drop_endless_exif(_open_image(content, format_))
    check_size(*image.size)
    return OpenPhoto(image=image, notes=(Note.TONE_MAPPED,) if is_hdr(image) else ())


def read_size(content: bytes, format_: str) -> tuple[int, int]:
    """Return the width and height in a photo's header, without decoding it. Raise any exception
    for a broken file."""
    if format_ == "JPEG":
        return parse_jpeg(content).size
    if format_ == "RAW":
        preview = find_preview(content)
        return preview.size if preview else (0, 0)
    if format_ == "PNG":
        return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    with _open_image(content, format_) as image:
        return image.size


def _open_parsed(jpeg: Jpeg, *notes: Note) -> OpenPhoto:
    """Open a JPEG; one with too many pixels at half its size, which libjpeg does row by row."""
    width, height = jpeg.size
    is_halved = width * height > MAX_PIXELS and jpeg.is_sequential
    if is_halved:
        check_size(width, height, MAX_HALVED_PIXELS)
        notes = (*notes, Note.HALF_SIZE)
    else:
        check_size(width, height)
    if not jpeg.is_ended:
        _check_end(jpeg, is_halved)
    image = _drop_endless_exif(_open_jpeg(jpeg.encode_with_metadata(), is_halved))
    notes = (*notes, *(note for note in read_notes(image) if note not in notes))
    return OpenPhoto(image=image, jpeg=None if is_halved else jpeg, notes=notes)


def _open_image(content: bytes, format_: str) -> Image.Image:
    """Open an image with the plugin of its format: ``Image.open`` would warn of 100 megapixels and
    try every plugin."""
    match format_:
        case "PNG":
            return _open_png(clean_png(content))
        case "WEBP":
            return _StillWebP(io.BytesIO(content))
        case "TIFF":
            return _open_tiff(content)
        case "AVIF":
            return _open_avif(content)
        case _:
            return _open_heif(content)


def _drop_endless_exif(image: Image.Image) -> Image.Image:
    exif = image.info.get("exif") or b""
    try:
        read_directories(exif.removeprefix(b"Exif\0\0"))
    except UnsupportedPhoto:
        del image.info["exif"]
    return image


def _open_jpeg(content: bytes, is_halved: bool) -> Image.Image:
    image = _decode_at_once(JpegImagePlugin.JpegImageFile(io.BytesIO(content)), len(content))
    if is_halved:  # once only: a second draft of the same image does nothing
        image.draft("RGB", (image.width // 2, image.height // 2))
    return image


def _check_end(jpeg: Jpeg, is_halved: bool) -> None:
    """Raise ``DamagedPhoto`` if the last pixels depend on the bytes after the last scan: libjpeg
    invents missing data. If only the end marker is missing, no pixel depends on them."""
    looks = set[bytes]()
    for end in (b"", b"\x55" * 64):
        with _open_jpeg(jpeg.encode_with_metadata(end), is_halved) as image:
            looks.add(hashlib.sha256(image.tobytes()).digest())
    if len(looks) > 1:
        raise DamagedPhoto


def _decode_at_once(image: ImageFile.ImageFile, size: int) -> Image.Image:
    """Have Pillow decode the image, a file of ``size`` bytes, in one call. In blocks of 64 KB it
    acquires the GIL for each: beside a busy thread 12 megapixels take three times as long.

    Not for formats with many strips: each would read the whole file.
    """
    image.decodermaxblock = size
    return image


def _open_png(content: bytes) -> Image.Image:
    image = _decode_at_once(PngImagePlugin.PngImageFile(io.BytesIO(content)), len(content))
    if cicp := read_cicp(content):
        image.info["cicp"] = cicp
        image.info.pop("icc_profile", None)  # in PNG, cICP has precedence
    return image


def _open_avif(content: bytes) -> Image.Image:
    image = AvifImagePlugin.AvifImageFile(io.BytesIO(content))
    if cicp := bmff.read_cicp(content):
        image.info["cicp"] = cicp
    return image


def _open_heif(content: bytes) -> Image.Image:
    from pillow_heif import HeifImageFile

    image = HeifImageFile(io.BytesIO(content))  # type: ignore[no-untyped-call]
    if nclx := image.info.get("nclx_profile"):
        image.info["cicp"] = (nclx["color_primaries"], nclx["transfer_characteristics"])
    return image


def _open_tiff(content: bytes) -> Image.Image:
    """Open the first page that is no preview of another, as its tags describe it."""
    pages = [directory for directory in read_directories(content) if directory.is_page]
    main = next((number for number, page in enumerate(pages) if page.is_main), 0)
    if pages:
        check_samples(pages[main])
    image = _TaggedTiff(io.BytesIO(content))
    image.seek(main)
    if pages and image.mode.startswith("I;16"):
        image.info["white"] = 2 ** pages[main].first(BITS, 16) - 1
        image.info["is_negative"] = pages[main].first(PHOTOMETRIC, 1) == 0
    return image


class _TaggedTiff(TiffImagePlugin.TiffImageFile):
    """Has libtiff read what Pillow itself decodes wrongly: planar channels and subsampled chroma.
    Pillow uses libtiff for compressed files only, so they are declared to be; libtiff ignores
    that."""

    def _setup(self) -> None:
        tags = self.tag_v2
        if tags.get(COMPRESSION, 1) == 1 and (tags.get(PLANAR) == 2 or tags.get(PHOTOMETRIC) == 6):
            tags[COMPRESSION] = 8
        if tags.get(PHOTOMETRIC) == 0 and tags.get(BITS) == (16,):
            tags[PHOTOMETRIC] = 1  # Pillow reads no such big-endian file, and inverts none
        super()._setup()


class _StillWebP(WebPImagePlugin.WebPImageFile):
    """Frees the decoder's two canvases after the first frame: 800 MB for 100 megapixels."""

    def _get_next(self) -> tuple[bytes, int, int]:
        frame = super()._get_next()
        self._decoder = None
        return frame


def check_size(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raise ``TooManyPixels`` if a picture exceeds ``most`` pixels or ``MAX_SIDE``."""
    if width * height > most:
        raise TooManyPixels(
            f"The photo has {width}×{height} pixels, {width * height / 1e6:.0f} megapixels, and "
            f"{MAX_PIXELS // 10**6} is the most, or {MAX_HALVED_PIXELS // 10**6} in a JPEG that is "
            "not progressive. Scale it down and try again."
        )
    if max(width, height) > MAX_SIDE:
        raise TooManyPixels(
            f"The photo has {width}×{height} pixels, and {MAX_SIDE} is the longest side there may "
            "be. Scale it down or crop it and try again."
        )


def convert_upright(image: Image.Image, to_srgb: Converter) -> NDArray[np.uint8]:
    """Return upright sRGB pixels, converted strip by strip: whole copies of 100 megapixels would
    need gigabytes."""
    width, height = image.size
    is_turned, rows, columns = _TURNS[read_orientation(image)]
    pixels = np.empty((width, height, 3) if is_turned else (height, width, 3), np.uint8)
    whole = pixels.view("V3")[..., 0]  # numpy turns pixels twice as fast as it turns channels
    stored = (whole.T if is_turned else whole)[::rows, ::columns]
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = image.crop((0, top, width, min(top + step, height)))
        stored[top : top + step] = np.asarray(to_srgb(_flatten(strip))).view("V3")[..., 0]
    pixels.flags.writeable = False
    return pixels


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if it is missing or invalid."""
    try:
        turn = int(image.getexif().get(Base.Orientation, 1))
    except Exception:  # as in read_exif
        return 1
    return turn if turn in _TURNS else 1


def _flatten(strip: Image.Image) -> Image.Image:
    """Return a strip in 8 bits, on white where transparent: ``L``, ``RGB`` or ``CMYK``."""
    if strip.mode.startswith("I;16"):
        white = strip.info.get("white", 65535)
        levels = (np.asarray(strip).astype(np.uint32) * 255 + white // 2) // white
        grey = np.minimum(levels, 255).astype(np.uint8)
        return Image.fromarray(~grey if strip.info.get("is_negative") else grey)
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


def is_plain(image: Image.Image, to_srgb: Converter) -> bool:
    """Return whether the picture is upright RGB in sRGB already, by its converter ``to_srgb``."""
    return image.mode == "RGB" and to_srgb is as_rgb and read_orientation(image) == 1
