"""Bytes become a checked, upright, sRGB ``Photo`` without GPS; ``PhotoStore`` keeps photos."""

from dataclasses import dataclass
from functools import cached_property  # noqa: F401

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Exif:
    """What the camera wrote down, as far as it did. GPS is never kept.

    ``aperture`` is the f-number, ``exposure_seconds`` the shutter time, ``taken_at`` is ISO 8601.
    """

    camera: str | None = None
    lens: str | None = None
    focal_length_mm: float | None = None
    aperture: float | None = None
    exposure_seconds: float | None = None
    iso: int | None = None
    taken_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photograph, checked and ready.

    ``pixels`` is uint8 of shape (height, width, 3), sRGB, upright, read-only. ``sha256`` is the
    hex digest of the bytes that came. ``format`` is ``JPEG``, ``PNG``, ``WEBP``, ``HEIF`` or
    ``TIFF``. ``name`` is the file's name without folders, for people; it is not to be trusted.
    """

    pixels: NDArray[np.uint8]
    sha256: str
    format: str
    name: str
    exif: Exif
