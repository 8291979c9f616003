"""Identify a file by its content: a format that Mondrian reads, or an error that says why not."""

import re

from mondrian.errors import UnsupportedPhoto
from mondrian.photos.tiff import DNG_VERSION, PHOTOMETRIC, read_directories

# Offset of the magic bytes, the bytes, and their meaning: a format, or a key of _REFUSALS.
_MARKS = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"FUJIFILMCCD-RAW", "RAW"),
    (0, b"IIRO", "RAW"),
    (0, b"IIRS", "RAW"),
    (0, b"MMOR", "RAW"),
    (0, b"IIU\0", "RAW"),
    (0, b"FOVb", "RAW"),
    (0, b"\0MRM", "RAW"),
    (6, b"HEAPCCDR", "RAW"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"%PDF-", "pdf"),
    (0, b"8BPS", "photoshop"),
    (0, b"BM", "bmp"),
    (0, b"\xff\x0a", "jpeg xl"),
    (4, b"JXL \r\n", "jpeg xl"),
    (4, b"jP  \r\n", "jpeg 2000"),
    (0, b"\xff\x4f\xff\x51", "jpeg 2000"),
    (0, b"II\xbc\x01", "jpeg xr"),
    (0, b"v/1\x01", "exr"),
    (0, b"#?RADIANCE", "exr"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"\0\5\x16\7", "apple double"),
    (0, b"PK\3\4", "archive"),
    (0, b"\x1f\x8b", "archive"),
    (0, b"7z\xbc\xaf", "archive"),
    (0, b"Rar!", "archive"),
    (257, b"ustar", "archive"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"\0\0\1\xba", "video"),
    (4, b"moov", "video"),
    (4, b"mdat", "video"),
    (0, b"\0\0\0\x08wide", "video"),
    (0, b"\0\0\0\x08free", "video"),
    (0, b"\0\0\0\x08skip", "video"),
    (0, b"bplist", "edits"),
    (0, b"\xef\xbb\xbf{", "side file"),
    (0, b"{", "side file"),
)
_RIFF_KINDS = {b"WEBP": "WEBP", b"AVI ": "video"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1"}
_AVIF_BRANDS = {b"avif", b"avis"}

# Marks of markup files, in the order in which they are searched.
_MARKUP = (
    (b"<x:xmpmeta", "edits"),
    (b"<?xpacket", "edits"),
    (b"<!doctype plist", "edits"),
    (b"<plist", "edits"),
    (b"<svg", "svg"),
    (b"<html", "web page"),
    (b"<!doctype html", "web page"),
)

_EXPORT = "Export it as JPEG or HEIC and try again."
_FRAME = "Save one frame of it as JPEG and try again."
_BESIDE = "Choose the photo itself, which has the same name but for its ending, and try again."
_REFUSALS = {
    "apple double": "is a file that macOS keeps beside a photo, and holds no picture. Choose the "
    "photo itself, whose name does not begin with “._”, and try again.",
    "archive": "is an archive, such as a ZIP file or a Live Photo (.livp). Unpack it, choose the "
    "photo in it and try again.",
    "bmp": f"is a BMP picture. {_EXPORT}",
    "edits": f"is a file of edits of a photo (.xmp, .aae), and holds no picture. {_BESIDE}",
    "exr": f"is an HDR picture in floating point. {_EXPORT}",
    "gif": f"is a GIF. {_FRAME}",
    "icon": "is an icon. Mondrian critiques photographs: choose one and try again.",
    "jpeg 2000": f"is a JPEG 2000 picture. {_EXPORT}",
    "jpeg xl": f"is a JPEG XL picture. {_EXPORT}",
    "jpeg xr": f"is a JPEG XR picture. {_EXPORT}",
    "pdf": "is a PDF document. Save the photo in it as JPEG and try again.",
    "photoshop": f"is a Photoshop document. {_EXPORT}",
    "side file": f"is a side file (.json), and holds no picture. {_BESIDE}",
    "svg": "is an SVG drawing. Mondrian critiques photographs: choose one and try again.",
    "video": f"is a video. {_FRAME}",
    "web page": "is a web page. Download the photo itself and try again.",
    "unknown": f"is not a photo that Mondrian reads. {_EXPORT}",
}

_RAW_NAME = re.compile(
    r"\.(3fr|arw|bay|cap|cr2|cr3|crw|dcr|dng|erf|fff|gpr|iiq|k25|kdc|mef|mos|mrw|nef|nrw|orf|pef|"
    r"raf|raw|rw2|rwl|rwz|sr2|srf|srw|x3f)$",
    re.IGNORECASE,
)
_SENSOR_PHOTOMETRICS = {32803, 34892}  # colour filter array, and DNG's LinearRaw


def identify(content: bytes, name: str) -> str:
    """Return the format of a file: ``JPEG``, ``PNG``, ``WEBP``, ``HEIF``, ``AVIF``, ``TIFF``, or
    ``RAW`` for a camera's.

    The content decides; ``name`` identifies RAW files whose content is ambiguous, and begins the
    error message.

    Raise ``UnsupportedPhoto`` for everything else.
    """
    kind = _identify_kind(content)
    if kind in ("TIFF", "unknown") and (_RAW_NAME.search(name) or _is_raw_tiff(content)):
        kind = "RAW"
    if kind in _REFUSALS:
        raise UnsupportedPhoto(f"{name} {_REFUSALS[kind]}")
    return kind


def _identify_kind(content: bytes) -> str:
    if content[:4] == b"RIFF":
        return _RIFF_KINDS.get(content[8:12], "unknown")
    if content[4:8] == b"ftyp":
        return _identify_iso(content)
    for offset, mark, kind in _MARKS:
        if content.startswith(mark, offset):
            return kind
    return _identify_markup(content)


def _identify_iso(content: bytes) -> str:
    """Return the kind by its brands: HEIC, AVIF, Canon's CR3, MP4 and MOV share one container."""
    end = min(int.from_bytes(content[:4]), 256)
    brands = {content[8:12], *(content[at : at + 4] for at in range(16, end, 4))}
    if b"crx " in brands:
        return "RAW"
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else "video"


def _identify_markup(content: bytes) -> str:
    start = content[:1024].lower()
    if re.match(rb"(\xef\xbb\xbf)?\s*<", start) is None:
        return "unknown"
    return next((kind for mark, kind in _MARKUP if mark in start), "unknown")


def _is_raw_tiff(content: bytes) -> bool:
    """Return whether it is RAW: most are TIFF files with sensor data, often below a preview."""
    if content[:2] not in (b"II", b"MM"):
        return False
    if content[8:10] == b"CR":  # Canon's CR2
        return True
    return any(
        DNG_VERSION in directory.tags or directory.first(PHOTOMETRIC) in _SENSOR_PHOTOMETRICS
        for directory in read_directories(content)
    )
